//! Content encodings, decoded as the bytes come in.

use std::io;

use base64::Engine as _;
use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use libdeflater::{Crc, Decompressor};
use zstd::stream::raw::{self, DParameter, Operation as _};

use super::envelope::hold;

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 1950, or RFC 1951 as some clients send under the same name.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

/// An encoding Airlock does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("content-encoding {0:?} is not supported: use gzip, deflate, br, zstd or none")]
pub struct UnknownEncoding(String);

impl Encoding {
    /// Reads a `Content-Encoding` header; empty means none.
    ///
    /// # Errors
    /// [`UnknownEncoding`], also for several encodings one over the other.
    pub fn parse(header: &str) -> Result<Self, UnknownEncoding> {
        match header.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            "br" => Ok(Self::Brotli),
            "zstd" => Ok(Self::Zstd),
            other => Err(UnknownEncoding(other.chars().take(40).collect())),
        }
    }
}

/// What old Ruby clients (sentry-raven) send without a `Content-Encoding`: base64 of zlib. Its first
/// bytes are `eJ`, those of base64 over a zlib header, where JSON would begin with `{`.
///
/// Gives the first `most_bytes` of what it decodes to, and whether that is all; `None` for anything
/// else. A body that `is_cut` itself may end anywhere.
///
/// # Errors
/// When it begins so but is not.
#[must_use]
pub fn from_base64_zlib(
    body: &[u8],
    is_cut: bool,
    most_bytes: usize,
) -> Option<io::Result<(Vec<u8>, bool)>> {
    body.starts_with(b"eJ").then(|| {
        let mut compact: Vec<u8> =
            body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        if is_cut {
            // Four letters are three bytes.
            compact.truncate(compact.len() / 4 * 4);
        }
        let zlib = base64::engine::general_purpose::STANDARD
            .decode(compact)
            .map_err(|cause| io::Error::new(io::ErrorKind::InvalidData, cause))?;
        let mut decoder = Decoder::new(Encoding::Deflate)?;
        let (mut json, mut zlib) = (Vec::new(), zlib.as_slice());
        while let Some(piece) = decoder.next(&mut zlib)? {
            if hold(&mut json, piece, most_bytes) > 0 {
                return Ok((json, false));
            }
        }
        if !is_cut {
            decoder.finish()?;
        }
        Ok((json, !is_cut))
    })
}

/// The largest window a zstd body may ask for: 2^23 = 8 MiB, as RFC 8878 recommends to support.
const MOST_ZSTD_WINDOW_LOG: u32 = 23;

/// The window of gzip and zlib: 2^15, the only one in use.
const GZIP_WINDOW_LOG: u8 = 15;

/// A decoder hands over at most so many bytes at a time, save for a whole body of gzip
/// ([`MOST_WHOLE_BYTES`]).
pub const MOST_PIECE_BYTES: usize = 16 * 1024;

/// A body of gzip that decodes to so many bytes, at most, is decoded at once.
pub const MOST_WHOLE_BYTES: usize = 64 * 1024;

/// Decodes a body piece by piece, so that whoever calls decides after each how far to go: the
/// smallest of bodies may decode to more than anybody has room or time for.
pub struct Decoder {
    kind: Kind,
    buffer: Vec<u8>,
}

type Brotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

enum Kind {
    Identity,
    /// Without a state while no member was begun.
    Gzip(Option<Decompress>, Member),
    /// The first two bytes of a deflate body tell which kind it is.
    DeflateStart(Option<u8>),
    Deflate(Decompress, Member),
    Brotli(Box<Brotli>, Member),
    Zstd(raw::Decoder<'static>, Member),
}

/// Where a decoder stands: only at an end may a body end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Inside,
    Over,
}

/// What one step took and gave.
struct Step {
    n_in: usize,
    n_out: usize,
}

