//! Taking apart what is one issue by merging or by joining.

use std::collections::BTreeSet;

use super::{MOST_RACES, TriageError, note};
use crate::clock::Clock;
use crate::domain::event::User;
use crate::domain::fingerprint::Hash;
use crate::domain::id::IssueId;
use crate::domain::issue::{Issue, handled_of_both};
use crate::domain::lifecycle::{Change, State};
use crate::domain::project::Project;
use crate::domain::tag_counts::{KnownTags, TagCounts, tags_of};
use crate::domain::time::Timestamp;
use crate::domain::title;
use crate::domain::user_sketch::user_hash;
use crate::store::unmerge::HashCount;
use crate::store::{Store, StoreError, Tx};

/// Of each hash so many bodies tell of tags and users.
const MOST_BODIES: i64 = 1_000;

/// Gives hashes of an issue, and the events they have, to an issue of their own: the one they led to
/// before a merge, else a new one. The number of that issue.
///
/// # Errors
/// [`TriageError`].
pub async fn unmerge(
    store: &Store,
    clock: &Clock,
    project: &Project,
    number: i64,
    hashes: &BTreeSet<Hash>,
    actor: &str,
) -> Result<i64, TriageError> {
    for _ in 0..MOST_RACES {
        let mut tx = store.write().await?;
        let mut split = Split { tx: &mut tx, clock, project, actor };
        match split.split(number, hashes).await {
            Ok(number) => {
                tx.commit().await?;
                return Ok(number);
            }
            Err(TriageError::Store(StoreError::Raced)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::Raced.into())
}

struct Split<'a> {
    tx: &'a mut Tx,
    clock: &'a Clock,
    project: &'a Project,
    actor: &'a str,
}

/// What is known of the hashes that go.
#[derive(Default)]
struct Share {
    counts: Vec<HashCount>,
    tags: TagCounts,
    users: BTreeSet<i64>,
    /// Named after its latest body.
    issue: Option<Named>,
}

struct Named {
    at: Timestamp,
    title: String,
    culprit: String,
    level: crate::domain::event::Level,
    platform: String,
    handled: Option<bool>,
}

impl Split<'_> {
    async fn split(&mut self, number: i64, hashes: &BTreeSet<Hash>) -> Result<i64, TriageError> {
        let id = self.project.id;
        let found = self.tx.find_issue(self.project, number).await?;
        let from = found.ok_or(TriageError::NotFound)?.id;
        let origins = self.tx.list_origins(id, from).await?;
        if let Some(unknown) = hashes.iter().find(|hash| !origins.contains_key(hash)) {
            return Err(TriageError::NotItsHash(*unknown));
        }
        if hashes.is_empty() || hashes.len() == origins.len() {
            return Err(TriageError::NothingLeft);
        }
        let of_chosen: BTreeSet<IssueId> =
            hashes.iter().filter_map(|hash| origins.get(hash)).copied().collect();
        let mut origin = of_chosen.iter().copied().filter(|origin| *origin != from);
        let revived = origin.next().filter(|_| of_chosen.len() == 1);
        let revived = match revived {
            Some(origin) => {
                let issue = self.tx.find_issue_by_id(self.project, origin).await?;
                issue.filter(|issue| issue.merged_into == Some(from)).map(|issue| issue.id)
            }
            None => None,
        };
        let into = revived.unwrap_or_else(|| IssueId(self.clock.id()));
        // Whoever locks several issues does it by ascending id.
        for issue in BTreeSet::from([from, into]) {
            self.tx.lock_issue(id, issue).await?;
        }
        let survivor = self.tx.find_issue(self.project, number).await?;
        let survivor = survivor.filter(|issue| issue.merged_into.is_none());
        let survivor = survivor.ok_or(StoreError::Raced)?;
        if revived.is_some() {
            self.tx.revive_issue(id, (from, into)).await?;
        } else {
            self.tx.insert_split(id, (from, into)).await?;
            self.tx.number_issues(id, &[into]).await?;
        }
        for hash in hashes {
            self.tx.repoint_hash(id, *hash, (from, into)).await?;
        }
        let split = self.tx.find_issue_by_id(self.project, into).await?;
        let split = split.ok_or(StoreError::Raced)?;
        let left: BTreeSet<Hash> =
            origins.into_keys().filter(|hash| !hashes.contains(hash)).collect();
        self.share(survivor, split, (hashes, &left)).await
    }

    /// Divides what the two have.
    async fn share(
        &mut self,
        survivor: Issue,
        split: Issue,
        (gone, left): (&BTreeSet<Hash>, &BTreeSet<Hash>),
    ) -> Result<i64, TriageError> {
        let (project, number) = (self.project.id, split.short_id.number);
        let both = (survivor.id, split.id);
        let share = self.share_of(gone).await?;
        self.tx.move_counts(project, both, &share.counts).await?;
        self.tx.subtract_tags(project, survivor.id, &share.tags).await?;
        let tags = [(split.id, share.tags.clone())].into();
        self.tx.add_tags(project, &tags, &mut KnownTags::default()).await?;
        self.tx.insert_users(project, &[(split.id, share.users.clone())].into()).await?;
        self.tx.count_users(project, split.id).await?;

        let sum =
            |of: fn(&HashCount) -> i64| share.counts.iter().map(of).sum::<i64>().unsigned_abs();
        let (n_events, n_bodies) = (sum(|one| one.n_events), sum(|one| one.n_bodies));
        let n_bodies_left = self.n_bodies_of(left).await?;
        let hashes: Vec<String> = gone.iter().map(Hash::to_string).collect();
        let (from, into) = (survivor.short_id.to_string(), split.short_id.to_string());
        let split = Issue { n_events, ..named(split, &share) };
        let survivor = Issue {
            n_events: survivor.n_events.saturating_sub(n_events),
            ..self.still_seen(survivor, &share, left).await?
        };
        self.tx.update_issue_share(&split, n_bodies).await?;
        self.tx.update_issue_share(&survivor, n_bodies_left).await?;
        let unmerged = Change::Unmerged { issue: into, hashes: hashes.clone() };
        note(self.tx, self.clock, project, survivor.id, unmerged, self.actor).await?;
        let from = Change::SplitFrom { issue: from, hashes };
        note(self.tx, self.clock, project, split.id, from, self.actor).await?;
        if split.state != State::OPEN {
            let found = self.tx.find_issue_by_id(self.project, split.id).await?;
            let mut found = found.ok_or(StoreError::Raced)?;
            found.state = State::OPEN;
            self.tx.update_issue_state(&found).await?;
        }
        Ok(number)
    }

    async fn share_of(&mut self, hashes: &BTreeSet<Hash>) -> Result<Share, StoreError> {
        let project = self.project.id;
        let mut share = Share::default();
        for hash in hashes {
            share.counts.extend(self.tx.count_of_hash(project, *hash).await?);
            let bodies = self.tx.list_bodies_of_hash(project, *hash, MOST_BODIES).await?;
            for decoded in self.tx.decode(project, &bodies).await? {
                let Some(event) = decoded.event() else { continue };
                for tag in tags_of(event) {
                    if !matches!(tag.0.as_str(), "environment" | "release") {
                        *share.tags.entry(tag).or_default() += 1;
                    }
                }
                let user = event.user.as_ref().and_then(User::identity);
                share.users.extend(user.map(|user| user_hash(&user)));
                let handled = share.issue.as_ref().and_then(|named| named.handled);
                let handled = handled_of_both(handled, event.handled);
                match &mut share.issue {
                    Some(named) if named.at >= event.timestamp => named.handled = handled,
                    named => {
                        *named = Some(Named {
                            at: event.timestamp,
                            title: title::title(event),
                            culprit: title::culprit(event),
                            level: event.level,
                            platform: event.platform.clone(),
                            handled,
                        });
                    }
                }
            }
        }
        for one in &share.counts {
            let n_events = one.n_events.unsigned_abs();
            let mut add = |tag: &str, value: &str| {
                *share.tags.entry((tag.to_owned(), value.to_owned())).or_default() += n_events;
            };
            add("environment", &one.environment);
            if !one.release.is_empty() {
                add("release", &crate::domain::text::bounded(&one.release, 200));
            }
        }
        Ok(share)
    }

    async fn n_bodies_of(&mut self, hashes: &BTreeSet<Hash>) -> Result<u64, StoreError> {
        let mut n_bodies = 0;
        for hash in hashes {
            let counts = self.tx.count_of_hash(self.project.id, *hash).await?;
            n_bodies += counts.iter().map(|one| one.n_bodies).sum::<i64>().unsigned_abs();
        }
        Ok(n_bodies)
    }

    /// When an issue was seen, after hashes left it.
    async fn still_seen(
        &mut self,
        mut issue: Issue,
        share: &Share,
        left: &BTreeSet<Hash>,
    ) -> Result<Issue, StoreError> {
        let mut seen: Option<(Timestamp, Timestamp)> = None;
        for hash in left {
            let of_hash = self.tx.seen_of_hash(self.project.id, *hash).await?;
            seen = match (seen, of_hash) {
                (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
                (one, other) => one.or(other),
            };
        }
        let Some((first, last)) = seen else { return Ok(issue) };
        let first_gone = share.counts.iter().map(|one| one.first).min();
        if first_gone.is_some_and(|gone| gone <= issue.first_seen.as_micros()) {
            issue.first_seen = first;
        }
        issue.last_seen = last;
        Ok(issue)
    }
}

/// An issue named after what it got.
fn named(mut issue: Issue, share: &Share) -> Issue {
    let at = |micros: Option<i64>, known| micros.map_or(known, Timestamp::from_micros);
    issue.first_seen = at(share.counts.iter().map(|one| one.first).min(), issue.first_seen);
    issue.last_seen = at(share.counts.iter().map(|one| one.last).max(), issue.last_seen);
    let with_release = || share.counts.iter().filter(|one| !one.release.is_empty());
    issue.first_release = with_release().min_by_key(|one| one.first).map(|one| one.release.clone());
    issue.last_release = with_release().max_by_key(|one| one.last).map(|one| one.release.clone());
    if let Some(named) = &share.issue {
        issue.title.clone_from(&named.title);
        issue.culprit.clone_from(&named.culprit);
        issue.platform.clone_from(&named.platform);
        (issue.level, issue.handled) = (named.level, named.handled);
    }
    issue
}
