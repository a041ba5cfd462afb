//! Redmine: tasks as issues of its projects, one project for each board.
//!
//! Every issue ends with a line that names its key; comments do too. Redmine passes over in silence what
//! it does not take (a status that the workflow does not allow, what the user may not edit), so what
//! was written is read again.
//!
//! Source: Redmine's page on its REST API; version 5.0 is what is tested.

mod checks;
mod reading;
mod records;

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Url};
use serde_json::{Map, Value, json};

use super::asana::text::{ends_with_line, mark_of_comment, mark_of_task, title};
use super::line::{Does, Failure, Limits, Pass, Service};
use super::shared::Shared;
use super::{Changes, Rhythm, Tracker, TrackerError, plain};
use crate::domain::task::{Patch, Seen, Wanted};
use crate::domain::time::Timestamp;
use crate::domain::tracker::{Board, ConnectionId, RedmineSettings};
use crate::store::task::Remote;
use records::{Issue, Named, Page, message};

/// Redmine itself limits nothing; a small server is to serve its people, too.
const LIMITS: Limits = Limits { per_minute: 600, reads: 10, writes: 4, writes_per_hour: None };

/// Redmine.
pub(super) const SERVICE: Service =
    Service { name: "Redmine", limits: LIMITS, token_header: Some("X-Redmine-API-Key") };

/// Records of a page; Redmine gives no more.
const PAGE: usize = 100;

/// So many pages of a list are read.
const MOST_PAGES: usize = 1_000;

/// What an issue can be without where Redmine refuses it.
const EXTRAS: [&str; 2] = ["assigned_to_id", "custom_fields"];

/// The tasks of a project in Redmine.
#[derive(Debug, Clone)]
pub struct Redmine {
    pub(super) shared: Arc<Shared>,
    pub(super) settings: RedmineSettings,
}

