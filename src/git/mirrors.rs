//! The mirrors of this process: what they hold is read by many and fetched by one at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::command::{Credential, Limits};
use super::graph_file::Commits;
use super::mirror::{FetchError, Mirror, Writing};
use super::patches::{Looked, Patches};
use crate::domain::commit::Sha;
use crate::domain::history::History;
use crate::domain::remote::{InvalidUrl, RemoteUrl};
use crate::domain::repository::{Repository, RepositoryId};

/// Another process may fetch the same mirror: so long it is waited for.
const BUSY_PATIENCE: Duration = Duration::from_mins(2);

/// How often it is looked whether the other is done.
const BUSY_LOOK: Duration = Duration::from_millis(200);

/// A damaged mirror is fetched anew at most so often: what is damaged at its source stays so.
const RENEW_EVERY: Duration = Duration::from_hours(6);

/// Where joining the files of a mirror did not go well it is tried again after this.
const TEND_AGAIN_AFTER: Duration = Duration::from_hours(1);

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
    /// Commits of which nobody knows what they descend from: they were only listed with a release.
    pub listed: Arc<BTreeSet<Sha>>,
}

impl Snapshot {
    /// Commits without a mirror: nobody knows their branches and tags.
    #[must_use]
    pub fn of(history: History) -> Self {
        Self { commits: Arc::new(history.into()), ..Self::default() }
    }
}

#[derive(Debug)]
struct Opened {
    mirror: Mirror,
    snapshot: RwLock<Option<Snapshot>>,
    /// Whoever reads the file of commits for the first time; the others wait for it.
    loading: Mutex<()>,
    fetching: Arc<tokio::sync::Mutex<Shared>>,
    /// How many fetches were asked for.
    n_asked: AtomicU64,
}

/// What fetches share.
#[derive(Debug, Default)]
struct Shared {
    /// How many of those that were asked for are answered.
    n_answered: u64,
    /// Why the last one did not go well.
    failure: Option<String>,
    /// When the mirror was last fetched anew because it was damaged.
    renewed_at: Option<Instant>,
    /// When its files could not be joined.
    untended_at: Option<Instant>,
    /// Commits that were asked for by their names, and not given.
    refused: BTreeSet<Sha>,
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

    fn dir_of(&self, id: RepositoryId) -> PathBuf {
        self.dir.join(id.0.simple().to_string())
    }

    fn opened(&self, id: RepositoryId) -> Arc<Opened> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            Arc::new(Opened {
                mirror: Mirror::new(&self.dir_of(id), self.limits.clone()),
                snapshot: RwLock::default(),
                loading: Mutex::default(),
                fetching: Arc::default(),
                n_asked: AtomicU64::new(0),
            })
        };
        Arc::clone(opened.entry(id).or_insert_with(new))
    }

    /// What a mirror held when it was last fetched; read from disk the first time. Never waits for a
    /// network.
    ///
    /// # Errors
    /// [`FetchError`] when what is on disk cannot be read.
    pub async fn snapshot(&self, id: RepositoryId) -> Result<Snapshot, FetchError> {
        let opened = self.opened(id);
        if let Some(known) = opened.known() {
            return Ok(known);
        }
        blocking(move || opened.load()).await
    }

    /// Brings a mirror up to date, and keeps `pins` in it, whatever becomes of their branches. Who asks
    /// while a fetch is under way waits for the next one and shares it.
    ///
    /// # Errors
    /// [`FetchError`]; what was there stays.
    pub async fn fetch(
        &self,
        repository: &Repository,
        credential: Credential,
        pins: BTreeSet<Sha>,
    ) -> Result<Snapshot, FetchError> {
        let url = repository.url.as_deref().unwrap_or_default();
        let url = self.check_url(url).map_err(|error| FetchError::Refused(error.to_string()))?;
        let opened = self.opened(repository.id);
        let mine = opened.n_asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut shared = Arc::clone(&opened.fetching).lock_owned().await;
        if shared.n_answered >= mine {
            return match (&shared.failure, opened.known()) {
                (None, Some(known)) => Ok(known),
                (failure, _) => Err(FetchError::Shared(failure.clone().unwrap_or_default())),
            };
        }
        let limits = self.limits.clone();
        let (tell, told) = oneshot::channel();
        // Whoever asked may be gone before it is done: the work keeps the lock.
        spawn_blocking(move || {
            let answered = opened.n_asked.load(Ordering::SeqCst);
            let fetched = opened.fetch((&url, &credential), &limits, &pins, &mut shared);
            shared.n_answered = answered;
            shared.failure = fetched.as_ref().err().map(ToString::to_string);
            let is_fetched = fetched.is_ok();
            let _ = tell.send(fetched);
            // Nobody waits for that but the next fetch.
            if is_fetched {
                opened.tend(&mut shared.untended_at);
            }
        });
        told.await.unwrap_or_else(|_| Err(FetchError::Damaged("a fetch panicked".to_owned())))
    }

    /// What stands for commits by its patch, in a mirror that held `snapshot`.
    ///
    /// # Errors
    /// [`FetchError`] when what is on disk cannot be read.
    pub async fn same_patches(
        &self,
        id: RepositoryId,
        snapshot: &Snapshot,
        commits: BTreeSet<Sha>,
        known: BTreeMap<Sha, Looked>,
    ) -> Result<BTreeMap<Sha, Looked>, FetchError> {
        let (opened, commits_there) = (self.opened(id), Arc::clone(&snapshot.commits));
        blocking(move || {
            let repository = opened.mirror.open()?;
            Patches::new(&repository, &commits_there.history).same(commits, &known)
        })
        .await
    }

    /// Ends what is under way, and lets nothing begin.
    pub fn stop(&self) {
        self.limits.is_stopping.store(true, Ordering::Relaxed);
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
        let alone = Arc::clone(&opened.fetching).lock_owned().await;
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        let (mirror, limits) = (opened.mirror.clone(), self.limits.clone());
        blocking(move || {
            let _alone = alone;
            let writing = wait_for(&mirror, &limits)?;
            mirror.remove(writing)
        })
        .await
    }
}

