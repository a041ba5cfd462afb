//! A Rust source file as the guards see it: words, signs and texts, each with its line.
//!
//! Comments are no tokens, so prose and links in docs are free to name anything.

use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::str::Chars;

/// One file of the tree.
pub(super) struct Source {
    /// Relative to the package, with `/`: `src/domain/event.rs`.
    pub(super) path: String,
    pub(super) text: String,
}

impl Source {
    /// A made-up file, for testing a guard.
    pub(super) fn made_up(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }
}

/// The package's own folder.
pub(super) fn package() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All `.rs` files below a folder of the package, sorted by path.
pub(super) fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&package().join(folder), &mut found);
    assert!(!found.is_empty(), "no sources in {folder}: the guards would guard nothing");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(package()).expect("a path in the package");
            found.push(Source {
                path: relative.to_string_lossy().replace('\\', "/"),
                text: std::fs::read_to_string(&path).expect("a readable source"),
            });
        }
    }
}

/// What stands at one place in a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// An identifier, keyword or number.
    Word(String),
    /// `::`
    PathSep,
    /// Any other character outside words.
    Sign(char),
    /// The contents of a string literal, byte strings and raw strings included.
    Text(String),
}

impl Token {
    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self, Self::Word(own) if own == word)
    }
}

/// A token and its line, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) line: usize,
    pub(super) token: Token,
}

/// The tokens of a source. Lifetimes and character literals are left out.
pub(super) fn tokens(source: &str) -> Vec<Placed> {
    let mut reader = Reader { chars: source.chars().peekable(), line: 1 };
    let mut found = Vec::new();
    while let Some(c) = reader.next() {
        let line = reader.line;
        let token = match c {
            '/' if reader.peek() == Some('/') => {
                while reader.peek().is_some_and(|c| c != '\n') {
                    reader.next();
                }
                continue;
            }
            '/' if reader.peek() == Some('*') => {
                reader.skip_block_comment();
                continue;
            }
            '"' => Token::Text(reader.text()),
            '\'' => {
                reader.skip_char_or_lifetime();
                continue;
            }
            ':' if reader.peek() == Some(':') => {
                reader.next();
                Token::PathSep
            }
            c if is_word(c) => reader.word_or_text(c),
            c if c.is_whitespace() => continue,
            c => Token::Sign(c),
        };
        found.push(Placed { line, token });
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
    line: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.chars.next()?;
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    fn peek(&mut self) -> Option<char> {
        self.chars.peek().copied()
    }

    fn skip_block_comment(&mut self) {
        let (mut depth, mut last) = (0_usize, '/');
        while let Some(c) = self.next() {
            match (last, c) {
                ('/', '*') => depth += 1,
                ('*', '/') => depth -= 1,
                _ => {
                    last = c;
                    continue;
                }
            }
            if depth == 0 {
                return;
            }
            // A character opens or closes once: `/*/` is not both.
            last = ' ';
        }
    }

    /// After a `'`: `'x'` and `'\n'` are skipped whole, of `'a` only the mark.
    fn skip_char_or_lifetime(&mut self) {
        let mut ahead = self.chars.clone();
        let first = ahead.next();
        if first == Some('\\') {
            self.next();
            self.next();
            while self.next().is_some_and(|c| c != '\'') {}
        } else if ahead.next() == Some('\'') {
            self.next();
            self.next();
        }
    }

    /// After the opening `"`. Escaped line ends and blanks become blanks.
    fn text(&mut self) -> String {
        let mut text = String::new();
        while let Some(c) = self.next() {
            match c {
                '"' => break,
                '\\' => match self.next() {
                    Some('n' | 't' | 'r' | '\n') => text.push(' '),
                    Some(other) => text.push(other),
                    None => break,
                },
                c => text.push(c),
            }
        }
        text
    }

    /// After the opening `"` of a raw string with so many `#`.
    fn raw_text(&mut self, hashes: usize) -> String {
        let end = format!("\"{}", "#".repeat(hashes));
        let mut text = String::new();
        while let Some(c) = self.next() {
            text.push(c);
            if let Some(whole) = text.strip_suffix(&end) {
                return whole.to_owned();
            }
        }
        text
    }

    fn word_or_text(&mut self, first: char) -> Token {
        let mut word = String::from(first);
        while let Some(c) = self.peek().filter(|&c| is_word(c)) {
            word.push(c);
            self.next();
        }
        let is_raw = matches!(word.as_str(), "r" | "br" | "cr");
        let mut ahead = self.chars.clone();
        let hashes = if is_raw {
            let mut hashes = 0;
            while ahead.next_if_eq(&'#').is_some() {
                hashes += 1;
            }
            hashes
        } else {
            0
        };
        let opens = ahead.next() == Some('"');
        if opens && is_raw {
            for _ in 0..=hashes {
                self.next();
            }
            Token::Text(self.raw_text(hashes))
        } else if opens && matches!(word.as_str(), "b" | "c") {
            self.next();
            Token::Text(self.text())
        } else {
            Token::Word(word)
        }
    }
}

#[test]
fn comments_are_no_tokens_and_texts_are_whole() {
    let source = r##"
// crate::store "one"
/* /* nested */ crate::web */
let a: &'static str = "two \" // three"; let c = ('"', '\'', b'"');
let d = r#"four " five"#; let e = b"six"; r#type::x
"##;
    let found = tokens(source);
    let texts: Vec<_> = found
        .iter()
        .filter_map(|placed| match &placed.token {
            Token::Text(text) => Some((placed.line, text.as_str())),
            Token::Word(_) | Token::PathSep | Token::Sign(_) => None,
        })
        .collect();
    assert_eq!(texts, [(4, "two \" // three"), (5, "four \" five"), (5, "six")]);
    assert!(!found.iter().any(|placed| placed.token.is_word("crate")));
    assert!(found.iter().any(|placed| placed.token.is_word("static")));
    assert!(found.iter().any(|placed| placed.token.is_word("type")));
}
