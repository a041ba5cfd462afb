//! Which bodies digest keeps, and the dictionaries it compresses them with.
//!
//! Samples of each project's bodies, scrubbed as they are, stay in memory. When there are enough, a
//! dictionary is trained on them beside digest; when bodies have become so different that it no
//! longer serves, so is the next. What was compressed with an old one names it, so it stays until
//! no event is left that does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::domain::fingerprint::Hash;
use crate::domain::id::ProjectId;
use crate::domain::sampling::Sampler;
use crate::domain::time::Timestamp;
use crate::store::body::{BodyEncoder, DICTIONARY_SERVES, Dictionary};
use crate::store::{Store, StoreError};

/// A dictionary is trained on so many bodies, at least.
const LEAST_SAMPLES: usize = 200;

/// A dictionary is trained on so many of the latest bodies, at most.
const MOST_SAMPLES: usize = 1_000;

/// Bytes of samples of one project; and of one sample.
const MOST_SAMPLE_BYTES: usize = 4 * 1024 * 1024;
const MOST_BYTES_OF_SAMPLE: usize = 64 * 1024;

/// Of so many projects dictionaries and samples are in memory; the others go without.
const MOST_PROJECTS: usize = 16;

/// How often to look whether another node made a newer dictionary.
const READ_EVERY: Duration = Duration::from_mins(5);

/// A dictionary that was not looked for during this time is not used: the store deletes what was
/// followed by another, or has served its time, an hour before, if no event needs it.
const SURE_FOR: Duration = Duration::from_mins(30);

/// A project that reported nothing for this long makes room for another.
const UNUSED_AFTER: Duration = Duration::from_mins(10);

/// A dictionary serves at least this long.
const LEAST_AGE: Duration = Duration::from_mins(10);

/// Then another is due: a dictionary holds pieces of the bodies it was trained on, and these are not
/// to outlive their events for long.
const MOST_AGE: Duration = Duration::from_hours(30 * 24);

/// A dictionary no longer serves when bodies are this large, in percent of what they were when it
/// was new.
const DRIFT_PERCENT: u64 = 130;

/// So many bodies tell how well a dictionary serves.
const N_MEASURED: u64 = 500;

/// What is held of one project.
#[derive(Debug, Default)]
struct Held {
    dictionary: Option<Arc<Dictionary>>,
    /// When the rules of scrubbing changed that samples went through.
    rules_since: Timestamp,
    samples: Vec<Vec<u8>>,
    n_sample_bytes: usize,
    /// Where the next sample goes once there are enough.
    next_sample: usize,
    /// Bytes of bodies before and after compression, of the last [`N_MEASURED`] or fewer.
    measured: Measured,
    /// What was left of 1,000 bytes when the dictionary was new.
    left_when_new: Option<u64>,
    /// What was left of 1,000 bytes of the last [`N_MEASURED`] bodies.
    left_now: Option<u64>,
    changed_at: Timestamp,
    read_at: Timestamp,
    /// Until then the dictionary is certainly in the store.
    sure_until: Option<Instant>,
    used_at: Timestamp,
}

#[derive(Debug, Default, Clone, Copy)]
struct Measured {
    n_bodies: u64,
    bytes_before: u64,
    bytes_after: u64,
}

impl Measured {
    /// What is left of 1,000 bytes.
    fn left(self) -> u64 {
        self.bytes_after * 1_000 / self.bytes_before.max(1)
    }
}

impl Held {
    fn sample(&mut self, json: &[u8]) {
        if json.len() > MOST_BYTES_OF_SAMPLE {
            return;
        }
        let is_full = self.samples.len() >= MOST_SAMPLES
            || self.n_sample_bytes + json.len() > MOST_SAMPLE_BYTES;
        if !is_full {
            self.n_sample_bytes += json.len();
            self.samples.push(json.to_vec());
            return;
        }
        if self.next_sample >= self.samples.len() {
            self.next_sample = 0;
        }
        if let Some(oldest) = self.samples.get_mut(self.next_sample) {
            self.n_sample_bytes = self.n_sample_bytes + json.len() - oldest.len();
            *oldest = json.to_vec();
            self.next_sample += 1;
        }
        // Longer ones than those they took the place of: the last make room.
        while self.n_sample_bytes > MOST_SAMPLE_BYTES
            && let Some(last) = self.samples.pop()
        {
            self.n_sample_bytes -= last.len();
        }
    }

    /// Counts a body. Once [`N_MEASURED`] are counted they say how well the dictionary serves.
    fn measure(&mut self, n_before: usize, n_after: usize) {
        if self.measured.n_bodies >= N_MEASURED {
            let left = self.measured.left();
            self.left_when_new.get_or_insert(left);
            self.left_now = Some(left);
            self.measured = Measured::default();
        }
        self.measured.n_bodies += 1;
        self.measured.bytes_before += n_before as u64;
        self.measured.bytes_after += n_after as u64;
    }

