//! Tells the server about a deploy while it runs.
//!
//! *Invariants*: who adds output never waits for the network; nothing that happens here fails the
//! deploy.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::super::client::Api;
use super::super::failure::Failure;
use super::super::output::Output;
use super::entry::{Entry, Finish};
use super::log::MOST_SENT;
use super::sender::{Step, locked, step};

/// How long it is tried to send what is left when the command has ended.
const LAST_TRY: Duration = Duration::from_secs(10);

/// After this much of it how the deploy ended goes before what is left of its output: others wait
/// for the environment.
const OUTPUT_FIRST: Duration = Duration::from_secs(6);

/// Output of so long goes into one request.
const GATHER: Duration = Duration::from_millis(200);

/// So long after the first of it.
const BEGIN: Duration = Duration::from_millis(50);

/// The pauses while the service is away: from the first, doubled each time, to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(15);

/// The longest pause when the command has ended.
const LAST_PAUSE_AT_END: Duration = Duration::from_secs(1);

/// Heartbeats come no more often than this.
const LEAST_BEAT: Duration = Duration::from_millis(200);

/// A heartbeat that did not arrive is followed by the next after this, or sooner.
const NEXT_TRY: Duration = Duration::from_secs(10);

/// Tells the server about a deploy while it runs.
pub(super) struct Recorder {
    shared: Arc<Shared>,
    sender: JoinSet<()>,
    heart: JoinSet<()>,
}

/// Where output goes in.
#[derive(Clone)]
pub(super) struct Tap(Arc<Shared>);

struct Shared {
    entry: Mutex<Entry>,
    /// There is more to send.
    more: Notify,
    /// The command has ended.
    hurry: Notify,
    is_ended: AtomicBool,
    /// Whether it was said that the service is away.
    is_away: AtomicBool,
}

/// What the server knows of a deploy that is over.
#[derive(Debug)]
pub(super) enum Recorded {
    /// All of it; its answer to how the deploy ended, if there was one.
    All(Option<Value>),
    /// Not all; the rest is in the spool.
    Later,
    /// Not all, and there was no place for the rest.
    Lost,
}

impl Tap {
    /// Adds output.
    pub(super) fn append(&self, text: &str) {
        if !text.is_empty() {
            locked(&self.0.entry).append(text);
            self.0.more.notify_one();
        }
    }

    /// Waits until less than so much is to be sent, or the service is away.
    pub(super) async fn room(&self, most: u64) {
        let is_full = || locked(&self.0.entry).n_unsent() >= most;
        while is_full() && !self.0.is_away.load(Ordering::Relaxed) {
            sleep(GATHER / 10).await;
        }
    }
}

impl Recorder {
    /// Starts to send; a deploy that the server knows gets heartbeats until its end.
    pub(super) fn start(api: &Arc<Api>, entry: Entry, lease: Option<Duration>) -> Self {
        let deploy = entry.about.deploy.clone();
        let shared = Arc::new(Shared {
            entry: Mutex::new(entry),
            more: Notify::new(),
            hurry: Notify::new(),
            is_ended: AtomicBool::new(false),
            is_away: AtomicBool::new(false),
        });
        let (mut sender, mut heart) = (JoinSet::new(), JoinSet::new());
        sender.spawn(send(Arc::clone(api), Arc::clone(&shared)));
        if let (Some(deploy), Some(lease)) = (deploy, lease) {
            heart.spawn(beat(Arc::clone(api), deploy, lease));
        }
        Self { shared, sender, heart }
    }

    /// Where output goes in.
    pub(super) fn tap(&self) -> Tap {
        Tap(Arc::clone(&self.shared))
    }

    /// Nothing more comes. Tries for a while to send what is left.
    pub(super) async fn end(mut self, finish: Option<Finish>) -> Recorded {
        let began = Instant::now();
        self.heart.shutdown().await;
        locked(&self.shared.entry).close(finish);
        self.shared.is_ended.store(true, Ordering::Relaxed);
        self.shared.more.notify_one();
        self.shared.hurry.notify_one();
        let mut sent = timeout_at(began + OUTPUT_FIRST, self.sender.join_next()).await;
        if sent.is_err() {
            locked(&self.shared.entry).is_pressed = true;
            sent = timeout_at(began + LAST_TRY, self.sender.join_next()).await;
        }
        let is_done = matches!(sent, Ok(Some(Ok(()))));
        self.sender.shutdown().await;
        let Some(shared) = Arc::into_inner(self.shared) else { return Recorded::Later };
        let mut entry =
            shared.entry.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        if is_done {
            let answer = entry.answer.take();
            entry.remove();
            return Recorded::All(answer);
        }
        entry.park();
        if entry.folder().is_some() { Recorded::Later } else { Recorded::Lost }
    }
}

async fn send(api: Arc<Api>, shared: Arc<Shared>) {
    let mut pause = FIRST_PAUSE;
    loop {
        match step(&api, &shared.entry).await {
            Step::Done => return,
            Step::Nothing => {
                shared.more.notified().await;
                // Let a line that has begun come to its end.
                let _ = timeout(BEGIN, shared.hurry.notified()).await;
            }
            Step::Sent => {
                pause = FIRST_PAUSE;
                if shared.is_away.swap(false, Ordering::Relaxed) {
                    Output::note("airlock: the service is back; what was kept is being sent");
                }
                let is_little = locked(&shared.entry).n_unsent() < MOST_SENT as u64;
                if is_little && !shared.is_ended.load(Ordering::Relaxed) {
                    let _ = timeout(GATHER, shared.hurry.notified()).await;
                }
            }
            Step::Later(failure) => {
                if !shared.is_away.swap(true, Ordering::Relaxed) {
                    Output::note(&format!("airlock: {failure}"));
                    Output::note("airlock: what cannot be recorded now is kept and sent later");
                }
                let is_ended = shared.is_ended.load(Ordering::Relaxed);
                let most = if is_ended { LAST_PAUSE_AT_END } else { LAST_PAUSE };
                let _ = timeout(pause.min(most), shared.hurry.notified()).await;
                pause = LAST_PAUSE.min(pause * 2);
            }
        }
    }
}

/// Keeps the environment for this deploy.
async fn beat(api: Arc<Api>, deploy: String, lease: Duration) {
    let every = (lease / 3).max(LEAST_BEAT);
    let mut next = every;
    loop {
        sleep(next).await;
        next = every;
        match api.post(&["deploys", &deploy, "heartbeat"], json!({})).await {
            Ok(_) => {}
            Err(failure @ Failure::Refused(_)) => {
                Output::note(&format!("airlock: this deploy goes on, but {failure}"));
                return;
            }
            Err(_) => next = every.min(NEXT_TRY),
        }
    }
}
