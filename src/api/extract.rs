//! Bodies, queries: whatever is wrong with them becomes a problem with a code.

use actix_web::dev::Payload;
use actix_web::error::JsonPayloadError;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::{ApiError, Code};

/// The largest body of the API, in bytes.
const MOST_BODY_BYTES: usize = 1024 * 1024;

/// A client must send its body within this time.
const BODY_TIMEOUT: std::time::Duration = std::time::Duration::from_mins(1);

/// A body, at most so many bytes.
///
/// # Errors
/// [`ApiError`]: it is too large, too slow, or breaks off.
pub(super) async fn bytes(mut payload: Payload, most: usize) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    let until = tokio::time::Instant::now() + BODY_TIMEOUT;
    loop {
        let next = tokio::time::timeout_at(until, payload.next()).await;
        let next =
            next.map_err(|_| ApiError::new(Code::Malformed, "the body took too long to arrive"))?;
        let Some(bytes) = next else { return Ok(body) };
        let bytes = bytes
            .map_err(|cause| ApiError::new(Code::Malformed, JsonPayloadError::Payload(cause)))?;
        if body.len() + bytes.len() > most {
            let detail = format!("the body is larger than {most} bytes");
            return Err(ApiError::new(Code::TooLarge, detail));
        }
        body.extend_from_slice(&bytes);
    }
}

/// A JSON body of at most so many bytes; an empty one is `{}`.
///
/// # Errors
/// [`ApiError`]: it is too large, too slow, breaks off, is no JSON or makes no sense.
pub(super) async fn json_of<T: DeserializeOwned>(
    payload: Payload,
    most: usize,
) -> Result<T, ApiError> {
    let body = bytes(payload, most).await?;
    let body = if body.iter().all(u8::is_ascii_whitespace) { b"{}" } else { body.as_slice() };
    // All of it first: a body that makes no sense and then breaks off is malformed.
    serde_json::from_slice::<IgnoredAny>(body)
        .map_err(|cause| ApiError::new(Code::Malformed, cause))?;
    if has_zero(body) {
        return Err(ApiError::invalid(NO_ZERO));
    }
    serde_json::from_slice(body).map_err(|cause| {
        let code = if cause.is_data() { Code::Invalid } else { Code::Malformed };
        ApiError::new(code, cause)
    })
}

/// A JSON body; an empty one is `{}`.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest for Json<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(_: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let payload = payload.take();
        async move { Ok(Self(json_of(payload, MOST_BODY_BYTES).await?)) }.boxed_local()
    }
}

/// No database keeps a text with it.
const NO_ZERO: &str = "a text has a NUL character";

/// Whether a text within JSON has a NUL character.
fn has_zero(body: &[u8]) -> bool {
    fn is_in(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(items) => items.iter().any(is_in),
            Value::Object(fields) => {
                fields.iter().any(|(name, value)| name.contains('\0') || is_in(value))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
    // It is written in one way only, and hardly ever.
    let is_written = body.windows(6).any(|bytes| bytes == b"\\u0000");
    is_written && serde_json::from_slice(body).is_ok_and(|value| is_in(&value))
}

/// The query.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = ApiError;
    type Future = std::future::Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let text = request.query_string();
        if text.contains("%00") {
            return std::future::ready(Err(ApiError::invalid(NO_ZERO)));
        }
        std::future::ready(match web::Query::<T>::from_query(text) {
            Ok(query) => Ok(Self(query.into_inner())),
            Err(cause) => Err(ApiError::invalid(cause)),
        })
    }
}
