//! Errors as problem details (RFC 9457).

use actix_web::http::StatusCode;
use actix_web::http::header::{LOCATION, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use super::request_id;
use crate::domain::lifecycle::InvalidTransition;
use crate::domain::submission::InvalidSubmission;
use crate::project::ProjectError;
use crate::release::announced::AnnounceError;
use crate::release::deploys::DeployError;
use crate::release::fixes::FixError;
use crate::release::freezes::FreezeError;
use crate::release::locks::LockError;
use crate::release::repositories::RepositoryError;
use crate::store::StoreError;
use crate::tracker::TrackerError;
use crate::tracker::connections::SetError;
use crate::triage::TriageError;
use crate::triage::try_grouping::TryError;

/// The stable code of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The body is not JSON.
    Malformed,
    /// There is no valid token.
    Unauthorized,
    /// The token lacks the scope.
    Forbidden,
    /// It does not exist, or may not be seen.
    NotFound,
    /// It lives somewhere else: a merged issue.
    Moved,
    /// The name is taken.
    Taken,
    /// The state does not allow it.
    InvalidTransition,
    /// Somebody else changed it meanwhile, again and again.
    Raced,
    /// The body is too large.
    TooLarge,
    /// The body is JSON, but makes no sense.
    Invalid,
    /// A repository cannot be fetched.
    FetchFailed,
    /// A tracker does not answer.
    TrackerFailed,
    /// The gate says no.
    GateBlocked,
    /// The gate cannot tell.
    GateUnknown,
    /// Another deploy has the environment.
    DeployRunning,
    /// The deploy has ended otherwise.
    DeployEnded,
    /// Output before this is missing.
    OutputGap,
    /// Output was kept for its time.
    OutputGone,
    /// The store does not answer.
    StoreAway,
    /// A defect.
    Internal,
}

impl Code {
    /// All codes, for the docs.
    pub const ALL: [Self; 20] = [
        Self::Malformed,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::Moved,
        Self::Taken,
        Self::InvalidTransition,
        Self::Raced,
        Self::TooLarge,
        Self::Invalid,
        Self::FetchFailed,
        Self::TrackerFailed,
        Self::GateBlocked,
        Self::GateUnknown,
        Self::DeployRunning,
        Self::DeployEnded,
        Self::OutputGap,
        Self::OutputGone,
        Self::StoreAway,
        Self::Internal,
    ];

    /// Its name in the body.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::Moved => "moved",
            Self::Taken => "taken",
            Self::InvalidTransition => "invalid-transition",
            Self::Raced => "raced",
            Self::TooLarge => "too-large",
            Self::Invalid => "invalid",
            Self::FetchFailed => "fetch-failed",
            Self::TrackerFailed => "tracker-failed",
            Self::GateBlocked => "gate-blocked",
            Self::GateUnknown => "gate-unknown",
            Self::DeployRunning => "deploy-running",
            Self::DeployEnded => "deploy-ended",
            Self::OutputGap => "output-gap",
            Self::OutputGone => "output-gone",
            Self::StoreAway => "store-away",
            Self::Internal => "internal",
        }
    }

    /// Its HTTP status.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Moved => StatusCode::TEMPORARY_REDIRECT,
            Self::Taken
            | Self::InvalidTransition
            | Self::Raced
            | Self::GateBlocked
            | Self::GateUnknown
            | Self::DeployRunning
            | Self::DeployEnded
            | Self::OutputGap => StatusCode::CONFLICT,
            Self::OutputGone => StatusCode::GONE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::FetchFailed | Self::TrackerFailed => StatusCode::BAD_GATEWAY,
            Self::StoreAway => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Malformed => "The body is not what it should be",
            Self::Unauthorized => "A valid token is needed",
            Self::Forbidden => "The token does not allow this",
            Self::NotFound => "Not found",
            Self::Moved => "It is somewhere else",
            Self::Taken => "The name is taken",
            Self::InvalidTransition => "The state does not allow this",
            Self::Raced => "Somebody else changed it at the same time",
            Self::TooLarge => "The body is too large",
            Self::Invalid => "This makes no sense",
            Self::FetchFailed => "The repository cannot be fetched",
            Self::TrackerFailed => "The tracker does not answer",
            Self::GateBlocked => "The gate says no",
            Self::GateUnknown => "The gate cannot tell",
            Self::DeployRunning => "Another deploy is running",
            Self::DeployEnded => "The deploy has ended",
            Self::OutputGap => "Output is missing",
            Self::OutputGone => "The output is not kept any more",
            Self::StoreAway => "The store does not answer",
            Self::Internal => "Something went wrong here",
        }
    }
}

