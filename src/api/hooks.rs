//! Messages of git hosts and trackers: something was pushed, something changed. They are hints, and only
//! bring forward what would be looked at anyway.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse, post};
use futures_util::StreamExt as _;

use super::{Api, ApiError, Code};
use crate::auth::hooks::{Check, Proof};
use crate::domain::id::ProjectItemId;

/// The largest message of a git host, in bytes: GitHub sends no larger one.
const MOST_HOOK_BYTES: usize = 25 * 1024 * 1024;

/// The largest message of a tracker, in bytes.
const MOST_TRACKER_HOOK_BYTES: usize = 1024 * 1024;

/// The header with which a tracker shakes hands.
const HANDSHAKE: &str = "X-Hook-Secret";

/// The longest secret that is said back, in bytes.
const MOST_SECRET_BYTES: usize = 200;

/// A message must arrive within this time.
const HOOK_TIMEOUT: std::time::Duration = std::time::Duration::from_mins(1);

/// Something was pushed to a repository. GitHub, GitLab, Gitea and Forgejo say so, signed.
#[post("/hooks/git/{id}")]
pub(super) async fn git(
    api: Data<Api>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    // Who knows no address and no secret learns nothing.
    let refused = || ApiError::new(Code::Unauthorized, "the message is not signed with the secret");
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let proof = Proof::of(header).ok_or_else(refused)?;
    let item = ProjectItemId::parse(&id).ok_or_else(refused)?;
    let repository = api.repositories.find(item).await?.ok_or_else(refused)?;
    let mut check = Check::new(proof, api.repositories.hook_secret(&repository));
    read(payload, MOST_HOOK_BYTES, |piece| check.update(piece)).await?;
    if !check.is_right() {
        return Err(refused());
    }
    if repository.url.is_some() {
        api.repositories.was_pushed(repository.id);
    }
    Ok(HttpResponse::Accepted().finish())
}

/// Something changed in a tracker. Asana says so, signed; before that it shakes hands, which is answered
/// only while it is asked to make this very webhook.
#[post("/hooks/tracker/{id}")]
pub(super) async fn tracker(
    api: Data<Api>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let refused = || ApiError::new(Code::Unauthorized, "the message is not signed with the secret");
    let item = ProjectItemId::parse(&id).ok_or_else(refused)?;
    if let Some(secret) = request.headers().get(HANDSHAKE) {
        // It is only said back: what Airlock believes in comes with the answer to its own request.
        let is_expected = api.trackers.expects_hook(item).await?;
        if !is_expected || secret.len() > MOST_SECRET_BYTES {
            return Err(refused());
        }
        return Ok(HttpResponse::Ok().insert_header((HANDSHAKE, secret.clone())).finish());
    }
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let proof = Proof::of_asana(header).ok_or_else(refused)?;
    let secret = api.trackers.hook_secret(item).await?.ok_or_else(refused)?;
    let (mut check, mut body) = (Check::new(proof, secret), Vec::new());
    read(payload, MOST_TRACKER_HOOK_BYTES, |piece| {
        check.update(piece);
        body.extend_from_slice(piece);
    })
    .await?;
    if !check.is_right() {
        return Err(refused());
    }
    api.trackers.hear(item.project, &body).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Reads a message piece by piece, up to a size.
async fn read(
    mut payload: Payload,
    most_bytes: usize,
    mut take: impl FnMut(&[u8]),
) -> Result<(), ApiError> {
    let until = tokio::time::Instant::now() + HOOK_TIMEOUT;
    let mut n_bytes = 0;
    while let Ok(Some(piece)) = tokio::time::timeout_at(until, payload.next()).await {
        let piece = piece.map_err(|cause| ApiError::new(Code::Malformed, cause))?;
        n_bytes += piece.len();
        if n_bytes > most_bytes {
            let detail = format!("the message is larger than {most_bytes} bytes");
            return Err(ApiError::new(Code::TooLarge, detail));
        }
        take(&piece);
    }
    Ok(())
}
