//! Messages of git hosts: something was pushed. They are hints, and only bring a fetch forward.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse, post};
use futures_util::StreamExt as _;

use super::{Api, ApiError, Code};
use crate::auth::hooks::{Check, Proof};
use crate::domain::id::ProjectItemId;

/// The largest message of a git host, in bytes: GitHub sends no larger one.
const MOST_HOOK_BYTES: usize = 25 * 1024 * 1024;

/// A message must arrive within this time.
const HOOK_TIMEOUT: std::time::Duration = std::time::Duration::from_mins(1);

/// Something was pushed to a repository. GitHub, GitLab, Gitea and Forgejo say so, signed.
#[post("/hooks/git/{id}")]
pub(super) async fn git(
    api: Data<Api>,
    request: HttpRequest,
    id: Path<String>,
    mut payload: Payload,
) -> Result<HttpResponse, ApiError> {
    // Who knows no address and no secret learns nothing.
    let refused = || ApiError::new(Code::Unauthorized, "the message is not signed with the secret");
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let proof = Proof::of(header).ok_or_else(refused)?;
    let item = ProjectItemId::parse(&id).ok_or_else(refused)?;
    let repository = api.repositories.find(item).await?.ok_or_else(refused)?;
    let mut check = Check::new(proof, api.repositories.hook_secret(&repository));
    let until = tokio::time::Instant::now() + HOOK_TIMEOUT;
    let mut n_bytes = 0;
    while let Ok(Some(piece)) = tokio::time::timeout_at(until, payload.next()).await {
        let piece = piece.map_err(|cause| ApiError::new(Code::Malformed, cause))?;
        n_bytes += piece.len();
        if n_bytes > MOST_HOOK_BYTES {
            let detail = format!("the message is larger than {MOST_HOOK_BYTES} bytes");
            return Err(ApiError::new(Code::TooLarge, detail));
        }
        check.update(&piece);
    }
    if !check.is_right() {
        return Err(refused());
    }
    if repository.url.is_some() {
        api.repositories.was_pushed(repository.id);
    }
    Ok(HttpResponse::Accepted().finish())
}
