//! The mirrors of this process: what they hold is read by many and fetched by one at a time.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::task::spawn_blocking;

use super::command::{Credential, Limits};
use super::graph_file::Commits;
use super::mirror::{FetchError, Mirror, Writing};
use crate::domain::commit::Sha;
use crate::domain::remote::{InvalidUrl, RemoteUrl};
use crate::domain::repository::{Repository, RepositoryId};

/// Another process may fetch the same mirror: so long it is waited for.
const BUSY_PATIENCE: Duration = Duration::from_mins(2);

/// How often it is looked whether the other is done.
const BUSY_LOOK: Duration = Duration::from_millis(200);

/// Mirrors in the data folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Mirrors {
    dir: PathBuf,
    limits: Limits,
    opened: Arc<Mutex<HashMap<RepositoryId, Arc<Opened>>>>,
}

/// What a mirror held when it was last looked at.
#[derive(Debug, Default, Clone)]
pub struct Snapshot {
    /// Its commits.
    pub commits: Arc<Commits>,
    /// Its branches.
    pub branches: Arc<BTreeMap<String, Sha>>,
    /// Its tags, and the commits they mean.
    pub tags: Arc<BTreeMap<String, Sha>>,
}

#[derive(Debug)]
struct Opened {
    mirror: Mirror,
    snapshot: RwLock<Option<Snapshot>>,
    fetching: tokio::sync::Mutex<()>,
    /// How many fetches were asked for, and how many of them are answered.
    n_asked: AtomicU64,
    n_answered: AtomicU64,
}

impl Mirrors {
    /// The mirrors in a folder.
    #[must_use]
    pub fn new(dir: &Path, limits: Limits) -> Self {
        Self { dir: dir.to_owned(), limits, opened: Arc::default() }
    }

    /// Checks the address of a repository.
    ///
    /// # Errors
    /// [`InvalidUrl`] says what to do.
    pub fn check_url(&self, url: &str) -> Result<RemoteUrl, InvalidUrl> {
        RemoteUrl::parse(url, &self.limits.protocols)
    }

    fn opened(&self, id: RepositoryId) -> Arc<Opened> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let dir = self.dir.join(id.0.simple().to_string());
            Arc::new(Opened {
                mirror: Mirror::new(&dir, self.limits.clone()),
                snapshot: RwLock::default(),
                fetching: tokio::sync::Mutex::default(),
                n_asked: AtomicU64::new(0),
                n_answered: AtomicU64::new(0),
            })
        };
        Arc::clone(opened.entry(id).or_insert_with(new))
    }

    /// What a mirror held when it was last fetched; read from disk the first time.
    ///
    /// # Errors
    /// [`FetchError`] when what is on disk cannot be read.
    pub async fn snapshot(&self, id: RepositoryId) -> Result<Snapshot, FetchError> {
        let opened = self.opened(id);
        if let Some(known) = opened.known() {
            return Ok(known);
        }
        // One reads, the others wait for it.
        let _alone = opened.fetching.lock().await;
        if let Some(known) = opened.known() {
            return Ok(known);
        }
        let reading = Arc::clone(&opened);
        blocking(move || {
            let mut commits = Commits::default();
            commits.catch_up(&reading.mirror)?;
            reading.show(commits)
        })
        .await
    }

    /// Brings a mirror up to date. Who asks while a fetch is under way waits for the next one and
    /// shares it.
    ///
    /// # Errors
    /// [`FetchError`]; what was there stays.
    pub async fn fetch(
        &self,
        repository: &Repository,
        credential: Credential,
    ) -> Result<Snapshot, FetchError> {
        let url = repository.url.as_deref().unwrap_or_default();
        let url = self.check_url(url).map_err(|error| FetchError::Refused(error.to_string()))?;
        let opened = self.opened(repository.id);
        let mine = opened.n_asked.fetch_add(1, Ordering::SeqCst) + 1;
        let _alone = opened.fetching.lock().await;
        if opened.n_answered.load(Ordering::SeqCst) >= mine
            && let Some(known) = opened.known()
        {
            return Ok(known);
        }
        let answered = opened.n_asked.load(Ordering::SeqCst);
        let limits = self.limits.clone();
        let fetching = Arc::clone(&opened);
        let fetched = blocking(move || fetching.fetch(&url, &credential, &limits)).await?;
        opened.n_answered.fetch_max(answered, Ordering::SeqCst);
        Ok(fetched)
    }

    /// The mirrors on this disk.
    ///
    /// # Errors
    /// [`FetchError::Io`].
    pub fn list(&self) -> Result<Vec<RepositoryId>, FetchError> {
        let entries = match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut ids = Vec::new();
        for entry in entries {
            // What is called otherwise is not ours.
            let id = entry?.file_name().to_str().and_then(|name| uuid::Uuid::try_parse(name).ok());
            ids.extend(id.map(RepositoryId));
        }
        Ok(ids)
    }

    /// Forgets a mirror and removes it from the disk.
    ///
    /// # Errors
    /// [`FetchError::Io`].
    pub async fn remove(&self, id: RepositoryId) -> Result<(), FetchError> {
        let opened = self.opened(id);
        let _alone = opened.fetching.lock().await;
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        let mirror = opened.mirror.clone();
        blocking(move || {
            let writing = wait_for(&mirror)?;
            mirror.remove(writing)
        })
        .await
    }
}

impl Opened {
    fn known(&self) -> Option<Snapshot> {
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fetch(
        &self,
        url: &RemoteUrl,
        credential: &Credential,
        limits: &Limits,
    ) -> Result<Snapshot, FetchError> {
        let writing = wait_for(&self.mirror)?;
        let mut commits = match self.known() {
            // Whoever looks meanwhile looks at the one from before.
            Some(known) => (*known.commits).clone(),
            None => Commits::default(),
        };
        let fetched = self.mirror.fetch(&writing, url, credential);
        let read = fetched.and_then(|()| commits.extend(&self.mirror, limits, &writing));
        match read {
            Err(FetchError::Damaged(cause)) => {
                tracing::warn!(cause, "a mirror is damaged and is fetched anew");
                self.mirror.renew(&writing, url, credential)?;
                commits.extend(&self.mirror, limits, &writing)?;
            }
            read => read?,
        }
        self.show(commits)
    }

    /// Shows what is there from now on.
    fn show(&self, commits: Commits) -> Result<Snapshot, FetchError> {
        let is_there = self.mirror.is_there();
        let snapshot = Snapshot {
            commits: Arc::new(commits),
            branches: Arc::new(if is_there { self.mirror.branches()? } else { BTreeMap::new() }),
            tags: Arc::new(if is_there { self.mirror.tags()? } else { BTreeMap::new() }),
        };
        let mut shown = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        *shown = Some(snapshot.clone());
        Ok(snapshot)
    }
}

/// Takes a mirror for changing, however long another process has it, within bounds.
fn wait_for(mirror: &Mirror) -> Result<Writing, FetchError> {
    let mut waited = Duration::ZERO;
    loop {
        match mirror.lock() {
            Err(FetchError::Busy) if waited < BUSY_PATIENCE => {
                std::thread::sleep(BUSY_LOOK);
                waited += BUSY_LOOK;
            }
            taken => return taken,
        }
    }
}

/// Runs what blocks where it may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
) -> Result<T, FetchError> {
    let done = spawn_blocking(work).await;
    done.unwrap_or_else(|panic| Err(FetchError::Damaged(panic.to_string())))
}
