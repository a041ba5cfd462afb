//! DSN keys, kept in memory and in a file beside the spool.
//!
//! Intake must answer while the store is away, also right after a restart: so every process holds
//! all keys, and writes them to `keys.json` whenever they change. A key that is not there costs one
//! bounded look into the store; an unknown one is remembered for a few seconds.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::domain::id::ProjectId;
use crate::domain::project::{ProjectKey, Settings};
use crate::domain::time::Timestamp;
use crate::store::{Store, StoreError};

/// How long one look into the store may take, and how long it may wait for its turn.
const LOOKUP_TIMEOUT: Duration = Duration::from_millis(500);

/// Looks into the store at the same time; a flood of made-up keys must not take all connections.
const MOST_LOOKUPS: usize = 2;

/// How long an unknown key stays unknown without asking again.
const NEGATIVE_FOR: Duration = Duration::from_secs(5);

/// Unknown keys remembered at most.
const MOST_NEGATIVE: usize = 10_000;

/// Reports with unverified keys waiting for digest, in bytes, at most.
pub const MOST_UNVERIFIED_BYTES: u64 = 16 * 1024 * 1024;

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyLookup {
    /// It exists; whether it is active is in it.
    Known(ProjectKey),
    /// There is no such key.
    Unknown,
    /// The store did not answer, so nobody can say.
    StoreAway,
    /// Too many keys that nobody has seen are being looked up.
    Busy,
}

/// What intake needs of the store, as it is kept in the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Known {
    keys: HashMap<String, ProjectKey>,
    settings: HashMap<ProjectId, Settings>,
}

/// The file. Only settings that say anything are in it.
#[derive(Serialize, Deserialize)]
struct File {
    keys: Vec<ProjectKey>,
    settings: Vec<(ProjectId, Settings)>,
}

impl Known {
    fn new(keys: Vec<ProjectKey>, settings: Vec<(ProjectId, Settings)>) -> Self {
        let keys = keys.into_iter().map(|key| (key.public_key.clone(), key)).collect();
        let is_said = |(_, settings): &(ProjectId, Settings)| *settings != Settings::default();
        Self { keys, settings: settings.into_iter().filter(is_said).collect() }
    }

    fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let File { keys, settings } = serde_json::from_slice(bytes)?;
        Ok(Self::new(keys, settings))
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut keys: Vec<ProjectKey> = self.keys.values().cloned().collect();
        keys.sort_by(|one, other| one.public_key.cmp(&other.public_key));
        let own = self.settings.iter().map(|(id, settings)| (*id, settings.clone()));
        let mut settings: Vec<_> = own.collect();
        settings.sort_by_key(|(id, _)| *id);
        serde_json::to_vec(&File { keys, settings }).unwrap_or_default()
    }
}

/// All DSN keys, and the settings of their projects.
#[derive(Debug)]
pub struct Keys {
    store: Store,
    clock: Clock,
    file: PathBuf,
    known: RwLock<Known>,
    unknown: Mutex<HashMap<String, Timestamp>>,
    lookups: Semaphore,
    unverified_bytes: AtomicU64,
}

impl Keys {
    /// The keys as of the last run, from `file` if it is there.
    #[must_use]
    pub fn load(store: Store, clock: Clock, file: PathBuf) -> Self {
        let known = match std::fs::read(&file) {
            Ok(bytes) => Known::read(&bytes).unwrap_or_else(|cause| {
                tracing::warn!(file = %file.display(), %cause, "the copy of the keys is unreadable");
                Known::default()
            }),
            Err(_) => Known::default(),
        };
        Self {
            store,
            clock,
            file,
            known: RwLock::new(known),
            unknown: Mutex::new(HashMap::new()),
            lookups: Semaphore::new(MOST_LOOKUPS),
            unverified_bytes: AtomicU64::new(0),
        }
    }

