//! Who is asking, and which repositories there are.

use actix_web::HttpResponse;
use serde_json::{Value, json};

use super::{Call, Refused};
use crate::domain::id::ProjectId;
use crate::domain::repository::Repository;

/// What `sentry-cli info` shows.
pub(super) async fn show(call: Call) -> HttpResponse {
    let token = &call.bearer.0.token;
    let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
    HttpResponse::Ok().json(json!({
        "version": "0",
        "auth": { "scopes": scopes },
        "user": { "id": token.id, "email": token.name, "name": token.name },
    }))
}

/// The repositories that a release's commits may be of.
pub(super) async fn repositories(call: Call) -> Result<HttpResponse, Refused> {
    let mut tx = call.api.store.read().await?;
    let projects: Vec<ProjectId> = if let Some(bound) = &call.bearer.0.token.projects {
        bound.iter().copied().collect()
    } else {
        let all = tx.list_projects("", super::MOST_LOOKED_THROUGH).await?;
        all.into_iter().map(|project| project.id).collect()
    };
    let mut repositories: Vec<Repository> = Vec::new();
    for project in projects {
        repositories.extend(tx.list_repositories(project).await?);
    }
    let shown: Vec<Value> = repositories.iter().map(shown).collect();
    Ok(HttpResponse::Ok().json(shown))
}

fn shown(repository: &Repository) -> Value {
    // It compares the addresses of those whose provider it knows with that of its remote.
    let provider = if repository.url.is_some() { "git" } else { "submitted" };
    json!({
        "id": repository.id.0,
        "name": repository.name,
        "url": repository.url,
        "provider": { "id": provider, "name": provider },
        "status": "active",
        "dateCreated": repository.created_at,
    })
}
