//! The edge for SDKs: takes reports, answers when they are durable, and does nothing else.
//!
//! A request is authenticated, admitted by the spool before its body is read, decoded within
//! limits while it arrives, appended to the spool, and answered. The event's JSON is left to
//! digest. SDKs do not retry: an accepted report must not be lost, and refusing one is a last
//! resort.
//!
//! *Invariants*: nothing here waits for anything but the client and the spool's disk (a key nobody
//! has seen costs one bounded look into the store); no part being slow or away makes a refusal
//! while the spool has room; every refusal is counted and says what to do.
//!
//! To add a protocol: its framing and its reading in `protocol`, its kind of report and of endpoint, a
//! line in `ENDPOINTS`, and a dialect if its clients want other answers.

mod airbrake;
mod body;
mod cors;
mod dialect;
mod endpoint;
mod memory;
mod policy;
mod refusal;
mod reports;
mod sender;

use std::sync::Arc;

use actix_web::web;

use crate::auth::keys::Keys;
use crate::auth::limiter::Limiter;
use crate::clock::Clock;
use crate::outcomes::Outcomes;
use crate::spool::Spool;

pub use body::Limits;
pub use memory::Memory;

/// What intake works with.
#[derive(Debug, Clone)]
pub struct Intake {
    /// Where reports become durable.
    pub spool: Spool,
    /// Who may report.
    pub keys: Arc<Keys>,
    /// How many reports are enough.
    pub limiter: Arc<Limiter>,
    /// What is counted.
    pub outcomes: Arc<Outcomes>,
    /// The time and new ids.
    pub clock: Clock,
    /// What a body may be.
    pub limits: Limits,
    /// What large bodies hold together.
    pub memory: Memory,
    /// The address others reach the service at.
    pub public_url: String,
}

/// Where reports are taken. A tunnel has the project and the key in the envelope alone; the oldest
/// clients of Sentry and of Airbrake leave the project to the key.
const ENDPOINTS: [(&str, endpoint::Kind); 10] = [
    ("/api/{project_id}/envelope", endpoint::Kind::Envelope),
    ("/tunnel", endpoint::Kind::Envelope),
    ("/api/{project_id}/store", endpoint::Kind::Store),
    ("/api/store", endpoint::Kind::Store),
    ("/api/{project_id}/security", endpoint::Kind::Security),
    ("/api/{project_id}/csp-report", endpoint::Kind::Security),
    ("/api/{project_id}/nel", endpoint::Kind::Security),
    ("/api/v3/projects/{project_id}/notices", endpoint::Kind::Notice),
    ("/api/v3/projects/{project_id}/create-notice", endpoint::Kind::Notice),
    ("/notifier_api/v2/notices", endpoint::Kind::XmlNotice),
];

/// Adds the endpoints to a server. Routes are tried one by one: these come first.
pub fn routes(intake: Intake) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config.app_data(web::Data::new(intake));
        add_routes(config, "");
    }
}

/// Adds the endpoints below any path. A DSN may have one: `https://KEY@HOST/team/errors/42` reports
/// to `/team/errors/api/42/envelope/`.
pub fn routes_below_paths(config: &mut web::ServiceConfig) {
    add_routes(config, "/{prefix:.+}");
}

fn add_routes(config: &mut web::ServiceConfig, prefix: &str) {
    for (path, kind) in ENDPOINTS {
        for slash in ["/", ""] {
            let path = format!("{prefix}{path}{slash}");
            config.service(endpoint::resource(&path, kind));
        }
    }
    let at = |path: &str| format!("{prefix}{path}");
    let configuration = at("/2020-06-18/config/{project_id}/config.json");
    config.service(airbrake::configuration(&configuration));
    config.service(airbrake::statistics(&at(airbrake::STATISTICS)));
    let deploys = at("/api/v4/projects/{project_id}/deploys");
    config.service(airbrake::for_tokens(&deploys, dialect::Dialect::Airbrake));
    config.service(airbrake::for_tokens(&at("/api/0/{tail:.*}"), dialect::Dialect::Sentry));
}
