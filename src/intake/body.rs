//! A body, decoded and taken apart while it arrives, within limits.

use std::io;
use std::time::Duration;

use crate::protocol::encoding::{Decoder, Encoding, from_base64_zlib};
use crate::protocol::envelope::{Envelope, EnvelopeError, Header, Splitter, cut, hold};

/// What a body may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes on the wire.
    pub most_wire_bytes: u64,
    /// Bytes after decoding. Most of an envelope this large would be items that are not kept.
    pub most_decoded_bytes: u64,
    /// Bytes after decoding that any body may have, however small it is on the wire.
    pub any_ratio_bytes: u64,
    /// Bytes after decoding for each byte on the wire, beyond `any_ratio_bytes`. The most that a
    /// real client was seen to send is 180: a stack of 999 equal frames.
    pub most_ratio: u64,
    /// Bytes of one event.
    pub most_event_bytes: usize,
    /// How long a client may send nothing in the middle of its body.
    pub idle_timeout: Duration,
    /// How long a client may take to send its body, unless it keeps up the least rate.
    pub body_timeout: Duration,
    /// Bytes a second, on average, with which a client may take longer than `body_timeout`.
    pub least_rate: u64,
    /// How long a client may take at all.
    pub most_body_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            most_wire_bytes: 200 * 1024 * 1024,
            most_decoded_bytes: 200 * 1024 * 1024,
            any_ratio_bytes: 4 * 1024 * 1024,
            most_ratio: 400,
            most_event_bytes: 4 * 1024 * 1024,
            idle_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_mins(1),
            least_rate: 16 * 1024,
            most_body_time: Duration::from_mins(10),
        }
    }
}

impl Limits {
    /// How long to wait for the next bytes of a body that began `since` ago and of which `n_wire`
    /// bytes have come; `None` when it has taken too long.
    pub(super) fn patience(&self, since: Duration, n_wire: u64) -> Option<Duration> {
        let by_rate = Duration::from_secs(n_wire / self.least_rate.max(1));
        let most = self.body_timeout.max(by_rate).min(self.most_body_time);
        let left = most.checked_sub(since).filter(|left| !left.is_zero())?;
        Some(left.min(self.idle_timeout))
    }
}

/// One step decodes about so many bytes; between steps others get their turn on the thread.
const STEP_BYTES: usize = 256 * 1024;

/// A piece costs time, however short it is: it counts as so many bytes of a step.
const LEAST_STEP_BYTES: usize = 1024;

/// What is wrong with a body.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// It is not what its `Content-Encoding` says.
    #[error("the body cannot be decoded: {0}")]
    Encoding(io::Error),
    /// It is too large on the wire.
    #[error("the body is larger than {0} bytes")]
    Wire(u64),
    /// It is too large when decoded.
    #[error("the decoded body is larger than {0} bytes")]
    Decoded(u64),
    /// It became far larger by decoding than any report does.
    #[error("the body decodes to more than {0} bytes for each of its own: it is no report")]
    Ratio(u64),
    /// It ended before it was whole.
    #[error("the body broke off")]
    BrokenOff,
    /// It is no envelope.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
}

impl BodyError {
    /// Whether the body is too large rather than broken.
    pub(super) fn is_size(&self) -> bool {
        match self {
            Self::Wire(_) | Self::Decoded(_) | Self::Ratio(_) => true,
            Self::Encoding(_) | Self::BrokenOff | Self::Envelope(_) => false,
        }
    }
}

/// The items of an envelope that are kept in memory.
fn keeps(kind: &str) -> bool {
    matches!(kind, "event" | "client_report" | "raw_security")
}

enum Content {
    Envelope(Box<Splitter>),
    /// One event, as much as is kept of it, and how many bytes more it had.
    Event(Vec<u8>, u64),
}

impl Content {
    fn take(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), BodyError> {
        match self {
            Self::Envelope(splitter) => splitter.push(bytes)?,
            Self::Event(event, n_cut) => {
                let most = if *n_cut > 0 { 0 } else { limits.most_event_bytes };
                *n_cut += hold(event, bytes, most);
            }
        }
        Ok(())
    }
}

/// A body on its way in.
pub(super) struct Body {
    decoder: Decoder,
    content: Content,
    limits: Limits,
    n_wire: u64,
    n_decoded: u64,
}

