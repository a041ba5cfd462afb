//! The tracker that is part of Airlock: tasks and comments in its own tables, so that everything works
//! with no account anywhere.

use std::time::Duration;

use super::{Tracker, TrackerError};
use crate::clock::Clock;
use crate::domain::id::ProjectId;
use crate::domain::task::{Act, By, Did, Patch, Seen, Wanted};
use crate::domain::time::Timestamp;
use crate::domain::tracker::{Board, ConnectionId};
use crate::store::built_in::BuiltInAct;
use crate::store::task::Remote;
use crate::store::{Store, StoreError};

/// The tasks of one project in Airlock's own tables.
#[derive(Debug, Clone)]
pub struct BuiltIn {
    /// Where they are.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Whose they are.
    pub project: ProjectId,
    /// The name of the project.
    pub slug: String,
    /// The address of the service, for links.
    pub public_url: String,
}

/// A commit that was cut off is looked up like an answer that was. What people mend, a changed password
/// or a broken file, is waited for.
impl From<StoreError> for TrackerError {
    fn from(error: StoreError) -> Self {
        if error.is_permanent() {
            Self::Refused(error.to_string())
        } else {
            Self::Ambiguous(error.to_string())
        }
    }
}

impl BuiltIn {
    fn remote(&self, number: i64) -> Remote {
        let base = self.public_url.trim_end_matches('/');
        let url = format!("{base}/api/v1/projects/{}/tasks/{number}", self.slug);
        Remote { id: number.to_string(), url }
    }
}

fn number(id: &str) -> Result<i64, TrackerError> {
    id.parse().map_err(|_| TrackerError::Gone)
}

impl Tracker for BuiltIn {
    fn kind(&self) -> &'static str {
        "built_in"
    }

    fn place(&self) -> String {
        self.kind().to_owned()
    }

    fn rests(&self) -> Option<Duration> {
        None
    }

    fn connection(&self) -> Option<ConnectionId> {
        None
    }

    fn has_board(&self, _: &Board) -> bool {
        true
    }

    async fn read(&self, id: &str) -> Result<Seen, TrackerError> {
        let mut tx = self.store.read().await?;
        let number = number(id)?;
        let task = tx.find_built_in_task(self.project, number).await?.ok_or(TrackerError::Gone)?;
        let act = |BuiltInAct { key, author, did, at }| Act {
            at,
            id: key,
            by: author.map_or(By::Airlock, By::Person),
            did,
        };
        let acts = tx.list_built_in_acts(self.project, number).await?.into_iter().map(act);
        let acts = acts.collect();
        let places = tx.list_built_in_places(self.project, (number, number)).await?;
        let boards = places.into_values().flatten().filter_map(|name| Board::parse(&name));
        Ok(Seen {
            url: self.remote(number).url,
            title: task.title,
            author: None,
            boards: Some(boards.collect()),
            is_done: task.is_done,
            assignee: task.assignee,
            fix: None,
            acts,
        })
    }

    /// Nobody asks for them but whoever looks whether they can be told, which they always can.
    async fn list_open(&self, _: &Board) -> Result<Vec<String>, TrackerError> {
        Ok(Vec::new())
    }

    async fn find(&self, _: &Board, key: &str, _: Timestamp) -> Result<Vec<Remote>, TrackerError> {
        let mut tx = self.store.read().await?;
        let found = tx.find_built_in_task_by_key(self.project, key).await?;
        Ok(found.into_iter().map(|task| self.remote(task.number)).collect())
    }

    async fn create(
        &self,
        board: &Board,
        key: &str,
        wanted: &Wanted,
    ) -> Result<Remote, TrackerError> {
        let mut tx = self.store.write().await?;
        if let Some(known) = tx.find_built_in_task_by_key(self.project, key).await? {
            return Ok(self.remote(known.number));
        }
        let made = (key, wanted);
        let number = tx.insert_built_in_task(self.project, board, made, self.clock.now()).await?;
        tx.commit().await?;
        Ok(self.remote(number))
    }

    async fn update(&self, id: &str, _: &str, patch: &Patch) -> Result<(), TrackerError> {
        let mut tx = self.store.write().await?;
        let now = self.clock.now();
        if !tx.update_built_in_task(self.project, number(id)?, patch, now).await? {
            return Err(TrackerError::Gone);
        }
        Ok(tx.commit().await?)
    }

    async fn has_said(&self, _: &str, _: &str) -> Result<bool, TrackerError> {
        // Under the same key nothing is said twice.
        Ok(false)
    }

    async fn say(&self, id: &str, key: &str, text: &str) -> Result<(), TrackerError> {
        let (mut tx, number) = (self.store.write().await?, number(id)?);
        if !tx.touch_built_in_task(self.project, number, self.clock.now()).await? {
            return Err(TrackerError::Gone);
        }
        let did = Did::Said(text.to_owned());
        let act = BuiltInAct { key: key.to_owned(), author: None, did, at: self.clock.now() };
        tx.insert_built_in_act(self.project, number, &act).await?;
        Ok(tx.commit().await?)
    }

    async fn set_board(&self, id: &str, board: &Board, is_on: bool) -> Result<(), TrackerError> {
        let mut tx = self.store.write().await?;
        tx.set_built_in_place((self.project, number(id)?), board, is_on).await?;
        Ok(tx.commit().await?)
    }

    async fn attach(&self, _: &str, _: (&str, &str), _: &[u8]) -> Result<(), TrackerError> {
        // The output of deploys is in Airlock anyway.
        Ok(())
    }
}
