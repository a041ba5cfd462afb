//! GitHub: tasks as issues of a repository, with one label for each board.
//!
//! Every issue ends with a line that names its key; comments do too. GitHub's search lags behind, so
//! lists are read and the line is looked for in them; what somebody else wrote without the label of the
//! board is not taken for a task. Texts stand between fences, where nothing names people or issues.
//!
//! Source: GitHub's description of its REST API, version 2022-11-28.

mod checks;
mod reading;
mod records;

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::ACCEPT;
use reqwest::{Method, RequestBuilder, Url};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::asana::text::{ends_with_line, mark_of_task, title};
use super::line::{Does, Failure, Limits, Pass, Service};
use super::shared::Shared;
use super::since::whole_second;
use super::{Changes, Rhythm, Tracker, TrackerError, plain};
use crate::domain::task::{Patch, Seen, Wanted};
use crate::domain::time::Timestamp;
use crate::domain::tracker::{Board, Formatting, GitHubSettings};
use crate::store::task::Remote;
use records::{Comment, Issue, Repository, message};

/// What GitHub allows a user: 5,000 requests in an hour, and 80 that make something in a minute, 500 in
/// an hour.
///
/// Source: GitHub's page on rate limits.
const LIMITS: Limits = Limits { per_minute: 80, reads: 10, writes: 4, writes_per_hour: Some(500) };

/// GitHub.
pub(super) const SERVICE: Service = Service { name: "GitHub", limits: LIMITS, token_header: None };

/// The version of the API.
const VERSION: [&str; 2] = ["X-GitHub-Api-Version", "2022-11-28"];

/// Records of a page: so many of the longest fit into an answer.
const PAGE: &str = "50";

/// So many pages of a list are read.
const MOST_PAGES: usize = 1_000;

/// The clocks of two machines differ by less.
const CLOCKS_DIFFER: Duration = Duration::from_hours(1);

/// The longest login of a user, in characters.
const MOST_LOGIN_CHARS: usize = 39;

/// The tasks of a project in GitHub.
#[derive(Debug, Clone)]
pub struct GitHub {
    pub(super) shared: Arc<Shared>,
    pub(super) settings: GitHubSettings,
}

/// A part of an address.
type Path<'a> = &'a [&'a str];

/// A request as GitHub wants it.
fn asked(request: RequestBuilder) -> RequestBuilder {
    let [name, version] = VERSION;
    request.header(ACCEPT, "application/vnd.github+json").header(name, version)
}

/// What an answer is; `None` where it is something else.
fn read_as<T: DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer).map_err(|cause| {
        let cause = format!("what GitHub answers is not understood: {cause}");
        Failure::Tracker(TrackerError::NotDone { cause, after: None })
    })
}

impl GitHub {
    /// The address of a part of the API.
    fn url(&self, path: Path<'_>) -> Result<Url, Failure> {
        let no_url = || Failure::Tracker(TrackerError::Refused("its url is none".to_owned()));
        let mut url = Url::parse(&self.settings.url).map_err(|_| no_url())?;
        url.path_segments_mut().map_err(|()| no_url())?.pop_if_empty().extend(path);
        Ok(url)
    }

    /// The address of a part of the repository.
    fn part(&self, path: Path<'_>) -> Result<Url, Failure> {
        let (owner, name) = self.settings.repository.split_once('/').unwrap_or_default();
        self.url(&[&["repos", owner, name], path].concat())
    }

    async fn read<T: DeserializeOwned>(&self, pass: Pass, url: Url) -> Result<T, Failure> {
        let send = |client: &reqwest::Client| asked(client.get(url));
        read_as(self.shared.line.send((pass, Does::Read), send).await?)
    }

