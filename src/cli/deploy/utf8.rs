//! Text of bytes that come in pieces.

/// Makes text of one stream of bytes. A character that is cut between two pieces stays whole; what
/// is no UTF-8 becomes U+FFFD.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// The beginning of a character whose rest has not come yet: at most three bytes.
    begun: Vec<u8>,
}

impl Decoder {
    /// The text of the next piece.
    pub(super) fn text(&mut self, piece: &[u8]) -> String {
        let mut bytes = std::mem::take(&mut self.begun);
        bytes.extend_from_slice(piece);
        let mut text = String::with_capacity(bytes.len());
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push_str(chunk.valid());
            let is_last = chunks.peek().is_none();
            if is_last && is_begun(chunk.invalid()) {
                self.begun = chunk.invalid().to_vec();
            } else if !chunk.invalid().is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        text
    }

    /// What is left when no more comes.
    pub(super) fn end(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.begun)).into_owned()
    }
}

/// Whether more bytes could make a character of these.
fn is_begun(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|cause| cause.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(pieces: &[&[u8]]) -> String {
        let mut decoder = Decoder::default();
        let text: String = pieces.iter().map(|piece| decoder.text(piece)).collect();
        text + &decoder.end()
    }

    #[test]
    fn characters_stay_whole_over_pieces() {
        assert_eq!(decoded(&[b"gr\xc3", b"\xb6\xc3", b"\x9fer"]), "größer");
        assert_eq!(decoded(&[b"\xf0", b"\x9f", b"\xa5", b"\xb2"]), "🥲");
        assert_eq!(decoded(&[b"a\xff", b"b\xc3"]), "a\u{fffd}b\u{fffd}");
        assert_eq!(decoded(&[b"\xc3", b"a"]), "\u{fffd}a");
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            bytes in prop::collection::vec(any::<u8>(), 0..60), n in 1usize..7,
        ) {
            let pieces: Vec<&[u8]> = bytes.chunks(n).collect();
            prop_assert_eq!(decoded(&pieces), String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn text_is_never_held_back_for_long(text in ".{0,40}", n in 1usize..7) {
            let mut decoder = Decoder::default();
            for piece in text.as_bytes().chunks(n) {
                decoder.text(piece);
                prop_assert!(decoder.begun.len() < 4);
            }
            prop_assert_eq!(decoder.end(), "");
        }
    }
}
