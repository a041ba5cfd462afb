//! Patterns with `*` and `?`.

use regex::{Regex, RegexBuilder};

/// What a pattern is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// `*` is any text.
    Text,
    /// `*` is any text without a separator, `**` any; capitals make no difference.
    Path,
}

/// A pattern that a whole text matches or not. Matching takes time in proportion to the text.
#[derive(Debug, Clone)]
pub(super) struct Glob {
    regex: Regex,
}

impl Glob {
    /// Reads a pattern; `None` when it is too large.
    pub(super) fn new(pattern: &str, subject: Subject) -> Option<Self> {
        let is_path = subject == Subject::Path;
        let pattern = if is_path { pattern.replace('\\', "/") } else { pattern.to_owned() };
        let (any, one) = if is_path { ("[^/]*", "[^/]") } else { (".*", ".") };
        let mut regex = String::from("^");
        let mut rest = pattern.as_str();
        while let Some(character) = rest.chars().next() {
            let (piece, length) = if rest.starts_with("**/") && is_path {
                ("(?:.*/)?".to_owned(), 3)
            } else if rest.starts_with("**") {
                (".*".to_owned(), 2)
            } else if character == '*' {
                (any.to_owned(), 1)
            } else if character == '?' {
                (one.to_owned(), 1)
            } else {
                (regex::escape(&character.to_string()), character.len_utf8())
            };
            regex.push_str(&piece);
            rest = rest.get(length..).unwrap_or_default();
        }
        regex.push('$');
        let built = RegexBuilder::new(&regex)
            .dot_matches_new_line(true)
            .case_insensitive(is_path)
            .size_limit(256 * 1024)
            .dfa_size_limit(256 * 1024)
            .build();
        built.ok().map(|regex| Self { regex })
    }

    /// Whether the whole text matches.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_of_paths_stop_at_separators() {
        for (subject, pattern, text, expected) in [
            (Subject::Text, "Conn*Error", "ConnectionError", true),
            (Subject::Text, "Conn*Error", "ConnectionErrors", false),
            (Subject::Text, "a.c", "abc", false),
            (Subject::Text, "*lock*", "dead\nlock/x", true),
            (Subject::Text, "sku-??", "sku-77", true),
            (Subject::Text, "größe", "größe", true),
            (Subject::Path, "*/vendor/*", "src/vendor/a.js", true),
            (Subject::Path, "*/vendor/*", "src/x/vendor/a.js", false),
            (Subject::Path, "**/vendor/**", "/src/x/Vendor/a/b.js", true),
            (Subject::Path, "**/a.js", "a.js", true),
            (Subject::Path, "C:\\app\\*.cs", "c:/App/x.cs", true),
        ] {
            let glob = Glob::new(pattern, subject).expect("it is small");
            assert_eq!(glob.matches(text), expected, "{pattern} {text}");
        }
    }
}
