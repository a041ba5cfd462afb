//! What people did in Redmine.

use super::super::Changes;
use super::super::line::{Failure, Pass};
use super::super::since::{Cursor, whole_second};
use super::Redmine;
use super::records::{Issue, Journal, Named};
use crate::domain::task::{Act, By, Did, Seen};
use crate::domain::time::Timestamp;

impl Redmine {
    /// An issue as it is, with what was done on it.
    pub(super) async fn seen(&self, id: &str) -> Result<Seen, Failure> {
        let me = self.read(Pass::Work, &["users", "current.json"], &[]).await?;
        let me = Named::of(&me, "user").id;
        let issue = self.issue(id, "journals").await?;
        let field = |one: &Named| Some(one.id.to_string()) == self.settings.fix_field;
        let fix = issue.custom_fields.iter().find(|one| field(one)).and_then(Named::text);
        let is_done = issue.status.is_closed;
        let acts = issue.journals.iter().flat_map(|journal| self.acts(journal, me, is_done));
        let acts = acts.collect();
        let author = issue.author.as_ref().map(|author| by(author, me));
        Ok(Seen {
            url: self.remote(issue.id).url,
            title: issue.subject,
            author,
            boards: None,
            is_done,
            assignee: issue.assigned_to.as_ref().map(Named::shown),
            fix,
            acts,
        })
    }

    fn acts(&self, journal: &Journal, me: u64, is_done: bool) -> Vec<Act> {
        let Some(at) = Timestamp::parse(&journal.created_on) else { return Vec::new() };
        let by = journal.user.as_ref().map_or(By::Nobody, |user| by(user, me));
        let changed =
            journal.details.iter().map(|one| match (one.property.as_str(), one.name.as_str()) {
                ("attr", "status_id") if is_done => Did::Completed,
                ("attr", "status_id") => Did::Reopened,
                ("attr", "assigned_to_id") => Did::Assigned,
                ("cf", field) if Some(field) == self.settings.fix_field.as_deref() => Did::SetFix,
                (_, _) => Did::Other,
            });
        let said = Some(journal.notes()).filter(|notes| !notes.is_empty());
        let said = said.map(|notes| Did::Said(notes.to_owned()));
        let act = |did| Act { at, id: journal.id.to_string(), by: by.clone(), did };
        changed.chain(said).map(act).collect()
    }

    /// Issues of a project that changed since a look.
    pub(super) async fn changed(
        &self,
        project: &str,
        cursor: Option<&str>,
    ) -> Result<Changes, Failure> {
        let known = Cursor::parse(cursor);
        let is_resync = known.is_none();
        let last = match known {
            Some(known) => known,
            None => Cursor::first(self.last_change(project).await?),
        };
        last.changes(self.updated(project, last.since()).await?, is_resync)
    }

    /// When an issue of a project changed last.
    async fn last_change(&self, project: &str) -> Result<Option<Timestamp>, Failure> {
        let query = [
            ("project_id", project),
            ("status_id", "*"),
            ("sort", "updated_on:desc"),
            ("limit", "1"),
        ];
        let answer = self.read(Pass::Work, &["issues.json"], &query).await?;
        let last = super::Page::of(answer, "issues").all::<Issue>().into_iter().next();
        Ok(last.and_then(|issue| Timestamp::parse(&issue.updated_on)))
    }

    /// Issues of a project that changed at a time or later, and when.
    pub(super) async fn updated(
        &self,
        project: &str,
        since: Timestamp,
    ) -> Result<Vec<(String, Timestamp)>, Failure> {
        // Of a second Redmine takes no part.
        let since = format!(">={}", whole_second(since));
        let query =
            [("project_id", project), ("status_id", "*"), ("updated_on", &since), ("sort", "id")];
        let all = self.issues(&query).await?.into_iter();
        let one = |issue: Issue| Some((issue.id.to_string(), Timestamp::parse(&issue.updated_on)?));
        Ok(all.filter_map(one).collect())
    }

    /// Open issues of a project.
    pub(super) async fn open(&self, project: &str) -> Result<Vec<String>, Failure> {
        let query = [("project_id", project), ("status_id", "open"), ("sort", "id")];
        let all = self.issues(&query).await?.into_iter();
        Ok(all.map(|issue| issue.id.to_string()).collect())
    }

    async fn issues(&self, query: &[(&str, &str)]) -> Result<Vec<Issue>, Failure> {
        // Without a user, Redmine lists what anybody may see.
        self.see_user().await?;
        let all = self.list(("issues", &["issues.json"]), query).await?;
        Ok(all.into_iter().filter_map(|one| serde_json::from_value(one).ok()).collect())
    }
}

fn by(user: &Named, me: u64) -> By {
    if user.id == me { By::Airlock } else { By::Person(user.shown()) }
}
