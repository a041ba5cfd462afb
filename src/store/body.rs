//! The body of an event: its JSON, compressed with a dictionary of its project.
//!
//! Events of one application share most of their text. A dictionary trained on scrubbed bodies of
//! the project holds what they share, so that each body, which is decodable by itself, has only
//! what is its own. A frame names its dictionary and carries a checksum.

use std::time::Duration;

use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::EncoderDictionary;
use zstd::zstd_safe::{CParameter, get_dict_id_from_frame};

use super::error::StoreError;
use super::event::StoredEvent;
use super::tx::{Tx, execute, on, statements};
use crate::domain::event::Event;
use crate::domain::id::ProjectId;
use crate::domain::time::Timestamp;

/// The zstd level of bodies: 3 is the library's balance of speed and size.
const LEVEL: i32 = 3;

/// A body is never larger than this when decoded, in bytes.
const MOST_BODY_BYTES: usize = 8 * 1024 * 1024;

/// Bytes of a dictionary, at most: what zstd's own tool makes.
const MOST_DICTIONARY_BYTES: usize = 110 * 1024;

/// New bodies are compressed with a dictionary for this long at most; after it, the dictionary is
/// deleted with the last event that may need it.
pub const DICTIONARY_SERVES: Duration = Duration::from_hours(60 * 24);

/// Where a dictionary's number stands in its bytes: after the magic number, little-endian.
/// Source: RFC 8878, section 5.
const ID_BYTES: std::ops::Range<usize> = 4..8;

/// What bodies of a project are compressed with.
pub struct Dictionary {
    /// Its number within the project, from 1.
    pub id: u32,
    /// When it was trained.
    pub made_at: Timestamp,
    encoder: EncoderDictionary<'static>,
}

impl std::fmt::Debug for Dictionary {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "dictionary {}", self.id)
    }
}

impl Dictionary {
    /// The dictionary of these bytes; `None` when they are none, or one of another number.
    #[must_use]
    pub fn new(id: u32, bytes: &[u8], made_at: Timestamp) -> Option<Self> {
        let own = bytes.get(ID_BYTES)?;
        if own != id.to_le_bytes() {
            return None;
        }
        Some(Self { id, made_at, encoder: EncoderDictionary::try_copy(bytes, LEVEL).ok()? })
    }

    /// Makes a dictionary from bodies as JSON; it is used under the number `id`. `None` when they
    /// are too few or too different to have anything in common.
    #[must_use]
    pub fn train(id: u32, samples: &[Vec<u8>]) -> Option<Vec<u8>> {
        let mut bytes = zstd::dict::from_samples(samples, MOST_DICTIONARY_BYTES).ok()?;
        bytes.get_mut(ID_BYTES)?.copy_from_slice(&id.to_le_bytes());
        Some(bytes)
    }
}

/// Makes bodies.
pub struct BodyEncoder<'a>(Compressor<'a>);

impl<'a> BodyEncoder<'a> {
    /// An encoder for many bodies.
    ///
    /// # Errors
    /// When the zstd library cannot be set up.
    pub fn new(dictionary: Option<&'a Dictionary>) -> std::io::Result<Self> {
        let mut compressor = match dictionary {
            Some(dictionary) => Compressor::with_prepared_dictionary(&dictionary.encoder)?,
            None => Compressor::new(LEVEL)?,
        };
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(Self(compressor))
    }

    /// The body of an event that is given as JSON.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn encode(&mut self, json: &[u8]) -> std::io::Result<Vec<u8>> {
        self.0.compress(json)
    }
}

/// What is left of an event's body.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded {
    /// All of it.
    Kept(Box<Event>),
    /// Nothing: it was sampled away.
    Sampled,
    /// Nothing that can be read: the body or its dictionary is damaged.
    Damaged,
}

impl Decoded {
    /// The event, where it is there.
    #[must_use]
    pub fn into_event(self) -> Option<Event> {
        match self {
            Self::Kept(event) => Some(*event),
            Self::Sampled | Self::Damaged => None,
        }
    }

    /// The event, if there is one.
    #[must_use]
    pub fn event(&self) -> Option<&Event> {
        match self {
            Self::Kept(event) => Some(event),
            Self::Sampled | Self::Damaged => None,
        }
    }

    /// Its name in the API.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Kept(_) => "kept",
            Self::Sampled => "sampled",
            Self::Damaged => "damaged",
        }
    }
}

/// Decodes a body with the dictionary it names; `None` when it is damaged.
fn decode(body: &[u8], dictionary: Option<&[u8]>) -> Option<Event> {
    let mut decompressor = Decompressor::with_dictionary(dictionary.unwrap_or_default()).ok()?;
    let json = decompressor.decompress(body, MOST_BODY_BYTES).ok()?;
    serde_json::from_slice(&json).ok()
}

const FIND: &str = "SELECT dictionary FROM dictionaries WHERE project_id = $1 AND id = $2";
const FIND_NEWEST: &str =
    "SELECT id, dictionary, created_at FROM dictionaries WHERE project_id = $1
    ORDER BY id DESC LIMIT 1";
