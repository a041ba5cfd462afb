//! What people did in GitHub.

use super::super::line::{Failure, Pass};
use super::super::since::{Cursor, whole_second};
use super::super::{Changes, TrackerError};
use super::GitHub;
use super::records::{Happened, Issue, User};
use crate::domain::task::{Act, By, Did, Seen, named_fix};
use crate::domain::time::Timestamp;
use crate::domain::tracker::Board;

impl GitHub {
    /// Whose the token is.
    pub(super) async fn me(&self) -> Result<String, Failure> {
        if let Some(me) = self.shared.me.get() {
            return Ok(me.clone());
        }
        let found: User = self.read(Pass::Work, self.url(&["user"])?).await?;
        Ok(self.shared.me.get_or_init(|| found.login).clone())
    }

    /// The label by which changes of a board are listed. Those of tasks of issues are listed without
    /// one, so that it is known also when the label of another board is taken off a task.
    pub(super) fn label_of_list(&self, board: &Board) -> Result<Option<&str>, TrackerError> {
        match board {
            Board::Issues => Ok(None),
            Board::Locks(_) | Board::Deploys(_) => self.label(board).map(Some),
        }
    }

    /// An issue as it is, with what was done on it.
    pub(super) async fn seen(&self, id: &str) -> Result<Seen, Failure> {
        let me = self.me().await?;
        // First what was done: what comes between is read again.
        let all: Vec<Happened> = self.list(&["issues", id, "timeline"], &[]).await?;
        let issue = self.issue(id).await?;
        let boards = self.settings.boards(|label| issue.has_label(label));
        // Anybody may comment in a public repository. Who may change something there is known of each
        // comment; in a private one not always, but nobody else is there.
        let is_strange = |one: &&Happened| !one.is_by_member() && named_fix(&one.body).is_some();
        let is_private = match all.iter().find(is_strange) {
            Some(_) => self.repository(Pass::Work).await?.private,
            None => true,
        };
        let all = all.into_iter().filter(|one| is_private || !is_strange(&one));
        Ok(Seen {
            author: issue.user.as_ref().map(|user| by(user, &me)),
            boards: Some(boards),
            is_done: issue.is_closed(),
            assignee: issue.assignees.first().map(|user| user.login.clone()),
            fix: None,
            acts: all.filter_map(|one| self.act(one, &me)).collect(),
            url: issue.html_url,
            title: issue.title,
        })
    }

    fn act(&self, one: Happened, me: &str) -> Option<Act> {
        let is_board = |label: &str| {
            let is_it = |own: &str| own.to_lowercase() == label.to_lowercase();
            !self.settings.boards(is_it).is_empty()
        };
        let did = match one.event.as_str() {
            "closed" => Did::Completed,
            "reopened" => Did::Reopened,
            "assigned" | "unassigned" => Did::Assigned,
            "labeled" | "unlabeled"
                if one.label.as_ref().is_some_and(|own| is_board(&own.name)) =>
            {
                Did::Moved
            }
            "commented" => Did::Said(one.body),
            _ => Did::Other,
        };
        // What happens and what is said is numbered apart.
        let id = format!("{} {}", one.event, one.id?);
        let who = one.actor.or(one.user);
        let by = who.map_or(By::Nobody, |user| by(&user, me));
        Some(Act { at: Timestamp::parse(&one.created_at?)?, id, by, did })
    }

    /// Issues that changed since a look.
    pub(super) async fn changed(
        &self,
        label: Option<&str>,
        cursor: Option<&str>,
    ) -> Result<Changes, Failure> {
        let known = Cursor::parse(cursor);
        let is_resync = known.is_none();
        let last = match known {
            Some(known) => known,
            None => Cursor::first(self.last_change(label).await?),
        };
        last.changes(self.updated(label, last.since()).await?, is_resync)
    }

    /// When an issue changed last.
    async fn last_change(&self, label: Option<&str>) -> Result<Option<Timestamp>, Failure> {
        let mut url = self.part(&["issues"])?;
        let query =
            [("state", "all"), ("sort", "updated"), ("direction", "desc"), ("per_page", "1")];
        url.query_pairs_mut()
            .extend_pairs(query)
            .extend_pairs(label.map(|label| ("labels", label)));
        let last: Vec<Issue> = self.read(Pass::Work, url).await?;
        Ok(last.first().and_then(|issue| Timestamp::parse(&issue.updated_at)))
    }

    /// Issues that changed at a time or later, and when.
    pub(super) async fn updated(
        &self,
        label: Option<&str>,
        since: Timestamp,
    ) -> Result<Vec<(String, Timestamp)>, Failure> {
        let since = whole_second(since).to_string();
        // In an order that no change moves anything in.
        let mut query = vec![("state", "all"), ("sort", "created"), ("direction", "asc")];
        query.extend(label.map(|label| ("labels", label)));
        query.push(("since", &since));
        let all: Vec<Issue> = self.list(&["issues"], &query).await?;
        let one = |issue: Issue| {
            let at = Timestamp::parse(&issue.updated_at).filter(|_| issue.is_issue())?;
            Some((issue.number.to_string(), at))
        };
        Ok(all.into_iter().filter_map(one).collect())
    }

    /// Open issues with a label.
    pub(super) async fn open(&self, label: &str) -> Result<Vec<String>, Failure> {
        let query =
            [("state", "open"), ("labels", label), ("sort", "created"), ("direction", "asc")];
        let all: Vec<Issue> = self.list(&["issues"], &query).await?;
        if all.is_empty() {
            // Of a label that is not there any more, GitHub also says that nothing has it.
            match self.read::<serde_json::Value>(Pass::Work, self.part(&["labels", label])?).await {
                Err(Failure::Answer { status: 404, .. }) => {
                    let cause = format!(
                        "the repository has no label {label} any more: see airlock tracker check"
                    );
                    return Err(Failure::Tracker(TrackerError::Refused(cause)));
                }
                found => found?,
            };
        }
        let issues = all.into_iter().filter(Issue::is_issue);
        Ok(issues.map(|issue| issue.number.to_string()).collect())
    }
}

/// Who did something; an application is a rule.
fn by(user: &User, me: &str) -> By {
    if user.login == me {
        return By::Airlock;
    }
    if user.kind == "Bot" { By::Nobody } else { By::Person(user.login.clone()) }
}
