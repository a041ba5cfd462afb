//! Asana: tasks in its projects, one for each board.
//!
//! Every task ends with a line that names its key. A token of OAuth lets Airlock also give it an id of
//! its own, which nobody sees and by which it is found at once; with a personal token the line is
//! looked for. Which of them a token is says the answer to the first task.
//!
//! Source: `asana_oas.yaml`, Asana's description of its API.

mod checks;
mod people;
mod reading;
mod records;
pub(super) mod text;
pub(super) mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, Url};
use serde_json::{Map, Value, json};

use super::line::{Does, Failure, Limits, Pass, Service};
use super::shared::Shared;
use super::{Changes, Rhythm, Tracker, TrackerError};
use crate::domain::task::{Patch, Seen, Wanted};
use crate::domain::time::Timestamp;
use crate::domain::tracker::{AsanaSettings, Board, ConnectionId};
use crate::store::task::Remote;
pub use checks::{Found, Item, Workspace};
use people::Person;
use records::{Page, Record, message};

/// What Asana allows, also who pays nothing.
///
/// Source: Asana's page on rate limits.
const LIMITS: Limits = Limits { per_minute: 150, reads: 50, writes: 15, writes_per_hour: None };

/// Asana.
pub(super) const SERVICE: Service = Service { name: "Asana", limits: LIMITS, token_header: None };

/// Records of a page; Asana gives no more.
const PAGE: &str = "100";

/// So many pages of a list are read.
const MOST_PAGES: usize = 1_000;

/// The clocks of two machines differ by less.
const CLOCKS_DIFFER: Duration = Duration::from_hours(1);

/// After how long a list is read again whose pages were gone.
const PAGES_PAUSE: Duration = Duration::from_secs(5);

/// What Airlock learned.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Whether tasks may have ids of Airlock's own.
    has_external: Option<bool>,
    /// Who there is, and when that was read.
    people: Option<(Timestamp, Vec<Person>)>,
}

/// The tasks of a project in Asana.
#[derive(Debug, Clone)]
pub struct Asana {
    pub(super) shared: Arc<Shared>,
    pub(super) settings: AsanaSettings,
}