/// A part of an address.
type Path<'a> = &'a [&'a str];

impl Redmine {
    /// The address of a part of Redmine.
    fn url(&self, path: Path<'_>) -> Result<Url, Failure> {
        let no_url = || Failure::Tracker(TrackerError::Refused("its url is none".to_owned()));
        let mut url = Url::parse(&self.settings.url).map_err(|_| no_url())?;
        url.path_segments_mut().map_err(|()| no_url())?.pop_if_empty().extend(path);
        Ok(url)
    }

    async fn read(
        &self,
        pass: Pass,
        path: Path<'_>,
        query: &[(&str, &str)],
    ) -> Result<Value, Failure> {
        let url = self.url(path)?;
        self.shared.line.send((pass, Does::Read), |client| client.get(url).query(query)).await
    }

    async fn write(
        &self,
        method: Method,
        path: Path<'_>,
        body: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Value, Failure> {
        let url = self.url(path)?;
        let send = |client: &reqwest::Client| body(client.request(method, url));
        self.shared.line.send((Pass::Work, Does::Write), send).await
    }

    /// All records of a list, in pages.
    async fn list(
        &self,
        (name, path): (&str, Path<'_>),
        query: &[(&str, &str)],
    ) -> Result<Vec<Value>, Failure> {
        let mut records = Vec::new();
        for n in 0..MOST_PAGES {
            let (limit, offset) = (PAGE.to_string(), (n * PAGE).to_string());
            let mut query = query.to_vec();
            query.extend([("limit", limit.as_str()), ("offset", offset.as_str())]);
            let page = Page::of(self.read(Pass::Work, path, &query).await?, name);
            let is_last = page.records.is_empty() || (n + 1) * PAGE >= page.n_total;
            records.extend(page.records);
            if is_last {
                return Ok(records);
            }
        }
        let cause = format!("a list of Redmine has more than {MOST_PAGES} pages");
        Err(Failure::Tracker(TrackerError::Refused(cause)))
    }

    async fn issue(&self, id: &str, with: &str) -> Result<Issue, Failure> {
        let file = format!("{id}.json");
        let answer = self.read(Pass::Work, &["issues", &file], &[("include", with)]).await?;
        Ok(Issue::of(&answer))
    }

    fn project(&self, board: &Board) -> Result<&str, TrackerError> {
        self.settings.project(board).ok_or_else(|| {
            let what = match board {
                Board::Issues => "issue_project".to_owned(),
                Board::Locks(environment) => format!("lock_project of {environment}"),
                Board::Deploys(environment) => format!("deploy_project of {environment}"),
            };
            TrackerError::Refused(format!("the settings of the tracker have no {what}: set one"))
        })
    }

    /// Where people see an issue.
    fn remote(&self, id: u64) -> Remote {
        Remote { id: id.to_string(), url: format!("{}/issues/{id}", self.settings.url) }
    }

    /// Writes an issue; what Redmine refuses of it, and it can be without, is left out.
    async fn write_issue(
        &self,
        method: Method,
        path: Path<'_>,
        mut data: Map<String, Value>,
    ) -> Result<Value, Failure> {
        loop {
            let body = json!({ "issue": data });
            let written = self.write(method.clone(), path, |request| request.json(&body)).await;
            let Err(Failure::Answer { status: 422, body }) = &written else { return written };
            let Some(extra) = EXTRAS.into_iter().find(|extra| data.contains_key(*extra)) else {
                return written;
            };
            tracing::warn!(extra, cause = message(body), "Redmine refuses a task with this");
            data.remove(extra);
            if data.is_empty() {
                return Ok(Value::Null);
            }
        }
    }

    /// The status that an issue gets: the first that is so, of those that it may get if it is there.
    async fn status(&self, is_done: bool, of: Option<&Issue>) -> Result<u64, Failure> {
        let statuses = match of {
            Some(issue) if !issue.allowed_statuses.is_empty() => issue.allowed_statuses.clone(),
            Some(_) | None => {
                let all = self.read(Pass::Work, &["issue_statuses.json"], &[]).await?;
                Page::of(all, "issue_statuses").all()
            }
        };
        let fitting = statuses.into_iter().find(|status: &Named| status.is_closed == is_done);
        fitting.map(|status| status.id).ok_or_else(|| {
            let which = if is_done { "closed" } else { "open" };
            let cause = format!(
                "Redmine has no {which} status that the user of the token may give this issue: see its workflow"
            );
            Failure::Tracker(TrackerError::Refused(cause))
        })
    }

    /// The number of the user who has this login, mail address or name, if exactly one has. Who may not
    /// see all users sees the members of the project.
    async fn person(&self, name: &str) -> Result<Option<u64>, Failure> {
        let all = match self.list(("users", &["users.json"]), &[("name", name)]).await {
            Err(Failure::Answer { status: 401 | 403, .. }) => {
                let path = ["projects", &self.settings.issue_project, "memberships.json"];
                match self.list(("memberships", &path), &[]).await {
                    Err(Failure::Answer { .. }) => return Ok(None),
                    members => {
                        let members = members?.into_iter();
                        members.filter_map(|one| one.get("user").cloned()).collect()
                    }
                }
            }
            users => users?,
        };
        let people = all.into_iter().filter_map(|one| serde_json::from_value(one).ok());
        let mut called = people.filter(|person: &Named| person.is_called(name));
        Ok(called.next().filter(|_| called.next().is_none()).map(|person| person.id))
    }

    /// What is written of an issue, without its status.
    async fn data(&self, key: &str, patch: &Patch) -> Result<Map<String, Value>, Failure> {
        let mut data = Map::new();
        let mut set = |name: &str, value: Value| data.insert(name.to_owned(), value);
        if let Some(text) = &patch.title {
            set("subject", json!(title(text)));
        }
        if let Some(body) = &patch.body {
            set("description", json!(plain::task(self.settings.formatting, key, body)));
        }
        if let (Some(field), Some(fix)) = (&self.settings.fix_field, &patch.fix) {
            let value = fix.as_deref().unwrap_or_default();
            set("custom_fields", json!([{ "id": field, "value": value }]));
        }
        match &patch.assignee {
            None => {}
            Some(None) => {
                set("assigned_to_id", json!(""));
            }
            Some(Some(name)) => {
                // Whom Redmine does not know, it cannot be given.
                if let Some(id) = self.person(name).await? {
                    set("assigned_to_id", json!(id));
                }
            }
        }
        Ok(data)
    }

    /// Sees that an issue is as it was written.
    async fn see(&self, id: &str, data: &Map<String, Value>, patch: &Patch) -> Result<(), Failure> {
        let issue = self.issue(id, "").await?;
        let is_titled = data.get("subject").is_none_or(|title| *title == json!(issue.subject));
        let is_so = patch.is_done.is_none_or(|is_done| issue.status.is_closed == is_done);
        if is_titled && is_so {
            return Ok(());
        }
        let what = if is_titled { "its status" } else { "its subject" };
        let cause = format!(
            "Redmine took the issue without {what}: may the user of the token edit issues of this project, and does the workflow allow it?"
        );
        Err(Failure::Tracker(TrackerError::Refused(cause)))
    }

    /// Sees that the key is somebody's: without one, Redmine answers as much as anybody may see.
    async fn see_user(&self) -> Result<(), Failure> {
        self.read(Pass::Work, &["users", "current.json"], &[]).await.map(|_| ())
    }
}

/// What a refusal means, and what to do about it.
fn refusal(status: u16, body: &Value) -> String {
    let said = message(body);
    match status {
        403 => format!(
            "Redmine does not allow this with the token: {said}; give its user a role in the project that may view, add and edit issues"
        ),
        404 => "Redmine does not know this, or not with this token".to_owned(),
        412 => format!("Redmine does not act for another user: {said}"),
        422 => format!("Redmine refuses it: {said}"),
        status => format!("Redmine refuses it ({status}): {said}"),
    }
}

/// What something to do with a task failed with.
fn of_task(failure: Failure) -> TrackerError {
    match failure {
        Failure::Answer { status: 404, .. } => TrackerError::Gone,
        Failure::Tracker(_) | Failure::Answer { .. } => of_any(failure),
    }
}

/// What nothing to do with a single task failed with.
fn of_any(failure: Failure) -> TrackerError {
    match failure {
        Failure::Tracker(error) => error,
        // That is about the token, not about what was to be done: it waits for another.
        Failure::Answer { status: 401, .. } => TrackerError::NotDone {
            cause: "Redmine refuses the token: make a new one and set it".to_owned(),
            after: Some(super::line::REFUSED_BREAK),
        },
        Failure::Answer { status, body } => TrackerError::Refused(refusal(status, &body)),
    }
}

impl Tracker for Redmine {
    fn kind(&self) -> &'static str {
        "redmine"
    }

    fn place(&self) -> String {
        format!("redmine {}", self.settings.url)
    }

    fn rests(&self) -> Option<Duration> {
        self.shared.line.rests()
    }

    fn connection(&self) -> Option<ConnectionId> {
        // It counts nothing.
        None
    }

    fn has_board(&self, board: &Board) -> bool {
        self.settings.project(board).is_some()
    }

    fn rhythm(&self) -> Option<Rhythm> {
        let RedmineSettings { poll_seconds, reconcile_seconds, .. } = self.settings;
        Some(Rhythm::of(poll_seconds, reconcile_seconds))
    }

    async fn read(&self, id: &str) -> Result<Seen, TrackerError> {
        self.seen(id).await.map_err(of_task)
    }

    async fn changes(&self, board: &Board, cursor: Option<&str>) -> Result<Changes, TrackerError> {
        self.changed(self.project(board)?, cursor).await.map_err(of_any)
    }

    async fn list_open(&self, board: &Board) -> Result<Vec<String>, TrackerError> {
        self.open(self.project(board)?).await.map_err(of_any)
    }

    async fn list_changed(
        &self,
        board: &Board,
        since: Timestamp,
    ) -> Result<Vec<String>, TrackerError> {
        let all = self.updated(self.project(board)?, since).await.map_err(of_any)?;
        Ok(all.into_iter().map(|(id, _)| id).collect())
    }

    async fn find(
        &self,
        board: &Board,
        key: &str,
        _since: Timestamp,
    ) -> Result<Vec<Remote>, TrackerError> {
        self.see_user().await.map_err(of_any)?;
        let (mark, wanted) = (mark_of_task(key), format!("~{key}"));
        let query = [
            ("project_id", self.project(board)?),
            ("status_id", "*"),
            ("description", &wanted),
            ("sort", "id"),
        ];
        let all = self.list(("issues", &["issues.json"]), &query).await.map_err(of_any)?;
        // A filter that Redmine does not know is passed over: then this is everything.
        let is_it = |issue: &Issue| ends_with_line(&issue.description, &mark);
        let issues = all.into_iter().filter_map(|one| serde_json::from_value::<Issue>(one).ok());
        let mut found: Vec<u64> = issues.filter(is_it).map(|issue| issue.id).collect();
        found.sort_unstable();
        found.dedup();
        Ok(found.into_iter().map(|id| self.remote(id)).collect())
    }

    async fn create(
        &self,
        board: &Board,
        key: &str,
        wanted: &Wanted,
    ) -> Result<Remote, TrackerError> {
        let project = self.project(board)?;
        let mut patch = wanted.all();
        // Nobody has it yet, and it has no fix.
        patch.assignee = patch.assignee.filter(Option::is_some);
        patch.fix = patch.fix.filter(Option::is_some);
        let mut data = self.data(key, &patch).await.map_err(of_any)?;
        data.insert("project_id".to_owned(), json!(project));
        if wanted.is_done {
            let closed = self.status(true, None).await.map_err(of_any)?;
            data.insert("status_id".to_owned(), json!(closed));
        }
        let answer = self.write_issue(Method::POST, &["issues.json"], data).await;
        let made = Issue::of(&answer.map_err(of_any)?);
        let unclear = |cause: String| TrackerError::Ambiguous(cause);
        if made.id == 0 {
            let cause = "Redmine's answer does not say which issue it made";
            return Err(unclear(cause.to_owned()));
        }
        let remote = self.remote(made.id);
        if made.status.is_closed != wanted.is_done {
            // It is there: whoever comes back finds it and sees to the rest.
            let patch = Patch { is_done: Some(wanted.is_done), ..Patch::default() };
            let seen = self.update(&remote.id, key, &patch).await;
            seen.map_err(|error| unclear(format!("it is made, but not as it is to be: {error}")))?;
        }
        Ok(remote)
    }

    async fn update(&self, id: &str, key: &str, patch: &Patch) -> Result<(), TrackerError> {
        let mut data = self.data(key, patch).await.map_err(of_any)?;
        if let Some(is_done) = patch.is_done {
            let issue = self.issue(id, "allowed_statuses").await.map_err(of_task)?;
            if issue.status.is_closed != is_done {
                let status = self.status(is_done, Some(&issue)).await.map_err(of_any)?;
                data.insert("status_id".to_owned(), json!(status));
            }
        }
        if data.is_empty() {
            return Ok(());
        }
        let file = format!("{id}.json");
        let written = self.write_issue(Method::PUT, &["issues", &file], data.clone()).await;
        written.map_err(of_task)?;
        self.see(id, &data, patch).await.map_err(of_task)
    }

    async fn has_said(&self, id: &str, key: &str) -> Result<bool, TrackerError> {
        let mark = mark_of_comment(key);
        let issue = self.issue(id, "journals").await.map_err(of_task)?;
        Ok(issue.journals.iter().any(|journal| ends_with_line(journal.notes(), &mark)))
    }

    async fn say(&self, id: &str, key: &str, text: &str) -> Result<(), TrackerError> {
        let notes = plain::comment(self.settings.formatting, key, text);
        let body = json!({ "issue": { "notes": notes } });
        let path = ["issues", &format!("{id}.json")];
        let said = self.write(Method::PUT, &path, |request| request.json(&body)).await;
        said.map(|_| ()).map_err(of_task)
    }

    /// An issue of Redmine is in one project: it stays where it is.
    async fn set_board(&self, _: &str, board: &Board, _: bool) -> Result<(), TrackerError> {
        self.project(board).map(|_| ())
    }

    async fn attach(
        &self,
        id: &str,
        (_, name): (&str, &str),
        bytes: &[u8],
    ) -> Result<(), TrackerError> {
        let issue = self.issue(id, "attachments").await.map_err(of_task)?;
        let name = file_name(name);
        if issue.attachments.iter().any(|file| file.filename == name) {
            return Ok(());
        }
        let bytes = bytes.to_vec();
        let sent = self.write(Method::POST, &["uploads.json"], |request| {
            let kind = (reqwest::header::CONTENT_TYPE, "application/octet-stream");
            request.query(&[("filename", &name)]).header(kind.0, kind.1).body(bytes)
        });
        let answer = sent.await.map_err(of_any)?;
        let token = answer.pointer("/upload/token").and_then(Value::as_str).ok_or_else(|| {
            // What nobody refers to, Redmine throws away.
            let cause = "Redmine's answer does not say which file it has".to_owned();
            TrackerError::NotDone { cause, after: None }
        })?;
        let upload = json!({ "token": token, "filename": name, "content_type": "text/plain" });
        let body = json!({ "issue": { "uploads": [upload] } });
        let path = ["issues", &format!("{id}.json")];
        let put = self.write(Method::PUT, &path, |request| request.json(&body)).await;
        put.map(|_| ()).map_err(of_task)
    }
}

/// A name that Redmine keeps as it is.
fn file_name(name: &str) -> String {
    let is_bad = |c: char| c.is_control() || r#"?%*:|"'<>/\"#.contains(c);
    name.chars().map(|c| if is_bad(c) { '_' } else { c }).collect()
}