impl Opened {
    fn known(&self) -> Option<Snapshot> {
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is known, read from disk if nothing is.
    fn load(&self) -> Result<Snapshot, FetchError> {
        let _alone = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = self.known() {
            return Ok(known);
        }
        if self.mirror.is_between_copies() {
            // Whoever has it ends that.
            drop(self.mirror.lock());
        }
        let mut commits = Commits::default();
        commits.catch_up(&self.mirror)?;
        self.show(Arc::new(commits))
    }

    fn fetch(
        &self,
        (url, credential): (&RemoteUrl, &Credential),
        limits: &Limits,
        pins: &BTreeSet<Sha>,
        shared: &mut Shared,
    ) -> Result<Snapshot, FetchError> {
        // What is on disk is shown before anybody waits for a network.
        let known = self.load();
        let writing = wait_for(&self.mirror, limits)?;
        let fetched = self.bring(&writing, (url, credential), pins);
        let known = known.map(|known| known.commits).unwrap_or_default();
        let is_due = shared.renewed_at.is_none_or(|at| at.elapsed() > RENEW_EVERY);
        match fetched.and_then(|()| self.extended(&known, limits, &writing)) {
            Err(FetchError::Damaged(cause)) if is_due => {
                tracing::warn!(cause, "a mirror is damaged and is fetched anew");
                shared.renewed_at = Some(Instant::now());
                let lost = self.mirror.renew(&writing, url, credential, pins)?;
                if let Some(first) = lost.first() {
                    let n_lost = lost.len();
                    tracing::warn!(n_lost, %first, "commits that were kept are gone with a mirror");
                }
                self.show(self.extended(&known, limits, &writing)?)
            }
            commits => {
                let shown = self.show(commits?)?;
                let missing = &self.mirror.lacking(pins)? - &shared.refused;
                if missing.is_empty() {
                    return Ok(shown);
                }
                // Once: what the host does not give it will not give later.
                let refused = self.mirror.rescue(&writing, (url, credential), &missing, None)?;
                shared.refused.extend(refused);
                self.show(self.extended(&shown.commits, limits, &writing)?)
            }
        }
    }

    /// Fetches the mirror, in which commits are kept before anything is forgotten.
    fn bring(
        &self,
        writing: &Writing,
        (url, credential): (&RemoteUrl, &Credential),
        pins: &BTreeSet<Sha>,
    ) -> Result<(), FetchError> {
        if self.mirror.is_there() {
            self.mirror.keep(writing, pins)?;
        }
        self.mirror.fetch(writing, url, credential)?;
        self.mirror.keep(writing, pins)
    }

    /// Joins the files of the mirror if they are many. Whether that goes well or not, what it holds is
    /// the same.
    fn tend(&self, untended_at: &mut Option<Instant>) {
        let is_due = untended_at.is_none_or(|at| at.elapsed() > TEND_AGAIN_AFTER);
        if !is_due || !self.mirror.files().are_many() {
            return;
        }
        let tended = self.mirror.lock().and_then(|writing| self.mirror.tend(&writing));
        *untended_at = match tended {
            // Whoever has it tends it.
            Ok(_) | Err(FetchError::Busy | FetchError::Stopping) => None,
            Err(cause) => {
                tracing::warn!(%cause, "the files of a mirror cannot be joined");
                Some(Instant::now())
            }
        };
    }

    /// The commits with those that are new. Whoever looks meanwhile looks at what was before.
    fn extended(
        &self,
        known: &Arc<Commits>,
        limits: &Limits,
        writing: &Writing,
    ) -> Result<Arc<Commits>, FetchError> {
        if known.is_current(&self.mirror)? {
            return Ok(Arc::clone(known));
        }
        let mut commits = (**known).clone();
        commits.extend(&self.mirror, limits, writing)?;
        Ok(Arc::new(commits))
    }

    /// Shows what is there from now on.
    fn show(&self, commits: Arc<Commits>) -> Result<Snapshot, FetchError> {
        let is_there = self.mirror.is_there();
        let snapshot = Snapshot {
            commits,
            branches: Arc::new(if is_there { self.mirror.branches()? } else { BTreeMap::new() }),
            tags: Arc::new(if is_there { self.mirror.tags()? } else { BTreeMap::new() }),
            listed: Arc::default(),
        };
        let mut shown = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        *shown = Some(snapshot.clone());
        Ok(snapshot)
    }
}

/// Takes a mirror for changing, however long another process has it, within bounds.
fn wait_for(mirror: &Mirror, limits: &Limits) -> Result<Writing, FetchError> {
    let mut waited = Duration::ZERO;
    loop {
        if limits.is_stopping() {
            return Err(FetchError::Stopping);
        }
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
