//! Sentry's envelopes, taken apart while they arrive.
//!
//! `Headers { "\n" Item } [ "\n" ]`, `Item = Headers "\n" Payload`; a payload has the `length` its
//! header says, or runs to the next newline. Only items that are kept are held in memory; the rest
//! is counted and passed over, whatever its size.
//! Source: Sentry's "envelopes" (develop-docs/sdk/foundations/transport/envelopes.mdx).

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::domain::id::EventId;
use crate::domain::time::Timestamp;

/// The longest line of headers, in bytes.
pub const MOST_HEADER_BYTES: usize = 64 * 1024;

/// An envelope has at most this many items.
pub const MOST_ITEMS: usize = 1_000;

/// At most this many items of an envelope are kept. An envelope has one event by the rules.
pub const MOST_KEPT_ITEMS: usize = 8;

/// The types of items SDKs send; others are counted together, so that a stranger's words become no
/// names of counters.
const KNOWN_TYPES: [&str; 23] = [
    "attachment",
    "check_in",
    "client_report",
    "event",
    "feedback",
    "form_data",
    "log",
    "metric_buckets",
    "otel_log",
    "profile",
    "profile_chunk",
    "raw_security",
    "replay_event",
    "replay_recording",
    "replay_video",
    "session",
    "sessions",
    "span",
    "statsd",
    "trace_metric",
    "transaction",
    "unreal_report",
    "user_report",
];

/// The envelope's own headers, as far as they matter here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// The id of its event; wins over the one in the payload.
    pub event_id: Option<EventId>,
    /// The DSN of a client behind a tunnel.
    pub dsn: Option<String>,
    /// The client's clock when it sent the envelope.
    pub sent_at: Option<Timestamp>,
}

/// An item that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its type: `event`.
    pub kind: String,
    /// Its bytes, at most as many as an item may have.
    pub payload: Vec<u8>,
    /// How many more it had.
    pub n_cut: u64,
}

/// What is wrong with an envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// There is nothing.
    #[error("the envelope is empty")]
    Empty,
    /// The first line is no JSON object.
    #[error("the envelope's header is not a JSON object: {0}")]
    Header(String),
    /// A line of headers does not end.
    #[error("a header line is longer than {MOST_HEADER_BYTES} bytes")]
    LongHeader,
    /// An item's first line is no JSON object.
    #[error("the header of item {item} is not a JSON object: {reason}")]
    ItemHeader {
        /// The item, from 1.
        item: usize,
        /// What the JSON parser says.
        reason: String,
    },
    /// An item does not say what it is.
    #[error("item {0} has no type")]
    NoType(usize),
    /// The body ended inside an item.
    #[error("item {item} ({kind}) is truncated: {missing} of its {length} bytes are missing")]
    Truncated {
        /// The item, from 1.
        item: usize,
        /// Its type.
        kind: String,
        /// The bytes its header promised.
        length: u64,
        /// The bytes that did not come.
        missing: u64,
    },
    /// The body ended after an item's headers.
    #[error("item {item} ({kind}) has no payload")]
    NoPayload {
        /// The item, from 1.
        item: usize,
        /// Its type.
        kind: String,
    },
    /// After the promised length comes something else than a newline.
    #[error("item {item} ({kind}) is longer than the {length} bytes its header says")]
    Unterminated {
        /// The item, from 1.
        item: usize,
        /// Its type.
        kind: String,
        /// The bytes its header promised.
        length: u64,
    },
    /// Items that are kept are held in memory, so their number has a limit.
    #[error("item {0} is one too many: at most {MOST_KEPT_ITEMS} events and reports are taken")]
    TooManyKept(usize),
    /// There are too many items.
    #[error("the envelope has more than {MOST_ITEMS} items")]
    TooManyItems,
}

/// What an envelope held.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope {
    /// Its headers.
    pub header: Header,
    /// The items that are kept, whole.
    pub items: Vec<Item>,
    /// How many items of each other type there were.
    pub skipped: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct WireHeader<'a> {
    #[serde(borrow, default)]
    event_id: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow, default)]
    dsn: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow, default)]
    sent_at: Option<&'a serde_json::value::RawValue>,
}

#[derive(Deserialize)]
struct WireItemHeader {
    #[serde(rename = "type")]
    kind: Option<String>,
    length: Option<u64>,
}

#[derive(Debug)]
enum State {
    /// Collecting the first line.
    Header,
    /// Collecting an item's first line.
    ItemHeader,
    /// Inside a payload of known length.
    Sized { kind: String, is_kept: bool, length: u64, left: u64 },
    /// Behind a payload of known length: a newline must follow.
    AfterSized { kind: String, is_kept: bool, length: u64 },
    /// Inside a payload that runs to the newline.
    Line { kind: String, is_kept: bool },
}

