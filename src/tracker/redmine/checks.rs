//! Whether Redmine can be used as the settings say.

use reqwest::Method;
use serde_json::json;

use super::super::line::{Does, Failure, Pass};
use super::records::{Named, Page, Role, User};
use super::{Redmine, refusal};
use crate::domain::tracker::Check;

/// What a role needs beside making issues; one of each.
const NEEDED: [&[&str]; 3] =
    [&["view_issues"], &["edit_issues", "edit_own_issues"], &["add_issue_notes"]];

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
        let with = [("include", "memberships")];
        let (me, user) = match self.read(Pass::Check, &["users", "current.json"], &with).await {
            Ok(answer) => (Named::of(&answer, "user"), User::of(&answer)),
            Err(failure) => {
                let hint = "see that url is that of Redmine and its REST web service is on";
                return vec![failed("token", failure, hint)];
            }
        };
        let mut checks = vec![well("token", format!("of {}", me.shown()))];
        let issues = &self.settings.issue_project;
        checks.push(self.check_project("issue_project", issues, &user).await);
        for (environment, projects) in &self.settings.environments {
            for (what, project) in [
                ("lock_project", &projects.lock_project),
                ("deploy_project", &projects.deploy_project),
            ] {
                let name = format!("{environment}.{what}");
                if let Some(project) = project {
                    checks.push(self.check_project(&name, project, &user).await);
                }
            }
        }
        if let Some(field) = &self.settings.fix_field {
            checks.push(self.check_field(field).await);
        }
        checks
    }

    async fn check_project(&self, name: &str, project: &str, user: &User) -> Check {
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
        match self.missing(project, found.id, user).await {
            Ok(missing) if missing.is_empty() => well(name, found.name),
            Ok(missing) => {
                let hint = "give the user of the token a role in the project that has these permissions \
                            (Administration, Roles and permissions)";
                let detail = format!("the role in {} lacks {}", found.name, missing.join(", "));
                not(name, detail, hint)
            }
            Err(failure) => {
                let hint = "give the user of the token a role in the project that may add issues";
                failed(name, failure, hint)
            }
        }
    }

    /// What the user may not do in a project. Whether issues may be made there is only told from trying:
    /// one without a subject is refused to whoever may.
    async fn missing(
        &self,
        project: &str,
        id: u64,
        user: &User,
    ) -> Result<Vec<&'static str>, Failure> {
        let body = json!({ "issue": { "project_id": project, "subject": "" } });
        let path = self.url(&["issues.json"])?;
        let send = |client: &reqwest::Client| client.request(Method::POST, path).json(&body);
        match self.shared.line.send((Pass::Check, Does::Write), send).await {
            Ok(_) | Err(Failure::Answer { status: 422, .. }) => {}
            Err(failure) => return Err(failure),
        }
        // Who is no member may do what Redmine lets anybody do; that is told nowhere.
        let Some(roles) = user.roles_in(id).filter(|_| !user.is_admin()) else {
            return Ok(Vec::new());
        };
        let mut permissions = Vec::new();
        for role in roles {
            let file = format!("{}.json", role.id);
            let answer = self.read(Pass::Check, &["roles", &file], &[]).await?;
            permissions.extend(Role::of(&answer).permissions);
        }
        let has = |any: &&[&str]| any.iter().any(|one| permissions.iter().any(|own| own == one));
        let missing = NEEDED.iter().filter(|any| !has(any));
        Ok(missing.filter_map(|any| any.first().copied()).collect())
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
