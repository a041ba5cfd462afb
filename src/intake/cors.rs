//! Browsers report from other origins.
//!
//! Source: Sentry's "cross-origin resource sharing"; the API has none of this.

use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    HeaderValue,
};
use actix_web::{HttpRequest, HttpResponse};

/// What browsers may send without further questions.
const ALLOWED_HEADERS: &str = "x-sentry-auth, x-requested-with, x-forwarded-for, origin, referer, \
accept, content-type, authentication, authorization, content-encoding, transfer-encoding, \
sentry-trace, baggage";

/// What scripts in browsers may see.
const EXPOSED_HEADERS: &str =
    "x-sentry-error, x-sentry-rate-limits, retry-after, x-ratelimit-delay";

/// The answer to a browser that asks first.
pub(super) async fn preflight(request: HttpRequest, methods: &'static str) -> HttpResponse {
    let asked = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let allowed = asked.unwrap_or(HeaderValue::from_static(ALLOWED_HEADERS));
    with_cors(
        HttpResponse::Ok()
            .insert_header((ACCESS_CONTROL_ALLOW_METHODS, methods))
            .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, allowed))
            .insert_header((ACCESS_CONTROL_MAX_AGE, "3600"))
            .finish(),
    )
}

/// Lets scripts of any origin see the answer.
pub(super) fn with_cors(mut response: HttpResponse) -> HttpResponse {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    response
}
