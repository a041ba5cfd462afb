//! Whoever talks to a server that is killed again and again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::{Process, TOKEN, client, pause};

/// A script that asks until it is answered, whichever server is there.
#[derive(Clone)]
pub(crate) struct Script {
    client: reqwest::Client,
    url: Arc<Mutex<String>>,
}

impl Script {
    pub(crate) fn of(server: &Process) -> Self {
        Self { client: client(), url: Arc::new(Mutex::new(server.url.clone())) }
    }

    pub(crate) fn moved_to(&self, server: &Process) {
        self.url.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&server.url);
    }

    /// The status and the JSON of the answer; `None` when there was none, or the server was in
    /// trouble.
    pub(crate) async fn try_once(
        &self,
        method: &Method,
        path: &str,
        body: &Value,
    ) -> Option<(u16, Value)> {
        let url = self.url.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let request = self.client.request(method.clone(), format!("{url}{path}"));
        let request = request.bearer_auth(TOKEN).timeout(Duration::from_secs(10));
        let request = if *method == Method::GET { request } else { request.json(body) };
        let response = request.send().await.ok()?;
        let status = response.status();
        let answer = response.json().await.ok()?;
        (!status.is_server_error()).then(|| (status.as_u16(), answer))
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        // A server that starts takes its time where others work as well.
        for _ in 0..6_000 {
            if let Some(answer) = self.try_once(&method, path, &body).await {
                return answer;
            }
            pause(10).await;
        }
        panic!("{method} {path} is never answered");
    }

    pub(crate) async fn ok(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.send(method, path, body).await;
        assert!(status < 300, "{path}: {status} {answer}");
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.ok(Method::GET, path, Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        self.ok(Method::POST, path, body).await
    }
}
