//! What an API token may do.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::id::ProjectId;
use super::time::Timestamp;

/// One thing a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// See.
    Read,
    /// Change issues.
    Triage,
    /// Deploys, releases, locks and the gate.
    Deploy,
    /// Pass a gate that is not clear.
    Override,
    /// Projects, keys and tokens.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Read, Self::Triage, Self::Deploy, Self::Override, Self::Admin];

    /// The scope's name in the API and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Triage => "triage",
            Self::Deploy => "deploy",
            Self::Override => "override",
            Self::Admin => "admin",
        }
    }
}

/// A name that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no scope: read, triage, deploy, override or admin")]
pub struct InvalidScope(String);

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        let scope = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        scope.ok_or_else(|| InvalidScope(text.chars().take(40).collect()))
    }
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: Uuid,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// The projects it is bound to; `None` for all.
    pub projects: Option<BTreeSet<ProjectId>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

impl Token {
    /// Whether it may do this. Every scope may also see.
    #[must_use]
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || (scope == Scope::Read && !self.scopes.is_empty())
    }

    /// Whether it may do anything with this project.
    #[must_use]
    pub fn covers(&self, project: ProjectId) -> bool {
        self.projects.as_ref().is_none_or(|projects| projects.contains(&project))
    }

    /// Whether it is over at `now`.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Whether everything `other` may do, this token may do too, and for at least as long.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        let projects = match (&self.projects, &other.projects) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(others)) => others.is_subset(own),
        };
        let lasts = match (self.expires_at, other.expires_at) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(others)) => others <= own,
        };
        projects && lasts && other.scopes.iter().all(|scope| self.allows(*scope))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(scopes: &[Scope], projects: Option<&[i64]>, expires_at: Option<i64>) -> Token {
        Token {
            id: Uuid::nil(),
            name: String::new(),
            scopes: scopes.iter().copied().collect(),
            projects: projects.map(|ids| ids.iter().copied().map(ProjectId).collect()),
            created_at: Timestamp::from_micros(0),
            expires_at: expires_at.map(Timestamp::from_micros),
            last_used_at: None,
        }
    }

    #[test]
    fn a_token_grants_no_more_than_its_maker_has() {
        let maker = token(&[Scope::Admin, Scope::Triage], Some(&[1, 2]), Some(9));
        assert!(maker.contains(&token(&[Scope::Triage, Scope::Read], Some(&[2]), Some(9))));
        assert!(!maker.contains(&token(&[Scope::Deploy], Some(&[2]), Some(9))));
        assert!(!maker.contains(&token(&[Scope::Triage], None, Some(9))));
        assert!(!maker.contains(&token(&[Scope::Triage], Some(&[2]), None)));
        assert!(token(&Scope::ALL, None, None).contains(&maker));
    }

    #[test]
    fn every_scope_may_see_but_none_may_not() {
        assert!(token(&[Scope::Deploy], None, None).allows(Scope::Read));
        assert!(!token(&[], None, None).allows(Scope::Read));
        assert!(!token(&[Scope::Read], None, None).allows(Scope::Triage));
    }
}
