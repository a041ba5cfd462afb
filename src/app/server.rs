//! The HTTP server: both edges on one listener.

use std::io;
use std::net::TcpListener;
use std::sync::OnceLock;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use utoipa_actix_web::AppExt as _;

use crate::api::{self, Api};
use crate::config::Config;
use crate::intake::{self, Intake};

/// Requests get this long to finish when the server stops.
const SHUTDOWN_SECONDS: u64 = 30;

/// An idle connection is kept for this long: SDKs reuse theirs and do not retry when it is closed
/// under them.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Connections one thread serves at the same time; more wait to be accepted.
const MOST_CONNECTIONS: usize = 25_000;

/// Connections that wait to be accepted, as far as the kernel allows.
const BACKLOG: i32 = 4096;

/// With fewer open files than this, slow clients can keep others out.
const FEW_FILES: u64 = 4096;

/// Lets the process open as many files, and so connections, as it may.
pub(super) fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let most = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    if let Some(n_files) = most.filter(|most| *most < FEW_FILES) {
        tracing::warn!(
            n_files,
            "few files may be open at once: raise the limit (ulimit -n, LimitNOFILE=) to 4096 or \
             more, or slow clients can keep others out"
        );
    }
}

/// The process's metrics. There is one recorder in a process.
///
/// # Errors
/// When another library has installed one.
pub(super) fn recorder() -> Result<PrometheusHandle, String> {
    static RECORDER: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
    let install = || PrometheusBuilder::new().install_recorder().map_err(|cause| cause.to_string());
    RECORDER.get_or_init(install).clone()
}

/// Starts to serve on a listener.
pub(super) fn run(
    listener: TcpListener,
    config: &Config,
    intake: Intake,
    api: Api,
) -> io::Result<Server> {
    let role = config.role;
    // A socket that already listens takes a longer queue. A burst of clients must not be refused.
    if let Err(cause) = rustix::net::listen(&listener, BACKLOG) {
        tracing::warn!(%cause, "the queue of waiting connections stays short");
    }
    let server = HttpServer::new(move || {
        let reports = role.takes_reports().then(|| intake::routes(intake.clone()));
        let (app, document) = App::new()
            .configure(|config| {
                if let Some(reports) = reports {
                    reports(config);
                }
            })
            .wrap(from_fn(api::request_id::middleware))
            .wrap(from_fn(super::unread::middleware))
            .app_data(web::Data::new(api.clone()))
            .into_utoipa_app()
            .configure(api::open_routes)
            .configure(|config| {
                if role.serves_api() {
                    api::routes(config);
                }
            })
            .split_for_parts();
        app.app_data(web::Data::new(api::document(document)))
            .configure(|config| {
                if role.serves_api() {
                    api::hooks(config);
                    api::foreign_routes(config);
                }
            })
            .configure(|config| {
                if role.takes_reports() {
                    intake::routes_below_paths(config);
                }
            })
            .default_service(web::to(api::not_found))
    });
    let server = match config.n_workers {
        Some(n_workers) => server.workers(n_workers),
        None => server,
    };
    let server = server
        .max_connections(MOST_CONNECTIONS)
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .client_request_timeout(config.head_timeout)
        .keep_alive(KEEP_ALIVE)
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}
