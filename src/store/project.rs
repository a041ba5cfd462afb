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
const LIST_SETTINGS: &str = "SELECT id, settings FROM projects ORDER BY id";
const UPDATE: &str = "UPDATE projects SET name = $2, settings = $3 WHERE id = $1";
const DELETE_ENVIRONMENTS: &str = "DELETE FROM environments WHERE project_id = $1";
const INSERT_ENVIRONMENT: &str =
    "INSERT INTO environments (project_id, name, position, aliases, completes)
    VALUES ($1, $2, $3, $4, $5)";

/// Everything of a project, children first.
pub(super) const DELETE: [&str; 16] = [
    "DELETE FROM events WHERE project_id = $1",
    "DELETE FROM issue_hashes WHERE project_id = $1",
    "DELETE FROM issue_activity WHERE project_id = $1",
    "DELETE FROM dictionaries WHERE project_id = $1",
    "DELETE FROM issue_counts WHERE project_id = $1",
    "DELETE FROM issue_tags WHERE project_id = $1",
    "DELETE FROM issue_users WHERE project_id = $1",
    "DELETE FROM issues WHERE project_id = $1",
    "DELETE FROM outbox WHERE project_id = $1",
    "DELETE FROM buried WHERE project_id = $1",
    "DELETE FROM outcomes WHERE project_id = $1",
    "DELETE FROM project_counters WHERE project_id = $1",
    "DELETE FROM environments WHERE project_id = $1",
    "DELETE FROM project_rules WHERE project_id = $1",
    "DELETE FROM project_keys WHERE project_id = $1",
    "DELETE FROM projects WHERE id = $1",
];

statements!(
    FIND_BY_SLUG,
    FIND_BY_PREFIX,
    FIND_BY_ID,
    LIST_ENVIRONMENTS,
    LIST,
    LIST_SETTINGS,
    INSERT,
    UPDATE,
    DELETE_ENVIRONMENTS,
    INSERT_ENVIRONMENT
);

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

    /// The settings of all projects, for the copy beside the spool.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn list_settings(&mut self) -> Result<Vec<(ProjectId, Settings)>, StoreError> {
        let rows: Vec<(i64, String)> = on!(self, |c| sqlx::query_as(LIST_SETTINGS).fetch_all(c))?;
        let settings = |(id, settings): (i64, String)| {
            let settings = serde_json::from_str(&settings)
                .map_err(|_| StoreError::corrupt("projects", "settings", id))?;
            Ok((ProjectId(id), settings))
        };
        rows.into_iter().map(settings).collect()
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

    /// Deletes a project and everything that belongs to it.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn delete_project(&mut self, id: ProjectId) -> Result<(), StoreError> {
        for text in DELETE {
            execute!(self, sqlx::query(text).bind(id.0))?;
        }
        Ok(())
    }
}