/// Why a request is not done.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub struct ApiError {
    code: Code,
    detail: String,
    location: Option<String>,
    more: Option<(&'static str, serde_json::Value)>,
}

/// The body of an error.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// A URI that names the kind of problem.
    r#type: String,
    /// The kind in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong here, and what to do.
    detail: String,
    /// The kind as a stable code.
    code: &'static str,
    /// The request, for finding it in the log.
    request_id: String,
}

impl ApiError {
    /// An error with a code and what is wrong.
    #[must_use]
    pub fn new(code: Code, detail: impl ToString) -> Self {
        Self { code, detail: detail.to_string(), location: None, more: None }
    }

    /// What kind it is.
    pub(super) fn code(&self) -> Code {
        self.code
    }

    /// What makes no sense, and why.
    pub(super) fn invalid(detail: impl ToString) -> Self {
        Self::new(Code::Invalid, detail)
    }

    /// What does not exist.
    pub(super) fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("{what} does not exist"))
    }

    /// It is at another address.
    pub(super) fn moved(location: String) -> Self {
        let detail = format!("it was merged; see {location}");
        Self { code: Code::Moved, detail, location: Some(location), more: None }
    }

    /// The same with something more in its body.
    pub(super) fn with(self, name: &'static str, value: serde_json::Value) -> Self {
        Self { more: Some((name, value)), ..self }
    }
}

impl ApiError {
    fn body(&self, problem: &Problem) -> String {
        let Some((name, value)) = &self.more else {
            return serde_json::to_string(problem).unwrap_or_default();
        };
        let mut body = serde_json::to_value(problem).unwrap_or_default();
        if let Some(fields) = body.as_object_mut() {
            fields.insert((*name).to_owned(), value.clone());
        }
        body.to_string()
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Taken(_) => Self::new(Code::Taken, error),
            StoreError::Raced => Self::new(Code::Raced, "try again"),
            _ if error.is_transient() => {
                tracing::warn!(%error, "the store does not answer");
                Self::new(Code::StoreAway, "try again in a moment")
            }
            StoreError::Away(_) | StoreError::Corrupt { .. } | StoreError::Database(_) => {
                tracing::error!(%error, "a request failed");
                Self::new(Code::Internal, "the log has the cause under this request's id")
            }
        }
    }
}

impl From<ProjectError> for ApiError {
    fn from(error: ProjectError) -> Self {
        match error {
            ProjectError::Invalid(invalid) => Self::invalid(invalid),
            ProjectError::Scrubbing(invalid) => Self::invalid(invalid),
            ProjectError::Grouping(invalid) => Self::invalid(invalid),
            ProjectError::Filing(invalid) => Self::invalid(invalid),
            ProjectError::Store(error) => error.into(),
        }
    }
}

impl From<RepositoryError> for ApiError {
    fn from(error: RepositoryError) -> Self {
        match error {
            RepositoryError::Invalid(invalid) => Self::invalid(invalid),
            RepositoryError::Url(invalid) => Self::invalid(invalid),
            RepositoryError::NotFetched | RepositoryError::NotSubmitted => Self::invalid(error),
            RepositoryError::Submission(InvalidSubmission::TooMany) => {
                Self::new(Code::TooLarge, error)
            }
            RepositoryError::Submission(invalid) => Self::invalid(invalid),
            RepositoryError::Fetch(cause) => Self::new(Code::FetchFailed, cause),
            RepositoryError::Secret(cause) => Self::new(Code::FetchFailed, cause),
            RepositoryError::Store(error) => error.into(),
        }
    }
}

impl From<SetError> for ApiError {
    fn from(error: SetError) -> Self {
        match error {
            SetError::Invalid(invalid) => Self::invalid(invalid),
            SetError::Store(error) => error.into(),
        }
    }
}

