//! The JSON API as scripts use it.

mod lists;
mod projects;
mod shape;
mod status;
mod tokens;

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::support::{Answer, TestApp};

/// The secret of a new token, made with `maker`.
async fn new_token(app: &TestApp, maker: &str, wish: &Value) -> Answer {
    Answer::of(as_bearer(app, maker, Method::POST, "/api/v1/tokens").json(wish)).await
}

fn as_bearer(app: &TestApp, secret: &str, method: Method, path: &str) -> RequestBuilder {
    app.request(method, path).bearer_auth(secret)
}

async fn get_as(app: &TestApp, secret: &str, path: &str) -> Answer {
    Answer::of(as_bearer(app, secret, Method::GET, path)).await
}

fn invalid() -> (u16, String) {
    (422, "invalid".to_owned())
}

fn not_found() -> (u16, String) {
    (404, "not-found".to_owned())
}
