//! Records as GitHub writes them.

use airlock::domain::time::Timestamp;
use serde_json::{Value, json};

use super::state::{Comment, Happened, Issue, Label, Role, State};

/// Without fractions of a second.
fn time(at: Timestamp) -> String {
    let seconds = at.as_micros().div_euclid(1_000_000) * 1_000_000;
    Timestamp::from_micros(seconds).to_string().replace(".000000Z", "Z").replace(".000Z", "Z")
}

impl State {
    fn repository_url(&self) -> String {
        format!("{}/repos/{}", self.url, self.repository.name)
    }

    pub(super) fn user(&self, login: &str) -> Value {
        let id = self.roles.keys().position(|own| own == login).unwrap_or_default() + 1;
        json!({
            "login": login, "id": id, "node_id": format!("U_{id}"), "avatar_url": "", "gravatar_id": "",
            "url": format!("{}/users/{login}", self.url), "html_url": format!("https://github.com/{login}"),
            "type": if login.ends_with("[bot]") { "Bot" } else { "User" }, "user_view_type": "public", "site_admin": false,
        })
    }

    pub(super) fn label_record(&self, label: &Label) -> Value {
        let name = label.name.replace(' ', "%20");
        json!({
            "id": label.id, "node_id": format!("LA_{}", label.id),
            "url": format!("{}/labels/{name}", self.repository_url()), "name": label.name,
            "color": label.color, "default": false, "description": label.description,
        })
    }

    pub(super) fn labels_of(&self, issue: &Issue) -> Vec<Value> {
        let own = self.labels.iter().filter(|label| issue.labels.contains(&label.name));
        own.map(|label| self.label_record(label)).collect()
    }

    pub(super) fn comment_record(&self, issue: &Issue, comment: &Comment) -> Value {
        let url = format!("{}/issues/comments/{}", self.repository_url(), comment.id);
        let html = format!(
            "https://github.com/{}/issues/{}#issuecomment-{}",
            self.repository.name, issue.number, comment.id
        );
        json!({
            "url": url, "html_url": html, "id": comment.id, "node_id": format!("IC_{}", comment.id),
            "issue_url": format!("{}/issues/{}", self.repository_url(), issue.number),
            "user": self.user(&comment.user), "created_at": time(comment.at),
            "updated_at": time(comment.at), "body": comment.body,
            "author_association": self.association(&comment.user),
            "reactions": {"url": format!("{url}/reactions"), "total_count": 0},
            "performed_via_github_app": null,
        })
    }

    /// What somebody is to the repository.
    fn association(&self, login: &str) -> &'static str {
        if self.role(login) >= Role::Triage { "COLLABORATOR" } else { "NONE" }
    }

    pub(super) fn event_record(&self, one: &Happened) -> Value {
        let url = format!("{}/issues/events/{}", self.repository_url(), one.id);
        let mut record = json!({
            "id": one.id, "node_id": format!("E_{}", one.id), "url": url, "actor": self.user(&one.actor),
            "event": one.event, "commit_id": null, "commit_url": null, "created_at": time(one.at),
            "performed_via_github_app": null,
        });
        match one.event {
            "labeled" | "unlabeled" => {
                record["label"] = json!({"name": one.what, "color": "ededed"});
            }
            "assigned" | "unassigned" => record["assignee"] = self.user(&one.what),
            "closed" => record["state_reason"] = json!(one.what),
            _ => {}
        }
        record
    }

    /// What happened with an issue and what was said on it.
    pub(super) fn timeline(&self, issue: &Issue) -> Vec<Value> {
        let one = |one: &Happened| {
            let comment = issue.comments.iter().find(|comment| comment.id == one.id);
            let Some(comment) = comment else { return self.event_record(one) };
            let mut record = self.comment_record(issue, comment);
            record["event"] = json!(one.event);
            record["actor"] = record["user"].clone();
            record
        };
        issue.timeline.iter().map(one).collect()
    }

    pub(super) fn issue_record(&self, issue: &Issue) -> Value {
        let repository = self.repository_url();
        let url = format!("{repository}/issues/{}", issue.number);
        let kind = if issue.is_pull { "pull" } else { "issues" };
        let html = format!("https://github.com/{}/{kind}/{}", self.repository.name, issue.number);
        let people: Vec<Value> = issue.assignees.iter().map(|login| self.user(login)).collect();
        let id = 9_000_000_000 + issue.number;
        let mut record = json!({
            "url": url, "repository_url": repository, "labels_url": format!("{url}/labels{{/name}}"),
            "comments_url": format!("{url}/comments"), "events_url": format!("{url}/events"),
            "html_url": html, "id": id, "node_id": format!("I_{id}"), "number": issue.number,
            "title": issue.title, "user": self.user(&issue.user), "labels": self.labels_of(issue),
            "state": if issue.is_closed { "closed" } else { "open" }, "locked": issue.is_locked,
            "assignee": people.first(), "assignees": people, "milestone": null,
            "comments": issue.comments.len(), "created_at": time(issue.created_at),
            "updated_at": time(issue.updated_at), "closed_at": issue.closed_at.map(time),
            "author_association": "COLLABORATOR", "active_lock_reason": null, "body": issue.body,
            "closed_by": null, "reactions": {"url": format!("{url}/reactions"), "total_count": 0},
            "timeline_url": format!("{url}/timeline"), "performed_via_github_app": null,
            "state_reason": issue.reason,
        });
        if issue.body.is_empty() {
            record["body"] = Value::Null;
        }
        if issue.is_pull {
            record["pull_request"] = json!({
                "url": format!("{repository}/pulls/{}", issue.number), "html_url": html,
                "merged_at": null,
            });
        }
        record
    }

    pub(super) fn repository_record(&self, login: &str) -> Value {
        let (owner, name) = self.repository.name.split_once('/').expect("two names");
        let (role, url) = (self.role(login), self.repository_url());
        json!({
            "id": 77, "node_id": "R_77", "name": name, "full_name": self.repository.name,
            "private": self.repository.is_private, "owner": self.user(owner), "url": url,
            "html_url": format!("https://github.com/{}", self.repository.name), "description": null,
            "fork": false, "issues_url": format!("{url}/issues{{/number}}"),
            "labels_url": format!("{url}/labels{{/name}}"),
            "has_issues": self.repository.has_issues, "archived": self.repository.is_archived,
            "disabled": false, "visibility": if self.repository.is_private { "private" } else { "public" },
            "default_branch": "main",
            "permissions": {"admin": false, "maintain": false, "push": role >= Role::Write,
                "triage": role >= Role::Triage, "pull": true},
        })
    }
}
