//! Whether Asana can be used as the settings say, and what there is in it to choose from.

use reqwest::Method;
use serde::Serialize;
use serde_json::{Map, json};

use super::super::TrackerError;
use super::super::line::{Failure, Pass};
use super::records::Record;
use super::{Asana, refusal};
use crate::domain::tracker::Check;

/// Something that has an id and a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
}

/// A workspace, and its projects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Workspace {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its projects that are not archived.
    pub projects: Vec<Item>,
}

/// What a token sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Whose it is.
    pub user: Item,
    /// Where its user is.
    pub workspaces: Vec<Workspace>,
}

fn item(record: Record) -> Item {
    Item { id: record.gid.unwrap_or_default(), name: record.name.unwrap_or_default() }
}

/// Why it does not work, and what to do.
fn failed(name: &str, failure: Failure, hint: &str) -> Check {
    let (detail, hint) = match failure {
        Failure::Answer { status: 401, .. } => (
            "Asana refuses the token".to_owned(),
            "make a new one in Asana (My settings, Apps, Developer apps) and set it".to_owned(),
        ),
        Failure::Answer { status, body } => (refusal(status, &body), hint.to_owned()),
        Failure::Tracker(error) => (
            error.to_string(),
            "see that url is right and can be reached from the server, and check again".to_owned(),
        ),
    };
    Check { name: name.to_owned(), ok: false, detail, hint: Some(hint) }
}

fn well(name: &str, detail: impl Into<String>) -> Check {
    Check { name: name.to_owned(), ok: true, detail: detail.into(), hint: None }
}

impl Asana {
    /// Looks whether everything works.
    pub(in super::super) async fn check(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        match self.get(Pass::Check, &["users", "me"], &[("opt_fields", "name,email")]).await {
            Ok(me) => {
                let email = me.email.clone().unwrap_or_else(|| "no mail address".to_owned());
                checks.push(well("token", format!("of {} ({email})", item(me).name)));
            }
            // Then nothing else works either.
            Err(failure) => return vec![failed("token", failure, "make a new token and set it")],
        }
        checks.push(self.check_project("issue_project", &self.settings.issue_project).await);
        for (environment, projects) in &self.settings.environments {
            for (what, project) in [
                ("lock_project", &projects.lock_project),
                ("deploy_project", &projects.deploy_project),
            ] {
                let name = format!("{environment}.{what}");
                if let Some(project) = project {
                    checks.push(self.check_project(&name, project).await);
                }
            }
        }
        if let Some(field) = &self.settings.fix_field {
            checks.push(self.check_field(field).await);
        }
        checks
    }

    async fn check_project(&self, name: &str, project: &str) -> Check {
        let fields = [("opt_fields", "name,archived")];
        match self.get(Pass::Check, &["projects", project], &fields).await {
            Ok(found) if found.archived == Some(true) => Check {
                name: name.to_owned(),
                ok: false,
                detail: format!("{} is archived", item(found).name),
                hint: Some("take it out of the archive in Asana, or name another".to_owned()),
            },
            Ok(found) => {
                let title = item(found).name;
                match self.access(project).await.as_deref() {
                    Some(level @ ("commenter" | "viewer")) => Check {
                        name: name.to_owned(),
                        ok: false,
                        detail: format!("the user of the token is only a {level} of {title}"),
                        hint: Some("make it an editor of the project in Asana (Share)".to_owned()),
                    },
                    // Who is there by a team or an organization has no access of its own.
                    Some(_) | None => well(name, title),
                }
            }
            Err(failure) => {
                let hint = "see that the id is the number in the project's address, and that the \
                            user of the token is a member who may edit it";
                failed(name, failure, hint)
            }
        }
    }

    /// What the user of the token may do in a project, as far as Asana tells.
    async fn access(&self, project: &str) -> Option<String> {
        let path = ["projects", project, "project_memberships"];
        let query = [("user", "me"), ("opt_fields", "access_level")];
        let found = self.list(Pass::Check, &path, &query).await.ok()?;
        found.into_iter().find_map(|membership| membership.access_level)
    }

    async fn check_field(&self, field: &str) -> Check {
        let path = ["projects", &self.settings.issue_project, "custom_field_settings"];
        let fields = "custom_field.gid,custom_field.name,custom_field.resource_subtype";
        let settings = match self.list(Pass::Check, &path, &[("opt_fields", fields)]).await {
            Ok(settings) => settings,
            Err(failure) => {
                let hint = "custom fields need a plan that is paid for; without fix_field the fix \
                            stands in the text of the task";
                return failed("fix_field", failure, hint);
            }
        };
        let mut fields = settings.into_iter().filter_map(|setting| setting.custom_field);
        let not = |detail: &str, hint: &str| Check {
            name: "fix_field".to_owned(),
            ok: false,
            detail: detail.to_owned(),
            hint: Some(hint.to_owned()),
        };
        match fields.find(|known| known.gid.as_deref() == Some(field)) {
            None => not(
                "the issue project does not have this field",
                "add it to the project in Asana (Customize, Add field), or name another",
            ),
            Some(known) if known.resource_subtype.as_deref() != Some("text") => {
                not("it is no text", "name a custom field whose type is text")
            }
            Some(known) => well("fix_field", item(*known).name),
        }
    }

    /// What there is to choose from.
    ///
    /// # Errors
    /// [`TrackerError`].
    pub async fn discover(&self) -> Result<Found, TrackerError> {
        let me = self.get(Pass::Check, &["users", "me"], &[("opt_fields", "name")]).await;
        let user = item(me.map_err(of_person)?);
        let fields = [("opt_fields", "name")];
        let all = self.list(Pass::Check, &["workspaces"], &fields).await.map_err(of_person)?;
        let mut workspaces = Vec::new();
        for record in all {
            let Item { id, name } = item(record);
            let query = [("archived", "false"), ("opt_fields", "name")];
            let path = ["workspaces", &id, "projects"];
            let projects = self.list(Pass::Check, &path, &query).await.map_err(of_person)?;
            let projects = projects.into_iter().map(item).collect();
            workspaces.push(Workspace { id, name, projects });
        }
        Ok(Found { user, workspaces })
    }

    /// Makes a project. One attempt.
    ///
    /// # Errors
    /// [`TrackerError`].
    pub async fn create_project(
        &self,
        (workspace, team): (&str, Option<&str>),
        name: &str,
    ) -> Result<Item, TrackerError> {
        let mut data = Map::new();
        data.insert("workspace".to_owned(), json!(workspace));
        data.insert("name".to_owned(), json!(name));
        if let Some(team) = team {
            data.insert("team".to_owned(), json!(team));
        }
        let made = self.write(Method::POST, &["projects"], ("name", &data)).await;
        Ok(item(made.map_err(of_person)?))
    }
}

/// What somebody is told who waits for the answer.
fn of_person(failure: Failure) -> TrackerError {
    match failure {
        Failure::Answer { status: 401, .. } => {
            TrackerError::Refused("Asana refuses the token: make a new one".to_owned())
        }
        Failure::Tracker(_) | Failure::Answer { .. } => failure.into(),
    }
}
