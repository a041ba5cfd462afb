//! The commits that fix issues.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, delete, put};
use serde::Deserialize;
use utoipa::ToSchema;

use super::actions::answer;
use super::auth::Bearer;
use super::extract::Json;
use super::issue_response::IssueResponse;
use super::{Api, ApiError};
use crate::domain::fix::Source;
use crate::domain::token::Scope;
use crate::release::fixes::{NamedCommit, tag, unfix};

/// The commits that fix an issue: one, or several.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NameFix {
    /// 7 to 40 hexadecimal digits.
    commit: Option<String>,
    /// The repository's name, where the commit alone does not tell.
    repository: Option<String>,
    /// All of them are needed.
    commits: Option<Vec<CommitOfFix>>,
    /// Who names it: `api` (default), `cli`, `page` or `tracker`.
    #[schema(value_type = Option<String>)]
    source: Option<Source>,
}

/// A commit of a fix.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CommitOfFix {
    /// 7 to 40 hexadecimal digits.
    commit: String,
    /// The repository's name.
    repository: Option<String>,
}

/// Names the commits that fix an issue.
#[utoipa::path(tag = "issues", request_body = NameFix,
    responses((status = 200, body = IssueResponse), (status = 404), (status = 422)))]
#[put("/api/v1/issues/{id}/fix")]
pub(super) async fn name(
    api: Data<Api>,
    bearer: Bearer,
    request: HttpRequest,
    id: Path<String>,
    body: Json<NameFix>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Triage)?;
    let NameFix { commit, repository, commits, source } = body.0;
    let named: Vec<NamedCommit> = match (commit, commits) {
        (Some(commit), None) => vec![NamedCommit { commit, repository }],
        (None, Some(commits)) if repository.is_none() => commits
            .into_iter()
            .map(|one| NamedCommit { commit: one.commit, repository: one.repository })
            .collect(),
        _ => {
            let detail = "name one commit, with its repository if need be, or a list of commits";
            return Err(ApiError::invalid(detail));
        }
    };
    let source = match source.unwrap_or(Source::Api) {
        Source::Trailer | Source::Merge => {
            return Err(ApiError::invalid("source must be api, cli, page or tracker"));
        }
        source @ (Source::Api | Source::Cli | Source::Page | Source::Tracker) => source,
    };
    let (project, issue) = {
        let mut tx = api.store.read().await?;
        bearer.issue(&mut tx, &request, &id).await?
    };
    let by = (bearer.actor(), source);
    tag(&api.repositories, &project, issue.short_id.number, &named, by).await?;
    answer(&api, &bearer, &request, &id).await
}

/// Takes the fix of an issue away: it is open.
#[utoipa::path(tag = "issues",
    responses((status = 200, body = IssueResponse), (status = 404), (status = 409)))]
#[delete("/api/v1/issues/{id}/fix")]
pub(super) async fn remove(
    api: Data<Api>,
    bearer: Bearer,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    bearer.require(Scope::Triage)?;
    let (project, issue) = {
        let mut tx = api.store.read().await?;
        bearer.issue(&mut tx, &request, &id).await?
    };
    unfix(&api.repositories, &project, issue.short_id.number, bearer.actor()).await?;
    answer(&api, &bearer, &request, &id).await
}