/// Takes an envelope apart, piece by piece.
#[derive(Debug)]
pub struct Splitter {
    keeps: fn(&str) -> bool,
    most_item_bytes: usize,
    /// Bytes that all items that are kept may have together.
    most_bytes: usize,
    state: State,
    buffer: Vec<u8>,
    /// Bytes of the item that found no room in the buffer.
    n_cut: u64,
    n_items: usize,
    has_header: bool,
    envelope: Envelope,
}

impl Splitter {
    /// A splitter that keeps the items whose type `keeps` says, up to `most_item_bytes` each.
    #[must_use]
    pub fn new(keeps: fn(&str) -> bool, most_item_bytes: usize) -> Self {
        Self {
            keeps,
            most_item_bytes,
            most_bytes: usize::MAX,
            state: State::Header,
            buffer: Vec::new(),
            n_cut: 0,
            n_items: 0,
            has_header: false,
            envelope: Envelope::default(),
        }
    }

    /// From now on at most `most_bytes` are kept of all items together, of what is kept already
    /// too: the longest are cut, to one length, so that none loses more than it has to.
    pub fn keep_at_most(&mut self, most_bytes: usize) {
        self.most_bytes = self.most_bytes.min(most_bytes);
        self.level();
    }

    /// The envelope's header, once it has arrived.
    #[must_use]
    pub fn header(&self) -> Option<&Header> {
        self.has_header.then_some(&self.envelope.header)
    }

    /// Bytes that are held in memory.
    #[must_use]
    pub fn n_held(&self) -> u64 {
        let n_items: usize = self.envelope.items.iter().map(|item| item.payload.len()).sum();
        (n_items + self.buffer.len()) as u64
    }

    /// Bytes that are allocated for them.
    #[must_use]
    pub fn n_allocated(&self) -> u64 {
        let n_items: usize = self.envelope.items.iter().map(|item| item.payload.capacity()).sum();
        (n_items + self.buffer.capacity()) as u64
    }

