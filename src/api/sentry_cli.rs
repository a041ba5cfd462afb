//! What `sentry-cli` asks for: releases, their commits, and where they are deployed.
//!
//! It speaks the API of another tracker, below `/api/0`: any organization is taken, errors are
//! `{"detail": …}`. What it does is what our own API does. As it is not ours, it is not part of
//! `/openapi.json`; its shapes are those of sentry-cli 2 and 3 (`src/api/data_types` there).
//!
//! *Invariant*: a project is meant when a request names it, when it is the only one its token is
//! bound to, or when no other can be meant.
//!
//! To add a call: a handler in the file of its family, and one line in [`routes`].

mod account;
mod deploys;
mod releases;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::web::{self, Data, Path, ServiceConfig};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};
use futures_util::future::LocalBoxFuture;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::auth::Bearer;
use super::extract::json_of;
use super::{Api, ApiError, Code};
use crate::domain::project::Project;
use crate::domain::release::checked_version;
use crate::domain::token::Scope;

/// The largest body, in bytes: a set of commits comes with the files of each.
const MOST_BODY_BYTES: usize = 8 * 1024 * 1024;

/// So many projects are looked through for a release whose project nobody names.
const MOST_LOOKED_THROUGH: i64 = 100;

/// The calls.
pub(super) fn routes(config: &mut ServiceConfig) {
    const RELEASES: [&str; 4] = [
        "/organizations/{organization}/releases/",
        "/organizations/{organization}/releases",
        "/projects/{organization}/{project}/releases/",
        "/projects/{organization}/{project}/releases",
    ];
    let at = |below: &str| RELEASES.map(|path| format!("{}{below}", path.trim_end_matches('/')));
    let below = |below: &str| {
        let [with, without] = [format!("/{{version}}{below}/"), format!("/{{version}}{below}")];
        [at(&with), at(&without)].concat()
    };
    let scope = web::scope("/api/0")
        .service(web::resource(["", "/"]).get(account::show))
        .service(
            web::resource([
                "/organizations/{organization}/repos/",
                "/organizations/{organization}/repos",
            ])
            .get(account::repositories),
        )
        .service(web::resource(RELEASES).get(releases::list).post(releases::create))
        .service(
            web::resource(below(""))
                .get(releases::show)
                .put(releases::update)
                .delete(releases::delete),
        )
        .service(web::resource(below("/previous-with-commits")).get(releases::previous))
        .service(web::resource(below("/commits")).get(releases::commits))
        .service(web::resource(below("/deploys")).get(deploys::list).post(deploys::create))
        .default_service(web::to(nothing));
    config.service(scope);
}

async fn nothing(request: HttpRequest) -> Refused {
    let path: String = request.path().chars().take(200).collect();
    let detail = format!(
        "Airlock has nothing at {path}: of sentry-cli it takes `info`, `releases` and `deploys`, and \
         reports"
    );
    Refused(ApiError::new(Code::NotFound, detail))
}

/// An error as sentry-cli shows it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(ApiError);

impl<E: Into<ApiError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        self.0.status_code()
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let mut response = HttpResponse::build(status);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((RETRY_AFTER, "5"));
        }
        response.json(json!({ "detail": self.0.to_string() }))
    }
}

impl actix_web::Responder for Refused {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.error_response()
    }
}

/// What the address names.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Place {
    project: String,
    version: String,
}

/// A call by somebody who may make it.
struct Call {
    api: Data<Api>,
    bearer: Bearer,
    place: Place,
    /// `?project=…`, any number of them.
    asked: Vec<String>,
}

impl FromRequest for Call {
    type Error = Refused;
    type Future = LocalBoxFuture<'static, Result<Self, Refused>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bearer = Bearer::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let bearer = bearer.await?;
            bearer.require(Scope::Deploy)?;
            let place = Path::<Place>::extract(&request).await.map_err(ApiError::invalid)?;
            // It may be what no database can look for.
            if !place.version.is_empty() && checked_version(&place.version).is_err() {
                return Err(ApiError::not_found(format!("release {:?}", place.version)).into());
            }
            let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
            let pairs = pairs.map_err(ApiError::invalid)?.into_inner();
            let is_named =
                |(name, value): &(String, String)| name == "project" && !value.is_empty();
            let asked = pairs.into_iter().filter(is_named).map(|(_, value)| value).collect();
            let api = request.app_data::<Data<Api>>().cloned();
            let api = api.ok_or_else(|| ApiError::not_found("the API"))?;
            Ok(Self { api, bearer, place: place.into_inner(), asked })
        })
    }
}

/// A body of JSON; whatever is in it that nobody asks for is passed over.
struct Body<T>(T);

impl<T: DeserializeOwned> FromRequest for Body<T> {
    type Error = Refused;
    type Future = LocalBoxFuture<'static, Result<Self, Refused>>;

    fn from_request(_: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let payload = payload.take();
        Box::pin(async move { Ok(Self(json_of(payload, MOST_BODY_BYTES).await?)) })
    }
}

impl Call {
    fn actor(&self) -> &str {
        self.bearer.actor()
    }

    /// The projects that are meant: those of the address, the body or the query; else the only one
    /// that can be.
    async fn projects(
        &self,
        named: &[String],
        version: Option<&str>,
    ) -> Result<Vec<Project>, ApiError> {
        let own = Some(&self.place.project).filter(|project| !project.is_empty());
        let mut named: Vec<&String> = match own {
            Some(project) => vec![project],
            None => named.iter().chain(&self.asked).collect(),
        };
        named.dedup();
        let mut tx = self.api.store.read().await?;
        let mut projects: Vec<Project> = Vec::new();
        for slug in named {
            let found = self.bearer.project(&mut tx, slug).await;
            // "Not found" is what it says of the organization then.
            let project = found.map_err(|error| {
                let is_unknown = error.code() == Code::NotFound && own.is_none();
                if is_unknown { ApiError::invalid(error) } else { error }
            })?;
            if projects.iter().all(|one| one.id != project.id) {
                projects.push(project);
            }
        }
        if !projects.is_empty() {
            return Ok(projects);
        }
        if let Some(bound) = &self.bearer.0.token.projects {
            for id in bound {
                projects.extend(tx.find_project_by_id(*id).await?);
            }
        } else {
            projects = tx.list_projects("", MOST_LOOKED_THROUGH).await?;
        }
        if projects.len() > 1
            && let Some(version) = version
        {
            let mut speaking_of = Vec::new();
            for project in &projects {
                let release = tx.find_release(project.id, version).await?;
                if release.is_some_and(|release| release.announced_at.is_some()) {
                    speaking_of.push(project.clone());
                }
            }
            if !speaking_of.is_empty() {
                projects = speaking_of;
            }
        }
        match projects.as_slice() {
            [_] => Ok(projects),
            [] => Err(ApiError::invalid("there is no project that the token may see")),
            several => {
                let slugs: Vec<&str> =
                    several.iter().take(10).map(|one| one.slug.as_str()).collect();
                let detail = format!(
                    "which project is meant: {}? Name it with -p (SENTRY_PROJECT), or use a token that \
                     is bound to it",
                    slugs.join(", ")
                );
                Err(ApiError::invalid(detail))
            }
        }
    }

    /// The one project that is meant, where an answer can show one only.
    async fn project(&self, version: Option<&str>) -> Result<Project, ApiError> {
        let first = self.projects(&[], version).await?.into_iter().next();
        first.ok_or_else(|| ApiError::not_found("the project"))
    }
}