    async fn write(
        &self,
        pass: Pass,
        method: Method,
        (path, body): (Path<'_>, &Value),
    ) -> Result<Value, Failure> {
        let url = self.part(path)?;
        let send = |client: &reqwest::Client| asked(client.request(method, url).json(body));
        self.shared.line.send((pass, Does::Write), send).await
    }

    /// All records of a list of the repository. Which page comes next, the one before it says.
    async fn list<T: DeserializeOwned>(
        &self,
        path: Path<'_>,
        query: &[(&str, &str)],
    ) -> Result<Vec<T>, Failure> {
        let mut url = self.part(path)?;
        url.query_pairs_mut().extend_pairs(query).append_pair("per_page", PAGE);
        let origin = url.origin();
        let mut records: Vec<T> = Vec::new();
        let refused = |cause: String| Failure::Tracker(TrackerError::Refused(cause));
        for _ in 0..MOST_PAGES {
            let send = |client: &reqwest::Client| asked(client.get(url));
            let asked = self.shared.line.send_for_page((Pass::Work, Does::Read), send);
            let (page, next) = asked.await?;
            records.extend(read_as::<Vec<T>>(page)?);
            let Some(next) = next else { return Ok(records) };
            // The token goes nowhere else.
            let next = Url::parse(&next).ok().filter(|next| next.origin() == origin);
            url = next.ok_or_else(|| {
                refused("GitHub says that a list goes on at another address than url".to_owned())
            })?;
        }
        Err(refused(format!("a list of GitHub has more than {MOST_PAGES} pages")))
    }

    async fn issue(&self, id: &str) -> Result<Issue, Failure> {
        self.read(Pass::Work, self.part(&["issues", id])?).await
    }

    async fn repository(&self, pass: Pass) -> Result<Repository, Failure> {
        self.read(pass, self.part(&[])?).await
    }

    fn label(&self, board: &Board) -> Result<&str, TrackerError> {
        self.settings.label(board).ok_or_else(|| {
            let what = match board {
                Board::Issues => "issue_label".to_owned(),
                Board::Locks(environment) => format!("lock_label of {environment}"),
                Board::Deploys(environment) => format!("deploy_label of {environment}"),
            };
            TrackerError::Refused(format!("the settings of the tracker have no {what}: set one"))
        })
    }

    /// What something to do with a task failed with. That there is none may also be said of a
    /// repository that is not there any more, or not with this token.
    async fn of_task(&self, id: &str, failure: Failure) -> TrackerError {
        let Failure::Answer { status: 301 | 404 | 410, .. } = &failure else {
            return of_any(failure);
        };
        match self.issue(id).await {
            // It is there: this is about what was to be done with it.
            Ok(_) => return of_any(failure),
            Err(Failure::Answer { status: 301 | 404 | 410, .. }) => {}
            Err(failure) => return of_any(failure),
        }
        match self.repository(Pass::Work).await {
            Ok(repository) if repository.has_issues => TrackerError::Gone,
            Ok(_) => TrackerError::Refused(NO_ISSUES.to_owned()),
            Err(failure) => of_any(failure),
        }
    }

    /// Writes an issue; the assignee is left out if GitHub does not take it.
    async fn write_issue(
        &self,
        method: Method,
        path: Path<'_>,
        data: Map<String, Value>,
    ) -> Result<Issue, Failure> {
        let mut data = Value::Object(data);
        let written = self.write(Pass::Work, method.clone(), (path, &data)).await;
        let written = match (written, data.as_object_mut()) {
            (Err(Failure::Answer { status: 422, body }), Some(fields))
                if fields.contains_key("assignees") =>
            {
                let cause = message(&body);
                tracing::warn!(cause, "GitHub refuses a task with this assignee");
                fields.remove("assignees");
                if fields.is_empty() {
                    return Ok(Issue::default());
                }
                self.write(Pass::Work, method, (path, &data)).await
            }
            (written, _) => written,
        };
        // Whoever does not know what was made looks for it.
        written.map(|answer| serde_json::from_value(answer).unwrap_or_default())
    }
}

/// Where there are no issues at all.
const NO_ISSUES: &str =
    "issues are turned off in this repository: turn them on under Settings, General, Features";

/// What is written of an issue.
fn data(key: &str, patch: &Patch) -> Map<String, Value> {
    let mut data = Map::new();
    let mut set = |name: &str, value: Value| data.insert(name.to_owned(), value);
    if let Some(text) = &patch.title {
        set("title", json!(title(text)));
    }
    if let Some(body) = &patch.body {
        set("body", json!(plain::task(Formatting::Markdown, key, body)));
    }
    if let Some(is_done) = patch.is_done {
        set("state", json!(if is_done { "closed" } else { "open" }));
    }
    match patch.assignee.as_ref().map(Option::as_deref) {
        Some(None) => {
            set("assignees", json!([]));
        }
        // Whom GitHub cannot know, it cannot be given.
        Some(Some(name)) if is_login(name) => {
            set("assignees", json!([name]));
        }
        None | Some(Some(_)) => {}
    }
    data
}

fn is_login(name: &str) -> bool {
    (1..=MOST_LOGIN_CHARS).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// What a refusal means, and what to do about it.
fn refusal(status: u16, body: &Value) -> String {
    let said = message(body);
    match status {
        301 | 302 | 307 | 308 => {
            "GitHub has this elsewhere by now: if the repository was renamed or moved, set its new name".to_owned()
        }
        403 => format!(
            "GitHub does not allow this with the token: {said}; a fine-grained token needs the permission Issues: Read and write for this repository, and its user a role that may label issues"
        ),
        404 => "GitHub does not know this, or not with this token".to_owned(),
        410 => NO_ISSUES.to_owned(),
        422 => format!("GitHub refuses it: {said}"),
        status => format!("GitHub refuses it ({status}): {said}"),
    }
}

/// What nothing to do with a single task failed with.
fn of_any(failure: Failure) -> TrackerError {
    match failure {
        Failure::Tracker(error) => error,
        // That is about the token, not about what was to be done: it waits for another.
        Failure::Answer { status: 401, .. } => TrackerError::NotDone {
            cause: "GitHub refuses the token: make a new one and set it".to_owned(),
            after: Some(super::line::REFUSED_BREAK),
        },
        Failure::Answer { status, body } => TrackerError::Refused(refusal(status, &body)),
    }
}

impl Tracker for GitHub {
    fn kind(&self) -> &'static str {
        "github"
    }

    fn place(&self) -> String {
        self.settings.place()
    }

    fn rests(&self) -> Option<Duration> {
        self.shared.line.rests()
    }

    /// What makes something counts for an hour; nobody waits that long to take over. GitHub says so
    /// itself if it is too much.
    fn window(&self) -> Option<Duration> {
        Some(super::line::WINDOW)
    }

    fn has_board(&self, board: &Board) -> bool {
        self.settings.label(board).is_some()
    }

    fn rhythm(&self) -> Option<Rhythm> {
        let GitHubSettings { poll_seconds, reconcile_seconds, .. } = self.settings;
        Some(Rhythm::of(poll_seconds, reconcile_seconds))
    }

    async fn read(&self, id: &str) -> Result<Seen, TrackerError> {
        match self.seen(id).await {
            Ok(seen) => Ok(seen),
            Err(failure) => Err(self.of_task(id, failure).await),
        }
    }

    async fn changes(&self, board: &Board, cursor: Option<&str>) -> Result<Changes, TrackerError> {
        self.changed(self.label_of_list(board)?, cursor).await.map_err(of_any)
    }

    async fn list_open(&self, board: &Board) -> Result<Vec<String>, TrackerError> {
        self.open(self.label(board)?).await.map_err(of_any)
    }

    async fn list_changed(
        &self,
        board: &Board,
        since: Timestamp,
    ) -> Result<Vec<String>, TrackerError> {
        let all = self.updated(self.label_of_list(board)?, since).await.map_err(of_any)?;
        Ok(all.into_iter().map(|(id, _)| id).collect())
    }

    async fn find(
        &self,
        board: &Board,
        key: &str,
        since: Timestamp,
    ) -> Result<Vec<Remote>, TrackerError> {
        let (label, mark) = (self.label(board)?, mark_of_task(key));
        let me = self.me().await.map_err(of_any)?;
        let since = whole_second(since.minus(CLOCKS_DIFFER));
        let since_text = since.to_string();
        let mut query = vec![("state", "all"), ("sort", "created"), ("direction", "asc")];
        // People take labels off, and GitHub drops them in silence where the user may not set them: as
        // long as that is not everything, all is looked through.
        if since.as_micros() > 0 {
            query.push(("since", &since_text));
        } else {
            query.push(("labels", label));
        }
        let all = self.list::<Issue>(&["issues"], &query).await.map_err(of_any)?;
        let is_it = |issue: &Issue| {
            issue.is_issue()
                && ends_with_line(&issue.body, &mark)
                && (issue.has_label(label) || issue.is_of(&me))
        };
        let mut found: Vec<Issue> = all.into_iter().filter(is_it).collect();
        found.sort_by_key(|issue| issue.number);
        found.dedup_by_key(|issue| issue.number);
        Ok(found.into_iter().filter_map(remote).collect())
    }

    async fn create(
        &self,
        board: &Board,
        key: &str,
        wanted: &Wanted,
    ) -> Result<Remote, TrackerError> {
        let label = self.label(board)?;
        let mut patch = wanted.all();
        // Nobody has it yet, and it is made open.
        patch.assignee = patch.assignee.filter(Option::is_some);
        patch.is_done = None;
        let mut data = data(key, &patch);
        data.insert("labels".to_owned(), json!([label]));
        let made = self.write_issue(Method::POST, &["issues"], data).await.map_err(of_any)?;
        if !made.has_label(label) {
            tracing::warn!(
                label,
                "GitHub made an issue without its label: see airlock tracker check"
            );
        }
        let unclear = |cause: String| TrackerError::Ambiguous(cause);
        let remote = remote(made).ok_or_else(|| {
            unclear("GitHub's answer does not say which issue it made".to_owned())
        })?;
        if wanted.is_done {
            // It is there: whoever comes back finds it and sees to the rest.
            let patch = Patch { is_done: Some(true), ..Patch::default() };
            let seen = self.update(&remote.id, key, &patch).await;
            seen.map_err(|error| unclear(format!("it is made, but not closed: {error}")))?;
        }
        Ok(remote)
    }

    async fn update(&self, id: &str, key: &str, patch: &Patch) -> Result<(), TrackerError> {
        let data = data(key, patch);
        if data.is_empty() {
            return Ok(());
        }
        let written = match self.write_issue(Method::PATCH, &["issues", id], data).await {
            Ok(written) => written,
            Err(failure) => return Err(self.of_task(id, failure).await),
        };
        let is_so = written.number == 0
            || patch.is_done.is_none_or(|is_done| written.is_closed() == is_done);
        if is_so {
            return Ok(());
        }
        let cause =
            "GitHub took the issue without its state: may the user of the token close issues?";
        Err(TrackerError::Refused(cause.to_owned()))
    }

    async fn has_said(&self, id: &str, key: &str) -> Result<bool, TrackerError> {
        let mark = super::asana::text::mark_of_comment(key);
        let comments = match self.list::<Comment>(&["issues", id, "comments"], &[]).await {
            Ok(comments) => comments,
            Err(failure) => return Err(self.of_task(id, failure).await),
        };
        Ok(comments.iter().any(|comment| ends_with_line(&comment.body, &mark)))
    }

    async fn say(&self, id: &str, key: &str, text: &str) -> Result<(), TrackerError> {
        let body = json!({ "body": plain::comment(Formatting::Markdown, key, text) });
        let path = ["issues", id, "comments"];
        match self.write(Pass::Work, Method::POST, (&path, &body)).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(self.of_task(id, failure).await),
        }
    }

