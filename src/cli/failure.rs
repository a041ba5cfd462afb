//! Why a command did not do what it was asked, and the exit code that says so to scripts.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::text::one_line;

/// Why a command ended without its result.
#[derive(Debug)]
pub(super) enum Failure {
    /// Wrong arguments, or no token: for the caller to mend.
    Usage(String),
    /// The server lacks proof that the caller may.
    Rights {
        /// What the server said.
        problem: Box<Problem>,
        /// What to do about it.
        hint: String,
    },
    /// The server understood, and said no.
    Refused(Problem),
    /// It was done, but with this outcome.
    Unfinished(String),
    /// The gate cannot tell whether a deploy may start.
    Undecided(String),
    /// The gate still said no when the wait ended.
    Waited(String),
    /// The server cannot be reached, is broken, or is not Airlock.
    Unreachable(String),
    /// The result could not be written.
    Output(std::io::Error),
}

impl Failure {
    /// 1 refused, 2 usage or rights, 3 cannot tell, 4 still blocked, 5 unreachable.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) | Self::Unfinished(_) | Self::Output(_) => 1,
            Self::Usage(_) | Self::Rights { .. } => 2,
            Self::Undecided(_) => 3,
            Self::Waited(_) => 4,
            Self::Unreachable(_) => 5,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text)
            | Self::Unfinished(text)
            | Self::Undecided(text)
            | Self::Waited(text)
            | Self::Unreachable(text) => formatter.write_str(text),
            Self::Rights { problem, hint } => write!(formatter, "{problem}; {hint}"),
            Self::Refused(problem) => problem.fmt(formatter),
            Self::Output(cause) => write!(formatter, "cannot write the result: {cause}"),
        }
    }
}

/// What the server says is wrong.
///
/// Source: RFC 9457, with Airlock's `code` and `request_id`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Problem {
    title: String,
    detail: Option<String>,
    code: String,
    request_id: Option<String>,
    /// The verdict of the gate, where that is what is wrong.
    pub(super) gate: Option<Box<Value>>,
}

impl Problem {
    /// Whether somebody else was first, and it can be tried again.
    pub(super) fn is_race(&self) -> bool {
        self.code == "raced"
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = self.detail.as_deref().filter(|detail| !detail.is_empty());
        let (detail, code) = (one_line(detail.unwrap_or(&self.title)), one_line(&self.code));
        match &self.request_id {
            Some(id) => write!(formatter, "{detail} ({code}, request {})", one_line(id)),
            None => write!(formatter, "{detail} ({code})"),
        }
    }
}