/// A part of an address.
type Path<'a> = &'a [&'a str];

impl Asana {
    /// The address of a part of the API.
    fn url(&self, path: Path<'_>) -> Result<Url, Failure> {
        let no_url = || {
            let refused = TrackerError::Refused("its url is none".to_owned());
            Failure::Tracker(refused)
        };
        let mut url = Url::parse(&self.settings.url).map_err(|_| no_url())?;
        url.path_segments_mut().map_err(|()| no_url())?.pop_if_empty().extend(path);
        Ok(url)
    }

    async fn get(
        &self,
        pass: Pass,
        path: Path<'_>,
        query: &[(&str, &str)],
    ) -> Result<Record, Failure> {
        Ok(Record::of(self.read(pass, path, query).await?))
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
        (fields, data): (&str, &Map<String, Value>),
    ) -> Result<Record, Failure> {
        let mut url = self.url(path)?;
        url.query_pairs_mut().append_pair("opt_fields", fields);
        let body = json!({ "data": data });
        let send = |client: &reqwest::Client| client.request(method, url).json(&body);
        Ok(Record::of(self.shared.line.send((Pass::Work, Does::Write), send).await?))
    }

    /// All records of a list, in pages.
    async fn list(
        &self,
        pass: Pass,
        path: Path<'_>,
        query: &[(&str, &str)],
    ) -> Result<Vec<Record>, Failure> {
        let (mut records, mut offset): (Vec<Record>, Option<String>) = (Vec::new(), None);
        for _ in 0..MOST_PAGES {
            let mut query = query.to_vec();
            query.push(("limit", PAGE));
            if let Some(offset) = &offset {
                query.push(("offset", offset));
            }
            let page = match self.read(pass, path, &query).await {
                // Where a page begins is forgotten after a while.
                Err(Failure::Answer { status: 400, .. }) if offset.is_some() => {
                    let cause = "Asana forgot where a page begins".to_owned();
                    let after = Some(PAGES_PAUSE);
                    return Err(Failure::Tracker(TrackerError::NotDone { cause, after }));
                }
                page => page?,
            };
            let (found, next) = Page::of(page);
            records.extend(found);
            offset = next;
            if offset.is_none() {
                return Ok(records);
            }
        }
        let cause = format!("a list of Asana has more than {MOST_PAGES} pages");
        Err(Failure::Tracker(TrackerError::Refused(cause)))
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

    /// Writes a task; what Asana refuses of it, and it can be without, is left out.
    async fn write_task(
        &self,
        method: Method,
        path: Path<'_>,
        mut data: Map<String, Value>,
    ) -> Result<Record, Failure> {
        loop {
            let fields = "gid,permalink_url,external.gid";
            let written = self.write(method.clone(), path, (fields, &data)).await;
            let Err(Failure::Answer { status, body }) = &written else { return written };
            let Some(extra) = refused_extra(*status, body, &data) else { return written };
            tracing::warn!(extra, cause = message(body), "Asana does not take a part of a task");
            if extra == "external" {
                self.shared.memory().has_external = Some(false);
            }
            data.remove(extra);
            if data.is_empty() {
                return Ok(Record::default());
            }
        }
    }

    /// The task that has an id of Airlock's own.
    async fn find_external(&self, key: &str) -> Result<Option<Remote>, Failure> {
        if self.shared.memory().has_external == Some(false) {
            return Ok(None);
        }
        let name = format!("external:{}", external(key));
        let fields = [("opt_fields", "gid,permalink_url")];
        match self.get(Pass::Work, &["tasks", &name], &fields).await {
            Ok(found) => Ok(remote(found)),
            Err(Failure::Answer { status: 400 | 403 | 404, .. }) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The tasks of a project that end with the line of a key, the oldest first.
    async fn find_marked(
        &self,
        project: &str,
        key: &str,
        since: Timestamp,
    ) -> Result<Vec<Remote>, Failure> {
        let mark = text::mark_of_task(key);
        let since = since.minus(CLOCKS_DIFFER).to_string();
        let mut query =
            vec![("project", project), ("opt_fields", "gid,permalink_url,notes,created_at")];
        if Timestamp::parse(&since).is_some_and(|since| since.as_micros() > 0) {
            query.push(("modified_since", &since));
        }
        let all = self.list(Pass::Work, &["tasks"], &query).await?;
        let is_it = |task: &Record| {
            task.notes.as_ref().is_some_and(|notes| text::ends_with_line(notes, &mark))
        };
        let mut found: Vec<Record> = all.into_iter().filter(is_it).collect();
        found.sort_by(|one, other| one.created_at.cmp(&other.created_at));
        Ok(found.into_iter().filter_map(remote).collect())
    }

    /// What is written of a task, as far as it is known.
    async fn data(&self, key: &str, patch: &Patch) -> Result<Map<String, Value>, Failure> {
        let mut data = Map::new();
        let mut set = |name: &str, value: Value| data.insert(name.to_owned(), value);
        if let Some(title) = &patch.title {
            set("name", json!(text::title(title)));
        }
        if let Some(body) = &patch.body {
            set("html_notes", json!(text::html(key, body)));
        }
        if let Some(is_done) = patch.is_done {
            set("completed", json!(is_done));
        }
        if let (Some(field), Some(fix)) = (&self.settings.fix_field, &patch.fix) {
            set("custom_fields", json!({ field: fix.as_deref().unwrap_or_default() }));
        }
        match &patch.assignee {
            None => {}
            Some(None) => {
                set("assignee", Value::Null);
            }
            Some(Some(name)) => {
                // Whom Asana does not know, it cannot be given.
                if let Some(gid) = self.person(name).await? {
                    set("assignee", json!(gid));
                }
            }
        }
        Ok(data)
    }
}

/// The id of Airlock's own.
fn external(key: &str) -> String {
    format!("airlock:{key}")
}

fn remote(task: Record) -> Option<Remote> {
    let id = task.gid?;
    let url = task.permalink_url.unwrap_or_else(|| format!("https://app.asana.com/0/0/{id}"));
    Some(Remote { id, url })
}

/// A part of a task that was refused and that it can be without.
fn refused_extra(status: u16, body: &Value, data: &Map<String, Value>) -> Option<&'static str> {
    let said = message(body).to_lowercase();
    let is_said = |(name, word): &(&'static str, &str)| {
        let is_unpaid = status == 402 && *name == "custom_fields";
        data.contains_key(*name) && (said.contains(word) || is_unpaid)
    };
    let extras = [("assignee", "assignee"), ("custom_fields", "custom"), ("external", "external")];
    let is_refusal = matches!(status, 400 | 402 | 403);
    let said = extras.iter().filter(|_| is_refusal).find(|extra| is_said(extra));
    // Who may have no ids of its own may be told so in any words.
    let unsaid = (is_refusal && data.contains_key("external")).then_some("external");
    said.map(|(name, _)| *name).or(unsaid)
}

/// What a refusal means, and what to do about it.
fn refusal(status: u16, body: &Value) -> String {
    let said = message(body);
    match status {
        402 => format!("Asana's plan does not have this: {said}"),
        403 => {
            format!("Asana does not allow this with the token: {said}; add its user to the project")
        }
        404 => format!("Asana does not know this, or not with this token: {said}"),
        status => format!("Asana refuses it ({status}): {said}"),
    }
}

/// What nothing to do with a single task failed with.
impl From<Failure> for TrackerError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Tracker(error) => error,
            // That is about the token, not about what was to be done: it waits for another.
            Failure::Answer { status: 401, .. } => Self::NotDone {
                cause: "Asana refuses the token: make a new one and set it".to_owned(),
                after: Some(super::line::REFUSED_BREAK),
            },
            Failure::Answer { status, body } => Self::Refused(refusal(status, &body)),
        }
    }
}

