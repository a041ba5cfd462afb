//! Whether GitHub can be used as the settings say. Labels that are not there are made.

use reqwest::Method;
use serde_json::{Value, json};

use super::super::line::{Failure, Pass};
use super::records::User;
use super::{GitHub, NO_ISSUES, refusal};
use crate::domain::tracker::Check;

/// What labels look like that are made here.
const COLOR: &str = "5319e7";

fn well(name: &str, detail: String) -> Check {
    Check { name: name.to_owned(), ok: true, detail, hint: None }
}

fn not(name: &str, detail: impl Into<String>, hint: &str) -> Check {
    Check { name: name.to_owned(), ok: false, detail: detail.into(), hint: Some(hint.to_owned()) }
}

/// Why it does not work, and what to do.
fn failed(name: &str, failure: Failure, hint: &str) -> Check {
    match failure {
        Failure::Answer { status: 401, .. } => not(
            name,
            "GitHub refuses the token",
            "make a new one (Settings, Developer settings, Personal access tokens) and set it",
        ),
        Failure::Answer { status, body } => not(name, refusal(status, &body), hint),
        Failure::Tracker(error) => not(
            name,
            error.to_string(),
            "see that url is right and can be reached from the server, and check again",
        ),
    }
}

impl GitHub {
    /// Looks whether everything works.
    pub(in super::super) async fn check(&self) -> Vec<Check> {
        let me = match self.url(&["user"]) {
            Ok(url) => self.read::<User>(Pass::Check, url).await,
            Err(failure) => Err(failure),
        };
        let mut checks = match me {
            Ok(me) => vec![well("token", format!("of {}", me.login))],
            // Then nothing else works either.
            Err(failure) => {
                let hint = "it must be a personal access token, or one of OAuth that has a user";
                return vec![failed("token", failure, hint)];
            }
        };
        let repository = self.check_repository().await;
        let goes_on = repository.ok;
        checks.push(repository);
        if !goes_on {
            return checks;
        }
        checks.push(self.check_writing().await);
        checks.push(self.check_label("issue_label", &self.settings.issue_label).await);
        for (environment, labels) in &self.settings.environments {
            for (what, label) in
                [("lock_label", &labels.lock_label), ("deploy_label", &labels.deploy_label)]
            {
                if let Some(label) = label {
                    checks.push(self.check_label(&format!("{environment}.{what}"), label).await);
                }
            }
        }
        checks
    }

    async fn check_repository(&self) -> Check {
        let name = "repository";
        let found = match self.repository(Pass::Check).await {
            Ok(found) => found,
            Err(failure) => {
                let hint = "see that it is owner/name as in its address, and that the token has it \
                            among its repositories";
                return failed(name, failure, hint);
            }
        };
        if found.archived {
            let hint = "take it out of the archive in GitHub, or name another";
            return not(name, format!("{} is archived", found.full_name), hint);
        }
        if !found.has_issues {
            return not(name, NO_ISSUES, "or name another repository");
        }
        if !found.permissions.is_enough() {
            let hint = "give it a role in the repository (Settings, Collaborators and teams): Triage, or \
                        Write to let labels be made";
            let detail = format!("the user of the token may only read {}", found.full_name);
            return not(name, detail, hint);
        }
        well(name, found.full_name)
    }

    /// Whether the token may make issues: GitHub tells it only from trying, and refuses an issue
    /// without a title to whoever may.
    async fn check_writing(&self) -> Check {
        match self.write(Pass::Check, Method::POST, (&["issues"], &json!({}))).await {
            Ok(_) | Err(Failure::Answer { status: 400 | 422, .. }) => {
                well("issues", "may be made".to_owned())
            }
            Err(failure) => {
                let hint = "give the token the permission Issues: Read and write, or the scope repo if it \
                            is a classic one";
                failed("issues", failure, hint)
            }
        }
    }

    async fn check_label(&self, name: &str, label: &str) -> Check {
        let found = match self.part(&["labels", label]) {
            Ok(url) => self.read::<Value>(Pass::Check, url).await,
            Err(failure) => Err(failure),
        };
        match found {
            Ok(_) => return well(name, label.to_owned()),
            Err(Failure::Answer { status: 404, .. }) => {}
            Err(failure) => return failed(name, failure, "check again"),
        }
        let body = json!({ "name": label, "color": COLOR, "description": "Made by Airlock" });
        match self.write(Pass::Check, Method::POST, (&["labels"], &body)).await {
            Ok(_) => well(name, format!("{label}, made now")),
            // Somebody was faster.
            Err(Failure::Answer { status: 422, body })
                if body.to_string().contains("already_exists") =>
            {
                well(name, label.to_owned())
            }
            Err(failure) => {
                let hint = "make this label in the repository, or give the user of the token the role Write";
                failed(name, failure, hint)
            }
        }
    }
}