/// What a body held.
pub(super) enum Received {
    /// An envelope, and what was wrong with the rest of it.
    Envelope(Envelope, Option<BodyError>),
    /// One event, as much as is kept of it, and how many bytes were cut off.
    Event(Vec<u8>, u64),
}

impl Received {
    /// Bytes that are allocated for an event that came alone. It may have grown since it was
    /// counted: some clients encode it within the body.
    pub(super) fn n_allocated(&self) -> u64 {
        match self {
            Self::Envelope(..) => 0,
            Self::Event(event, _) => event.capacity() as u64,
        }
    }

    /// There is no memory for more than `most_bytes` of it.
    pub(super) fn keep_at_most(&mut self, most_bytes: usize) {
        if let Self::Event(event, n_cut) = self {
            *n_cut += cut(event, most_bytes);
        }
    }
}

impl Body {
    pub(super) fn envelope(encoding: Encoding, limits: Limits) -> io::Result<Self> {
        let splitter = Splitter::new(keeps, limits.most_event_bytes);
        Self::new(encoding, Content::Envelope(Box::new(splitter)), limits)
    }

    pub(super) fn event(encoding: Encoding, limits: Limits) -> io::Result<Self> {
        Self::new(encoding, Content::Event(Vec::new(), 0), limits)
    }

    fn new(encoding: Encoding, content: Content, limits: Limits) -> io::Result<Self> {
        Ok(Self { decoder: Decoder::new(encoding)?, content, limits, n_wire: 0, n_decoded: 0 })
    }

    /// Takes bytes from the wire, as many as decode to about [`STEP_BYTES`]; the rest stays in
    /// `bytes`. Says whether there may be more to decode.
    pub(super) fn step(&mut self, bytes: &mut &[u8]) -> Result<bool, BodyError> {
        let mut n_step = 0;
        while n_step < STEP_BYTES {
            let n_before = bytes.len();
            let piece = self.decoder.next(bytes).map_err(BodyError::Encoding)?;
            self.n_wire += (n_before - bytes.len()) as u64;
            let Some(piece) = piece else { return Ok(false) };
            n_step += piece.len().max(LEAST_STEP_BYTES);
            self.n_decoded += piece.len() as u64;
            check_sizes(&self.limits, self.n_wire, self.n_decoded)?;
            self.content.take(piece, &self.limits)?;
        }
        Ok(true)
    }

    /// Bytes that came over the wire.
    pub(super) fn n_wire(&self) -> u64 {
        self.n_wire
    }

    /// There is no memory for more: what events have beyond `most_bytes` in all is cut, whether it
    /// has come or not.
    pub(super) fn keep_at_most(&mut self, most_bytes: usize) {
        match &mut self.content {
            Content::Envelope(splitter) => splitter.keep_at_most(most_bytes),
            Content::Event(event, n_cut) => {
                self.limits.most_event_bytes = self.limits.most_event_bytes.min(most_bytes);
                *n_cut += cut(event, most_bytes);
            }
        }
    }

    /// Bytes that are kept so far.
    pub(super) fn n_held(&self) -> u64 {
        match &self.content {
            Content::Envelope(splitter) => splitter.n_held(),
            Content::Event(event, _) => event.len() as u64,
        }
    }

    /// Bytes that are allocated for them.
    pub(super) fn n_allocated(&self) -> u64 {
        match &self.content {
            Content::Envelope(splitter) => splitter.n_allocated(),
            Content::Event(event, _) => event.capacity() as u64,
        }
    }

    /// Whether decoding may hold much in memory beside them.
    pub(super) fn is_wide(&self) -> bool {
        self.decoder.is_wide()
    }

    /// Gives back what decoding holds in memory. Nothing more of the body can be taken.
    pub(super) fn stop_decoding(&mut self) {
        self.decoder.stop();
    }

    /// Bytes that decoding holds in memory beside them.
    pub(super) fn window_bytes(&self) -> u64 {
        self.decoder.window_bytes()
    }

    /// The envelope's header, as soon as it is there.
    pub(super) fn header(&self) -> Option<&Header> {
        match &self.content {
            Content::Envelope(splitter) => splitter.header(),
            Content::Event(..) => None,
        }
    }

    /// What has arrived of a body that is no envelope.
    pub(super) fn beginning(&self) -> &[u8] {
        match &self.content {
            Content::Event(bytes, _) => bytes,
            Content::Envelope(_) => &[],
        }
    }