/// What something to do with a task failed with.
fn of_task(failure: Failure) -> TrackerError {
    match failure {
        Failure::Answer { status: 404, .. } => TrackerError::Gone,
        Failure::Tracker(_) | Failure::Answer { .. } => failure.into(),
    }
}

impl Tracker for Asana {
    fn kind(&self) -> &'static str {
        "asana"
    }

    fn place(&self) -> String {
        format!("asana {}", self.settings.url)
    }

    fn rests(&self) -> Option<Duration> {
        self.shared.line.rests()
    }

    fn connection(&self) -> Option<ConnectionId> {
        Some(self.shared.id)
    }

    fn has_board(&self, board: &Board) -> bool {
        self.settings.project(board).is_some()
    }

    fn rhythm(&self) -> Option<Rhythm> {
        let AsanaSettings { poll_seconds, reconcile_seconds, .. } = self.settings;
        Some(Rhythm::of(poll_seconds, reconcile_seconds))
    }

    async fn read(&self, id: &str) -> Result<Seen, TrackerError> {
        self.seen(id).await.map_err(of_task)
    }

    async fn changes(&self, board: &Board, cursor: Option<&str>) -> Result<Changes, TrackerError> {
        Ok(self.events(self.project(board)?, cursor).await?)
    }

    async fn list_open(&self, board: &Board) -> Result<Vec<String>, TrackerError> {
        let only = ("completed_since", "now");
        Ok(self.ids(self.project(board)?, only).await?)
    }

    async fn list_changed(
        &self,
        board: &Board,
        since: Timestamp,
    ) -> Result<Vec<String>, TrackerError> {
        let since = since.to_string();
        Ok(self.ids(self.project(board)?, ("modified_since", &since)).await?)
    }

    async fn find(
        &self,
        board: &Board,
        key: &str,
        since: Timestamp,
    ) -> Result<Vec<Remote>, TrackerError> {
        if let Some(found) = self.find_external(key).await? {
            return Ok(vec![found]);
        }
        Ok(self.find_marked(self.project(board)?, key, since).await?)
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
        let mut data = self.data(key, &patch).await?;
        data.insert("projects".to_owned(), json!([project]));
        if self.shared.memory().has_external != Some(false) {
            data.insert("external".to_owned(), json!({ "gid": external(key) }));
        }
        let was_given = data.contains_key("external");
        let made = self.write_task(Method::POST, &["tasks"], data).await?;
        if was_given {
            let kept = made.external.as_ref().and_then(|kept| kept.gid.as_deref());
            self.shared.memory().has_external = Some(kept == Some(&external(key)));
        }
        remote(made).ok_or_else(|| {
            TrackerError::Ambiguous("Asana's answer does not say which task it made".to_owned())
        })
    }

    async fn update(&self, id: &str, key: &str, patch: &Patch) -> Result<(), TrackerError> {
        let data = self.data(key, patch).await?;
        if !data.is_empty() {
            self.write_task(Method::PUT, &["tasks", id], data).await.map_err(of_task)?;
        }
        Ok(())
    }

    async fn has_said(&self, id: &str, key: &str) -> Result<bool, TrackerError> {
        let mark = text::mark_of_comment(key);
        let fields = [("opt_fields", "text,resource_subtype")];
        let stories = self.list(Pass::Work, &["tasks", id, "stories"], &fields).await;
        let stories = stories.map_err(of_task)?;
        let is_it = |story: &Record| {
            story.resource_subtype.as_deref() == Some("comment_added")
                && story.text.as_ref().is_some_and(|text| text::ends_with_line(text, &mark))
        };
        Ok(stories.iter().any(is_it))
    }

    async fn say(&self, id: &str, key: &str, text: &str) -> Result<(), TrackerError> {
        let data = Map::from_iter([("text".to_owned(), json!(text::comment(key, text)))]);
        let path = ["tasks", id, "stories"];
        self.write(Method::POST, &path, ("gid", &data)).await.map_err(of_task)?;
        Ok(())
    }

    async fn set_board(&self, id: &str, board: &Board, is_on: bool) -> Result<(), TrackerError> {
        let data = Map::from_iter([("project".to_owned(), json!(self.project(board)?))]);
        let path = ["tasks", id, if is_on { "addProject" } else { "removeProject" }];
        self.write(Method::POST, &path, ("gid", &data)).await.map_err(of_task)?;
        Ok(())
    }

    async fn attach(
        &self,
        id: &str,
        (key, name): (&str, &str),
        bytes: &[u8],
    ) -> Result<(), TrackerError> {
        let name = &file_name(name);
        let query = [("parent", id), ("opt_fields", "name")];
        let files = self.list(Pass::Work, &["attachments"], &query).await.map_err(of_task)?;
        if files.iter().any(|file| file.name.as_ref() == Some(name)) {
            return Ok(());
        }
        let (kind, body) = form(key, (id, name), bytes);
        let url = self.url(&["attachments"])?;
        let request = |client: &reqwest::Client| {
            client.post(url).header(reqwest::header::CONTENT_TYPE, kind).body(body)
        };
        let sent = self.shared.line.send((Pass::Work, Does::Write), request).await;
        sent.map(|_| ()).map_err(of_task)
    }
}

/// A name that a form can have.
fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_control() || "\"\\".contains(c) { '_' } else { c }).collect()
}

/// A file as a form has it: its type and its bytes.
fn form(key: &str, (parent, name): (&str, &str), bytes: &[u8]) -> (String, Vec<u8>) {
    let letters = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
    let mut boundary = format!("airlock{}", letters(key));
    while bytes.windows(boundary.len()).any(|part| part == boundary.as_bytes()) {
        boundary.push('x');
    }
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"parent\"\r\n\r\n{parent}\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n"
    );
    let end = format!("\r\n--{boundary}--\r\n");
    let body = [head.as_bytes(), bytes, end.as_bytes()].concat();
    (format!("multipart/form-data; boundary={boundary}"), body)
}
