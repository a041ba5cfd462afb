//! A tracker in memory that fails when told to.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use airlock::domain::project::Project;
use airlock::domain::task::{Patch, Wanted};
use airlock::domain::time::Timestamp;
use airlock::domain::tracker::{Board, ConnectionId};
use airlock::store::StoreError;
use airlock::store::task::Remote;
use airlock::tracker::{Connect, Tracker, TrackerError};

/// What a tracker is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Find,
    Create,
    Update,
    HasSaid,
    Say,
}

/// A task of the tracker.
#[derive(Debug, Clone)]
pub(crate) struct FakeTask {
    pub(crate) key: String,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) is_done: bool,
    pub(crate) is_deleted: bool,
    pub(crate) said: Vec<String>,
    keys: Vec<String>,
}

type Event = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Default)]
struct State {
    tasks: Vec<FakeTask>,
    calls: Vec<Call>,
    before: VecDeque<(Call, TrackerError)>,
    after: VecDeque<(Call, TrackerError)>,
    meanwhile: Vec<(Call, Event)>,
    connection: Option<ConnectionId>,
}

/// A tracker in memory; its clones are the same.
#[derive(Clone, Default)]
pub(crate) struct FakeTracker(Arc<Mutex<State>>);

impl FakeTracker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panicked")
    }

    /// The next such call does nothing and ends like this.
    pub(crate) fn fail(&self, call: Call, error: TrackerError) {
        self.state().before.push_back((call, error));
    }

    /// The next such call is done and ends like this.
    pub(crate) fn fail_after(&self, call: Call, error: TrackerError) {
        self.state().after.push_back((call, error));
    }

    /// Something happens after the next such call is done and before it is answered.
    pub(crate) fn meanwhile(&self, call: Call, event: impl Future<Output = ()> + Send + 'static) {
        self.state().meanwhile.push((call, Box::pin(event)));
    }

    /// It counts what it is asked.
    pub(crate) fn count(&self) {
        self.state().connection = Some(ConnectionId([1; 32]));
    }

    /// Its tasks, the oldest first.
    pub(crate) fn tasks(&self) -> Vec<FakeTask> {
        self.state().tasks.clone()
    }

    /// Somebody deletes a task.
    pub(crate) fn delete(&self, index: usize) {
        self.state().tasks[index].is_deleted = true;
    }

    /// How often it was asked something.
    pub(crate) fn n_calls(&self, call: Call) -> usize {
        self.state().calls.iter().filter(|one| **one == call).count()
    }

    /// How often it was asked the one before it was last asked the other.
    pub(crate) fn n_calls_before(&self, one: Call, last: Call) -> usize {
        let state = self.state();
        let end = state.calls.iter().rposition(|call| *call == last).unwrap_or_default();
        state.calls[..end].iter().filter(|call| **call == one).count()
    }

    /// Does what is asked, with what the test wants to happen to it.
    async fn ask<A>(
        &self,
        call: Call,
        act: impl FnOnce(&mut State) -> Result<A, TrackerError>,
    ) -> Result<A, TrackerError> {
        let (done, event) = {
            let mut state = self.state();
            state.calls.push(call);
            if let Some(error) = taken(&mut state.before, call) {
                return Err(error);
            }
            let done = act(&mut state);
            let at = state.meanwhile.iter().position(|(one, _)| *one == call);
            (done, at.map(|at| state.meanwhile.remove(at).1))
        };
        if let Some(event) = event {
            event.await;
        }
        taken(&mut self.state().after, call).map_or(done, Err)
    }
}

fn taken(faults: &mut VecDeque<(Call, TrackerError)>, call: Call) -> Option<TrackerError> {
    let at = faults.iter().position(|(one, _)| *one == call)?;
    faults.remove(at).map(|(_, error)| error)
}

fn remote(index: usize) -> Remote {
    let id = (index + 1).to_string();
    Remote { url: format!("https://tracker.example/{id}"), id }
}

impl State {
    fn task(&mut self, id: &str) -> Result<&mut FakeTask, TrackerError> {
        let index: usize = id.parse().expect("a number");
        let task = self.tasks.get_mut(index - 1).filter(|task| !task.is_deleted);
        task.ok_or(TrackerError::Gone)
    }
}

impl Connect for FakeTracker {
    type Tracker = Self;

    async fn connect(&self, _: &Project) -> Result<Self, StoreError> {
        Ok(self.clone())
    }
}

impl Tracker for FakeTracker {
    fn kind(&self) -> &'static str {
        "fake"
    }

    fn place(&self) -> String {
        "fake".to_owned()
    }

    fn rests(&self) -> Option<Duration> {
        None
    }

    fn connection(&self) -> Option<ConnectionId> {
        self.state().connection
    }

    fn has_board(&self, _: &Board) -> bool {
        true
    }

    async fn find(&self, _: &Board, key: &str, _: Timestamp) -> Result<Vec<Remote>, TrackerError> {
        let found = |state: &mut State| {
            let all = state.tasks.iter().enumerate();
            Ok(all.filter(|(_, task)| task.key == key).map(|(index, _)| remote(index)).collect())
        };
        self.ask(Call::Find, found).await
    }

    async fn create(&self, _: &Board, key: &str, wanted: &Wanted) -> Result<Remote, TrackerError> {
        let task = FakeTask {
            key: key.to_owned(),
            title: wanted.title.clone(),
            body: format!("{:?}", wanted.body),
            is_done: wanted.is_done,
            is_deleted: false,
            said: Vec::new(),
            keys: Vec::new(),
        };
        let made = |state: &mut State| {
            state.tasks.push(task);
            Ok(remote(state.tasks.len() - 1))
        };
        self.ask(Call::Create, made).await
    }

    async fn update(&self, id: &str, _: &str, patch: &Patch) -> Result<(), TrackerError> {
        let changed = |state: &mut State| {
            let task = state.task(id)?;
            if let Some(title) = &patch.title {
                task.title.clone_from(title);
            }
            if let Some(body) = &patch.body {
                task.body = format!("{body:?}");
            }
            task.is_done = patch.is_done.unwrap_or(task.is_done);
            Ok(())
        };
        self.ask(Call::Update, changed).await
    }

    async fn has_said(&self, id: &str, key: &str) -> Result<bool, TrackerError> {
        let has = |state: &mut State| Ok(state.task(id)?.keys.iter().any(|one| one == key));
        self.ask(Call::HasSaid, has).await
    }

    async fn say(&self, id: &str, key: &str, text: &str) -> Result<(), TrackerError> {
        let said = |state: &mut State| {
            let task = state.task(id)?;
            task.said.push(text.to_owned());
            task.keys.push(key.to_owned());
            Ok(())
        };
        self.ask(Call::Say, said).await
    }

    async fn set_board(&self, _: &str, _: &Board, _: bool) -> Result<(), TrackerError> {
        Ok(())
    }

    async fn attach(&self, _: &str, _: (&str, &str), _: &[u8]) -> Result<(), TrackerError> {
        Ok(())
    }
}
