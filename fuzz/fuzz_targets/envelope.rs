//! Bodies as they arrive: any encoding, in pieces of any size.

#![no_main]

use std::io::{self, Write};

use airlock_fuzz::protocol::client_report;
use airlock_fuzz::protocol::encoding::{Decoder, Encoding};
use airlock_fuzz::protocol::envelope::{Envelope, Splitter};
use airlock_fuzz::protocol::skim;
use libfuzzer_sys::fuzz_target;

/// A bomb stops here.
const MOST_BYTES: usize = 256 * 1024;

struct Sink {
    decoded: Vec<u8>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.decoded.len() + bytes.len() > MOST_BYTES {
            return Err(io::Error::other("too large"));
        }
        self.decoded.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is in an envelope that arrives in pieces, and whether it was whole.
fn split(bytes: &[u8], piece: usize) -> (Envelope, bool) {
    let mut splitter = Splitter::new(|kind| matches!(kind, "event" | "client_report"), 64 * 1024);
    let pushed = bytes.chunks(piece).try_for_each(|piece| splitter.push(piece));
    let finished = pushed.and_then(|()| splitter.finish());
    (splitter.into_envelope(), finished.is_ok())
}

fuzz_target!(|data: &[u8]| {
    let [choice, piece, body @ ..] = data else { return };
    let piece = usize::from(*piece).max(1);
    let encoding = match choice % 5 {
        0 => Encoding::Identity,
        1 => Encoding::Gzip,
        2 => Encoding::Deflate,
        3 => Encoding::Brotli,
        _ => Encoding::Zstd,
    };
    let Ok(mut decoder) = Decoder::new(encoding, Sink { decoded: Vec::new() }) else { return };
    let decoded = body.chunks(piece).try_for_each(|piece| decoder.push(piece));
    let is_whole = decoded.and_then(|()| decoder.finish()).is_ok();
    let Some(sink) = decoder.sink() else { return };
    let bytes = std::mem::take(&mut sink.decoded);
    if encoding == Encoding::Identity && is_whole {
        assert_eq!(bytes, body, "without an encoding nothing changes");
    }
    let whole = split(&bytes, usize::MAX);
    assert_eq!(split(&bytes, piece), whole, "pieces make no difference");
    for item in &whole.0.items {
        let _ = client_report::discarded(&item.payload);
        let _ = skim::event_id(&item.payload);
    }
});