    /// Gives up samples that older rules left as they were. What older rules made is no sample.
    fn follow_rules(&mut self, since: Timestamp) -> bool {
        if self.rules_since < since {
            self.rules_since = since;
            self.samples.clear();
            self.n_sample_bytes = 0;
        }
        self.rules_since == since
    }

    /// Whether another dictionary is to take its place as soon as one serves better than none.
    fn is_dictionary_over(&self, now: Timestamp) -> bool {
        self.dictionary.as_ref().is_some_and(|dictionary| {
            now.since(dictionary.made_at) >= MOST_AGE || dictionary.made_at <= self.rules_since
        })
    }

    fn is_training_due(&self, now: Timestamp) -> bool {
        if self.samples.len() < LEAST_SAMPLES || now.since(self.changed_at) < LEAST_AGE {
            return false;
        }
        let has_drifted = self
            .left_now
            .zip(self.left_when_new)
            .is_some_and(|(now, new)| now * 100 > new * DRIFT_PERCENT);
        self.dictionary.is_none() || has_drifted || self.is_dictionary_over(now)
    }

    /// Goes on with the newest dictionary of the store. A number is not enough to know it by: when
    /// nothing of a project is left, its numbers begin anew.
    fn take_newest(&mut self, newest: Option<Dictionary>, now: Timestamp) {
        let name = |dictionary: Option<&Dictionary>| {
            dictionary.map(|dictionary| (dictionary.id, dictionary.made_at))
        };
        if name(self.dictionary.as_deref()) != name(newest.as_ref()) {
            self.adopt(newest.map(Arc::new), now);
        }
    }

    fn adopt(&mut self, dictionary: Option<Arc<Dictionary>>, now: Timestamp) {
        self.dictionary = dictionary;
        self.measured = Measured::default();
        self.left_when_new = None;
        self.left_now = None;
        self.changed_at = now;
    }
}

/// A dictionary that was trained: of which project; its number, its bytes, and when its samples were
/// taken.
pub(super) type Trained = (ProjectId, Option<(u32, Vec<u8>, Timestamp)>);

/// What digest knows of bodies. Shared by its threads.
#[derive(Debug, Default)]
pub struct Bodies {
    sampler: Mutex<Sampler>,
    held: Mutex<BTreeMap<ProjectId, Held>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bodies {
    /// Whether an event of this hash was seen before, as far as is remembered.
    pub(super) fn knows(&self, key: (ProjectId, Hash)) -> bool {
        locked(&self.sampler).knows(key)
    }

    /// Whether to keep the body of an event.
    pub(super) fn keeps(
        &self,
        key: (ProjectId, Hash),
        place: (Option<&str>, &str),
        received_at: Timestamp,
    ) -> bool {
        locked(&self.sampler).keeps(key, place, received_at)
    }

    /// Learns how many events an issue has that the sampler may not have heard of.
    pub(super) fn learn(&self, project: ProjectId, counts: impl Iterator<Item = (Hash, u64)>) {
        let mut sampler = locked(&self.sampler);
        counts.for_each(|(hash, n_events)| sampler.learn((project, hash), n_events));
    }

    /// Forgets what it saw: what was not stored will be seen again.
    pub(super) fn forget(&self) {
        *locked(&self.sampler) = Sampler::default();
    }

    /// A machine that slept does not know how long: a dictionary that was read too long ago by the
    /// clock is not used before it was read again.
    pub(super) fn doubt(&self, now: Timestamp) {
        let mut held = locked(&self.held);
        let is_unsure = |held: &&mut Held| now.since(held.read_at) >= SURE_FOR;
        held.values_mut().filter(is_unsure).for_each(|held| held.sure_until = None);
    }

    /// The dictionaries of the projects in memory, save those that may be out of use by now.
    pub(super) fn dictionaries(&self) -> BTreeMap<ProjectId, Arc<Dictionary>> {
        let held = locked(&self.held);
        let dictionary = |(project, held): (&ProjectId, &Held)| {
            let is_sure = held.sure_until.is_some_and(|until| Instant::now() < until);
            held.dictionary.clone().filter(|_| is_sure).map(|dictionary| (*project, dictionary))
        };
        held.iter().filter_map(dictionary).collect()
    }

    /// Notes a body that was made, scrubbed by the rules of that time.
    pub(super) fn note(
        &self,
        project: ProjectId,
        rules_since: Timestamp,
        json: &[u8],
        n_after: usize,
    ) {
        let mut all = locked(&self.held);
        if let Some(held) = all.get_mut(&project)
            && held.follow_rules(rules_since)
        {
            held.sample(json);
            held.measure(json.len(), n_after);
        }
    }

    /// Makes sure that the newest dictionary of a project is in memory.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(super) async fn load(
        &self,
        store: &Store,
        project: ProjectId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if self.touch(project, now) {
            return Ok(());
        }
        let newest = store.read().await?.find_newest_dictionary(project).await?;
        let mut held = locked(&self.held);
        if !held.contains_key(&project) && held.len() >= MOST_PROJECTS {
            let oldest = held.iter().min_by_key(|(_, held)| held.used_at);
            let unused = oldest.filter(|(_, held)| now.since(held.used_at) >= UNUSED_AFTER);
            let Some(unused) = unused.map(|(project, _)| *project) else { return Ok(()) };
            held.remove(&unused);
        }
        let one = held.entry(project).or_default();
        one.read_at = now;
        let serves = |dictionary: &Dictionary| now.since(dictionary.made_at) < DICTIONARY_SERVES;
        let is_usable = newest.as_ref().is_none_or(serves);
        one.sure_until = is_usable.then(|| Instant::now() + SURE_FOR);
        one.take_newest(newest, now);
        drop(held);
        self.touch(project, now);
        Ok(())
    }

