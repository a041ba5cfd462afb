//! Commits that are kept, wherever they come from, also where a mirror is made anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use super::command::Credential;
use super::mirror::{FetchError, KEEP, Mirror, Writing, remove_all};
use crate::domain::commit::Sha;
use crate::domain::remote::RemoteUrl;

/// So many kept commits that no branch or tag has any more are asked for at a time.
pub const MOST_ASKED_FOR: usize = 200;

impl Mirror {
    /// Fetches the repository anew, and forgets the old copy once that is done. Commits to keep that the
    /// fetch does not bring are asked for by name, and taken from the old copy where the host does not
    /// give them and they can be read; gives those that are lost.
    ///
    /// # Errors
    /// [`FetchError`]; the old copy stays then.
    pub fn renew(
        &self,
        _writing: &Writing,
        url: &RemoteUrl,
        credential: &Credential,
        pins: &BTreeSet<Sha>,
    ) -> Result<BTreeSet<Sha>, FetchError> {
        let fresh = Self::new(&self.fresh(), self.limits.clone());
        remove_all(&fresh.dir)?;
        let writing = fresh.lock()?;
        fresh.fetch(&writing, url, credential)?;
        fresh.keep(&writing, pins)?;
        let missing = fresh.lacking(pins)?;
        fresh.rescue(&writing, (url, credential), &missing, Some(self))?;
        let lost = fresh.lacking(&missing)?;
        if self.repository().exists() {
            fs::rename(self.repository(), self.old())?;
        }
        fs::rename(fresh.repository(), self.repository())?;
        remove_all(&self.old())?;
        fresh.remove(writing)?;
        Ok(lost)
    }

    /// The old copy while the new one takes its place.
    fn old(&self) -> PathBuf {
        self.dir.join("old.git")
    }

    fn fresh(&self) -> PathBuf {
        self.dir.join("fresh")
    }

    /// Whether a kill may have left the new copy beside its place.
    #[must_use]
    pub fn is_between_copies(&self) -> bool {
        self.old().exists()
    }

    /// Ends what a kill cut off while a new copy took the place of the old one: one of them is whole.
    /// Nobody else is at work.
    pub(super) fn end_renewal(&self) -> Result<(), FetchError> {
        if self.old().exists() {
            if !self.repository().exists() {
                // The old one is put aside only when the new one is whole.
                let fresh = Self::new(&self.fresh(), self.limits.clone()).repository();
                let whole = if fresh.exists() { fresh } else { self.old() };
                fs::rename(whole, self.repository())?;
            }
            remove_all(&self.old())?;
        }
        remove_all(&self.fresh())
    }

    /// Those of these commits that are not kept.
    ///
    /// # Errors
    /// [`FetchError::Damaged`].
    pub fn lacking(&self, shas: &BTreeSet<Sha>) -> Result<BTreeSet<Sha>, FetchError> {
        let repository = self.open()?;
        let is_kept = |sha: &&Sha| repository.find_reference(&format!("{KEEP}/{sha}")).is_ok();
        Ok(shas.iter().filter(|sha| !is_kept(sha)).copied().collect())
    }

    /// Brings commits as far as that can be done within the time of a fetch: by their names, or from
    /// another copy. Gives those that nobody gives.
    ///
    /// # Errors
    /// [`FetchError::Stopping`].
    pub fn rescue(
        &self,
        writing: &Writing,
        (url, credential): (&RemoteUrl, &Credential),
        missing: &BTreeSet<Sha>,
        old: Option<&Self>,
    ) -> Result<BTreeSet<Sha>, FetchError> {
        let began = Instant::now();
        let mut refused = BTreeSet::new();
        let missing: Vec<&Sha> = missing.iter().collect();
        for some in missing.chunks(MOST_ASKED_FOR) {
            // Mostly the host gives all of them or none.
            if self.fetch_commits(writing, url, credential, some.iter().copied()).is_ok() {
                continue;
            }
            for sha in some {
                if began.elapsed() > self.limits.fetch_time {
                    return Ok(refused);
                }
                let asked = self.fetch_commits(writing, url, credential, [*sha]);
                let taken = asked.or_else(|refused| {
                    old.map_or(Err(refused), |old| self.take_kept(writing, old, sha))
                });
                match taken {
                    Ok(()) => {}
                    Err(FetchError::Stopping) => return Err(FetchError::Stopping),
                    Err(_) => {
                        refused.insert(**sha);
                    }
                }
            }
        }
        Ok(refused)
    }

    /// Takes a kept commit from another mirror on this disk, if all of it can be read there.
    fn take_kept(&self, writing: &Writing, from: &Self, sha: &Sha) -> Result<(), FetchError> {
        let mut command = self.git().command();
        command.args(["-c", "protocol.file.allow=always"]);
        command.args(["fetch", "--quiet", "--no-write-fetch-head", "--no-tags"]);
        command.arg("--end-of-options").arg(from.repository());
        command.arg(format!("{KEEP}/{sha}:{KEEP}/{sha}"));
        self.run(writing, command, &Credential::default(), self.limits.fetch_time)
    }
}
