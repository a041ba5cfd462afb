//! Webhooks of Asana: made, looked at, ended.
//!
//! Source: `asana_oas.yaml`, and Asana's guide to webhooks.

use std::collections::BTreeSet;

use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::TrackerError;
use super::super::line::{Does, Failure, Pass};
use super::Asana;
use super::records::Record;
use crate::domain::tracker::Board;

/// A webhook that was made.
pub(in super::super) struct Made {
    /// What Asana calls it.
    pub(in super::super) id: String,
    /// What it signs with.
    pub(in super::super) secret: String,
}

/// How a webhook is that was made once.
pub(in super::super) enum Delivers {
    Well,
    /// What is sent does not arrive, and why.
    Badly(String),
    /// It is there no more, or goes elsewhere.
    Not,
}

/// The answer to a new webhook: its secret stands beside it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    data: Record,
    #[serde(rename = "X-Hook-Secret")]
    secret: Option<String>,
}

/// What Asana delivers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Delivery {
    events: Vec<Record>,
}

/// Whether a delivery says that something changed: a heartbeat does not, nor what the user of the token
/// did.
pub(in super::super) fn is_hint(body: &[u8], me: Option<&str>) -> bool {
    let Ok(Delivery { events }) = serde_json::from_slice(body) else { return true };
    let is_own = |event: &Record| {
        let user = event.user.as_ref().and_then(|user| user.gid.as_deref());
        user.is_some() && user == me
    };
    !events.iter().all(is_own)
}

impl Asana {
    /// The projects that it is to speak of: those that are read.
    pub(in super::super) fn hook_places(&self) -> BTreeSet<String> {
        let names = self.settings.environments.keys();
        let boards = names.map(|name| Board::Locks(name.clone())).chain([Board::Issues]);
        let projects = boards.filter_map(|board| self.settings.project(&board).map(str::to_owned));
        projects.collect()
    }

    /// How a webhook is that goes to an address.
    pub(in super::super) async fn look_at_hook(
        &self,
        pass: Pass,
        id: &str,
        url: &str,
    ) -> Result<Delivers, TrackerError> {
        let fields = [("opt_fields", "active,target,last_failure_content,next_attempt_after")];
        match self.get(pass, &["webhooks", id], &fields).await {
            Ok(hook) if hook.active == Some(false) || hook.target.as_deref() != Some(url) => {
                Ok(Delivers::Not)
            }
            Ok(hook) if hook.next_attempt_after.is_some() => {
                let cause = hook.last_failure_content.unwrap_or_default();
                Ok(Delivers::Badly(cause.replace(char::is_control, " ")))
            }
            Ok(_) => Ok(Delivers::Well),
            Err(Failure::Answer { status: 403 | 404 | 410, .. }) => Ok(Delivers::Not),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Makes a webhook of a project. Asana shakes hands with the address meanwhile. One attempt.
    pub(in super::super) async fn make_hook(
        &self,
        place: &str,
        address: &str,
    ) -> Result<Made, TrackerError> {
        let body = json!({ "data": { "resource": place, "target": address } });
        let url = self.url(&["webhooks"])?;
        let send = |client: &reqwest::Client| client.post(url).json(&body);
        let answer: Value = self.shared.line.send((Pass::Work, Does::Write), send).await?;
        let Answer { data, secret } = serde_json::from_value(answer).unwrap_or_default();
        let made = data.gid.zip(secret).map(|(id, secret)| Made { id, secret });
        made.ok_or_else(|| {
            TrackerError::Ambiguous("Asana's answer does not say what it signs with".to_owned())
        })
    }

    /// Ends a webhook, if it is there.
    pub(in super::super) async fn end_hook(&self, id: &str) -> Result<(), TrackerError> {
        let url: Url = self.url(&["webhooks", id])?;
        let send = |client: &reqwest::Client| client.delete(url);
        match self.shared.line.send((Pass::Work, Does::Write), send).await {
            Ok(_) | Err(Failure::Answer { status: 403 | 404 | 410, .. }) => Ok(()),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Ends the webhooks of a project that go to addresses which begin so.
    pub(in super::super) async fn end_hooks_to(
        &self,
        place: &str,
        prefix: &str,
    ) -> Result<(), TrackerError> {
        let fields = [("opt_fields", "workspace.gid")];
        let project = self.get(Pass::Work, &["projects", place], &fields).await?;
        let Some(workspace) = project.workspace.and_then(|workspace| workspace.gid) else {
            return Ok(());
        };
        let query =
            [("workspace", workspace.as_str()), ("resource", place), ("opt_fields", "target")];
        for hook in self.list(Pass::Work, &["webhooks"], &query).await? {
            let is_it = hook.target.is_some_and(|target| target.starts_with(prefix));
            if let Some(id) = hook.gid.filter(|_| is_it) {
                self.end_hook(&id).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_and_what_airlock_did_are_no_hints() {
        for (body, is_it) in [
            (r#"{"events": []}"#, false),
            ("{}", false),
            (r#"{"events": [{"user": {"gid": "7"}}]}"#, false),
            (r#"{"events": [{"user": {"gid": "7"}}, {"user": {"gid": "8"}}]}"#, true),
            (r#"{"events": [{"user": null, "action": "changed"}]}"#, true),
            (r#"{"events": [{"resource": {"gid": "1"}}]}"#, true),
            ("nonsense", true),
        ] {
            assert_eq!(is_hint(body.as_bytes(), Some("7")), is_it, "{body}");
        }
        assert!(is_hint(br#"{"events": [{"user": {"gid": "7"}}]}"#, None));
        assert!(is_hint(br#"{"events": [{"user": null}]}"#, None));
    }
}
