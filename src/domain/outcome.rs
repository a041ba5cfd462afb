//! What became of what clients sent, for counting.
//!
//! One row a project, hour and outcome; never one for each request.

use super::rate::Category;

/// What became of one thing a client had to say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// An event was stored.
    Accepted,
    /// An event was sent again.
    Duplicate,
    /// An event of an issue that was discarded.
    Dropped,
    /// An event could not be understood and was set aside.
    Buried,
    /// A request was refused; the code says why.
    Refused(String),
    /// A report of a project with a quota was taken into the spool; what it counts as.
    Taken(Category),
    /// An item of an envelope that Airlock does not keep; its type.
    Skipped(String),
    /// The client itself dropped it: its reason and the category.
    Discarded(String),
}

impl Outcome {
    /// The kind and the detail, as they are stored.
    #[must_use]
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Accepted => ("accepted", ""),
            Self::Duplicate => ("duplicate", ""),
            Self::Dropped => ("dropped", ""),
            Self::Buried => ("buried", ""),
            Self::Refused(code) => ("refused", code),
            Self::Taken(category) => ("taken", category.as_str()),
            Self::Skipped(kind) => ("skipped", kind),
            Self::Discarded(reason) => ("discarded", reason),
        }
    }
}
