//! Which bodies of an issue are kept.
//!
//! The row of an event stays, whatever happens; its body is kept when it teaches something: the
//! first [`FIRST_BODIES`] of an issue, the first [`BODIES_OF_STRATUM`] of each release and
//! environment in an hour, and one every [`KEPT_EVERY`] so that there is always a recent one. What
//! that comes to over weeks is thinned out later ([`thin`]).

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use super::fingerprint::Hash;
use super::id::ProjectId;
use super::time::Timestamp;

/// So many bodies of an issue are kept at first.
pub const FIRST_BODIES: u64 = 20;

/// So many bodies are kept of each release and environment of an issue in an hour.
pub const BODIES_OF_STRATUM: u32 = 1;

/// When no body of an issue was kept for this long, the next is.
pub const KEPT_EVERY: Duration = Duration::from_mins(1);

/// So many different releases and environments of an issue are told apart within an hour.
const MOST_STRATA: usize = 64;

/// Of so many issues the sampler remembers what it saw, at least; of those that nobody hears of any
/// more it forgets it, and keeps their next bodies.
const MOST_ISSUES: usize = 20_000;

/// What was seen of one fingerprint.
#[derive(Debug, Default)]
struct Seen {
    n_events: u64,
    kept_at: Timestamp,
    hour: i64,
    strata: Vec<(u64, u32)>,
}

impl Seen {
    /// Counts an event of a release and environment; gives how many there were in its hour.
    fn count(&mut self, stratum: u64, hour: i64) -> u32 {
        self.n_events = self.n_events.saturating_add(1);
        if self.hour != hour {
            self.hour = hour;
            self.strata.clear();
        }
        if let Some((_, n)) = self.strata.iter_mut().find(|(known, _)| *known == stratum) {
            *n = n.saturating_add(1);
            return *n;
        }
        if self.strata.len() >= MOST_STRATA {
            return u32::MAX;
        }
        self.strata.push((stratum, 1));
        1
    }
}

/// Decides whether the body of an event is kept, from what it saw before.
#[derive(Debug, Default)]
pub struct Sampler {
    recent: HashMap<(ProjectId, Hash), Seen>,
    older: HashMap<(ProjectId, Hash), Seen>,
}

impl Sampler {
    /// Whether to keep the body of an event that arrived at `received_at`.
    pub fn keeps(
        &mut self,
        key: (ProjectId, Hash),
        (release, environment): (Option<&str>, &str),
        received_at: Timestamp,
    ) -> bool {
        let mut hasher = DefaultHasher::new();
        (release, environment).hash(&mut hasher);
        let seen = self.seen(key);
        let n_of_stratum = seen.count(hasher.finish(), received_at.hour());
        let is_kept = seen.n_events <= FIRST_BODIES
            || n_of_stratum <= BODIES_OF_STRATUM
            || received_at.since(seen.kept_at) >= KEPT_EVERY;
        if is_kept {
            seen.kept_at = seen.kept_at.max(received_at);
        }
        is_kept
    }

    /// Whether an event of this hash was seen before, as far as is remembered.
    #[must_use]
    pub fn knows(&self, key: (ProjectId, Hash)) -> bool {
        self.recent.contains_key(&key) || self.older.contains_key(&key)
    }

    /// Learns how many events an issue had before the sampler heard of it.
    pub fn learn(&mut self, key: (ProjectId, Hash), n_events: u64) {
        let seen = self.seen(key);
        seen.n_events = seen.n_events.max(n_events);
    }

    fn seen(&mut self, key: (ProjectId, Hash)) -> &mut Seen {
        if self.recent.len() >= MOST_ISSUES && !self.recent.contains_key(&key) {
            self.older = std::mem::take(&mut self.recent);
        }
        let older = &mut self.older;
        self.recent.entry(key).or_insert_with(|| older.remove(&key).unwrap_or_default())
    }
}

/// A kept body, as thinning sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept<T> {
    /// Which event.
    pub id: T,
    /// When it happened.
    pub at: Timestamp,
    /// Its release as reported.
    pub release: Option<String>,
    /// Its environment as reported.
    pub environment: String,
}

/// Which bodies to give up so that `most` are left: never the first or the latest quarter, and of
/// those between as fairly as can be over days, releases and environments.
///
/// `kept` are all bodies of an issue, oldest first.
#[must_use]
pub fn thin<T: Copy>(kept: &[Kept<T>], most: usize) -> Vec<T> {
    let edge = most / 4;
    let n_between = most - 2 * edge;
    let between = kept.get(edge..kept.len().saturating_sub(edge)).unwrap_or_default();
    if kept.len() <= most {
        return Vec::new();
    }
    let mut strata: BTreeMap<(i64, Option<&str>, &str), Vec<T>> = BTreeMap::new();
    for one in between {
        let key = (one.at.hour() / 24, one.release.as_deref(), one.environment.as_str());
        strata.entry(key).or_default().push(one.id);
    }
    // The most that each may keep so that all together keep no more than there is room for; what
    // room is left goes to one in so many of those that could use it.
    let total = |share: usize| strata.values().map(|ids| ids.len().min(share)).sum::<usize>();
    let share = (0..=n_between).rev().find(|share| total(*share) <= n_between).unwrap_or(0);
    let n_left = n_between - total(share);
    let n_wanting = strata.values().filter(|ids| ids.len() > share).count();
    let mut index = 0;
    let mut lost = Vec::new();
    for ids in strata.into_values() {
        let mut own = share;
        if ids.len() > share {
            own += usize::from(is_chosen(index, n_left, n_wanting));
            index += 1;
        }
        lost.extend(given_up(&ids, own));
    }
    lost
}

