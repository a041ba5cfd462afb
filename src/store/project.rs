//! Projects and their environments.

use sqlx::FromRow;

use super::error::StoreError;
use super::tx::{Tx, execute, on, statements};
use crate::domain::id::ProjectId;
use crate::domain::project::{Environment, Project, Settings};
use crate::domain::time::Timestamp;

#[derive(FromRow)]
struct ProjectRow {
    id: i64,
    slug: String,
    name: String,
    prefix: String,
    settings: String,
    created_at: i64,
}

#[derive(FromRow)]
struct EnvironmentRow {
    project_id: i64,
    name: String,
    aliases: String,
    completes: bool,
}

impl EnvironmentRow {
    fn environment(self) -> Result<Environment, StoreError> {
        let aliases = serde_json::from_str(&self.aliases).map_err(|_| {
            StoreError::corrupt(
                "environments",
                "aliases",
                format!("{}/{}", self.project_id, self.name),
            )
        })?;
        Ok(Environment { name: self.name, aliases, completes: self.completes })
    }
}

impl ProjectRow {
    fn project(self, environments: Vec<Environment>) -> Result<Project, StoreError> {
        let settings: Settings = serde_json::from_str(&self.settings)
            .map_err(|_| StoreError::corrupt("projects", "settings", self.id))?;
        Ok(Project {
            id: ProjectId(self.id),
            slug: self.slug,
            name: self.name,
            prefix: self.prefix,
            settings,
            created_at: Timestamp::from_micros(self.created_at),
            environments,
        })
    }
}

/// A project that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeletedProject {
    /// It was.
    pub id: ProjectId,
    /// Whether what belonged to it was cleared away before.
    pub was_cleared: bool,
}

const FIND_BY_SLUG: &str =
    "SELECT id, slug, name, prefix, settings, created_at FROM projects WHERE slug = $1";
const FIND_BY_PREFIX: &str =
    "SELECT id, slug, name, prefix, settings, created_at FROM projects WHERE prefix = $1";
const FIND_BY_ID: &str =
    "SELECT id, slug, name, prefix, settings, created_at FROM projects WHERE id = $1";
const LIST_ENVIRONMENTS: &str = "SELECT project_id, name, aliases, completes FROM environments
    WHERE project_id = $1 ORDER BY position";
const LIST: &str = "SELECT id, slug, name, prefix, settings, created_at FROM projects
    WHERE slug > $1 ORDER BY slug LIMIT $2";
const INSERT: &str = "INSERT INTO projects (slug, name, prefix, settings, created_at)
    VALUES ($1, $2, $3, $4, $5) RETURNING id";
/// As settings are written. Few projects have one, and all are asked for each batch.
const LIST_COMMIT_FIELDS: &str = "SELECT id, settings FROM projects
    WHERE settings LIKE '%\"commit_field\":\"%' ORDER BY id";
const LIST_SETTINGS: &str = "SELECT id, settings FROM projects ORDER BY id";
const UPDATE: &str = "UPDATE projects SET name = $2, settings = $3 WHERE id = $1";
const DELETE_ENVIRONMENTS: &str = "DELETE FROM environments WHERE project_id = $1";
const INSERT_ENVIRONMENT: &str =
    "INSERT INTO environments (project_id, name, position, aliases, completes)
    VALUES ($1, $2, $3, $4, $5)";

const DELETE: &str = "DELETE FROM projects WHERE id = $1";
const DELETE_KEYS: &str = "DELETE FROM project_keys WHERE project_id = $1";
const INSERT_DELETED: &str =
    "INSERT INTO deleted_projects (id, deleted_at, clear_at) VALUES ($1, $2, $2)
    ON CONFLICT (id) DO NOTHING";
/// Writes nothing new, but holds the row.
const LOCK_DELETED: &str = "UPDATE deleted_projects SET clear_at = clear_at WHERE id = $1";
const LIST_DELETED: &str =
    "SELECT id, clear_at > deleted_at FROM deleted_projects WHERE clear_at <= $1 ORDER BY id";
const CLEAR_LATER: &str = "UPDATE deleted_projects SET clear_at = $2 WHERE id = $1";
const FORGET_DELETED: &str = "DELETE FROM deleted_projects WHERE id = $1";

