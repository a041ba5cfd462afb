//! API tokens.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, delete, get, post};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Bearer;
use super::extract::{Json, Query};
use super::page::{Page, PageQuery, page};
use super::{Api, ApiError, Code};
use crate::domain::id::ProjectId;
use crate::domain::time::Timestamp;
use crate::domain::token::{Scope, Token};
use crate::store::Tx;

/// The longest name of a token, in characters.
const MOST_NAME_CHARS: usize = 100;

/// A token that is to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateToken {
    /// What it is for.
    name: String,
    /// `read`, `triage`, `deploy`, `override`, `admin`.
    scopes: Vec<String>,
    /// The slugs of the projects it is bound to; all by default.
    projects: Option<Vec<String>>,
    /// When it ends.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// A token.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenResponse {
    id: String,
    name: String,
    scopes: Vec<&'static str>,
    /// The slugs of the projects it is bound to; null for all.
    projects: Option<Vec<String>>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// To the minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// The secret: shown once, when the token is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

fn response(
    token: Token,
    slugs: &BTreeMap<ProjectId, String>,
    secret: Option<String>,
) -> TokenResponse {
    let slug = |id: &ProjectId| slugs.get(id).cloned();
    TokenResponse {
        id: token.id.simple().to_string(),
        name: token.name,
        scopes: token.scopes.iter().map(|scope| scope.as_str()).collect(),
        projects: token.projects.map(|ids| ids.iter().filter_map(slug).collect()),
        created_at: token.created_at,
        expires_at: token.expires_at,
        last_used_at: token.last_used_at,
        token: secret,
    }
}

/// The slugs of the projects that tokens are bound to.
async fn slugs_of(tx: &mut Tx, tokens: &[Token]) -> Result<BTreeMap<ProjectId, String>, ApiError> {
    let ids: BTreeSet<ProjectId> =
        tokens.iter().filter_map(|token| token.projects.as_ref()).flatten().copied().collect();
    let mut slugs = BTreeMap::new();
    for id in ids {
        if let Some(project) = tx.find_project_by_id(id).await? {
            slugs.insert(id, project.slug);
        }
    }
    Ok(slugs)
}

/// Makes a token that may do no more than the one that makes it.
#[utoipa::path(tag = "tokens", request_body = CreateToken,
    responses((status = 201, body = TokenResponse), (status = 403), (status = 422)))]
#[post("/api/v1/tokens")]
pub(super) async fn create(
    api: Data<Api>,
    bearer: Bearer,
    body: Json<CreateToken>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Admin)?;
    let wish = body.0;
    let name = wish.name.trim().to_owned();
    if name.is_empty() || name.chars().count() > MOST_NAME_CHARS {
        let detail = format!("name must have 1 to {MOST_NAME_CHARS} characters");
        return Err(ApiError::invalid(detail));
    }
    let scopes = wish.scopes.iter().map(|scope| scope.parse());
    let scopes: BTreeSet<Scope> = scopes.collect::<Result<_, _>>().map_err(ApiError::invalid)?;
    if scopes.is_empty() {
        return Err(ApiError::invalid("scopes must name at least one scope"));
    }
    if wish.expires_at.is_some_and(|end| end <= api.clock.now()) {
        return Err(ApiError::invalid("expires_at must be in the future"));
    }
    let mut slugs = BTreeMap::new();
    if let Some(wanted) = &wish.projects {
        let mut tx = api.store.read().await?;
        for slug in wanted {
            let project = bearer.project(&mut tx, slug).await?;
            slugs.insert(project.id, project.slug);
        }
    }
    // Without a wish, a token is bound to what its maker is bound to.
    let projects = wish
        .projects
        .map(|_| slugs.keys().copied().collect())
        .or_else(|| bearer.0.token.projects.clone());
    let token = api.tokens.describe(name, scopes, projects, wish.expires_at);
    if !bearer.0.token.contains(&token) {
        let detail = "a token cannot grant more, or for longer, than the one that makes it";
        return Err(ApiError::new(Code::Forbidden, detail));
    }
    let (token, secret) = api.tokens.create(token).await?;
    if slugs.is_empty() {
        let mut tx = api.store.read().await?;
        slugs = slugs_of(&mut tx, std::slice::from_ref(&token)).await?;
    }
    Ok(HttpResponse::Created().json(response(token, &slugs, Some(secret))))
}

/// All tokens, oldest first, without their secrets.
#[utoipa::path(tag = "tokens", params(PageQuery),
    responses((status = 200, body = Page<TokenResponse>), (status = 403)))]
#[get("/api/v1/tokens")]
pub(super) async fn list(
    api: Data<Api>,
    bearer: Bearer,
    query: Query<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    bearer.require_everywhere(Scope::Admin)?;
    let limit = query.0.limit()?;
    let after = query.0.after(|cursor| Uuid::try_parse(cursor).ok())?;
    let mut tx = api.store.read().await?;
    let tokens = tx.list_tokens(after, limit + 1).await?;
    let slugs = slugs_of(&mut tx, &tokens).await?;
    let cursor = |token: &Token| token.id.simple().to_string();
    let page = page(tokens, limit, cursor, |token| response(token, &slugs, None));
    Ok(HttpResponse::Ok().json(page))
}

/// Revokes a token.
#[utoipa::path(tag = "tokens", responses((status = 204), (status = 404)))]
#[delete("/api/v1/tokens/{id}")]
pub(super) async fn revoke(
    api: Data<Api>,
    bearer: Bearer,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    bearer.require_everywhere(Scope::Admin)?;
    let missing = || ApiError::not_found(format!("token {:?}", id.as_str()));
    let token = Uuid::try_parse(&id).map_err(|_| missing())?;
    if api.tokens.revoke(token).await? {
        Ok(HttpResponse::NoContent().finish())
    } else {
        Err(missing())
    }
}
