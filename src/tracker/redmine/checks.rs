//! Whether Redmine can be used as the settings say.

use super::super::line::{Failure, Pass};
use super::records::{Named, Page};
use super::{Redmine, refusal};
use crate::domain::tracker::Check;

/// A project that people work in.
const ACTIVE: u64 = 1;

fn well(name: &str, detail: String) -> Check {
    Check { name: name.to_owned(), ok: true, detail, hint: None }
}

fn not(name: &str, detail: String, hint: &str) -> Check {
    Check { name: name.to_owned(), ok: false, detail, hint: Some(hint.to_owned()) }
}

/// Why it does not work, and what to do.
fn failed(name: &str, failure: Failure, hint: &str) -> Check {
    match failure {
        Failure::Answer { status: 401, .. } => not(
            name,
            "Redmine refuses the token".to_owned(),
            "copy the API access key from the user's page My account, and see that Administration, \
             Settings, API has REST web service on",
        ),
        Failure::Answer { status, body } => not(name, refusal(status, &body), hint),
        Failure::Tracker(error) => not(
            name,
            error.to_string(),
            "see that url is right and can be reached from the server, and check again",
        ),
    }
}

fn no_field() -> Check {
    let hint = "add it to the project in Redmine (Settings of the project, Issue tracking), or name \
                another";
    not("fix_field", "the issue project does not have this field".to_owned(), hint)
}

impl Redmine {
    /// Looks whether everything works.
    pub(in super::super) async fn check(&self) -> Vec<Check> {
        // Anybody may see what is public: only this says whose the key is.
        let mut checks = match self.read(Pass::Check, &["users", "current.json"], &[]).await {
            Ok(answer) => {
                let user = Named::of(&answer, "user");
                vec![well("token", format!("of {}", user.shown()))]
            }
            Err(failure) => {
                let hint = "see that url is that of Redmine and its REST web service is on";
                return vec![failed("token", failure, hint)];
            }
        };
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
        let query = [("include", "trackers")];
        let path = ["projects", &format!("{project}.json")];
        let answer = match self.read(Pass::Check, &path, &query).await {
            Ok(answer) => answer,
            Err(failure) => {
                let hint = "see that it is the identifier in the project's address, and that the user \
                            of the token is a member who may view, add and edit issues";
                return failed(name, failure, hint);
            }
        };
        let found = Named::of(&answer, "project");
        let trackers: Vec<Named> =
            Page::of(answer.get("project").cloned().unwrap_or_default(), "trackers").all();
        if found.status.is_some_and(|status| status != ACTIVE) {
            let hint = "open it again in Redmine, or name another";
            return not(name, format!("{} is closed or archived", found.name), hint);
        }
        if trackers.is_empty() {
            let hint = "give it one in Redmine: Settings of the project, Issue tracking";
            return not(name, format!("{} has no tracker", found.name), hint);
        }
        well(name, found.name)
    }

    async fn check_field(&self, field: &str) -> Check {
        let project = format!("{}.json", self.settings.issue_project);
        let query = [("include", "issue_custom_fields")];
        let answer = match self.read(Pass::Check, &["projects", &project], &query).await {
            Ok(answer) => answer,
            Err(failure) => return failed("fix_field", failure, "see to issue_project first"),
        };
        let is_it = |known: &Named| known.id.to_string() == field;
        let own = answer.get("project").cloned().unwrap_or_default();
        let fields: Vec<Named> = Page::of(own, "issue_custom_fields").all();
        if let Some(known) = fields.into_iter().find(is_it) {
            return well("fix_field", known.name);
        }
        // What all projects have, none of them names.
        match self.read(Pass::Check, &["custom_fields.json"], &[]).await {
            Ok(answer) => {
                let all: Vec<Named> = Page::of(answer, "custom_fields").all();
                all.into_iter().find(is_it).map_or_else(no_field, |it| well("fix_field", it.name))
            }
            Err(Failure::Answer { status: 401 | 403, .. }) => {
                let detail = "only an administrator's key can see a field that is for all projects";
                well("fix_field", detail.to_owned())
            }
            Err(failure) => failed("fix_field", failure, "check again"),
        }
    }
}