    /// The body is over, or broke off with `fault`: what arrived whole.
    pub(super) fn finish(self, fault: Option<BodyError>) -> Result<Received, BodyError> {
        let mut fault = fault;
        if fault.is_none() {
            fault = self.decoder.finish().map_err(BodyError::Encoding).err();
        }
        match self.content {
            Content::Event(event, n_cut) => match fault {
                Some(fault) => Err(fault),
                None => event_of(event, n_cut, self.limits.most_event_bytes),
            },
            Content::Envelope(mut splitter) => {
                if fault.is_none() {
                    fault = splitter.finish().err().map(BodyError::from);
                }
                let envelope = splitter.into_envelope();
                match fault {
                    Some(fault) if envelope.items.is_empty() => Err(fault),
                    fault => Ok(Received::Envelope(envelope, fault)),
                }
            }
        }
    }
}

/// One event out of a body that may be encoded in the body's own way.
fn event_of(event: Vec<u8>, n_cut: u64, most: usize) -> Result<Received, BodyError> {
    match from_base64_zlib(&event, n_cut > 0, most) {
        None => Ok(Received::Event(event, n_cut)),
        Some(Ok((event, is_whole))) => {
            // How much is missing of it, only decoding all of it would tell.
            let n_cut = if is_whole { 0 } else { n_cut.max(1) };
            Ok(Received::Event(event, n_cut))
        }
        Some(Err(cause)) => Err(BodyError::Encoding(cause)),
    }
}

