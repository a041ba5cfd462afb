//! What Airbrake's clients ask for beside sending notices.
//!
//! They fetch a configuration, send statistics of performance, and announce deploys.

use actix_web::guard::{Guard, GuardContext};
use actix_web::http::header::AUTHORIZATION;
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, Resource, web};
use futures_util::StreamExt as _;
use serde_json::json;

use super::Intake;
use super::cors::{preflight, with_cors};
use super::dialect::Dialect;
use super::endpoint::{Call, Kind};
use super::refusal::Refusal;
use super::sender::project_of;
use crate::domain::outcome::Outcome;

/// How often a notifier should ask for its configuration; ours never changes.
const POLL_SECONDS: u32 = 3_600;

/// Bytes of statistics that are read before the connection is given up.
const MOST_PASSED_OVER_BYTES: usize = 1024 * 1024;

/// Where statistics are sent: those of routes, of their parts, of queries and of queues.
pub(super) const STATISTICS: &str = "/api/{version:v[345]}/projects/{project_id}/\
{kind:routes-stats|routes-breakdowns|queries-stats|queues-stats|metrics}";

/// The resource of a notifier's remote configuration.
///
/// Errors stay on, wherever the notifier was told to send them, since `endpoint` names no other
/// place; statistics are off. It depends on nothing, so it is the same for everybody.
/// Source: `remote_settings` of airbrake-js and airbrake-ruby.
pub(super) fn configuration(path: &str) -> Resource {
    let answer = |request: HttpRequest| async move {
        let project = project_of(&request).ok().flatten().map_or(0, |project| project.0);
        with_cors(HttpResponse::Ok().json(json!({
            "project_id": project,
            "updated_at": 1,
            "poll_sec": POLL_SECONDS,
            "config_route": "",
            "settings": [
                {"name": "errors", "enabled": true, "endpoint": null},
                {"name": "apm", "enabled": false, "endpoint": null},
            ],
        })))
    };
    web::resource(path)
        .route(web::get().to(answer))
        .route(web::method(Method::OPTIONS).to(|request| preflight(request, "GET, OPTIONS")))
}

/// The resource of statistics, which are counted and passed over.
pub(super) fn statistics(path: &str) -> Resource {
    let pass_over = |request: HttpRequest, payload: web::Payload, intake: web::Data<Intake>| async move {
        let mut call = Call::new(&intake, &request, Kind::Notice);
        let response = match call.identify().await {
            Ok(()) => {
                let kind = request.match_info().get("kind").unwrap_or_default();
                call.count(Outcome::Skipped(kind.to_owned()), 1);
                read_away(payload, &intake).await;
                HttpResponse::NoContent().finish()
            }
            Err(refusal) => call.refuse(&refusal),
        };
        with_cors(response)
    };
    web::resource(path)
        .route(web::post().to(pass_over))
        .route(web::put().to(pass_over))
        .route(web::method(Method::OPTIONS).to(|request| preflight(request, "POST, PUT, OPTIONS")))
}

/// Reads what nobody needs, so that the connection can be used again.
async fn read_away(mut payload: web::Payload, intake: &Intake) {
    let read = async {
        let mut n_bytes = 0;
        while let Some(Ok(bytes)) = payload.next().await {
            n_bytes += bytes.len();
            if n_bytes > MOST_PASSED_OVER_BYTES {
                return;
            }
        }
    };
    // Whoever sends too slowly or too much loses the connection, nothing else.
    let _ = tokio::time::timeout(intake.limits.body_timeout, read).await;
}

/// The resource of what takes a token but is called with a DSN's key. Without such a key it is not
/// there.
pub(super) fn for_tokens(path: &str, dialect: Dialect) -> Resource {
    let refuse = move |request: HttpRequest, intake: web::Data<Intake>| async move {
        let detail = "a DSN's key may only report; this needs an API token with scope `deploy`";
        let refusal = Refusal::forbidden("token_needed", detail);
        let call = Call::new(&intake, &request, Kind::Notice);
        call.count(Outcome::Refused(refusal.code.to_owned()), 1);
        // Not an answer to a report: whoever announces a deploy reads 403 as it is meant.
        let mut response = dialect.refuse(&refusal, &request);
        *response.status_mut() = StatusCode::FORBIDDEN;
        response
    };
    web::resource(path).guard(ShowsKey).to(refuse)
}

/// Whether a request shows a DSN's key, in any of the places Airbrake's and Sentry's clients use.
struct ShowsKey;

impl Guard for ShowsKey {
    fn check(&self, context: &GuardContext<'_>) -> bool {
        let head = context.head();
        let header = |name: &str| head.headers().get(name).and_then(|value| value.to_str().ok());
        let places = [
            header(AUTHORIZATION.as_str()),
            header("x-sentry-auth"),
            header("x-airbrake-token"),
            head.uri.query(),
        ];
        places.into_iter().flatten().any(names_key)
    }
}

/// Keys are 32 hex digits; API tokens look different.
fn names_key(place: &str) -> bool {
    let mut words = place.split(|one: char| !one.is_ascii_alphanumeric() && one != '_');
    words.any(|word| word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dsns_key_is_told_from_a_token() {
        let key = "d3d0caca00c3d4e5f60718293a4b5c6d";
        for shown in [
            format!("Bearer {key}"),
            format!("DSN http://{key}@errors.example/1"),
            format!("Sentry sentry_version=7, sentry_key={key}"),
            format!("key={key}"),
        ] {
            assert!(names_key(&shown), "{shown}");
        }
        for shown in ["Bearer airlock_0123456789abcdef", &format!("Bearer x_{key}"), "", "key="] {
            assert!(!names_key(shown), "{shown}");
        }
    }
}