impl Decoder {
    /// A decoder.
    ///
    /// # Errors
    /// When the zstd library cannot be set up.
    pub fn new(encoding: Encoding) -> io::Result<Self> {
        let kind = match encoding {
            Encoding::Identity => Kind::Identity,
            Encoding::Gzip => Kind::Gzip(None, Member::Inside),
            Encoding::Deflate => Kind::DeflateStart(None),
            Encoding::Brotli => {
                let alloc = StandardAlloc::default;
                // Without the "large window" that RFC 7932 does not know: up to 1 GiB.
                let state = BrotliState::new_strict(alloc(), alloc(), alloc());
                Kind::Brotli(Box::new(state), Member::Inside)
            }
            Encoding::Zstd => {
                let mut decoder = raw::Decoder::new()?;
                decoder.set_parameter(DParameter::WindowLogMax(MOST_ZSTD_WINDOW_LOG))?;
                Kind::Zstd(decoder, Member::Inside)
            }
        };
        Ok(Self { kind, buffer: Vec::new() })
    }

    /// Decodes the next bytes of the body, one piece of it, and takes from `bytes` what
    /// it used. `None` when it has used them all and nothing more comes out of them.
    ///
    /// # Errors
    /// When they are not what the encoding says.
    pub fn next(&mut self, bytes: &mut &[u8]) -> io::Result<Option<&[u8]>> {
        loop {
            let step = self.step(bytes)?;
            *bytes = bytes.get(step.n_in..).unwrap_or_default();
            if step.n_out > 0 {
                return Ok(self.buffer.get(..step.n_out));
            }
            if step.n_in == 0 {
                // No way forward with bytes left would be a decoder's defect; nobody waits for it.
                return if bytes.is_empty() { Ok(None) } else { Err(invalid("no way forward")) };
            }
        }
    }

    fn step(&mut self, bytes: &[u8]) -> io::Result<Step> {
        let nothing = Step { n_in: 0, n_out: 0 };
        if !matches!(self.kind, Kind::Gzip(None, _)) {
            make_room(&mut self.buffer);
        }
        match &mut self.kind {
            Kind::Identity => {
                let n_bytes = bytes.len().min(self.buffer.len());
                for (to, from) in self.buffer.iter_mut().zip(bytes) {
                    *to = *from;
                }
                Ok(Step { n_in: n_bytes, n_out: n_bytes })
            }
            Kind::Gzip(state, member) => {
                if *member == Member::Over && bytes.is_empty() {
                    return Ok(nothing);
                }
                if state.is_none()
                    && *member == Member::Inside
                    && let Some(n_out) = decode_whole_gzip(bytes, &mut self.buffer)
                {
                    *member = Member::Over;
                    return Ok(Step { n_in: bytes.len(), n_out });
                }
                make_room(&mut self.buffer);
                if *member == Member::Over {
                    // RFC 1952: members follow each other.
                    (*state, *member) = (None, Member::Inside);
                }
                inflate(state.get_or_insert_with(gzip_member), member, bytes, &mut self.buffer)
            }
            Kind::DeflateStart(first) => {
                let Some((next, _)) = bytes.split_first() else { return Ok(nothing) };
                let Some(first) = *first else {
                    *first = Some(*next);
                    return Ok(Step { n_in: 1, n_out: 0 });
                };
                let mut state = deflate_state([first, *next]);
                let mut member = Member::Inside;
                let step = inflate(&mut state, &mut member, &[first], &mut self.buffer)?;
                self.kind = Kind::Deflate(state, member);
                // The byte that was kept is inside now; `next` is still to be taken.
                if step.n_out > 0 { Ok(Step { n_in: 0, ..step }) } else { self.step(bytes) }
            }
            Kind::Deflate(_, Member::Over) | Kind::Brotli(_, Member::Over) => {
                if bytes.is_empty() {
                    Ok(nothing)
                } else {
                    Err(invalid("bytes after the end"))
                }
            }
            Kind::Deflate(state, member) => inflate(state, member, bytes, &mut self.buffer),
            Kind::Brotli(state, member) => unbrotli(state, member, bytes, &mut self.buffer),
            Kind::Zstd(decoder, member) => {
                if bytes.is_empty() && *member == Member::Over {
                    return Ok(nothing);
                }
                let status = decoder.run_on_buffers(bytes, &mut self.buffer)?;
                let step = Step { n_in: status.bytes_read, n_out: status.bytes_written };
                if step.n_in + step.n_out > 0 {
                    *member = if status.remaining == 0 { Member::Over } else { Member::Inside };
                }
                Ok(step)
            }
        }
    }

