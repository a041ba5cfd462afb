//! JSON for scripts: the edge under `/api/v1`, and what the service says of itself.
//!
//! Every handler has one shape: extract → load → decide → save → commit → answer. The rules are in
//! `domain` and the use cases; here are names, scopes and status codes. Errors are problem details
//! (RFC 9457) with a stable code.
//!
//! *Invariants*: no cookies; a token sees nothing of projects it is not bound to (404, as if they
//! did not exist); a 5xx says nothing but the request's id.
//!
//! To add an endpoint: a handler with its `#[utoipa::path]` in the file of its family, and one line
//! in [`routes`].

mod actions;
mod airbrake;
mod auth;
mod buried;
mod compare;
mod deploys;
mod environments;
mod error;
mod events;
mod extract;
mod fixes;
mod freezes;
mod gate;
mod grouping;
mod hooks;
mod issue_response;
mod issues;
mod keys;
mod locks;
mod outcomes;
mod page;
mod projects;
mod releases;
mod repositories;
pub mod request_id;
mod rules;
mod sentry_cli;
mod status;
mod tasks;
mod tokens;
mod tracker;

use std::sync::Arc;

use actix_web::HttpRequest;
use metrics_exporter_prometheus::PrometheusHandle;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::keys::Keys;
use crate::auth::tokens::Tokens;
use crate::clock::Clock;
use crate::health::Health;
use crate::outcomes::Outcomes;
use crate::release::repositories::Repositories;
use crate::spool::Spool;
use crate::store::Store;
use crate::tracker::connections::Trackers;
pub use error::{ApiError, Code};

/// What the API works with.
#[derive(Debug, Clone)]
pub struct Api {
    /// Where everything is.
    pub store: Store,
    /// DSN keys.
    pub keys: Arc<Keys>,
    /// API tokens.
    pub tokens: Tokens,
    /// Repositories and their mirrors.
    pub repositories: Repositories,
    /// The trackers of projects.
    pub trackers: Trackers,
    /// The time and new ids.
    pub clock: Clock,
    /// The address others reach the service at, without a slash at its end.
    pub public_url: String,
    /// The spool, for its status.
    pub spool: Spool,
    /// Counts that are not in the store yet.
    pub outcomes: Arc<Outcomes>,
    /// What was last seen of the spool.
    pub spool_health: Health,
    /// What digest says of itself.
    pub digest_health: Health,
    /// What is known of the store.
    pub store_health: Health,
    /// What was last seen of repositories.
    pub git_health: Health,
    /// How what waits for git is.
    pub settling_health: Health,
    /// How what goes outside is.
    pub outbox_health: Health,
    /// The process's metrics.
    pub metrics: PrometheusHandle,
}

impl Api {
    /// The address of a page or resource.
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.trim_end_matches('/'))
    }
}

/// What every process answers, whatever its role.
pub fn open_routes(config: &mut ServiceConfig<'_>) {
    config.service(status::healthz).service(status::readyz).service(status::metrics);
}

/// The API.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(status::status_json)
        .service(status::status)
        .service(status::openapi)
        .service(projects::create)
        .service(projects::list)
        .service(projects::show)
        .service(projects::update)
        .service(projects::delete)
        .service(keys::list)
        .service(keys::create)
        .service(keys::update)
        .service(keys::delete)
        .service(repositories::list)
        .service(repositories::create)
        .service(repositories::update)
        .service(repositories::delete)
        .service(repositories::fetch)
        .service(repositories::submit)
        .service(repositories::wanted)
        .service(releases::list)
        .service(releases::create)
        .service(releases::show)
        .service(locks::list)
        .service(locks::create)
        .service(locks::release_key)
        .service(locks::show)
        .service(locks::release)
        .service(locks::comment)
        .service(locks::assign)
        .service(freezes::list)
        .service(freezes::create)
        .service(freezes::remove)
        .service(gate::show)
        .service(deploys::create)
        .service(deploys::list)
        .service(deploys::show)
        .service(deploys::output)
        .service(deploys::append)
        .service(deploys::heartbeat)
        .service(deploys::abandon)
        .service(deploys::finish)
        .service(fixes::name)
        .service(fixes::remove)
        .service(repositories::hook)
        .service(outcomes::show)
        .service(rules::show)
        .service(rules::update)
        .service(rules::try_out)
        .service(rules::show_filing)
        .service(rules::update_filing)
        .service(tracker::show)
        .service(tracker::update)
        .service(tracker::delete)
        .service(tracker::check)
        .service(tracker::discover)
        .service(tracker::create_project)
        .service(tasks::list)
        .service(tasks::show)
        .service(tasks::create)
        .service(tasks::change)
        .service(tasks::say)
        .service(tasks::delete)
        .service(tasks::outbox)
        .service(tasks::retry)
        .service(grouping::show)
        .service(grouping::update)
        .service(grouping::try_out)
        .service(buried::list)
        .service(buried::retry)
        .service(issues::list)
        .service(issues::show)
        .service(issues::activity)
        .service(issues::tags)
        .service(events::list)
        .service(events::latest)
        .service(events::show)
        .service(actions::resolve)
        .service(actions::reopen)
        .service(actions::mute)
        .service(actions::unmute)
        .service(actions::assign)
        .service(actions::comment)
        .service(actions::merge)
        .service(actions::unmerge)
        .service(actions::file)
        .service(actions::discard)
        .service(compare::show)
        .service(tokens::create)
        .service(tokens::list)
        .service(tokens::revoke);
}

/// Where other services say that something has changed. Not part of the API: each has its own
/// protocol.
pub fn hooks(config: &mut actix_web::web::ServiceConfig) {
    config.service(hooks::git).service(hooks::tracker);
}

/// What clients of other trackers ask for. It is described where they come from.
pub fn foreign_routes(config: &mut actix_web::web::ServiceConfig) {
    sentry_cli::routes(config);
    airbrake::routes(config);
}

/// Completes the description of the API.
#[must_use]
pub fn document(mut document: OpenApi) -> OpenApi {
    "Airlock".clone_into(&mut document.info.title);
    env!("CARGO_PKG_VERSION").clone_into(&mut document.info.version);
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    let components = document.components.get_or_insert_default();
    components.security_schemes.insert("token".to_owned(), bearer.into());
    document.security = Some(vec![SecurityRequirement::new("token", Vec::<String>::new())]);
    document
}

/// The answer where nothing is.
///
/// # Errors
/// Always: 404.
pub async fn not_found(request: HttpRequest) -> Result<String, ApiError> {
    let path: String = request.path().chars().take(200).collect();
    Err(ApiError::new(Code::NotFound, format!("there is nothing at {path}")))
}