impl From<TrackerError> for ApiError {
    fn from(error: TrackerError) -> Self {
        let code = if error.is_refusal() { Code::Invalid } else { Code::TrackerFailed };
        Self::new(code, error)
    }
}

impl From<FixError> for ApiError {
    fn from(error: FixError) -> Self {
        match error {
            FixError::NotFound => Self::new(Code::NotFound, error),
            FixError::Transition(invalid) => TriageError::Transition(invalid).into(),
            FixError::NoCommit(_)
            | FixError::Unknown(_)
            | FixError::Ambiguous(_)
            | FixError::Unplaced(_)
            | FixError::NoRepository(_)
            | FixError::NCommits => Self::invalid(error),
            FixError::Repository(error) => error.into(),
        }
    }
}

impl From<LockError> for ApiError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Invalid(invalid) => Self::invalid(invalid),
            LockError::NoIssue(_) => Self::invalid(error),
            LockError::Store(error) => error.into(),
        }
    }
}

impl From<FreezeError> for ApiError {
    fn from(error: FreezeError) -> Self {
        match error {
            FreezeError::Store(error) => error.into(),
            FreezeError::Invalid(_)
            | FreezeError::NoEnvironment(_)
            | FreezeError::SameEnvironment
            | FreezeError::TooMany => Self::invalid(error),
        }
    }
}

impl From<DeployError> for ApiError {
    fn from(error: DeployError) -> Self {
        match error {
            DeployError::Invalid(invalid) => Self::invalid(invalid),
            // Whoever asks for a start shows the verdict as well.
            DeployError::Refused(_) => Self::new(Code::GateBlocked, error),
            DeployError::Ended(_) => Self::new(Code::DeployEnded, error),
            DeployError::Gap(_) => Self::new(Code::OutputGap, error),
            DeployError::Commit(error) => error.into(),
        }
    }
}

impl From<AnnounceError> for ApiError {
    fn from(error: AnnounceError) -> Self {
        match error {
            AnnounceError::Version(_)
            | AnnounceError::NoCommits(_)
            | AnnounceError::Nothing
            | AnnounceError::Ambiguous(_)
            | AnnounceError::NowhereToPut(..) => Self::invalid(error),
            AnnounceError::InUse(_) => Self::new(Code::InvalidTransition, error),
            AnnounceError::Deploy(error) => error.into(),
            AnnounceError::Commit(error) => error.into(),
        }
    }
}

impl From<TryError> for ApiError {
    fn from(error: TryError) -> Self {
        match error {
            TryError::Invalid(invalid) => Self::invalid(invalid),
            TryError::Store(error) => error.into(),
        }
    }
}

impl From<TriageError> for ApiError {
    fn from(error: TriageError) -> Self {
        match error {
            TriageError::NotFound => Self::new(Code::NotFound, error),
            TriageError::Transition(invalid) => match invalid {
                InvalidTransition::NotMuted | InvalidTransition::NoFix => {
                    Self::new(Code::InvalidTransition, invalid)
                }
                InvalidTransition::MuteEndsInThePast | InvalidTransition::MuteForNoEvents => {
                    Self::invalid(invalid)
                }
            },
            TriageError::Discarded(_) => Self::new(Code::InvalidTransition, error),
            TriageError::MergeWithItself
            | TriageError::NotItsHash(_)
            | TriageError::NothingLeft => Self::invalid(error),
            TriageError::Store(error) => error.into(),
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.code.status();
        let mut response = HttpResponse::build(status);
        if let Some(location) = &self.location {
            response.insert_header((LOCATION, location.as_str()));
        }
        if self.code == Code::StoreAway {
            response.insert_header((RETRY_AFTER, "5"));
        }
        if self.code == Code::Unauthorized {
            response.insert_header(("WWW-Authenticate", "Bearer"));
        }
        let problem = Problem {
            r#type: format!("urn:airlock:problem:{}", self.code.as_str()),
            title: self.code.title(),
            status: status.as_u16(),
            detail: self.detail.clone(),
            code: self.code.as_str(),
            request_id: request_id::current(),
        };
        response.content_type("application/problem+json").body(self.body(&problem))
    }
}
