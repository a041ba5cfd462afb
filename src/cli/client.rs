//! The JSON API of the server, and what its answers mean.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::connection::{HOW_TO_TOKEN, Target, is_loopback};
use super::failure::{Failure, Problem};
use super::text::one_line;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(30);

/// The most items the server gives in one page.
const MOST_PER_PAGE: usize = 100;

/// A client for one server, with its timeouts.
pub(super) fn http(url: &Url) -> Result<reqwest::Client, Failure> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("airlock/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT);
    if is_loopback(url) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|cause| Failure::Unreachable(format!("no HTTP client: {cause}")))
}

/// The JSON API of a server.
pub(super) struct Api {
    http: reqwest::Client,
    target: Target,
}

/// What a list is asked with; what is `None` is left out.
pub(super) type Query<'a> = [(&'a str, Option<String>)];

impl Api {
    pub(super) fn new(target: Target) -> Result<Self, Failure> {
        Ok(Self { http: http(&target.url)?, target })
    }

    /// `GET /api/v1/…`.
    pub(super) async fn get(&self, path: &[&str]) -> Result<Value, Failure> {
        self.v1(Method::GET, path, None).await
    }

    /// `GET /api/v1/…?…`.
    pub(super) async fn get_with(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Value, Failure> {
        self.answer(self.http.get(self.url_with(path, query)?)).await
    }

    /// `POST /api/v1/…`.
    pub(super) async fn post(&self, path: &[&str], body: Value) -> Result<Value, Failure> {
        self.v1(Method::POST, path, Some(body)).await
    }

    /// `POST /api/v1/…?…`.
    pub(super) async fn post_with(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        body: Value,
    ) -> Result<Value, Failure> {
        self.answer(self.http.post(self.url_with(path, query)?).json(&body)).await
    }

    /// `PUT /api/v1/…`.
    pub(super) async fn put(&self, path: &[&str], body: Value) -> Result<Value, Failure> {
        self.v1(Method::PUT, path, Some(body)).await
    }

    /// `DELETE /api/v1/…`.
    pub(super) async fn delete(&self, path: &[&str]) -> Result<Value, Failure> {
        self.v1(Method::DELETE, path, None).await
    }

    /// `GET /api/v1/…?…` of what may take longer to answer.
    pub(super) async fn get_within(
        &self,
        limit: Duration,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Value, Failure> {
        let url = self.url_with(path, query)?;
        self.answer(self.http.get(url).timeout(limit)).await
    }

    /// `GET /api/v1/…?…` of what is text.
    pub(super) async fn get_text(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Vec<u8>, Failure> {
        let request = self.signed(self.http.get(self.url_with(path, query)?));
        let address = &self.target.url;
        let response = request.send().await.map_err(|cause| unreachable(address, &cause))?;
        let (status, is_text) = (response.status(), is_of_kind(&response, "text/plain"));
        if status.is_success() && is_text {
            let bytes = response.bytes().await.map_err(|cause| unreachable(address, &cause))?;
            return Ok(bytes.into());
        }
        // What is JSON and no problem is no text either.
        let body = read(address, response).await?.filter(|_| !status.is_success());
        self.judge(status, body)?;
        Err(foreign(address, status))
    }

    /// `POST /api/v1/…` of what may take longer to answer.
    pub(super) async fn post_within(
        &self,
        limit: Duration,
        path: &[&str],
        body: Value,
    ) -> Result<Value, Failure> {
        let url = self.url_with(path, &[])?;
        self.answer(self.http.post(url).json(&body).timeout(limit)).await
    }

    /// `PUT /api/v1/…` of what may take longer to answer.
    pub(super) async fn put_within(
        &self,
        limit: Duration,
        path: &[&str],
        body: Value,
    ) -> Result<Value, Failure> {
        let url = self.url_with(path, &[])?;
        self.answer(self.http.put(url).json(&body).timeout(limit)).await
    }

    /// `POST /api/v1/…?…` of text.
    pub(super) async fn post_text(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        text: String,
    ) -> Result<Value, Failure> {
        let request = self.http.post(self.url_with(path, query)?);
        self.answer(request.header(CONTENT_TYPE, "text/plain; charset=utf-8").body(text)).await
    }

    /// `DELETE /api/v1/…?…` with a body.
    pub(super) async fn delete_with(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        body: Value,
    ) -> Result<Value, Failure> {
        self.answer(self.http.delete(self.url_with(path, query)?).json(&body)).await
    }

    /// The server's address.
    pub(super) fn address(&self) -> &Url {
        &self.target.url
    }

    /// `GET /NAME`, outside the API.
    pub(super) async fn get_at_root(&self, name: &str) -> Result<Value, Failure> {
        self.answer(self.http.get(self.url(&[name])?)).await
    }

    /// The first `most` items of a list, over as many pages as that takes.
    pub(super) async fn list(
        &self,
        path: &[&str],
        query: &Query<'_>,
        most: usize,
    ) -> Result<Value, Failure> {
        let mut items = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let mut url = self.url(&v1(path))?;
            let limit = MOST_PER_PAGE.min(most - items.len()).to_string();
            let paging = [("limit", Some(limit)), ("cursor", next.take())];
            for (name, value) in query.iter().chain(&paging) {
                if let Some(value) = value {
                    url.query_pairs_mut().append_pair(name, value);
                }
            }
            let page: Page = super::answer::read(&self.answer(self.http.get(url)).await?)?;
            let is_empty = page.items.is_empty();
            items.extend(page.items);
            next = page.next;
            if next.is_none() || is_empty || items.len() >= most {
                return Ok(json!({ "items": items, "next": next }));
            }
        }
    }

    async fn v1(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Value>,
    ) -> Result<Value, Failure> {
        let mut request = self.http.request(method, self.url(&v1(path))?);
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.answer(request).await
    }

    fn url(&self, path: &[&str]) -> Result<Url, Failure> {
        // These would name another path than the one that is meant.
        if let Some(part) = path.iter().find(|part| matches!(**part, "" | "." | "..")) {
            return Err(Failure::Usage(format!("{part:?} is no name")));
        }
        let mut url = self.target.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        Ok(url)
    }

    /// An address of the API.
    fn url_with(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Url, Failure> {
        let mut url = self.url(&v1(path))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Value, Failure> {
        let (status, body) = exchange(&self.target.url, self.signed(request)).await?;
        self.judge(status, body)
    }

    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.target.token {
            Some(token) => request.bearer_auth(&token.secret),
            None => request,
        }
    }

    fn judge(&self, status: StatusCode, body: Option<Value>) -> Result<Value, Failure> {
        let source = self.target.token.as_ref().map(|token| token.source.as_str());
        judge(&self.target.url, status, body, source)
    }
}

fn v1<'a>(path: &[&'a str]) -> Vec<&'a str> {
    ["api", "v1"].iter().chain(path).copied().collect()
}

