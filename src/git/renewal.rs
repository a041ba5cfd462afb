//! A mirror that is damaged is fetched anew, and what was kept in it is kept in the new one.

use std::collections::BTreeSet;
use std::fs;
use std::time::Instant;

use super::command::Credential;
use super::mirror::{FetchError, KEEP, Mirror, Writing, remove_all};
use crate::domain::commit::Sha;
use crate::domain::remote::RemoteUrl;

/// So many kept commits that no branch or tag has any more are asked for at a time.
pub const MOST_ASKED_FOR: usize = 200;

impl Mirror {
    /// Fetches the repository anew, and forgets the old copy once that is done. Kept commits that the
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
    ) -> Result<BTreeSet<Sha>, FetchError> {
        let fresh = Self::new(&self.dir.join("fresh"), self.limits.clone());
        remove_all(&fresh.dir)?;
        let writing = fresh.lock()?;
        fresh.fetch(&writing, url, credential)?;
        let kept = self.kept();
        fresh.keep(&writing, &kept)?;
        let missing = fresh.lacking(&kept)?;
        if !missing.is_empty() {
            self.rescue(&fresh, &writing, (url, credential), &missing)?;
        }
        let lost = fresh.lacking(&missing)?;
        remove_all(&self.repository())?;
        fs::rename(fresh.repository(), self.repository())?;
        fresh.remove(writing)?;
        Ok(lost)
    }

    /// The names of kept commits, read from the refs' own names: git cannot read what is damaged.
    fn kept(&self) -> BTreeSet<Sha> {
        let own = self.repository();
        let entries = fs::read_dir(own.join(KEEP)).into_iter().flatten().flatten();
        let loose = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let packed = fs::read(own.join("packed-refs")).unwrap_or_default();
        let packed = String::from_utf8_lossy(&packed);
        let of_line = |line: &str| {
            let name = line.split_once(' ')?.1.strip_prefix(KEEP)?.strip_prefix('/')?;
            name.parse().ok()
        };
        loose.chain(packed.lines().filter_map(of_line)).collect()
    }

    /// Those of these commits that are not kept.
    fn lacking(&self, shas: &BTreeSet<Sha>) -> Result<BTreeSet<Sha>, FetchError> {
        let repository = self.open()?;
        let is_kept = |sha: &&Sha| repository.find_reference(&format!("{KEEP}/{sha}")).is_ok();
        Ok(shas.iter().filter(|sha| !is_kept(sha)).copied().collect())
    }

    /// Brings commits into a fresh mirror as far as that can be done within the time of a fetch.
    fn rescue(
        &self,
        fresh: &Self,
        writing: &Writing,
        (url, credential): (&RemoteUrl, &Credential),
        missing: &BTreeSet<Sha>,
    ) -> Result<(), FetchError> {
        let began = Instant::now();
        let missing: Vec<&Sha> = missing.iter().collect();
        for some in missing.chunks(MOST_ASKED_FOR) {
            // Mostly the host gives all of them or none.
            if fresh.fetch_commits(writing, url, credential, some.iter().copied()).is_ok() {
                continue;
            }
            for sha in some {
                if began.elapsed() > self.limits.fetch_time {
                    return Ok(());
                }
                let asked = fresh.fetch_commits(writing, url, credential, [*sha]);
                let taken = asked.or_else(|_| fresh.take_kept(writing, self, sha));
                if matches!(taken, Err(FetchError::Stopping)) {
                    return Err(FetchError::Stopping);
                }
            }
        }
        Ok(())
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