/// Some rows of a table, those that share the key of `$2` of them.
macro_rules! clear {
    ($table:literal, $key:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE project_id = $1 AND ",
            $key,
            " IN (SELECT ",
            $key,
            " FROM ",
            $table,
            " WHERE project_id = $1 ORDER BY ",
            $key,
            " LIMIT $2)"
        )
    };
}
/// Everything of a project, children first.
pub(super) const CLEAR: [&str; 41] = [
    clear!("events", "id"),
    clear!("issue_hashes", "hash"),
    clear!("similar_hashes", "key"),
    clear!("issue_activity", "issue_id"),
    clear!("dictionaries", "id"),
    clear!("issue_counts", "issue_id"),
    clear!("issue_tags", "issue_id"),
    clear!("issue_users", "issue_id"),
    clear!("issues", "id"),
    clear!("leases", "name"),
    clear!("lanes", "lane"),
    clear!("tasks", "subject"),
    clear!("trackers", "project_id"),
    clear!("tracker_cursors", "board"),
    clear!("tracker_hooks", "place"),
    clear!("built_in_comments", "number"),
    clear!("built_in_places", "number"),
    clear!("built_in_tasks", "number"),
    clear!("outbox", "id"),
    clear!("buried", "id"),
    clear!("unsettled", "issue_id"),
    clear!("fix_answers", "fix_id"),
    clear!("fix_landings", "fix_id"),
    clear!("fixes", "id"),
    clear!("release_history", "version"),
    clear!("releases", "version"),
    clear!("same_patches", "sha"),
    clear!("read_messages", "sha"),
    clear!("deploy_output", "deploy_id"),
    clear!("deploys", "id"),
    clear!("lock_comments", "lock_id"),
    clear!("locks", "id"),
    clear!("freezes", "id"),
    clear!("gates", "environment"),
    clear!("outcomes", "hour"),
    clear!("project_counters", "name"),
    clear!("environments", "name"),
    clear!("project_rules", "kind"),
    clear!("submitted_commits", "sha"),
    clear!("repositories", "id"),
    clear!("project_keys", "public_key"),
];

statements!(
    FIND_BY_SLUG,
    FIND_BY_PREFIX,
    FIND_BY_ID,
    LIST_ENVIRONMENTS,
    LIST,
    LIST_COMMIT_FIELDS,
    LIST_SETTINGS,
    INSERT,
    UPDATE,
    DELETE_ENVIRONMENTS,
    INSERT_ENVIRONMENT,
    DELETE,
    DELETE_KEYS,
    INSERT_DELETED,
    LOCK_DELETED,
    LIST_DELETED,
    CLEAR_LATER,
    FORGET_DELETED
);

fn settings_of((id, settings): (i64, String)) -> Result<(ProjectId, Settings), StoreError> {
    let settings = serde_json::from_str(&settings)
        .map_err(|_| StoreError::corrupt("projects", "settings", id))?;
    Ok((ProjectId(id), settings))
}