    /// Looks a key up: in memory, else once in the store.
    pub async fn find(&self, public_key: &str) -> KeyLookup {
        if let Some(key) = self.read().keys.get(public_key) {
            return KeyLookup::Known(key.clone());
        }
        if self.is_unknown(public_key) {
            return KeyLookup::Unknown;
        }
        // A flood of made-up keys must not pass for a store that is away.
        let permit = tokio::time::timeout(LOOKUP_TIMEOUT, self.lookups.acquire()).await;
        let Ok(Ok(_permit)) = permit else { return KeyLookup::Busy };
        let looked = tokio::time::timeout(LOOKUP_TIMEOUT, self.look_into_store(public_key)).await;
        match looked {
            Ok(Ok(Some(key))) => {
                self.put(key.clone());
                KeyLookup::Known(key)
            }
            Ok(Ok(None)) => {
                self.remember_unknown(public_key);
                KeyLookup::Unknown
            }
            Ok(Err(_)) | Err(_) => KeyLookup::StoreAway,
        }
    }

    async fn look_into_store(&self, public_key: &str) -> Result<Option<ProjectKey>, StoreError> {
        self.store.read().await?.find_key(public_key).await
    }

    fn is_unknown(&self, public_key: &str) -> bool {
        let unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        unknown.get(public_key).is_some_and(|until| *until > self.clock.now())
    }

    fn remember_unknown(&self, public_key: &str) {
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        if unknown.len() >= MOST_NEGATIVE {
            unknown.clear();
        }
        unknown.insert(public_key.to_owned(), self.clock.now().plus(NEGATIVE_FOR));
    }

    /// A key was made or changed: it counts at once.
    pub fn put(&self, key: ProjectKey) {
        self.unknown.lock().unwrap_or_else(PoisonError::into_inner).remove(&key.public_key);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.keys.insert(key.public_key.clone(), key);
        self.write_file(&known);
    }

    /// Keys were deleted: they count no more, at once.
    pub fn remove(&self, is_gone: impl Fn(&ProjectKey) -> bool) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.keys.retain(|_, key| !is_gone(key));
        self.write_file(&known);
    }

    /// Reads all keys from the store, also those other nodes made, changed or deleted.
    ///
    /// # Errors
    /// [`StoreError`] when the store is away; the keys stay as they were.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let mut tx = self.store.read().await?;
        let fresh = Known::new(tx.list_all_keys().await?, tx.list_settings().await?);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if *known != fresh {
            self.write_file(&fresh);
            *known = fresh;
        }
        Ok(())
    }

    /// The settings of a project: the defaults where nobody knows better.
    pub fn settings(&self, project: ProjectId) -> Settings {
        self.read().settings.get(&project).cloned().unwrap_or_default()
    }

    /// The settings of a project were changed: they count at once.
    pub fn put_settings(&self, project: ProjectId, settings: Settings) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.settings.insert(project, settings);
        known.settings.retain(|_, settings| *settings != Settings::default());
        self.write_file(&known);
    }

    /// The projects that count by day or month.
    pub fn projects_with_quotas(&self) -> Vec<ProjectId> {
        let known = self.read();
        let with = known.settings.iter().filter(|(_, settings)| settings.has_quota());
        with.map(|(id, _)| *id).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_file(&self, known: &Known) {
        let bytes = known.to_bytes();
        let fresh = self.file.with_extension("new");
        let written =
            std::fs::write(&fresh, bytes).and_then(|()| std::fs::rename(&fresh, &self.file));
        if let Err(cause) = written {
            tracing::warn!(file = %self.file.display(), %cause, "cannot write the copy of the keys");
        }
    }

    /// Takes room for a report whose key nobody can check yet; false when there is none left.
    pub fn admit_unverified(&self, n_bytes: u64) -> bool {
        let admit =
            |used: u64| used.checked_add(n_bytes).filter(|sum| *sum <= MOST_UNVERIFIED_BYTES);
        self.unverified_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, admit).is_ok()
    }

    /// Gives the room of a report back: its key has been checked.
    pub fn release_unverified(&self, n_bytes: u64) {
        let release = |used: u64| Some(used.saturating_sub(n_bytes));
        // A report from before a restart was never counted: the room stops at zero.
        let _ = self.unverified_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, release);
    }
}
