//! An id for every request: in its log lines, in the answer's header, in every problem.

use std::cell::RefCell;

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use actix_web::middleware::Next;
use actix_web::web::Data;
use tracing::Instrument as _;

use super::Api;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    static CURRENT: RefCell<String>;
}

/// The id of the request that is being answered; empty outside of one.
pub(super) fn current() -> String {
    CURRENT.try_with(|id| id.borrow().clone()).unwrap_or_default()
}

/// Gives a request its id, and logs what became of it.
///
/// # Errors
/// Those of the handler.
pub async fn middleware(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let id = request
        .app_data::<Data<Api>>()
        .map(|api| api.clock.id().simple().to_string())
        .unwrap_or_default();
    let method = request.method().clone();
    let path = request.path().to_owned();
    let span = tracing::info_span!("request", id = %id);
    let answered = CURRENT.scope(RefCell::new(id.clone()), async move {
        let began = std::time::Instant::now();
        let result = next.call(request).await;
        let status = match &result {
            Ok(response) => response.status().as_u16(),
            Err(error) => error.as_response_error().status_code().as_u16(),
        };
        let millis = began.elapsed().as_millis();
        tracing::debug!(%method, path, status, millis, "answered");
        result
    });
    let mut response = answered.instrument(span).await?;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    // Whatever a report says, no browser takes an answer for a page.
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}
