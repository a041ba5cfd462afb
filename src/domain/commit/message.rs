//! What the message of a commit says about other commits and about issues.
//!
//! The forms are those of git 2.47 (`git revert`, `git cherry-pick -x`) and of the buttons of GitHub
//! and GitLab.

use std::sync::LazyLock;

use regex::Regex;

use super::{Reverted, Sha, ShaPrefix};
use crate::domain::id::ShortId;

/// Of a longer message the rest is not read, in bytes.
const MOST_MESSAGE: usize = 64 * 1024;

/// Of more commits that a message names the rest is not read.
const MOST_NAMED: usize = 1_000;

/// The number of a pull or merge request.
pub type RequestNumber = u32;

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// Its first line.
    pub subject: String,
    /// Commits it was picked from.
    pub picked_from: Vec<Sha>,
    /// What it takes back.
    pub reverts: Vec<Reverted>,
    /// The pull or merge request it brings in.
    pub request: Option<RequestNumber>,
    /// Issues it says to fix.
    pub closes: Vec<ShortId>,
}

macro_rules! pattern {
    ($name:ident, $pattern:literal) => {
        static $name: LazyLock<Regex> =
            LazyLock::new(|| Regex::new($pattern).expect("a pattern of ours"));
    };
}

// `git cherry-pick -x`.
pattern!(PICKED, r"(?m)^\s*\(cherry picked from commit ([0-9a-f]{40})\)\s*$");
// `git revert`; of a merge it names the parent whose line stays. Lines are folded. People name
// several, and shorten them.
pattern!(
    REVERTED,
    r"(?i)This reverts commits?:?\s+((?:[0-9a-f]{7,40}\b(?:[\s,]|and\b)*)+)(?:reversing\s+changes\s+made\s+to\s+([0-9a-f]{40}))?"
);
pattern!(NAME, r"(?i)\b[0-9a-f]{7,40}\b");
// The Revert button of GitHub, whose squashed commit names the request alone, and of GitLab.
pattern!(
    REVERTED_REQUEST,
    r"(?m)^(?:Reverts [\w.-]+/[\w.-]+#|This reverts merge request (?:[\w./-]+)?!)(\d{1,9})\b"
);
// What something was called that is taken back or done again.
pattern!(QUOTED, r#"(?m)(?:Revert|Reapply) ".*""#);
// How a request's own merge or squash ends up in the history.
pattern!(REQUEST_OF_GITHUB, r"^(?:Merge pull request #(\d{1,9}) from |.*\(#(\d{1,9})\)$)");
pattern!(REQUEST_OF_GITLAB, r"(?m)^See merge request (?:[\w./-]+)?!(\d{1,9})\s*$");
// A trailer (`Fixes: SHOP-42`) or a sentence (`fixes SHOP-42 and SHOP-43`).
pattern!(
    CLOSES,
    r"(?i)\b(?:fix(?:es|ed)?|close[sd]?|resolve[sd]?)(?::\s*|\s+)((?:[a-z][a-z0-9_-]{0,63}-\d{1,18}\b(?:\s*(?:,|&|and\b)\s*)?)+)"
);
pattern!(ISSUE, r"(?i)[a-z][a-z0-9_-]{0,63}-\d{1,18}\b");

impl Message {
    /// Reads a message. Nothing in it is an error: it says nothing then.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes.get(..MOST_MESSAGE).unwrap_or(bytes));
        // What is quoted was said by another commit.
        let own = text.lines().filter(|line| !line.trim_start().starts_with('>'));
        let text = own.collect::<Vec<_>>().join("\n");
        let subject = text.trim_start().lines().next().unwrap_or_default().trim_end();
        let sha = |text: &str| text.parse::<Sha>().ok();
        let picked_from = PICKED.captures_iter(&text);
        let reverted = REVERTED.captures_iter(&text).flat_map(|found| {
            let names = found.get(1).map_or("", |names| names.as_str());
            let parent = found.get(2).and_then(|parent| sha(parent.as_str()));
            let commits = NAME.find_iter(names).filter_map(|name| name.as_str().parse().ok());
            let reverted = |commit: ShaPrefix| match (commit.whole(), parent) {
                (Some(merge), Some(parent)) => Reverted::Merge(merge, parent),
                _ => Reverted::Commit(commit),
            };
            commits.map(reverted).collect::<Vec<_>>()
        });
        let of_requests = REVERTED_REQUEST
            .captures_iter(&text)
            .filter_map(|found| found.get(1)?.as_str().parse().ok().map(Reverted::Request));
        let number = |found: regex::Captures<'_>| {
            found.iter().skip(1).flatten().next().and_then(|number| number.as_str().parse().ok())
        };
        let of_github = REQUEST_OF_GITHUB.captures(subject).and_then(number);
        let reverts: Vec<Reverted> = reverted.chain(of_requests).take(MOST_NAMED).collect();
        // What takes something back quotes what that was called.
        let closes = closes(&QUOTED.replace_all(&text, ""));
        Self {
            picked_from: picked_from
                .filter_map(|found| sha(found.get(1)?.as_str()))
                .take(MOST_NAMED)
                .collect(),
            request: of_github.or_else(|| REQUEST_OF_GITLAB.captures(&text).and_then(number)),
            subject: subject.to_owned(),
            reverts,
            closes,
        }
    }
}