    /// Notes that a project is in use; false when its dictionary is to be read.
    fn touch(&self, project: ProjectId, now: Timestamp) -> bool {
        locked(&self.held).get_mut(&project).is_some_and(|held| {
            held.used_at = now;
            now.since(held.read_at) < READ_EVERY
        })
    }

    /// Trains the dictionary that is due, if one is.
    pub(super) fn train(&self, now: Timestamp) -> Option<JoinHandle<Trained>> {
        let mut all = locked(&self.held);
        let (project, held) = all.iter_mut().find(|(_, held)| held.is_training_due(now))?;
        let project = *project;
        let id = held.dictionary.as_ref().map_or(1, |dictionary| dictionary.id + 1);
        let samples = held.samples.clone();
        let old = held.dictionary.clone().filter(|_| !held.is_dictionary_over(now));
        // Whatever comes of it, this is not due again at once.
        held.changed_at = now;
        held.measured = Measured::default();
        held.left_when_new = None;
        held.left_now = None;
        drop(all);
        Some(tokio::task::spawn_blocking(move || {
            (project, train_better(id, &samples, old.as_deref()).map(|bytes| (id, bytes, now)))
        }))
    }

    /// Takes a trained dictionary into use, once it is in the store.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub(super) async fn adopt(
        &self,
        store: &Store,
        (project, trained): &Trained,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some((id, bytes, made_at)) = trained else { return Ok(()) };
        let mut tx = store.write().await?;
        if tx.find_project_by_id(*project).await?.is_none() {
            return Ok(());
        }
        let is_first = tx.insert_dictionary(*project, (*id, bytes), *made_at).await?;
        tx.commit().await?;
        let dictionary = if is_first {
            Dictionary::new(*id, bytes, *made_at)
        } else {
            // Another node was first.
            store.read().await?.find_newest_dictionary(*project).await?
        };
        if let Some(held) = locked(&self.held).get_mut(project) {
            held.adopt(dictionary.map(Arc::new), now);
        }
        tracing::debug!(%project, id, bytes = bytes.len(), "a new dictionary");
        Ok(())
    }
}

/// Bytes of lessons, about: ten times the dictionary's, since more cost much and teach little.
const MOST_LESSON_BYTES: usize = 1024 * 1024;