    async fn set_board(&self, id: &str, board: &Board, is_on: bool) -> Result<(), TrackerError> {
        let label = self.label(board)?;
        let (all, one) = (["issues", id, "labels"], ["issues", id, "labels", label]);
        let done = if is_on {
            self.write(Pass::Work, Method::POST, (&all, &json!({ "labels": [label] }))).await
        } else {
            self.write(Pass::Work, Method::DELETE, (&one, &json!({}))).await
        };
        match done {
            Ok(_) => Ok(()),
            Err(Failure::Answer { status: 404, body })
                if !is_on && message(&body).contains("Label does not exist") =>
            {
                Ok(())
            }
            Err(failure) => Err(self.of_task(id, failure).await),
        }
    }

    /// GitHub's API attaches no files.
    async fn attach(&self, _: &str, _: (&str, &str), _: &[u8]) -> Result<(), TrackerError> {
        Ok(())
    }
}

fn remote(issue: Issue) -> Option<Remote> {
    let id = Some(issue.number).filter(|number| *number > 0)?.to_string();
    Some(Remote { id, url: issue.html_url })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_a_login_is_one() {
        assert!(is_login("zoe-2") && is_login("zoe_acme"));
        assert!(!is_login("Zoe Long") && !is_login("zoe@a.example") && !is_login(""));
    }
}
