//! Content encodings, decoded as the bytes come in.

use std::io::{self, Read as _, Write};

use base64::Engine as _;
use flate2::write::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::DParameter;
use zstd::stream::{raw, zio};

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
/// Gives `None` for anything else.
///
/// # Errors
/// When it begins so but is not, or becomes larger than `most_bytes`.
#[must_use]
pub fn from_base64_zlib(body: &[u8], most_bytes: usize) -> Option<io::Result<Vec<u8>>> {
    body.starts_with(b"eJ").then(|| {
        let compact: Vec<u8> =
            body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let zlib = base64::engine::general_purpose::STANDARD
            .decode(compact)
            .map_err(|cause| io::Error::new(io::ErrorKind::InvalidData, cause))?;
        let mut decoded = Vec::new();
        let most = u64::try_from(most_bytes).unwrap_or(u64::MAX);
        flate2::read::ZlibDecoder::new(zlib.as_slice()).take(most + 1).read_to_end(&mut decoded)?;
        if decoded.len() > most_bytes {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(decoded)
    })
}

/// The largest window a zstd body may ask for: 2^23 = 8 MiB, as RFC 8878 recommends to support.
const MOST_ZSTD_WINDOW_LOG: u32 = 23;

/// Buffer between a decoder and its sink, in bytes.
const BUFFER_BYTES: usize = 8 * 1024;

/// Decodes what is written to it into a sink. The sink bounds the size by refusing to take more.
pub struct Decoder<W: Write>(Inner<W>);

enum Inner<W: Write> {
    Identity(W),
    Gzip(Box<MultiGzDecoder<W>>),
    /// The first two bytes of a deflate body tell which kind it is.
    DeflateStart(Vec<u8>, W),
    Deflate(Box<Inflate<W>>),
    Brotli(Box<brotli_decompressor::DecompressorWriter<W>>),
    Zstd(Box<zio::Writer<W, raw::Decoder<'static>>>),
    /// Only while one state is exchanged for the next.
    Gone,
}

impl<W: Write> Decoder<W> {
    /// A decoder into `sink`.
    ///
    /// # Errors
    /// When the zstd library cannot be set up.
    pub fn new(encoding: Encoding, sink: W) -> io::Result<Self> {
        Ok(Self(match encoding {
            Encoding::Identity => Inner::Identity(sink),
            Encoding::Gzip => Inner::Gzip(Box::new(MultiGzDecoder::new(sink))),
            Encoding::Deflate => Inner::DeflateStart(Vec::new(), sink),
            Encoding::Brotli => Inner::Brotli(Box::new(
                brotli_decompressor::DecompressorWriter::new(sink, BUFFER_BYTES),
            )),
            Encoding::Zstd => {
                let mut decoder = raw::Decoder::new()?;
                decoder.set_parameter(DParameter::WindowLogMax(MOST_ZSTD_WINDOW_LOG))?;
                Inner::Zstd(Box::new(zio::Writer::new(sink, decoder)))
            }
        }))
    }

    /// Decodes the next bytes of the body.
    ///
    /// # Errors
    /// When they are not what the encoding says, or the sink takes no more.
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.0 {
            Inner::Identity(sink) => sink.write_all(bytes),
            Inner::Gzip(decoder) => decoder.write_all(bytes),
            Inner::Deflate(decoder) => decoder.push(bytes),
            Inner::Brotli(decoder) => decoder.write_all(bytes),
            Inner::Zstd(decoder) => decoder.write_all(bytes),
            Inner::DeflateStart(start, _) => {
                start.extend_from_slice(bytes);
                if start.len() >= 2 { self.choose_deflate() } else { Ok(()) }
            }
            Inner::Gone => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Looks at the start of a deflate body and goes on as zlib or raw.
    fn choose_deflate(&mut self) -> io::Result<()> {
        let Inner::DeflateStart(start, sink) = std::mem::replace(&mut self.0, Inner::Gone) else {
            return Ok(());
        };
        // RFC 1950: the method is 8, and the two bytes are a multiple of 31.
        let is_zlib = start.first_chunk::<2>().is_some_and(|header| {
            header[0] & 0x0f == 8 && u16::from_be_bytes(*header).is_multiple_of(31)
        });
        self.0 = Inner::Deflate(Box::new(Inflate::new(is_zlib, sink)));
        self.push(&start)
    }

    /// The sink, to see what has arrived.
    pub fn sink(&mut self) -> Option<&mut W> {
        match &mut self.0 {
            Inner::Identity(sink) | Inner::DeflateStart(_, sink) => Some(sink),
            Inner::Gzip(decoder) => Some(decoder.get_mut()),
            Inner::Deflate(decoder) => Some(&mut decoder.sink),
            Inner::Brotli(decoder) => Some(decoder.get_mut()),
            Inner::Zstd(decoder) => Some(decoder.writer_mut()),
            Inner::Gone => None,
        }
    }

    /// The body is over: hands over what is still inside.
    ///
    /// # Errors
    /// When the body ended in the middle.
    pub fn finish(&mut self) -> io::Result<()> {
        if matches!(self.0, Inner::DeflateStart(..)) {
            self.choose_deflate()?;
        }
        match &mut self.0 {
            Inner::Identity(sink) => sink.flush(),
            Inner::Gzip(decoder) => decoder.try_finish(),
            Inner::Deflate(decoder) => decoder.finish(),
            Inner::Brotli(decoder) => decoder.close(),
            Inner::Zstd(decoder) => decoder.finish(),
            Inner::DeflateStart(..) | Inner::Gone => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

/// Inflates, and knows whether the end has come: the decoders of `flate2` take a body that breaks
/// off for whole.
struct Inflate<W: Write> {
    state: Decompress,
    buffer: Vec<u8>,
    sink: W,
    is_over: bool,
}

impl<W: Write> Inflate<W> {
    fn new(is_zlib: bool, sink: W) -> Self {
        let (state, buffer) = (Decompress::new(is_zlib), vec![0; BUFFER_BYTES]);
        Self { state, buffer, sink, is_over: false }
    }

    fn push(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        loop {
            if self.is_over {
                let has_more = !bytes.is_empty();
                let error = || io::Error::new(io::ErrorKind::InvalidData, "bytes after the end");
                return if has_more { Err(error()) } else { Ok(()) };
            }
            let (n_in, n_out) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(bytes, &mut self.buffer, FlushDecompress::None)?;
            let n_in = usize::try_from(self.state.total_in() - n_in).unwrap_or(usize::MAX);
            let n_out = usize::try_from(self.state.total_out() - n_out).unwrap_or(usize::MAX);
            self.sink.write_all(self.buffer.get(..n_out).unwrap_or_default())?;
            bytes = bytes.get(n_in..).unwrap_or_default();
            self.is_over = status == Status::StreamEnd;
            // A full buffer may mean that there is more to come from what was already taken.
            let is_idle = n_out < self.buffer.len() && (bytes.is_empty() || n_in + n_out == 0);
            if !self.is_over && is_idle {
                return Ok(());
            }
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.is_over { self.sink.flush() } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}
