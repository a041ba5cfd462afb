//! Guards over the source tree: what no compiler checks, and a reader relies on.
//!
//! Each guard is a function from sources to [`Finding`]s, one test over the real tree, and tests
//! over made-up sources that show what it catches. To add one: a file here, or a rule in the file
//! whose idea it shares.

mod migrations;
mod rooms;
mod source;
mod words;

use std::fmt;

use source::Source;

/// One thing that is wrong, where, and why it matters.
#[derive(Debug)]
struct Finding {
    place: Option<String>,
    what: String,
}

impl Finding {
    fn new(source: &Source, line: usize, what: String) -> Self {
        Self { place: Some(format!("{}:{line}", source.path)), what }
    }

    /// Of no single place.
    fn overall(what: String) -> Self {
        Self { place: None, what }
    }

    #[track_caller]
    fn assert_none(findings: &[Self]) {
        let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(findings.is_empty(), "the tree is not tidy:\n{}", lines.join("\n"));
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.what)
    }
}