impl Tx {
    /// The project with this slug.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_project(&mut self, slug: &str) -> Result<Option<Project>, StoreError> {
        let row = on!(self, |c| sqlx::query_as(FIND_BY_SLUG).bind(slug).fetch_optional(c))?;
        self.with_environments(row).await
    }

    /// The project whose short ids begin with this prefix.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_project_by_prefix(
        &mut self,
        prefix: &str,
    ) -> Result<Option<Project>, StoreError> {
        let row = on!(self, |c| sqlx::query_as(FIND_BY_PREFIX).bind(prefix).fetch_optional(c))?;
        self.with_environments(row).await
    }

    /// The project with this number.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_project_by_id(
        &mut self,
        id: ProjectId,
    ) -> Result<Option<Project>, StoreError> {
        let row = on!(self, |c| sqlx::query_as(FIND_BY_ID).bind(id.0).fetch_optional(c))?;
        self.with_environments(row).await
    }

    async fn with_environments(
        &mut self,
        row: Option<ProjectRow>,
    ) -> Result<Option<Project>, StoreError> {
        let Some(row) = row else { return Ok(None) };
        let environments: Vec<EnvironmentRow> =
            on!(self, |c| sqlx::query_as(LIST_ENVIRONMENTS).bind(row.id).fetch_all(c))?;
        let environments =
            environments.into_iter().map(EnvironmentRow::environment).collect::<Result<_, _>>()?;
        row.project(environments).map(Some)
    }

    /// Up to `limit` projects whose slug comes after `after`, by slug.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_projects(
        &mut self,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Project>, StoreError> {
        let rows: Vec<ProjectRow> =
            on!(self, |c| sqlx::query_as(LIST).bind(after).bind(limit).fetch_all(c))?;
        let mut projects = Vec::with_capacity(rows.len());
        for row in rows {
            projects.extend(self.with_environments(Some(row)).await?);
        }
        Ok(projects)
    }

    /// The settings of the projects that name a field which carries the commit.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_commit_fields(&mut self) -> Result<Vec<(ProjectId, Settings)>, StoreError> {
        let rows: Vec<(i64, String)> =
            on!(self, |c| sqlx::query_as(LIST_COMMIT_FIELDS).fetch_all(c))?;
        rows.into_iter().map(settings_of).collect()
    }

    /// The settings of all projects, for the copy beside the spool.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_settings(&mut self) -> Result<Vec<(ProjectId, Settings)>, StoreError> {
        let rows: Vec<(i64, String)> = on!(self, |c| sqlx::query_as(LIST_SETTINGS).fetch_all(c))?;
        rows.into_iter().map(settings_of).collect()
    }

    /// Makes a project; its `id` is given by the store.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when the slug or the prefix exists.
    pub async fn insert_project(&mut self, project: &Project) -> Result<ProjectId, StoreError> {
        let settings = serde_json::to_string(&project.settings).unwrap_or_default();
        let (id,): (i64,) = on!(self, |c| sqlx::query_as(INSERT)
            .bind(&project.slug)
            .bind(&project.name)
            .bind(&project.prefix)
            .bind(&settings)
            .bind(project.created_at.as_micros())
            .fetch_one(c))?;
        self.insert_environments(ProjectId(id), &project.environments).await?;
        Ok(ProjectId(id))
    }

    /// Writes name, settings and environments of a project.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn update_project(&mut self, project: &Project) -> Result<(), StoreError> {
        let settings = serde_json::to_string(&project.settings).unwrap_or_default();
        execute!(self, sqlx::query(UPDATE).bind(project.id.0).bind(&project.name).bind(&settings))?;
        execute!(self, sqlx::query(DELETE_ENVIRONMENTS).bind(project.id.0))?;
        self.insert_environments(project.id, &project.environments).await
    }

    async fn insert_environments(
        &mut self,
        id: ProjectId,
        environments: &[Environment],
    ) -> Result<(), StoreError> {
        for (position, environment) in (0_i64..).zip(environments) {
            let aliases = serde_json::to_string(&environment.aliases).unwrap_or_default();
            execute!(
                self,
                sqlx::query(INSERT_ENVIRONMENT)
                    .bind(id.0)
                    .bind(&environment.name)
                    .bind(position)
                    .bind(&aliases)
                    .bind(environment.completes)
            )?;
        }
        Ok(())
    }

    /// Deletes a project: nobody finds it any more, and its keys are gone. The rest of what belongs
    /// to it is cleared away in steps.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn delete_project(
        &mut self,
        id: ProjectId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        execute!(self, sqlx::query(DELETE).bind(id.0))?;
        execute!(self, sqlx::query(DELETE_KEYS).bind(id.0))?;
        execute!(self, sqlx::query(INSERT_DELETED).bind(id.0).bind(now.as_micros()))?;
        Ok(())
    }

    /// Projects that are gone and are due to be cleared away.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_deleted_projects(
        &mut self,
        now: Timestamp,
    ) -> Result<Vec<DeletedProject>, StoreError> {
        let rows: Vec<(i64, bool)> =
            on!(self, |c| sqlx::query_as(LIST_DELETED).bind(now.as_micros()).fetch_all(c))?;
        let deleted = |(id, was_cleared)| DeletedProject { id: ProjectId(id), was_cleared };
        Ok(rows.into_iter().map(deleted).collect())
    }

    /// Deletes some of what belonged to a project that is gone, and holds off other nodes that are
    /// about to. Says how many rows, none when nothing is left; `None` when another node was done.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn clear_project(
        &mut self,
        id: ProjectId,
        limit: i64,
    ) -> Result<Option<u64>, StoreError> {
        if execute!(self, sqlx::query(LOCK_DELETED).bind(id.0))? == 0 {
            return Ok(None);
        }
        for text in CLEAR {
            let n_rows = execute!(self, sqlx::query(text).bind(id.0).bind(limit))?;
            if n_rows > 0 {
                return Ok(Some(n_rows));
            }
        }
        Ok(Some(0))
    }

    /// Nothing of the project is left: looks again at `clear_at`, or never when that is `None`.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn project_cleared(
        &mut self,
        id: ProjectId,
        clear_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        match clear_at {
            Some(at) => {
                execute!(self, sqlx::query(CLEAR_LATER).bind(id.0).bind(at.as_micros()))?;
            }
            None => {
                execute!(self, sqlx::query(FORGET_DELETED).bind(id.0))?;
            }
        }
        Ok(())
    }
}