/// A page as it arrives.
#[derive(Deserialize)]
struct Page {
    items: Vec<Value>,
    next: Option<String>,
}

/// Sends a request and gives the status and the JSON of the answer; `None` if it is no JSON.
pub(super) async fn exchange(
    url: &Url,
    request: RequestBuilder,
) -> Result<(StatusCode, Option<Value>), Failure> {
    let response = request.send().await.map_err(|cause| unreachable(url, &cause))?;
    let status = response.status();
    Ok((status, read(url, response).await?))
}

/// The JSON of an answer; `None` if it is none.
async fn read(url: &Url, response: Response) -> Result<Option<Value>, Failure> {
    let (status, is_json) = (response.status(), is_of_kind(&response, "json"));
    let bytes = response.bytes().await.map_err(|cause| unreachable(url, &cause))?;
    if status == StatusCode::NO_CONTENT {
        return Ok(Some(Value::Null));
    }
    Ok(if is_json { serde_json::from_slice(&bytes).ok() } else { None })
}

fn is_of_kind(response: &Response, kind: &str) -> bool {
    let named = response.headers().get(CONTENT_TYPE).and_then(|named| named.to_str().ok());
    named.is_some_and(|named| named.contains(kind))
}

/// What an answer of the API means.
fn judge(
    url: &Url,
    status: StatusCode,
    body: Option<Value>,
    token: Option<&str>,
) -> Result<Value, Failure> {
    let problem = body.as_ref().and_then(|body| Problem::deserialize(body).ok());
    match (status, body, problem) {
        (status, Some(body), _) if status.is_success() => Ok(body),
        (status, _, Some(problem)) if status.is_server_error() => {
            Err(Failure::Unreachable(problem.to_string()))
        }
        (StatusCode::UNAUTHORIZED, _, Some(problem)) => {
            let hint = match token {
                Some(source) => format!("the token is the one in {source}"),
                None => HOW_TO_TOKEN.to_owned(),
            };
            Err(Failure::Rights { problem: Box::new(problem), hint })
        }
        (StatusCode::FORBIDDEN, _, Some(problem)) => {
            let source = token.unwrap_or("the request");
            let hint = format!("use another token than the one in {source}");
            Err(Failure::Rights { problem: Box::new(problem), hint })
        }
        // The same again is another matter.
        (_, _, Some(problem)) if problem.is_race() => {
            Err(Failure::Unreachable(problem.to_string()))
        }
        (status, _, Some(problem)) if status.is_client_error() => Err(Failure::Refused(problem)),
        (status, _, _) => Err(foreign(url, status)),
    }
}

/// An answer that Airlock would not give.
pub(super) fn foreign(url: &Url, status: StatusCode) -> Failure {
    Failure::Unreachable(if status.is_server_error() {
        format!("{url} answers {status}: the server, or something before it, is in trouble")
    } else {
        format!("{url} answers {status}, but not as Airlock does: is the address right?")
    })
}

fn unreachable(url: &Url, error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        return Failure::Unreachable(format!("{url} does not answer in time; try again"));
    }
    if error.is_redirect() {
        return Failure::Unreachable(format!("{url} redirects in circles: is the address right?"));
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let cause = one_line(&cause.to_string());
    Failure::Unreachable(format!(
        "cannot reach {url}: {cause}; is the server running, and the address right?"
    ))
}

#[cfg(test)]
mod tests;