const INSERT: &str = "INSERT INTO dictionaries (project_id, id, created_at, dictionary)
    SELECT $1, $2, $3, $4
    WHERE NOT EXISTS (SELECT 1 FROM dictionaries WHERE project_id = $1 AND id >= $2)
    ON CONFLICT (project_id, id) DO NOTHING";

statements!(FIND, FIND_NEWEST, INSERT);

impl Tx {
    /// The events of what is stored, in its order. A damaged one costs its neighbours nothing.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn decode(
        &mut self,
        project: ProjectId,
        stored: &[StoredEvent],
    ) -> Result<Vec<Decoded>, StoreError> {
        let mut events = Vec::with_capacity(stored.len());
        let mut dictionary: Option<(u32, Vec<u8>)> = None;
        for one in stored {
            let Some(body) = &one.body else {
                events.push(Decoded::Sampled);
                continue;
            };
            let wanted = get_dict_id_from_frame(body).map(std::num::NonZeroU32::get);
            if let Some(id) = wanted
                && dictionary.as_ref().is_none_or(|(held, _)| *held != id)
            {
                dictionary = self.find_dictionary(project, id).await?.map(|bytes| (id, bytes));
            }
            let held = dictionary.as_ref().filter(|(held, _)| Some(*held) == wanted);
            let event = decode(body, held.map(|(_, bytes)| bytes.as_slice()));
            events.push(event.map_or(Decoded::Damaged, |event| Decoded::Kept(Box::new(event))));
            if events.last() == Some(&Decoded::Damaged) {
                tracing::error!(%project, event = %one.id, "the body of an event is damaged");
            }
        }
        Ok(events)
    }

    async fn find_dictionary(
        &mut self,
        project: ProjectId,
        id: u32,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let row: Option<(Vec<u8>,)> = on!(self, |c| sqlx::query_as(FIND)
            .bind(project.0)
            .bind(i64::from(id))
            .fetch_optional(c))?;
        Ok(row.map(|(bytes,)| bytes))
    }

    /// The dictionary new bodies of a project are compressed with.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn find_newest_dictionary(
        &mut self,
        project: ProjectId,
    ) -> Result<Option<Dictionary>, StoreError> {
        let row: Option<(i64, Vec<u8>, i64)> =
            on!(self, |c| sqlx::query_as(FIND_NEWEST).bind(project.0).fetch_optional(c))?;
        let dictionary = |(id, bytes, made_at): (i64, Vec<u8>, i64)| {
            let made_at = Timestamp::from_micros(made_at);
            let read = u32::try_from(id).ok().and_then(|id| Dictionary::new(id, &bytes, made_at));
            read.ok_or_else(|| StoreError::corrupt("dictionaries", "dictionary", project))
        };
        row.map(dictionary).transpose()
    }

    /// Stores a dictionary. Says whether it is the newest.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn insert_dictionary(
        &mut self,
        project: ProjectId,
        (id, bytes): (u32, &[u8]),
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let n_rows = execute!(
            self,
            sqlx::query(INSERT)
                .bind(project.0)
                .bind(i64::from(id))
                .bind(now.as_micros())
                .bind(bytes)
        )?;
        Ok(n_rows == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Vec<u8>> {
        let event = crate::domain::fingerprint::tests::crash("KeyError", &[("checkout", 3)]);
        let sample = |n: u32| {
            let mut event = event.clone();
            event.tags.insert("tenant".to_owned(), format!("tenant-{n}"));
            event.tags.insert("request".to_owned(), format!("{:032x}", u128::from(n) << 57));
            serde_json::to_vec(&event).expect("an event is JSON")
        };
        (0..500).map(sample).collect()
    }

    #[test]
    fn a_body_is_decodable_by_itself_with_the_dictionary_it_names() {
        let samples = samples();
        let bytes = Dictionary::train(7, &samples).expect("a dictionary");
        let made_at = Timestamp::from_micros(0);
        let dictionary = Dictionary::new(7, &bytes, made_at).expect("a dictionary");
        let json = samples.last().expect("samples");
        let plain = BodyEncoder::new(None).and_then(|mut encoder| encoder.encode(json));
        let plain = plain.expect("a body");
        let body = BodyEncoder::new(Some(&dictionary)).and_then(|mut encoder| encoder.encode(json));
        let body = body.expect("a body");
        assert!(body.len() * 2 < plain.len(), "{} of {}", body.len(), plain.len());
        assert_eq!(get_dict_id_from_frame(&body).map(std::num::NonZeroU32::get), Some(7));
        let event: Event = serde_json::from_slice(json).expect("an event");
        assert_eq!(decode(&body, Some(&bytes)), Some(event.clone()));
        assert_eq!(decode(&plain, None), Some(event));
        assert_eq!(decode(&body, None), None);
    }

    #[test]
    fn a_damaged_body_is_found_out() {
        let json = samples().pop().expect("samples");
        let body = BodyEncoder::new(None).and_then(|mut encoder| encoder.encode(&json));
        let body = body.expect("a body");
        for place in 0..body.len() {
            let mut damaged = body.clone();
            if let Some(byte) = damaged.get_mut(place) {
                *byte ^= 0x10;
            }
            let read = decode(&damaged, None);
            assert!(read.is_none() || read == decode(&body, None), "byte {place}");
        }
    }
}