/// Trains a dictionary on most of the samples; keeps it when it serves the others better than the
/// old one does.
fn train_better(id: u32, samples: &[Vec<u8>], old: Option<&Dictionary>) -> Option<Vec<u8>> {
    let (tests, lessons): (Vec<_>, Vec<_>) =
        samples.iter().enumerate().partition(|(index, _)| index % 5 == 0);
    let n_bytes = lessons.iter().map(|(_, sample)| sample.len()).sum::<usize>();
    let step = n_bytes.div_ceil(MOST_LESSON_BYTES).max(1);
    let lessons = lessons.into_iter().map(|(_, sample)| sample);
    let lessons: Vec<Vec<u8>> = lessons.step_by(step).cloned().collect();
    let bytes = Dictionary::train(id, &lessons)?;
    let new = Dictionary::new(id, &bytes, Timestamp::from_micros(0))?;
    let size = |dictionary: Option<&Dictionary>| -> Option<usize> {
        let mut encoder = BodyEncoder::new(dictionary).ok()?;
        let sizes = tests.iter().map(|(_, sample)| encoder.encode(sample).map(|body| body.len()));
        sizes.sum::<std::io::Result<usize>>().ok()
    };
    (size(Some(&new))? * 10 <= size(old)? * 9).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_micros(1_795_226_466_000_000 + minute * 60_000_000)
    }

    /// Something held that has seen bodies of which a tenth is left.
    fn held(n_bodies: usize) -> Held {
        let mut held = Held::default();
        for _ in 0..n_bodies {
            held.sample(&[b'x'; 1_000]);
            held.measure(1_000, 100);
        }
        held
    }

    #[test]
    fn the_first_dictionary_is_trained_as_soon_as_there_are_samples() {
        assert!(!held(LEAST_SAMPLES - 1).is_training_due(at(0)));
        let mut held = held(LEAST_SAMPLES);
        assert!(held.is_training_due(at(0)));
        // It came to nothing: not again at once.
        held.changed_at = at(0);
        assert!(!held.is_training_due(at(9)));
        assert!(held.is_training_due(at(10)));
    }

    #[test]
    fn a_dictionary_is_trained_anew_when_bodies_have_changed() {
        let samples: Vec<Vec<u8>> = (0..500_u32)
            .map(|n| format!("{{\"tenant\":\"tenant-{n}\",\"sum\":{}}}", n * 77).into_bytes())
            .collect();
        let bytes = Dictionary::train(1, &samples).expect("a dictionary");
        let mut held = held(0);
        held.adopt(Dictionary::new(1, &bytes, at(0)).map(Arc::new), at(0));
        let mut see = |n_after: usize| {
            for _ in 0..=N_MEASURED {
                held.sample(&[b'x'; 1_000]);
                held.measure(1_000, n_after);
            }
            (held.is_training_due(at(9)), held.is_training_due(at(10)))
        };
        assert_eq!(see(100), (false, false));
        assert_eq!(see(129), (false, false));
        assert_eq!(see(140), (false, true));
        assert_eq!(see(100), (false, false));
    }

    #[test]
    fn another_dictionary_may_have_the_same_number() {
        let samples: Vec<Vec<u8>> =
            (0..500_u32).map(|n| format!("{{\"tenant\":\"tenant-{n}\"}}").into_bytes()).collect();
        let bytes = Dictionary::train(1, &samples).expect("a dictionary");
        let mut held = held(0);
        let mut take = |made_at| {
            held.take_newest(Dictionary::new(1, &bytes, made_at), at(100_000));
            Arc::clone(held.dictionary.as_ref().expect("a dictionary"))
        };
        let (first, again, other) = (take(at(0)), take(at(0)), take(at(90_000)));
        assert!(Arc::ptr_eq(&first, &again), "what it has learned of it stays");
        assert_eq!(other.made_at, at(90_000));
    }

    #[test]
    fn a_dictionary_is_trained_anew_when_it_is_old_or_rules_have_changed() {
        let samples: Vec<Vec<u8>> =
            (0..500_u32).map(|n| format!("{{\"tenant\":\"tenant-{n}\"}}").into_bytes()).collect();
        let bytes = Dictionary::train(1, &samples).expect("a dictionary");
        let day = 24 * 60;
        let adopted = || {
            let mut held = held(LEAST_SAMPLES);
            held.adopt(Dictionary::new(1, &bytes, at(0)).map(Arc::new), at(0));
            held
        };
        assert!(!adopted().is_training_due(at(30 * day - 1)));
        assert!(adopted().is_training_due(at(30 * day)));

        let mut held = adopted();
        assert!(held.follow_rules(at(-1)), "it was made by these");
        for _ in 0..LEAST_SAMPLES {
            held.sample(b"x");
        }
        assert!(!held.is_training_due(at(10)));
        assert!(held.follow_rules(at(5)));
        assert!(held.samples.is_empty() && !held.is_training_due(at(10)), "nothing to learn from");
        assert!(!held.follow_rules(at(-1)), "made before the rules changed");
        for _ in 0..LEAST_SAMPLES {
            held.sample(b"x");
        }
        assert!(held.is_training_due(at(10)));
        assert_eq!(held.n_sample_bytes, LEAST_SAMPLES);
    }

    #[test]
    fn samples_are_bounded_and_the_latest_stay() {
        let mut held = Held::default();
        for n in 0..10_000_u32 {
            held.sample(&n.to_be_bytes().repeat(if n < 9_000 { 25 } else { 10_000 }));
            assert!(held.samples.len() <= MOST_SAMPLES);
            assert_eq!(held.n_sample_bytes, held.samples.iter().map(Vec::len).sum::<usize>());
            assert!(held.n_sample_bytes <= MOST_SAMPLE_BYTES);
        }
        assert!(held.samples.iter().any(|sample| sample.starts_with(&9_999_u32.to_be_bytes())));
        held.sample(&vec![0; MOST_BYTES_OF_SAMPLE + 1]);
        assert!(held.samples.iter().all(|sample| sample.len() <= MOST_BYTES_OF_SAMPLE));
    }
}