/// Whether a body of which so much has come, and been decoded, may go on.
fn check_sizes(limits: &Limits, n_wire: u64, n_decoded: u64) -> Result<(), BodyError> {
    if n_wire > limits.most_wire_bytes {
        return Err(BodyError::Wire(limits.most_wire_bytes));
    }
    if n_decoded > limits.most_decoded_bytes {
        return Err(BodyError::Decoded(limits.most_decoded_bytes));
    }
    let most = n_wire.saturating_mul(limits.most_ratio).max(limits.any_ratio_bytes);
    if n_decoded > most { Err(BodyError::Ratio(limits.most_ratio)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("gzip in memory")
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("zlib in memory")
    }

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("deflate in memory")
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(bytes, 1).expect("zstd in memory")
    }

    fn receive(encoding: Encoding, bytes: &[u8], piece: usize) -> Result<Vec<u8>, BodyError> {
        let limits =
            Limits { most_event_bytes: 100_000, most_decoded_bytes: 200_000, ..Limits::default() };
        let mut body = Body::event(encoding, limits).expect("a decoder");
        for mut piece in bytes.chunks(piece) {
            while body.step(&mut piece)? {}
        }
        match body.finish(None)? {
            Received::Event(event, _) => Ok(event),
            Received::Envelope(..) => Ok(Vec::new()),
        }
    }

    type Encode = fn(&[u8]) -> Vec<u8>;

    const ENCODERS: [(Encoding, Encode); 5] = [
        (Encoding::Identity, <[u8]>::to_vec),
        (Encoding::Gzip, gzip),
        (Encoding::Deflate, zlib),
        (Encoding::Deflate, deflate),
        (Encoding::Zstd, zstd),
    ];

    #[test]
    fn a_truncated_body_is_named_so() {
        for (encoding, encode) in ENCODERS.into_iter().skip(1) {
            let bytes = encode(&[b'a'; 5_000]);
            let cut = &bytes[..bytes.len() - 3];
            let error = receive(encoding, cut, 10).expect_err("a truncated body");
            assert!(
                error.to_string().starts_with("the body cannot be decoded"),
                "{encoding:?} {error}"
            );
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        for (encoding, encode) in ENCODERS {
            let error = receive(encoding, &encode(&vec![0; 1_000_000]), 999).expect_err("a bomb");
            assert!(error.is_size(), "{encoding:?} {error}");
        }
    }

    #[test]
    fn a_bomb_ends_by_its_ratio_in_bounded_steps() {
        let n_bytes = 20 * 1024 * 1024;
        for (encoding, encode) in ENCODERS.into_iter().skip(1) {
            let bomb = encode(&vec![0; n_bytes]);
            let mut body = Body::envelope(encoding, Limits::default()).expect("a decoder");
            let header = encode(b"{}\n{\"type\":\"attachment\",\"length\":1000000000}\n");
            let bytes = if encoding == Encoding::Deflate { bomb } else { [header, bomb].concat() };
            let mut bytes = bytes.as_slice();
            let (error, n_decoded) = loop {
                let n_before = body.n_decoded;
                match body.step(&mut bytes) {
                    Ok(true) => {}
                    Ok(false) => panic!("{encoding:?}: the bomb was taken"),
                    Err(error) => break (error, body.n_decoded),
                }
                assert!(body.n_decoded - n_before < 2 * STEP_BYTES as u64);
            };
            // Zeros are no envelope, so that those without a header end with their first line.
            if encoding != Encoding::Deflate {
                assert!(matches!(error, BodyError::Ratio(400)), "{encoding:?} {error}");
                assert!(n_decoded < 20 << 20, "{encoding:?} {n_decoded}");
            }
        }
    }

    #[test]
    fn what_there_is_no_memory_for_is_cut_and_its_memory_given_back() {
        let mut body = Body::event(Encoding::Identity, Limits::default()).expect("a decoder");
        let sent = vec![b'a'; 100_000];
        let mut bytes = sent.as_slice();
        while body.step(&mut bytes).expect("a body") {}
        body.keep_at_most(10_000);
        assert_eq!(body.n_allocated(), 10_000);
        // What comes behind a cut belongs to nothing.
        body.step(&mut [b'b'; 100].as_slice()).expect("a body");
        let Ok(Received::Event(event, n_cut)) = body.finish(None) else { panic!("no event") };
        assert_eq!((event, n_cut), (vec![b'a'; 10_000], 90_100));
    }

    #[test]
    fn an_event_that_grows_at_the_end_can_be_cut_too() {
        let json = format!("{{\"message\":\"{}\"}}", "a".repeat(50_000));
        let mut encoder =
            flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        let zlib = encoder.write_all(json.as_bytes()).and_then(|()| encoder.finish());
        let engine = base64::engine::general_purpose::STANDARD;
        let text = base64::Engine::encode(&engine, zlib.expect("zlib in memory"));
        let mut body = Body::event(Encoding::Identity, Limits::default()).expect("a decoder");
        body.step(&mut text.as_bytes()).expect("a body");
        assert!(body.n_allocated() < 1_000);
        let mut received = body.finish(None).expect("an event");
        assert!(received.n_allocated() >= json.len() as u64);
        received.keep_at_most(1_000);
        let Received::Event(event, n_cut) = received else { panic!("no event") };
        assert_eq!((event.len(), event.capacity()), (1_000, 1_000));
        assert_eq!(n_cut, json.len() as u64 - 1_000);
    }

    #[test]
    fn brotli_has_no_windows_beyond_those_of_its_standard() {
        // Nothing in a window of 64 KiB, and in one of 1 GiB, which only an extension has.
        assert_eq!(receive(Encoding::Brotli, &[0x06], 10).ok(), Some(Vec::new()));
        for large in [[0x11, 0b1101_1000], [0x11, 0b1101_1110]] {
            let error = receive(Encoding::Brotli, &large, 10).expect_err("a large window");
            assert!(error.to_string().contains("not brotli"), "{error}");
        }
    }

    #[test]
    fn a_client_gets_its_time_and_no_more() {
        let limits = Limits::default();
        let seconds = Duration::from_secs;
        for (since, n_wire, expected) in [
            (0, 0, Some(15)),
            (50, 1_000, Some(10)),
            (60, 1_000, None),
            (60, 16 * 1024 * 61, Some(1)),
            (120, 200 * 1024 * 1024, Some(15)),
            (599, 200 * 1024 * 1024, Some(1)),
            (600, 200 * 1024 * 1024, None),
        ] {
            let patience = limits.patience(seconds(since), n_wire);
            assert_eq!(patience, expected.map(seconds), "{since} {n_wire}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_was_encoded_comes_out(bytes in prop::collection::vec(any::<u8>(), 0..3_000), piece in 1usize..500) {
            for (encoding, encode) in ENCODERS {
                prop_assert_eq!(receive(encoding, &encode(&bytes), piece).ok(), Some(bytes.clone()));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, piece in 1usize..50) {
            for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Brotli, Encoding::Zstd] {
                // Whether it is refused or not, it must come back.
                let _ = receive(encoding, &bytes, piece);
            }
        }
    }
}
