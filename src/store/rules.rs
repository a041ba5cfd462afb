//! What projects decide themselves: one document for each kind of rules.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::FromRow;

use super::error::StoreError;
use super::tx::{Tx, execute, on, statements};
use crate::domain::filing::FilingRules;
use crate::domain::fingerprint::settings::{GroupingRules, NewHashes};
use crate::domain::id::ProjectId;
use crate::domain::lifecycle::Join;
use crate::domain::scrub::rules::ScrubRules;
use crate::domain::time::Timestamp;

/// What rules are about.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Scrubbing,
    Grouping,
    Filing,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Scrubbing => "scrubbing",
            Self::Grouping => "grouping",
            Self::Filing => "filing",
        }
    }
}

#[derive(FromRow)]
struct RulesRow {
    rules: String,
}

const FIND: &str = "SELECT rules FROM project_rules WHERE project_id = $1 AND kind = $2";
const LIST_VERSIONS: &str = "SELECT project_id, CAST(SUM(version) AS BIGINT),
        MAX(CASE WHEN kind = 'scrubbing' THEN changed_at ELSE 0 END)
    FROM project_rules GROUP BY project_id ORDER BY project_id";
const UPSERT: &str = "INSERT INTO project_rules (project_id, kind, rules, version, changed_at)
    VALUES ($1, $2, $3, 1, $4)
    ON CONFLICT (project_id, kind) DO UPDATE SET
        rules = EXCLUDED.rules,
        version = project_rules.version + 1,
        changed_at = EXCLUDED.changed_at";

const COUNT_NEW_HASHES: &str = "SELECT COUNT(*),
        COUNT(CASE WHEN how = $3 THEN 1 END)
    FROM issue_hashes WHERE project_id = $1 AND created_at >= $2";

statements!(FIND, LIST_VERSIONS, UPSERT, COUNT_NEW_HASHES);

impl Tx {
    /// A project's rules of scrubbing, if it has some of its own.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_scrub_rules(
        &mut self,
        project: ProjectId,
    ) -> Result<Option<ScrubRules>, StoreError> {
        self.find_rules(project, Kind::Scrubbing).await
    }

    /// A project's rules of grouping, if it has some of its own.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_grouping_rules(
        &mut self,
        project: ProjectId,
    ) -> Result<Option<GroupingRules>, StoreError> {
        self.find_rules(project, Kind::Grouping).await
    }

    /// A project's rules of filing, if it has some of its own.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_filing_rules(
        &mut self,
        project: ProjectId,
    ) -> Result<Option<FilingRules>, StoreError> {
        self.find_rules(project, Kind::Filing).await
    }

    async fn find_rules<T: DeserializeOwned>(
        &mut self,
        project: ProjectId,
        kind: Kind,
    ) -> Result<Option<T>, StoreError> {
        let row: Option<RulesRow> = on!(self, |c| sqlx::query_as(FIND)
            .bind(project.0)
            .bind(kind.as_str())
            .fetch_optional(c))?;
        let read = |row: RulesRow| {
            serde_json::from_str(&row.rules)
                .map_err(|_| StoreError::corrupt("project_rules", "rules", project.0))
        };
        row.map(read).transpose()
    }

    /// The projects with rules of their own, a number that changes with any of them, and when those
    /// of scrubbing last changed.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_rule_versions(
        &mut self,
    ) -> Result<Vec<(ProjectId, i64, Timestamp)>, StoreError> {
        let rows: Vec<(i64, i64, i64)> = on!(self, |c| sqlx::query_as(LIST_VERSIONS).fetch_all(c))?;
        let versions = |(project, version, changed_at)| {
            (ProjectId(project), version, Timestamp::from_micros(changed_at))
        };
        Ok(rows.into_iter().map(versions).collect())
    }

    /// Sets a project's rules of scrubbing.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn upsert_scrub_rules(
        &mut self,
        project: ProjectId,
        rules: &ScrubRules,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.upsert_rules(project, Kind::Scrubbing, rules, now).await
    }

    /// Sets a project's rules of grouping.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn upsert_grouping_rules(
        &mut self,
        project: ProjectId,
        rules: &GroupingRules,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.upsert_rules(project, Kind::Grouping, rules, now).await
    }

    /// Sets a project's rules of filing.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn upsert_filing_rules(
        &mut self,
        project: ProjectId,
        rules: &FilingRules,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.upsert_rules(project, Kind::Filing, rules, now).await
    }

    /// The fingerprints of a project first seen since a time. Reads all it has.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn count_new_hashes(
        &mut self,
        project: ProjectId,
        since: Timestamp,
    ) -> Result<NewHashes, StoreError> {
        let (n_all, n_upgraded): (i64, i64) = on!(self, |c| sqlx::query_as(COUNT_NEW_HASHES)
            .bind(project.0)
            .bind(since.as_micros())
            .bind(Join::Upgraded.as_str())
            .fetch_one(c))?;
        Ok(NewHashes { n_all: n_all.unsigned_abs(), n_upgraded: n_upgraded.unsigned_abs() })
    }

    async fn upsert_rules(
        &mut self,
        project: ProjectId,
        kind: Kind,
        rules: &(impl Serialize + Sync),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let rules = super::rows::to_json(rules);
        execute!(
            self,
            sqlx::query(UPSERT)
                .bind(project.0)
                .bind(kind.as_str())
                .bind(&rules)
                .bind(now.as_micros())
        )?;
        Ok(())
    }
}
