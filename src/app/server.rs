//! The HTTP server: both edges on one listener.

use std::io;
use std::net::TcpListener;
use std::sync::OnceLock;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use utoipa_actix_web::AppExt as _;

use crate::api::{self, Api};
use crate::config::Config;
use crate::intake::{self, Intake};

/// Requests get this long to finish when the server stops.
const SHUTDOWN_SECONDS: u64 = 30;

/// A client must send its headers within this time.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// An idle connection is kept for this long: SDKs reuse theirs and do not retry when it is closed
/// under them.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

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
    let server = HttpServer::new(move || {
        let reports = role.takes_reports().then(|| intake::routes(intake.clone()));
        let (app, document) = App::new()
            .wrap(from_fn(api::request_id::middleware))
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
                if let Some(reports) = reports {
                    reports(config);
                }
            })
            .default_service(web::to(api::not_found))
    });
    let server = match config.n_workers {
        Some(n_workers) => server.workers(n_workers),
        None => server,
    };
    let server = server
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .client_request_timeout(HEAD_TIMEOUT)
        .keep_alive(KEEP_ALIVE)
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}
