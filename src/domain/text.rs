//! Text from outside: made storable, and cut where it is too long.

/// Makes text storable and printable in one line of a terminal or page: NUL becomes U+FFFD
/// (PostgreSQL cannot store it), and what exceeds `most` characters is cut and ends in `…`.
#[must_use]
pub fn bounded(text: &str, most: usize) -> String {
    let mut out = String::with_capacity(text.len().min(most.saturating_mul(4)));
    for (n_chars, character) in text.chars().enumerate() {
        if n_chars >= most {
            // The mark takes the place of the last character, so the bound holds.
            out.pop();
            out.push('…');
            break;
        }
        out.push(if character == '\0' { '\u{fffd}' } else { character });
    }
    out
}

/// The first line that says something, trimmed and with inner white space folded.
#[must_use]
pub fn headline(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cuts_at_characters_and_says_so() {
        assert_eq!(bounded("größer", 4), "grö…");
        assert_eq!(bounded("größe", 5), "größe");
        assert_eq!(bounded("a\0b", 9), "a\u{fffd}b");
        assert_eq!(bounded("abc", 0), "…");
    }

    #[test]
    fn the_headline_is_one_line() {
        assert_eq!(headline("\n  \n  two\twords  \nmore"), "two words");
        assert_eq!(headline(""), "");
    }

    proptest! {
        #[test]
        fn bounded_text_is_bounded(text: String, most in 1usize..50) {
            let out = bounded(&text, most);
            prop_assert!(out.chars().count() <= most);
            prop_assert!(!out.contains('\0'));
        }
    }
}
