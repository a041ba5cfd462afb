//! Bodies as they arrive: any encoding, in pieces of any size.

#![no_main]

use airlock_fuzz::protocol::client_report;
use airlock_fuzz::protocol::encoding::{Decoder, Encoding};
use airlock_fuzz::protocol::envelope::{Envelope, Splitter};
use airlock_fuzz::protocol::skim;
use libfuzzer_sys::fuzz_target;

/// A bomb stops here.
const MOST_BYTES: usize = 256 * 1024;

/// What a body decodes to, in pieces, and whether it was whole.
fn decode(encoding: Encoding, body: &[u8], piece: usize) -> Option<(Vec<u8>, bool)> {
    let mut decoder = Decoder::new(encoding).ok()?;
    let mut decoded = Vec::new();
    for mut bytes in body.chunks(piece) {
        loop {
            match decoder.next(&mut bytes) {
                Ok(Some(piece)) => decoded.extend_from_slice(piece),
                Ok(None) => break,
                Err(_) => return Some((decoded, false)),
            }
            if decoded.len() > MOST_BYTES {
                return Some((decoded, false));
            }
        }
    }
    Some((decoded, decoder.finish().is_ok()))
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
    let Some((bytes, is_whole)) = decode(encoding, body, piece) else { return };
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
