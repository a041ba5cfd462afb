//! Who is asking, and what they may.

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;

use super::{Api, ApiError, Code};
use crate::auth::tokens::Identity;
use crate::domain::id::{ProjectId, ShortId};
use crate::domain::issue::Issue;
use crate::domain::project::{Project, check_prefix, check_slug};
use crate::domain::token::Scope;
use crate::store::Tx;

/// The bearer of a valid token.
#[derive(Debug, Clone)]
pub(super) struct Bearer(pub(super) Identity);

fn refused() -> ApiError {
    let detail = "send Authorization: Bearer TOKEN with a token that is valid";
    ApiError::new(Code::Unauthorized, detail)
}

/// The secret of an `Authorization` header.
pub(super) fn bearer_in(header: &str) -> Option<&str> {
    let (scheme, secret) = header.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(secret.trim())
}

impl FromRequest for Bearer {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
            let api = request.app_data::<Data<Api>>().ok_or_else(refused)?;
            Self::of(api, header.and_then(bearer_in)).await
        })
    }
}

impl Bearer {
    /// The bearer of a secret.
    pub(super) async fn of(api: &Api, secret: Option<&str>) -> Result<Self, ApiError> {
        let identity = api.tokens.identify(secret.ok_or_else(refused)?).await?;
        identity.map(Self).ok_or_else(refused)
    }

    /// Goes on only with this scope.
    pub(super) fn require(&self, scope: Scope) -> Result<(), ApiError> {
        if self.0.token.allows(scope) {
            Ok(())
        } else {
            let detail = format!("the token lacks the scope {}", scope.as_str());
            Err(ApiError::new(Code::Forbidden, detail))
        }
    }

    /// Goes on only with one of these scopes.
    pub(super) fn require_any(&self, scopes: &[Scope]) -> Result<(), ApiError> {
        if scopes.iter().any(|scope| self.0.token.allows(*scope)) {
            return Ok(());
        }
        let names: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        let detail = format!("the token lacks the scopes {}", names.join(" and "));
        Err(ApiError::new(Code::Forbidden, detail))
    }

    /// Goes on only with this scope and a token that is not bound to projects.
    pub(super) fn require_everywhere(&self, scope: Scope) -> Result<(), ApiError> {
        self.require(scope)?;
        if self.0.token.projects.is_none() {
            Ok(())
        } else {
            let detail = "the token is bound to projects; this concerns all";
            Err(ApiError::new(Code::Forbidden, detail))
        }
    }

    /// The name under which acts are noted.
    pub(super) fn actor(&self) -> &str {
        self.0.actor()
    }

    /// The project with this slug or number, if it exists and may be seen. Intake knows projects by
    /// their numbers; a slug begins with a letter.
    pub(super) async fn project(&self, tx: &mut Tx, slug: &str) -> Result<Project, ApiError> {
        let missing = || ApiError::not_found(format!("project {slug:?}"));
        // What cannot be a slug may be what a database cannot compare with one.
        let project = if let Ok(number) = slug.parse() {
            tx.find_project_by_id(ProjectId(number)).await?
        } else {
            check_slug(slug).map_err(|_| missing())?;
            tx.find_project(slug).await?
        };
        project.filter(|project| self.0.token.covers(project.id)).ok_or_else(missing)
    }

    /// The issue with this short id and its project. A merged one has moved.
    pub(super) async fn issue(
        &self,
        tx: &mut Tx,
        request: &HttpRequest,
        short_id: &str,
    ) -> Result<(Project, Issue), ApiError> {
        let (project, survivor) = self.issue_or_survivor(tx, short_id).await?;
        if short_id.parse().is_ok_and(|asked: ShortId| asked.number == survivor.short_id.number) {
            return Ok((project, survivor));
        }
        // What follows the short id stays: `/events`, `/resolve`, the query.
        let path = request.path();
        let (before, after) = path.split_once("/issues/").unwrap_or((path, ""));
        let tail = after.split_once('/').map(|(_, tail)| format!("/{tail}")).unwrap_or_default();
        let query = request.query_string();
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        let location = format!("{before}/issues/{}{tail}{query}", survivor.short_id);
        Err(ApiError::moved(location))
    }

    /// The issue with this short id, or the one it was merged into; and their project.
    pub(super) async fn issue_or_survivor(
        &self,
        tx: &mut Tx,
        short_id: &str,
    ) -> Result<(Project, Issue), ApiError> {
        let missing = || ApiError::not_found(format!("issue {short_id:?}"));
        let id: ShortId = short_id.parse().map_err(|_| missing())?;
        check_prefix(&id.prefix).map_err(|_| missing())?;
        let project = tx
            .find_project_by_prefix(&id.prefix)
            .await?
            .filter(|project| self.0.token.covers(project.id))
            .ok_or_else(missing)?;
        let issue = tx.find_issue(&project, id.number).await?.ok_or_else(missing)?;
        let Some(survivor) = issue.merged_into else { return Ok((project, issue)) };
        let survivor = tx.find_issue_by_id(&project, survivor).await?.ok_or_else(missing)?;
        Ok((project, survivor))
    }
}