/// The issues that a message says to fix, in the order it names them.
fn closes(text: &str) -> Vec<ShortId> {
    let mut closes: Vec<ShortId> = Vec::new();
    for found in CLOSES.captures_iter(text) {
        let names = found.get(1).map_or("", |names| names.as_str());
        for name in ISSUE.find_iter(names) {
            let issue = name.as_str().parse().ok();
            closes.extend(issue.filter(|issue| !closes.contains(issue)));
        }
    }
    closes
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "4f2c91a0b1c2d3e4f5061728394a5b6c7d8e9f00";
    const B: &str = "5f2c91a0b1c2d3e4f5061728394a5b6c7d8e9f00";

    fn read(text: &str) -> Message {
        Message::read(text.as_bytes())
    }

    fn sha(text: &str) -> Sha {
        text.parse().expect("a name")
    }

    fn commit(text: &str) -> Reverted {
        Reverted::Commit(text.parse().expect("a name"))
    }

    #[test]
    fn what_commits_take_back() {
        for (text, reverts) in [
            (format!("Revert \"S\"\n\nThis reverts commit {A}.\n"), vec![commit(A)]),
            (format!("Reapply \"S\"\n\nThis reverts commit {A}.\n"), vec![commit(A)]),
            (
                format!(
                    "Revert \"Merge branch 'x'\"\n\nThis reverts commit {A}, reversing\nchanges made to {B}.\n"
                ),
                vec![Reverted::Merge(sha(A), sha(B))],
            ),
            (format!("Undo\n\nThis reverts commits {A} and {B}."), vec![commit(A), commit(B)]),
            ("This reverts commit 4f2c91a.".to_owned(), vec![commit("4f2c91a")]),
            (
                "Revert \"S (#11)\" (#12)\n\nReverts owner/repo.x#11".to_owned(),
                vec![Reverted::Request(11)],
            ),
            ("Revert\n\nThis reverts merge request !7".to_owned(), vec![Reverted::Request(7)]),
            (
                "Revert\n\nThis reverts merge request group/shop!7".to_owned(),
                vec![Reverted::Request(7)],
            ),
            ("Revert \"S\"".to_owned(), vec![]),
            (format!("Land again\n\n> Revert\n>\n> This reverts commit {A}."), vec![]),
            ("This reverts commit soon.".to_owned(), vec![]),
            ("Reverts owner/repo#99999999999999999999".to_owned(), vec![]),
        ] {
            assert_eq!(read(&text).reverts, reverts, "{text}");
        }
    }

    #[test]
    fn where_commits_come_from() {
        let picked = format!(
            "S\n\nBody\n\n(cherry picked from commit {A})\n(cherry picked from commit {B})\n"
        );
        assert_eq!(read(&picked).picked_from, [sha(A), sha(B)]);
        // Somebody tells about a pick.
        let told = format!("S\n\nLike what was (cherry picked from commit {A}) before.");
        assert_eq!(read(&told).picked_from, []);
        for (text, request) in [
            ("Merge pull request #12 from shop/main\n\nTotals", Some(12)),
            ("Count totals (#13)\n\n* wip (#1)", Some(13)),
            ("Merge branch 'x' into 'main'\n\nTotals\n\nSee merge request shop/web!14", Some(14)),
            ("See #15", None),
        ] {
            assert_eq!(read(text).request, request, "{text}");
        }
    }

    #[test]
    fn which_issues_are_fixed() {
        for (text, closes) in [
            ("S\n\nFixes: SHOP-42\n", vec!["SHOP-42"]),
            (
                "S\n\nfixes shop-42 and SHOP-WEB-7, resolves X-1\n",
                vec!["SHOP-42", "SHOP-WEB-7", "X-1"],
            ),
            ("closed SHOP-1, closes SHOP-1", vec!["SHOP-1"]),
            ("Fixes: SHOP-1, SHOP-2", vec!["SHOP-1", "SHOP-2"]),
            ("Prefixes SHOP-42", vec![]),
            ("See SHOP-42. Fixes nothing", vec![]),
            ("fixes #42", vec![]),
            ("Revert \"Fixes: SHOP-42\"\n\nFixes: SHOP-43\n", vec!["SHOP-43"]),
            ("Reapply \"Fix \"it\", fixes SHOP-42\"", vec![]),
            ("Totals (#9)\n\n* Revert \"Fix SHOP-42\"\n\n* more\n\nFixes SHOP-43", vec!["SHOP-43"]),
        ] {
            let named: Vec<String> = read(text).closes.iter().map(ToString::to_string).collect();
            assert_eq!(named, closes, "{text}");
        }
    }

    #[test]
    fn the_subject_is_the_first_line() {
        assert_eq!(read("\n  Totals  \n\nmore").subject, "Totals");
        assert_eq!(
            Message::read(b"\xff\xfe"),
            Message { subject: "\u{fffd}\u{fffd}".to_owned(), ..Message::default() }
        );
        assert_eq!(read(""), Message::default());
    }
}