    /// What has arrived whole so far.
    #[must_use]
    pub fn into_envelope(self) -> Envelope {
        self.envelope
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`EnvelopeError`]; what arrived whole before it is still in [`Self::into_envelope`].
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), EnvelopeError> {
        while !bytes.is_empty() {
            bytes = match std::mem::replace(&mut self.state, State::ItemHeader) {
                State::Header => {
                    self.state = State::Header;
                    self.push_line(
                        bytes,
                        MOST_HEADER_BYTES,
                        EnvelopeError::LongHeader,
                        Self::end_header,
                    )?
                }
                State::ItemHeader => self.push_line(
                    bytes,
                    MOST_HEADER_BYTES,
                    EnvelopeError::LongHeader,
                    Self::end_item_header,
                )?,
                State::Sized { kind, is_kept, length, left } => {
                    let n_taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    let (taken, rest) = bytes.split_at_checked(n_taken).unwrap_or((bytes, &[]));
                    if is_kept {
                        self.keep(taken);
                    }
                    let left = left.saturating_sub(taken.len() as u64);
                    self.state = if left == 0 {
                        State::AfterSized { kind, is_kept, length }
                    } else {
                        State::Sized { kind, is_kept, length, left }
                    };
                    rest
                }
                State::AfterSized { kind, is_kept, length } => {
                    let Some((b'\n', rest)) = bytes.split_first() else {
                        let item = self.n_items;
                        return Err(EnvelopeError::Unterminated { item, kind, length });
                    };
                    self.end_item(&kind, is_kept);
                    rest
                }
                State::Line { kind, is_kept } => self.push_payload_line(bytes, kind, is_kept),
            };
            self.level();
        }
        Ok(())
    }

    /// Collects a line of headers into the buffer; at its end calls `end` with it.
    fn push_line<'a>(
        &mut self,
        bytes: &'a [u8],
        most: usize,
        too_long: EnvelopeError,
        end: fn(&mut Self, &[u8]) -> Result<(), EnvelopeError>,
    ) -> Result<&'a [u8], EnvelopeError> {
        let (line, rest) = split_line(bytes);
        if self.buffer.len() + line.len() > most {
            return Err(too_long);
        }
        self.buffer.extend_from_slice(line);
        let Some(rest) = rest else { return Ok(&[]) };
        let line = std::mem::take(&mut self.buffer);
        end(self, &line)?;
        Ok(rest)
    }

    fn push_payload_line<'a>(&mut self, bytes: &'a [u8], kind: String, is_kept: bool) -> &'a [u8] {
        let (line, rest) = split_line(bytes);
        if is_kept {
            self.keep(line);
        }
        let Some(rest) = rest else {
            self.state = State::Line { kind, is_kept };
            return &[];
        };
        self.end_item(&kind, is_kept);
        rest
    }

    /// Holds bytes of an item that is kept, as far as it may go; the rest is counted.
    fn keep(&mut self, bytes: &[u8]) {
        let most = if self.n_cut > 0 { 0 } else { self.most_item_bytes.min(self.most_bytes) };
        self.n_cut += hold(&mut self.buffer, bytes, most);
    }

    /// Cuts the longest items when all together take more bytes than they may.
    fn level(&mut self) {
        if self.n_allocated() <= self.most_bytes as u64 {
            return;
        }
        let is_item = matches!(
            self.state,
            State::Sized { is_kept: true, .. }
                | State::AfterSized { is_kept: true, .. }
                | State::Line { is_kept: true, .. }
        );
        // A line of headers has a limit of its own.
        let current = is_item.then_some((&mut self.buffer, &mut self.n_cut));
        let items = self.envelope.items.iter_mut();
        let mut held: Vec<_> =
            items.map(|item| (&mut item.payload, &mut item.n_cut)).chain(current).collect();
        held.sort_by_key(|(bytes, _)| bytes.len());
        let mut left = self.most_bytes;
        let mut n_items = held.len();
        for (bytes, n_cut) in held {
            // What the shorter ones do not need is for the longer ones.
            let n_kept = bytes.len().min(left / n_items.max(1));
            *n_cut += cut(bytes, n_kept);
            left -= n_kept;
            n_items -= 1;
        }
    }

    fn end_header(&mut self, line: &[u8]) -> Result<(), EnvelopeError> {
        self.state = State::ItemHeader;
        self.has_header = true;
        let wire: WireHeader<'_> = object(line).map_err(EnvelopeError::Header)?;
        let text = |raw: Option<&serde_json::value::RawValue>| -> Option<String> {
            raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
        };
        self.envelope.header = Header {
            event_id: text(wire.event_id).as_deref().and_then(EventId::parse),
            dsn: text(wire.dsn),
            sent_at: text(wire.sent_at).as_deref().and_then(Timestamp::parse),
        };
        Ok(())
    }

    fn end_item_header(&mut self, line: &[u8]) -> Result<(), EnvelopeError> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        self.n_items += 1;
        let item = self.n_items;
        if item > MOST_ITEMS {
            return Err(EnvelopeError::TooManyItems);
        }
        let header: WireItemHeader =
            object(line).map_err(|reason| EnvelopeError::ItemHeader { item, reason })?;
        let kind = header.kind.ok_or(EnvelopeError::NoType(item))?;
        let is_kept = (self.keeps)(&kind);
        if is_kept && self.envelope.items.len() >= MOST_KEPT_ITEMS {
            return Err(EnvelopeError::TooManyKept(item));
        }
        self.state = match header.length {
            None => State::Line { kind, is_kept },
            Some(0) => State::AfterSized { kind, is_kept, length: 0 },
            Some(length) => State::Sized { kind, is_kept, length, left: length },
        };
        Ok(())
    }

    fn end_item(&mut self, kind: &str, is_kept: bool) {
        let payload = std::mem::take(&mut self.buffer);
        let n_cut = std::mem::take(&mut self.n_cut);
        if is_kept {
            self.envelope.items.push(Item { kind: kind.to_owned(), payload, n_cut });
            return;
        }
        let name = KNOWN_TYPES.into_iter().find(|known| *known == kind).unwrap_or("other");
        *self.envelope.skipped.entry(name.to_owned()).or_default() += 1;
    }

    /// The body is over.
    ///
    /// # Errors
    /// [`EnvelopeError`] when it ended in the middle; what arrived whole is still in
    /// [`Self::into_envelope`].
    pub fn finish(&mut self) -> Result<(), EnvelopeError> {
        let line = std::mem::take(&mut self.buffer);
        match std::mem::replace(&mut self.state, State::ItemHeader) {
            State::Header if line.is_empty() => Err(EnvelopeError::Empty),
            State::Header => self.end_header(&line),
            State::ItemHeader => {
                self.end_item_header(&line)?;
                match std::mem::replace(&mut self.state, State::ItemHeader) {
                    State::Sized { kind, .. } | State::Line { kind, .. } => {
                        Err(EnvelopeError::NoPayload { item: self.n_items, kind })
                    }
                    State::AfterSized { kind, is_kept, .. } => {
                        self.end_item(&kind, is_kept);
                        Ok(())
                    }
                    State::Header | State::ItemHeader => Ok(()),
                }
            }
            State::Sized { kind, length, left, .. } => {
                Err(EnvelopeError::Truncated { item: self.n_items, kind, length, missing: left })
            }
            State::AfterSized { kind, is_kept, .. } | State::Line { kind, is_kept } => {
                self.buffer = line;
                self.end_item(&kind, is_kept);
                Ok(())
            }
        }
    }
}

