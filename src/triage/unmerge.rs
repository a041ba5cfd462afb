//! Taking apart what is one issue by merging or by joining.

use std::collections::{BTreeMap, BTreeSet};

use super::TriageError;
use crate::clock::Clock;
use crate::domain::event::{Event, Level, User};
use crate::domain::fingerprint::Hash;
use crate::domain::id::IssueId;
use crate::domain::issue::{Issue, handled_of_both};
use crate::domain::lifecycle::{Change, State, Verdict};
use crate::domain::project::Project;
use crate::domain::tag_counts::{KnownTags, MOST_VALUE_CHARS, TagCounts, tags_of};
use crate::domain::text::bounded;
use crate::domain::time::Timestamp;
use crate::domain::title;
use crate::domain::user_sketch::user_hash;
use crate::journal::{MOST_RACES, note, note_serious};
use crate::store::body::Decoded;
use crate::store::unmerge::{HashCount, Seen};
use crate::store::unsettled::Unsettled;
use crate::store::{Store, StoreError, Tx};

/// So many bodies tell of tags and users.
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
    // Bodies are read before anybody has to wait for it.
    let told = Told::by(store, project, hashes).await?;
    for _ in 0..MOST_RACES {
        let mut tx = store.write().await?;
        let mut split = Split { tx: &mut tx, clock, project, actor, told: &told };
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

/// What bodies tell of hashes.
#[derive(Default)]
struct Told {
    tags: TagCounts,
    users: BTreeSet<i64>,
    name: Option<Name>,
}

/// What an issue is called, after its latest body.
struct Name {
    at: Timestamp,
    title: String,
    culprit: String,
    level: Level,
    platform: String,
    handled: Option<bool>,
}

impl Told {
    async fn by(
        store: &Store,
        project: &Project,
        hashes: &BTreeSet<Hash>,
    ) -> Result<Self, StoreError> {
        let mut tx = store.read().await?;
        let mut told = Self::default();
        let most = MOST_BODIES / i64::try_from(hashes.len().max(1)).unwrap_or(MOST_BODIES);
        for hash in hashes {
            let bodies = tx.list_bodies_of_hash(project.id, *hash, most.max(1)).await?;
            for decoded in tx.decode(project.id, &bodies).await? {
                if let Some(event) = decoded.event() {
                    told.hear(event);
                }
            }
        }
        Ok(told)
    }

    fn hear(&mut self, event: &Event) {
        for tag in tags_of(event) {
            // These are known of every event.
            if !matches!(tag.0.as_str(), "environment" | "release") {
                *self.tags.entry(tag).or_default() += 1;
            }
        }
        let user = event.user.as_ref().and_then(User::identity);
        self.users.extend(user.map(|user| user_hash(&user)));
        let handled = self.name.as_ref().and_then(|name| name.handled);
        let handled = handled_of_both(handled, event.handled);
        match &mut self.name {
            Some(name) if name.at >= event.timestamp => name.handled = handled,
            name => *name = Some(Name { handled, ..Name::of(event) }),
        }
    }
}

impl Name {
    fn of(event: &Event) -> Self {
        Self {
            at: event.timestamp,
            title: title::title(event),
            culprit: title::culprit(event),
            level: event.level,
            platform: event.platform.clone(),
            handled: event.handled,
        }
    }

    fn give(&self, issue: &mut Issue) {
        issue.title.clone_from(&self.title);
        issue.culprit.clone_from(&self.culprit);
        issue.platform.clone_from(&self.platform);
        (issue.level, issue.handled) = (self.level, self.handled);
    }
}

struct Split<'a> {
    tx: &'a mut Tx,
    clock: &'a Clock,
    project: &'a Project,
    actor: &'a str,
    told: &'a Told,
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
        let origin = self.origin_of(from, hashes, &origins).await?;
        let into = origin.unwrap_or_else(|| IssueId(self.clock.id()));
        // Whoever locks several issues does it by ascending id.
        for issue in BTreeSet::from([from, into]) {
            self.tx.lock_issue(id, issue).await?;
        }
        let survivor = self.tx.find_issue(self.project, number).await?;
        let survivor = survivor.filter(|issue| issue.merged_into.is_none());
        let survivor = survivor.ok_or(StoreError::Raced)?;
        // As they are now that nobody can add one.
        let mut left = self.tx.list_origins(id, from).await?;
        left.retain(|hash, _| !hashes.contains(hash));
        if hashes.is_empty() || left.is_empty() {
            return Err(TriageError::NothingLeft);
        }
        if origin.is_some() {
            self.tx.revive_issue(id, (from, into)).await?;
        } else {
            self.tx.insert_split(id, (from, into)).await?;
            self.tx.number_issues(id, &[into]).await?;
        }
        for hash in hashes {
            self.tx.repoint_hash(id, *hash, (from, into)).await?;
        }
        let split = self.tx.find_issue_by_id(self.project, into).await?;
        let split =
            Issue { discarded_at: survivor.discarded_at, ..split.ok_or(StoreError::Raced)? };
        let number = split.short_id.number;
        let left: BTreeSet<Hash> = left.into_keys().collect();
        self.share(survivor, split, (hashes, &left), origin.is_some()).await?;
        Ok(number)
    }

    /// The issue that all these hashes led to before it was merged into this one.
    async fn origin_of(
        &mut self,
        from: IssueId,
        hashes: &BTreeSet<Hash>,
        origins: &BTreeMap<Hash, IssueId>,
    ) -> Result<Option<IssueId>, StoreError> {
        let chosen: BTreeSet<IssueId> =
            hashes.iter().filter_map(|hash| origins.get(hash)).copied().collect();
        let Some(origin) = chosen.first().filter(|_| chosen.len() == 1) else { return Ok(None) };
        let issue = self.tx.find_issue_by_id(self.project, *origin).await?;
        Ok(issue.filter(|issue| issue.merged_into == Some(from)).map(|issue| issue.id))
    }

    /// Divides what the two have.
    async fn share(
        &mut self,
        mut survivor: Issue,
        mut split: Issue,
        (gone, left): (&BTreeSet<Hash>, &BTreeSet<Hash>),
        is_back: bool,
    ) -> Result<(), TriageError> {
        let project = self.project.id;
        let mut counts = Vec::new();
        for hash in gone {
            counts.extend(self.tx.count_of_hash(project, *hash).await?);
        }
        self.tx.move_counts(project, (survivor.id, split.id), &counts).await?;
        let tags = self.tags(&counts);
        self.tx.subtract_tags(project, survivor.id, &tags).await?;
        let tags = BTreeMap::from([(split.id, tags)]);
        self.tx.add_tags(project, &tags, &mut KnownTags::default()).await?;
        let users = BTreeMap::from([(split.id, self.told.users.clone())]);
        self.tx.insert_users(project, &users).await?;
        self.tx.count_users(project, split.id).await?;

        let sum = |of: fn(&HashCount) -> i64| counts.iter().map(of).sum::<i64>();
        let n_bodies = sum(|one| one.n_bodies);
        split.n_events = sum(|one| one.n_events).unsigned_abs();
        survivor.n_events = survivor.n_events.saturating_sub(split.n_events);
        let of = |verdict: Verdict| {
            let counted = counts.iter().filter(|one| one.verdict == verdict.as_str());
            counted.map(|one| one.n_events.unsigned_abs()).sum::<u64>()
        };
        let waiting = counts.iter().filter(|one| one.verdict == Verdict::Undetermined.as_str());
        let waiting: BTreeSet<Unsettled> = waiting
            .map(|one| Unsettled { issue: split.id, release: one.release.clone() })
            .collect();
        self.tx.insert_unsettled(project, &waiting, self.clock.now()).await?;
        split.n_suppressed = of(Verdict::Suppressed);
        split.n_undetermined = of(Verdict::Undetermined);
        survivor.n_suppressed = survivor.n_suppressed.saturating_sub(split.n_suppressed);
        survivor.n_undetermined = survivor.n_undetermined.saturating_sub(split.n_undetermined);
        if let Some(name) = &self.told.name {
            name.give(&mut split);
        }
        if let Some((first, last)) = self.seen(gone).await? {
            (split.first_seen, split.first_release) = first;
            (split.last_seen, split.last_release) = last;
        }
        let had_first = split.first_seen <= survivor.first_seen;
        if let Some((first, last)) = self.seen(left).await? {
            if had_first {
                (survivor.first_seen, survivor.first_release) = first;
            }
            (survivor.last_seen, survivor.last_release) = last;
        }
        let latest = self.tx.find_latest_body(project, survivor.id).await?;
        let latest = self.tx.decode(project, latest.as_slice()).await?;
        if let Some(event) = latest.first().and_then(Decoded::event) {
            let handled = survivor.handled;
            Name { handled, ..Name::of(event) }.give(&mut survivor);
        }
        self.tx.update_issue_share(&split, n_bodies).await?;
        self.tx.update_issue_share(&survivor, -n_bodies).await?;
        if split.state != State::OPEN {
            // Written once since it was read.
            let open = Issue { state: State::OPEN, revision: split.revision + 1, ..split.clone() };
            self.tx.update_issue_state(&open).await?;
        }
        self.tx.raise_gates_of(project, &[survivor.id, split.id]).await?;
        // One that is back is what it was; its task is still there.
        if !is_back && survivor.serious_at.is_some() {
            let reason = format!("it was a part of {}", survivor.short_id);
            note_serious(self.tx, self.clock, (project, split.id), reason, self.actor).await?;
        }
        let hashes: Vec<String> = gone.iter().map(Hash::to_string).collect();
        let into = split.short_id.to_string();
        let unmerged = Change::Unmerged { issue: into, hashes: hashes.clone() };
        note(self.tx, self.clock, project, survivor.id, unmerged, self.actor).await?;
        let from = Change::SplitFrom { is_back, issue: survivor.short_id.to_string(), hashes };
        Ok(note(self.tx, self.clock, project, split.id, from, self.actor).await?)
    }

    /// Tags as bodies tell of them; environments and releases as event rows say.
    fn tags(&self, counts: &[HashCount]) -> TagCounts {
        let mut tags = self.told.tags.clone();
        for one in counts {
            let n_events = one.n_events.unsigned_abs();
            let mut add = |tag: &str, value: &str| {
                *tags.entry((tag.to_owned(), bounded(value, MOST_VALUE_CHARS))).or_default() +=
                    n_events;
            };
            add("environment", &one.environment);
            if !one.release.is_empty() {
                add("release", &one.release);
            }
        }
        tags
    }

    /// When the first and the last event of hashes happened, each with its release.
    async fn seen(&mut self, hashes: &BTreeSet<Hash>) -> Result<Option<(Seen, Seen)>, StoreError> {
        let mut seen: Option<(Seen, Seen)> = None;
        for hash in hashes {
            let of_hash = self.tx.seen_of_hash(self.project.id, *hash).await?;
            seen = match (seen, of_hash) {
                (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
                (one, other) => one.or(other),
            };
        }
        Ok(seen)
    }
}
