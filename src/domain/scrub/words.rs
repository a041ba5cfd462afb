//! The words of a name: `dbPassword`, `DB_PASSWORD` and `db-password` are the same two.

/// The words of a name, in lower case; only letters and digits are in words.
#[derive(Debug)]
pub(super) struct Words {
    /// The words without anything between them.
    pub(super) collapsed: String,
    /// Where each word ends in it.
    ends: Vec<usize>,
}

/// Some words of a name: those it begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct WordList<'a> {
    /// The words without anything between them.
    pub(super) collapsed: &'a str,
    ends: &'a [usize],
}

impl Words {
    /// Parts a name into its words.
    pub(super) fn of(name: &str) -> Self {
        let mut words = Self { collapsed: String::with_capacity(name.len()), ends: Vec::new() };
        let mut before = ' ';
        let mut characters = name.chars().peekable();
        while let Some(character) = characters.next() {
            let starts_word = character.is_uppercase()
                && (before.is_lowercase()
                    || before.is_ascii_digit()
                    // `HTTPToken` is `http`, `token`.
                    || before.is_uppercase()
                        && characters.peek().is_some_and(|next| next.is_lowercase()));
            let is_part = character.is_alphanumeric();
            if starts_word || !is_part {
                words.end();
            }
            if is_part && character.is_ascii() {
                words.collapsed.push(character.to_ascii_lowercase());
            } else if is_part {
                words.collapsed.extend(character.to_lowercase());
            }
            before = character;
        }
        words.end();
        words
    }

    /// Ends a word, if one has begun.
    fn end(&mut self) {
        let end = self.collapsed.len();
        if end > self.ends.last().copied().unwrap_or_default() {
            self.ends.push(end);
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> WordList<'_> {
        WordList { collapsed: &self.collapsed, ends: &self.ends }
    }
}

impl<'a> WordList<'a> {
    /// All words but the last, and the last.
    pub(super) fn split_last(self) -> Option<(Self, &'a str)> {
        let (_, ends) = self.ends.split_last()?;
        let start = ends.last().copied().unwrap_or_default();
        let (collapsed, last) = self.collapsed.split_at_checked(start)?;
        Some((Self { collapsed, ends }, last))
    }

    /// The last word; empty when there is none.
    pub(super) fn last(self) -> &'a str {
        self.last_two().1
    }

    /// The last word and the one before; empty where there is none.
    pub(super) fn last_two(self) -> (&'a str, &'a str) {
        let Some((rest, last)) = self.split_last() else { return ("", "") };
        (rest.split_last().map_or("", |(_, before)| before), last)
    }

    /// The first word; empty when there is none.
    pub(super) fn first(self) -> &'a str {
        self.ends.first().and_then(|end| self.collapsed.get(..*end)).unwrap_or_default()
    }

    /// Whether `words` are among these, one behind the other.
    pub(super) fn holds(self, words: WordList<'_>) -> bool {
        let (own, wanted) = (self.words(), words.words());
        own.windows(wanted.len().max(1)).any(|some| some == wanted)
    }

    fn words(self) -> Vec<&'a str> {
        let starts = std::iter::once(&0).chain(self.ends);
        let places = starts.zip(self.ends);
        places.filter_map(|(start, end)| self.collapsed.get(*start..*end)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_split_into_words() {
        for (name, expected) in [
            ("dbPassword", vec!["db", "password"]),
            ("X-Api-Key", vec!["x", "api", "key"]),
            ("HTTPToken", vec!["http", "token"]),
            ("PGPASSWORD", vec!["pgpassword"]),
            ("'Authorization'", vec!["authorization"]),
            ("user[pin]", vec!["user", "pin"]),
            ("", vec![]),
        ] {
            assert_eq!(Words::of(name).all().words(), expected, "{name}");
        }
    }

    #[test]
    fn parts_of_names() {
        let words = Words::of("my-db.passwordHash");
        let words = words.all();
        assert_eq!((words.first(), words.last_two()), ("my", ("password", "hash")));
        assert!(words.holds(Words::of("DB_PASSWORD").all()));
        assert!(!words.holds(Words::of("db-hash").all()));
        let none = Words::of("--");
        assert_eq!((none.all().first(), none.all().last_two()), ("", ("", "")));
    }
}
