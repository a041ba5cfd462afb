//! What fixes an issue, and how far that has come.

use super::super::answer::{Deployed, Fix};
use super::super::fix::explained;
use super::super::gate::verdict::short;
use super::super::output::{Ink, Style};
use super::super::span::ago;
use super::super::text::one_line;
use crate::domain::time::Timestamp;

/// The fix, where it is deployed, and what is wrong with it.
pub(super) fn known(fix: &Fix, now: Timestamp, style: Style) -> Vec<(&'static str, String)> {
    let commits = fix.commits.iter().map(|one| match &one.repository {
        Some(repository) => format!("{} of {repository}", short(&one.commit)),
        None => short(&one.commit),
    });
    let by = fix.by.as_deref().map(|by| {
        let source = fix.source.as_deref().map(|source| format!(" ({source})"));
        format!(", by {by}{}", source.unwrap_or_default())
    });
    let at = fix.at.map(|at| format!(", {}", ago(at, now))).unwrap_or_default();
    let commits = commits.collect::<Vec<_>>().join(", ");
    let text = format!("{commits}, {}{}{at}", fix.state, by.unwrap_or_default());
    let mut known = vec![("fix", one_line(&text))];
    if !fix.deployed.is_empty() {
        let places = fix.deployed.iter().map(|one| place(one, now)).collect::<Vec<_>>();
        known.push(("deployed to", one_line(&places.join(", "))));
    }
    let problem = fix.problem.as_deref();
    known.extend(problem.map(|what| ("problem", style.ink(Ink::Yellow, &explained(what)))));
    known
}

/// `beta with 9f1c2d3 (2 h ago)`.
fn place(deployed: &Deployed, now: Timestamp) -> String {
    let commit = deployed.commit.as_deref().map(|commit| format!(" with {}", short(commit)));
    let at = deployed.at.map(|at| format!(" ({})", ago(at, now)));
    format!("{}{}{}", deployed.environment, commit.unwrap_or_default(), at.unwrap_or_default())
}