    /// Gives its memory back. Nothing more can be decoded.
    pub fn stop(&mut self) {
        self.kind = Kind::Identity;
    }

    /// Whether it may keep more than a few hundred kilobytes to look back at.
    #[must_use]
    pub fn is_wide(&self) -> bool {
        matches!(self.kind, Kind::Brotli(..) | Kind::Zstd(..))
    }

    /// The bytes of decoded text that it keeps in memory to look back at, until the body is over.
    #[must_use]
    pub fn window_bytes(&self) -> u64 {
        match &self.kind {
            Kind::Brotli(state, Member::Inside) => {
                u64::try_from(state.ringbuffer_size).unwrap_or_default()
            }
            // The library does not tell how much of it a frame asked for.
            Kind::Zstd(_, Member::Inside) => 1 << MOST_ZSTD_WINDOW_LOG,
            Kind::Gzip(Some(_), _) | Kind::Deflate(..) => 1 << GZIP_WINDOW_LOG,
            Kind::Identity
            | Kind::Gzip(None, _)
            | Kind::DeflateStart(_)
            | Kind::Brotli(_, Member::Over)
            | Kind::Zstd(_, Member::Over) => 0,
        }
    }

    /// The body is over.
    ///
    /// # Errors
    /// When it ended in the middle.
    pub fn finish(&self) -> io::Result<()> {
        let is_over = match &self.kind {
            Kind::Identity => true,
            Kind::DeflateStart(_) => false,
            Kind::Gzip(_, member)
            | Kind::Deflate(_, member)
            | Kind::Brotli(_, member)
            | Kind::Zstd(_, member) => *member == Member::Over,
        };
        if is_over { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Room for one piece.
fn make_room(buffer: &mut Vec<u8>) {
    if buffer.len() < MOST_PIECE_BYTES {
        buffer.resize(MOST_PIECE_BYTES, 0);
    }
}

/// Decodes a small body at once if it is one whole member of gzip, as nearly all are; that takes half
/// the time. Gives its length. `None` for anything else, also for what is broken.
fn decode_whole_gzip(bytes: &[u8], buffer: &mut Vec<u8>) -> Option<usize> {
    // RFC 1952: a member ends with the checksum and the length of what it decodes to.
    let (rest, length) = bytes.split_last_chunk::<4>()?;
    let (_, sum) = rest.split_last_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    // Where the first of several members ends, is not told: what may begin another is left alone.
    let may_have_more =
        bytes.get(1..).unwrap_or_default().windows(3).any(|window| window == [0x1f, 0x8b, 8]);
    if may_have_more || !bytes.starts_with(&[0x1f, 0x8b, 8]) || length > MOST_WHOLE_BYTES {
        return None;
    }
    buffer.resize(length, 0);
    let n_out = Decompressor::new().gzip_decompress(bytes, buffer).ok()?;
    // Nor is what follows the first.
    let mut own = Crc::new();
    own.update(buffer);
    (n_out == length && own.sum() == u32::from_le_bytes(*sum)).then_some(length)
}

fn gzip_member() -> Decompress {
    Decompress::new_gzip(GZIP_WINDOW_LOG)
}

/// RFC 1950: the method is 8, and the two bytes are a multiple of 31; else it is RFC 1951.
fn deflate_state(start: [u8; 2]) -> Decompress {
    let is_zlib = start[0] & 0x0f == 8 && u16::from_be_bytes(start).is_multiple_of(31);
    Decompress::new(is_zlib)
}

fn inflate(
    state: &mut Decompress,
    member: &mut Member,
    bytes: &[u8],
    buffer: &mut [u8],
) -> io::Result<Step> {
    let (n_in, n_out) = (state.total_in(), state.total_out());
    let status = state.decompress(bytes, buffer, FlushDecompress::None)?;
    if status == Status::StreamEnd {
        *member = Member::Over;
    }
    let since = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
    Ok(Step { n_in: since(state.total_in(), n_in), n_out: since(state.total_out(), n_out) })
}

fn unbrotli(
    state: &mut Brotli,
    member: &mut Member,
    bytes: &[u8],
    buffer: &mut [u8],
) -> io::Result<Step> {
    let (mut n_left, mut n_in, mut n_free, mut n_out) = (bytes.len(), 0, buffer.len(), 0);
    let mut total = 0;
    let result = BrotliDecompressStream(
        &mut n_left,
        &mut n_in,
        bytes,
        &mut n_free,
        &mut n_out,
        buffer,
        &mut total,
        state,
    );
    match result {
        BrotliResult::ResultSuccess => *member = Member::Over,
        BrotliResult::ResultFailure => return Err(invalid("not brotli")),
        BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
    }
    Ok(Step { n_in, n_out })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).expect("memory");
        encoder.finish().expect("memory")
    }

    /// What a body decodes to that comes in pieces of `n_bytes`; and whether it ended well.
    fn decoded(body: &[u8], n_bytes: usize) -> Option<(Vec<u8>, bool)> {
        let mut decoder = Decoder::new(Encoding::Gzip).ok()?;
        let mut text = Vec::new();
        for mut chunk in body.chunks(n_bytes) {
            while let Some(piece) = decoder.next(&mut chunk).ok()? {
                text.extend_from_slice(piece);
            }
        }
        Some((text, decoder.finish().is_ok()))
    }

    #[test]
    fn gzip_that_comes_at_once_is_what_it_is_in_pieces() {
        let small = b"a report that is short".repeat(300);
        let large = b"one that is longer than what is decoded at once".repeat(3_000);
        let [small_body, large_body] = [gzip(&small), gzip(&large)];
        assert_eq!(decoded(&small_body, usize::MAX), Some((small.clone(), true)));
        let mut damaged = small_body.clone();
        damaged[20] ^= 1;
        let mut of_other_length = small_body.clone();
        *of_other_length.last_mut().expect("a length") ^= 1;
        let (_, cut) = small_body.split_last().expect("bytes");
        for body in [
            small_body.clone(),
            large_body.clone(),
            gzip(b""),
            Vec::new(),
            damaged,
            of_other_length,
            cut.to_vec(),
            [small_body.clone(), gzip(b"another member")].concat(),
            [small_body.clone(), small_body.clone()].concat(),
            [gzip(b"of one length, not one text"), gzip(b"of one length, two more text")].concat(),
            [small_body.clone(), b"garbage".to_vec()].concat(),
            [large_body, small_body].concat(),
        ] {
            assert_eq!(decoded(&body, usize::MAX), decoded(&body, 1), "{} bytes", body.len());
        }
    }

    proptest! {
        #[test]
        fn no_gzip_is_decoded_differently_at_once(
            text in prop::collection::vec(any::<u8>(), 0..300),
            change in any::<Option<(prop::sample::Index, u8)>>(),
        ) {
            let mut body = gzip(&text);
            if let Some((at, byte)) = change {
                let at = at.index(body.len());
                body[at] = byte;
            }
            let at_once = decoded(&body, usize::MAX);
            let in_pieces = decoded(&body, 1);
            prop_assert_eq!(at_once, in_pieces);
        }
    }
}