/// Adds bytes to `held` up to `most` in all; gives how many were left out.
pub fn hold(held: &mut Vec<u8>, bytes: &[u8], most: usize) -> u64 {
    let n_taken = most.saturating_sub(held.len()).min(bytes.len());
    let (taken, left) = bytes.split_at_checked(n_taken).unwrap_or((bytes, &[]));
    held.extend_from_slice(taken);
    left.len() as u64
}

/// Cuts `held` at `most` bytes, and gives their memory back; gives how many were cut off.
pub fn cut(held: &mut Vec<u8>, most: usize) -> u64 {
    let n_cut = held.len().saturating_sub(most);
    if n_cut > 0 {
        held.truncate(most);
    }
    if held.capacity() > most {
        held.shrink_to(most);
    }
    n_cut as u64
}

/// A line of headers. A list of their values, which serde would take as well, is none.
fn object<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, String> {
    if line.trim_ascii_start().first() == Some(&b'[') {
        return Err("it is a list".to_owned());
    }
    serde_json::from_slice(line).map_err(|cause| {
        if cause.is_data() {
            // The parser quotes what it found, and that may be a secret on its way into a log.
            return format!("a field is of the wrong type at column {}", cause.column());
        }
        cause.to_string()
    })
}

/// What comes before the first newline, and what after it, if there is one.
fn split_line(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => {
            let (line, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
            (line, rest.get(1..))
        }
        None => (bytes, None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keeps(kind: &str) -> bool {
        kind == "event"
    }

    fn split(pieces: &[&[u8]]) -> (Envelope, Option<EnvelopeError>) {
        let mut splitter = Splitter::new(keeps, 1_000);
        for piece in pieces {
            if let Err(error) = splitter.push(piece) {
                return (splitter.into_envelope(), Some(error));
            }
        }
        let end = splitter.finish();
        (splitter.into_envelope(), end.err())
    }

    fn events(envelope: &Envelope) -> Vec<&str> {
        envelope
            .items
            .iter()
            .map(|item| std::str::from_utf8(&item.payload).expect("UTF-8"))
            .collect()
    }

    const MIXED: &str = "{\"event_id\":\"c76085e7-ee72-463e-9476-4d80b9534fff\",\"sent_at\":\"2026-11-21T01:52:51Z\",\"dsn\":\"http://k@h/1\"}\n\
        {\"type\":\"session\"}\n{\"sid\":1}\n\
        {\"type\":\"event\",\"length\":9}\n{\"a\":\"\n\"}\n\
        {\"type\":\"attachment\",\"length\":3,\"filename\":\"x\"}\n\n\n\n\n\
        {\"type\":\"event\"}\n{\"b\":2}";

    #[test]
    fn mixed_items_are_kept_or_counted() {
        let (envelope, error) = split(&[MIXED.as_bytes()]);
        assert_eq!(error, None);
        assert_eq!(events(&envelope), ["{\"a\":\"\n\"}", "{\"b\":2}"]);
        assert_eq!(
            envelope.skipped,
            [("attachment".to_owned(), 1), ("session".to_owned(), 1)].into()
        );
        assert_eq!(envelope.header.event_id, EventId::parse("c76085e7ee72463e94764d80b9534fff"));
        assert_eq!(envelope.header.dsn.as_deref(), Some("http://k@h/1"));
        assert_eq!(envelope.header.sent_at, Timestamp::parse("2026-11-21T01:52:51Z"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, expected) in [
            ("", "the envelope is empty"),
            (
                "nonsense",
                "the envelope's header is not a JSON object: expected ident at line 1 column 2",
            ),
            (
                "{}\n{\"type\":\"event\",\"length\":9}\nabc",
                "item 1 (event) is truncated: 6 of its 9 bytes are missing",
            ),
            (
                "{}\n{\"type\":\"event\",\"length\":2}\nabc",
                "item 1 (event) is longer than the 2 bytes its header says",
            ),
            ("{}\n{\"type\":\"event\"}", "item 1 (event) has no payload"),
            ("{}\n{\"length\":3}\nabc", "item 1 has no type"),
            (
                "{}\nxx\n",
                "the header of item 1 is not a JSON object: expected value at line 1 column 1",
            ),
        ] {
            let (envelope, error) = split(&[body.as_bytes()]);
            assert_eq!(error.map(|error| error.to_string()).as_deref(), Some(expected), "{body}");
            assert!(envelope.items.is_empty(), "{body}");
        }
    }

    #[test]
    fn headers_alone_and_trailing_newlines_are_fine() {
        for body in ["{}", "{}\n", "{}\n\n", "{}\n{\"type\":\"session\",\"length\":0}\n"] {
            assert_eq!(split(&[body.as_bytes()]).1, None, "{body}");
        }
        let (envelope, error) = split(&[b"{}\n{\"type\":\"event\",\"length\":2}\n{}\n"]);
        assert_eq!((events(&envelope), error), (vec!["{}"], None));
    }

    #[test]
    fn what_arrived_whole_survives_a_broken_neighbour() {
        let body = b"{}\n{\"type\":\"event\"}\n{}\n{\"type\":\"attachment\",\"length\":50}\nabc";
        let (envelope, error) = split(&[body]);
        assert_eq!(events(&envelope), ["{}"]);
        assert!(matches!(error, Some(EnvelopeError::Truncated { missing: 47, .. })));
    }

    #[test]
    fn an_item_too_long_is_cut_and_its_neighbours_are_whole() {
        let long = "x".repeat(1_500);
        for header in ["{\"type\":\"event\",\"length\":1500}", "{\"type\":\"event\"}"] {
            let body = format!("{{}}\n{header}\n{long}\n{{\"type\":\"event\"}}\n{{}}");
            let (envelope, error) = split(&body.as_bytes().chunks(700).collect::<Vec<_>>());
            let sizes = envelope.items.iter().map(|item| (item.payload.len(), item.n_cut));
            assert_eq!((sizes.collect::<Vec<_>>(), error), (vec![(1_000, 500), (2, 0)], None));
        }
    }

    #[test]
    fn a_skipped_item_is_not_held_in_memory() {
        let mut splitter = Splitter::new(keeps, 1_000);
        splitter.push(b"{}\n{\"type\":\"replay\",\"length\":100000000}\n").expect("a header");
        for _ in 0..100 {
            splitter.push(&vec![b'x'; 100_000]).expect("payload");
        }
        assert!(splitter.buffer.capacity() < 1_000);
    }

    #[test]
    fn the_longest_items_are_cut_when_all_together_are_too_long() {
        let event = |n: usize| format!("{{\"type\":\"event\"}}\n{}\n", "x".repeat(n));
        for (most, items, expected) in [
            (1_000, vec![400, 600], vec![400, 600]),
            (1_000, vec![100, 5_000], vec![100, 900]),
            (1_000, vec![5_000, 100, 5_000], vec![450, 100, 450]),
            (800, vec![5_000; 8], vec![100; 8]),
            (1_000, vec![5_000], vec![1_000]),
        ] {
            for (is_late, piece) in [(false, 7), (false, 10_000), (true, 333)] {
                let body: String = items.iter().map(|n| event(*n)).collect();
                let mut splitter = Splitter::new(keeps, 100_000);
                if !is_late {
                    splitter.keep_at_most(most);
                }
                splitter.push(b"{}\n").expect("a header");
                for bytes in body.as_bytes().chunks(piece) {
                    splitter.push(bytes).expect("an envelope");
                    assert!(is_late || splitter.n_held() <= most as u64 + 20, "{items:?}");
                }
                splitter.keep_at_most(most);
                assert!(splitter.n_allocated() <= most as u64, "{items:?}");
                let envelope = splitter.into_envelope();
                let kept: Vec<usize> =
                    envelope.items.iter().map(|item| item.payload.len()).collect();
                assert_eq!(kept, expected, "{items:?} {is_late} {piece}");
                for (item, n) in envelope.items.iter().zip(&items) {
                    assert_eq!(item.payload.len() as u64 + item.n_cut, *n as u64);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(cuts in prop::collection::vec(0usize..MIXED.len(), 0..8)) {
            let mut cuts = cuts;
            cuts.extend([0, MIXED.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &MIXED.as_bytes()[cut[0]..cut[1]]).collect();
            prop_assert_eq!(split(&pieces), split(&[MIXED.as_bytes()]));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, lines in prop::collection::vec("[{}:\", a-z0-9\n]{0,40}", 0..6)) {
            split(&[&bytes]);
            let text = format!("{{}}\n{}", lines.join("\n"));
            split(&[text.as_bytes()]);
        }
    }
}
