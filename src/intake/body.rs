//! A body, decoded and taken apart while it arrives, within limits.

use std::io::{self, Write};

use crate::protocol::encoding::{Decoder, Encoding, from_base64_zlib};
use crate::protocol::envelope::{Envelope, EnvelopeError, Header, Splitter};

/// What a body may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes on the wire.
    pub most_wire_bytes: u64,
    /// Bytes after decoding. Most of an envelope this large would be items that are not kept.
    pub most_decoded_bytes: u64,
    /// Bytes of one event.
    pub most_event_bytes: usize,
    /// How long a client may take to send its body.
    pub body_timeout: std::time::Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            most_wire_bytes: 200 * 1024 * 1024,
            most_decoded_bytes: 200 * 1024 * 1024,
            most_event_bytes: 4 * 1024 * 1024,
            body_timeout: std::time::Duration::from_mins(1),
        }
    }
}

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
    /// It is one event, and too large.
    #[error("the event is larger than {0} bytes")]
    Event(usize),
    /// It is no envelope.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
}

impl BodyError {
    /// Whether the body is too large rather than broken.
    pub(super) fn is_size(&self) -> bool {
        match self {
            Self::Wire(_)
            | Self::Decoded(_)
            | Self::Event(_)
            | Self::Envelope(EnvelopeError::ItemTooLarge { .. }) => true,
            Self::Encoding(_) | Self::Envelope(_) => false,
        }
    }
}

/// The items of an envelope that are kept in memory.
fn keeps(kind: &str) -> bool {
    matches!(kind, "event" | "client_report")
}

enum Content {
    Envelope(Box<Splitter>),
    Event(Vec<u8>),
}

/// Where decoded bytes go.
struct Sink {
    content: Content,
    limits: Limits,
    n_decoded: u64,
    failure: Option<BodyError>,
}

impl Sink {
    fn take(&mut self, bytes: &[u8]) -> Result<(), BodyError> {
        self.n_decoded += bytes.len() as u64;
        if self.n_decoded > self.limits.most_decoded_bytes {
            return Err(BodyError::Decoded(self.limits.most_decoded_bytes));
        }
        match &mut self.content {
            Content::Envelope(splitter) => splitter.push(bytes)?,
            Content::Event(event) => {
                if event.len() + bytes.len() > self.limits.most_event_bytes {
                    return Err(BodyError::Event(self.limits.most_event_bytes));
                }
                event.extend_from_slice(bytes);
            }
        }
        Ok(())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.take(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                self.failure = Some(error);
                Err(io::Error::other("the body is refused"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A body on its way in.
pub(super) struct Body {
    decoder: Decoder<Sink>,
    limits: Limits,
    n_wire: u64,
}

/// What a body held.
pub(super) enum Received {
    /// An envelope, and what was wrong with the rest of it.
    Envelope(Envelope, Option<BodyError>),
    /// One event.
    Event(Vec<u8>),
}

impl Body {
    pub(super) fn envelope(encoding: Encoding, limits: Limits) -> io::Result<Self> {
        let splitter = Splitter::new(keeps, limits.most_event_bytes);
        Self::new(encoding, Content::Envelope(Box::new(splitter)), limits)
    }

    pub(super) fn event(encoding: Encoding, limits: Limits) -> io::Result<Self> {
        Self::new(encoding, Content::Event(Vec::new()), limits)
    }

    fn new(encoding: Encoding, content: Content, limits: Limits) -> io::Result<Self> {
        let sink = Sink { content, limits, n_decoded: 0, failure: None };
        Ok(Self { decoder: Decoder::new(encoding, sink)?, limits, n_wire: 0 })
    }

    /// Takes the next bytes from the wire.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), BodyError> {
        self.n_wire += bytes.len() as u64;
        if self.n_wire > self.limits.most_wire_bytes {
            return Err(BodyError::Wire(self.limits.most_wire_bytes));
        }
        self.decoder.push(bytes).map_err(|cause| self.failure(cause))
    }

    /// Why the decoder stopped: what the sink says, else what the decoder says.
    fn failure(&mut self, cause: io::Error) -> BodyError {
        let failure = self.decoder.sink().and_then(|sink| sink.failure.take());
        failure.unwrap_or(BodyError::Encoding(cause))
    }

    /// The envelope's header, as soon as it is there.
    pub(super) fn header(&mut self) -> Option<&Header> {
        match &self.decoder.sink()?.content {
            Content::Envelope(splitter) => splitter.header(),
            Content::Event(_) => None,
        }
    }

    /// The body is over, or broke off with `fault`: what arrived whole.
    pub(super) fn finish(mut self, fault: Option<BodyError>) -> Result<Received, BodyError> {
        let mut fault = fault;
        if fault.is_none() {
            fault = self.decoder.finish().map_err(|cause| self.failure(cause)).err();
        }
        let Some(sink) = self.decoder.sink() else {
            return Err(BodyError::Encoding(io::ErrorKind::BrokenPipe.into()));
        };
        let content = std::mem::replace(&mut sink.content, Content::Event(Vec::new()));
        match content {
            Content::Event(event) => {
                if let Some(fault) = fault {
                    return Err(fault);
                }
                let most = self.limits.most_event_bytes;
                Ok(Received::Event(match from_base64_zlib(&event, most) {
                    None => event,
                    Some(Ok(event)) => event,
                    Some(Err(cause)) if cause.kind() == io::ErrorKind::FileTooLarge => {
                        return Err(BodyError::Event(most));
                    }
                    Some(Err(cause)) => return Err(BodyError::Encoding(cause)),
                }))
            }
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("gzip in memory")
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("zlib in memory")
    }

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("deflate in memory")
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(bytes, 1).expect("zstd in memory")
    }

    fn receive(encoding: Encoding, bytes: &[u8], piece: usize) -> Result<Vec<u8>, BodyError> {
        let limits =
            Limits { most_event_bytes: 100_000, most_decoded_bytes: 200_000, ..Limits::default() };
        let mut body = Body::event(encoding, limits).expect("a decoder");
        for piece in bytes.chunks(piece) {
            body.push(piece)?;
        }
        match body.finish(None)? {
            Received::Event(event) => Ok(event),
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