/// Whether one of `n_all` is among `n_chosen` that are spread evenly.
fn is_chosen(index: usize, n_chosen: usize, n_all: usize) -> bool {
    // Wherever the running share passes the next whole number.
    (index + 1) * n_chosen / n_all > index * n_chosen / n_all
}

/// All but `share` of them, which are spread evenly.
fn given_up<T: Copy>(ids: &[T], share: usize) -> Vec<T> {
    let is_lost = |index: usize| share < ids.len() && !is_chosen(index, share, ids.len());
    let lost = ids.iter().enumerate().filter(|(index, _)| is_lost(*index));
    lost.map(|(_, id)| *id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: (ProjectId, Hash) = (ProjectId(1), Hash([7; 32]));
    const SECOND: i64 = 1_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(3_600_000_000_000 + second * SECOND)
    }

    #[test]
    fn the_first_bodies_and_one_a_minute_are_kept() {
        let mut sampler = Sampler::default();
        let mut keeps = |second| sampler.keeps(KEY, (Some("shop@1"), "production"), at(second));
        assert!((0..20).all(|_| keeps(0)));
        assert!(!(0..50).any(|_| keeps(30)));
        assert!(keeps(60));
        assert!(!keeps(61));
    }

    #[test]
    fn a_new_release_or_environment_is_heard() {
        let mut sampler = Sampler::default();
        sampler.learn(KEY, 1_000_000);
        let mut keeps = |release, environment| {
            (0..20).filter(|_| sampler.keeps(KEY, (Some(release), environment), at(0))).count()
        };
        assert_eq!(keeps("shop@1", "production"), 1);
        assert_eq!(keeps("shop@2", "production"), 1);
        assert_eq!(keeps("shop@2", "beta"), 1);
    }

    #[test]
    fn releases_without_end_are_not_all_kept() {
        let mut sampler = Sampler::default();
        sampler.learn(KEY, 1_000_000);
        let releases = (0..1_000).map(|n| format!("shop@{n}"));
        let n_kept =
            releases.filter(|one| sampler.keeps(KEY, (Some(one), "production"), at(0))).count();
        assert_eq!(n_kept, MOST_STRATA);
    }

    #[test]
    fn what_is_forgotten_is_kept_again_and_what_is_remembered_is_not() {
        let mut sampler = Sampler::default();
        sampler.learn(KEY, 1_000_000);
        let mut others = (0..u64::MAX).map(|n| {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&n.to_be_bytes());
            (ProjectId(2), Hash(hash))
        });
        for other in others.by_ref().take(MOST_ISSUES) {
            sampler.keeps(other, (None, "production"), at(0));
        }
        assert_eq!(sampler.seen(KEY).n_events, 1_000_000);
        for other in others.by_ref().take(2 * MOST_ISSUES) {
            sampler.keeps(other, (None, "production"), at(0));
        }
        assert_eq!(sampler.seen(KEY).n_events, 0);
    }

    fn kept(day: i64, release: &str, ids: std::ops::Range<u32>) -> Vec<Kept<u32>> {
        let one = |id| Kept {
            id,
            at: at(day * 86_400 + i64::from(id)),
            release: Some(release.to_owned()),
            environment: "production".to_owned(),
        };
        ids.map(one).collect()
    }

    #[test]
    fn thinning_spares_the_first_the_latest_and_the_rare() {
        let all = [
            kept(0, "shop@1", 0..500),
            kept(1, "shop@1", 500..503),
            kept(1, "shop@2", 503..505),
            kept(2, "shop@2", 505..1_000),
        ]
        .concat();
        let lost = thin(&all, 100);
        assert_eq!(all.len() - lost.len(), 100);
        let is_left = |ids: std::ops::Range<u32>| ids.into_iter().all(|id| !lost.contains(&id));
        assert!(is_left(0..25) && is_left(500..505) && is_left(975..1_000));
        let early = lost.iter().filter(|id| **id < 500).count();
        assert!((450..456).contains(&early), "both days lose alike: {early}");
    }

    #[test]
    fn thinning_spares_some_of_more_days_than_there_is_room_for() {
        let all: Vec<_> = (0..400).map(|day| kept(day.into(), "shop@1", day..day + 1)).collect();
        let lost = thin(&all.concat(), 100);
        assert_eq!(lost.len(), 300);
        let n_left = |ids: std::ops::Range<u32>| ids.filter(|id| !lost.contains(id)).count();
        assert_eq!((n_left(25..200), n_left(200..375)), (25, 25));
    }

    #[test]
    fn few_bodies_are_all_left() {
        assert!(thin(&kept(0, "shop@1", 0..100), 100).is_empty());
    }
}
