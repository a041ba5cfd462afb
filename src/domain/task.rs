//! What a task shows: the same in every tracker, each of which writes it in its own markup.

mod act;
mod deploy;
mod lock;

pub use act::{Act, By, Did, Meaning, Seen, named_fix};
pub use deploy::{DeployFacts, MOST_TAIL_LINES, MOST_TOLD_BYTES, look_pause, of_deploy, of_output};
pub use lock::of_lock;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::event::{Event, Frame};
use super::fingerprint::Hash;
use super::fix::{Fix, FixState, shas};
use super::issue::Issue;
use super::lifecycle::Status;
use super::time::Timestamp;

/// The text of a task, which counts events, is written again after this at the earliest.
pub const BODY_PAUSE: Duration = Duration::from_mins(5);

/// The longest title, in characters.
pub const MOST_TITLE_CHARS: usize = 200;

/// So many issues are named that wait for tasks of their own.
pub const MOST_NAMED: usize = 50;

/// So many frames of a stack are shown.
pub const MOST_FRAMES: usize = 12;

/// The longest line of a stack, in characters.
pub const MOST_LINE_CHARS: usize = 200;

/// A piece of a task's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// Names and what they have.
    Facts(Vec<(String, String)>),
    /// Lines of code.
    Code(Vec<String>),
    /// An address, and what is there.
    Link {
        /// What.
        text: String,
        /// Where.
        url: String,
    },
}

/// What a task is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What people see in lists.
    pub title: String,
    /// What people read.
    pub body: Vec<Block>,
    /// Whether it is done.
    pub is_done: bool,
    /// Whose it is.
    pub assignee: Option<String>,
    /// The commits that fix what it stands for.
    pub fix: Option<String>,
}

/// What Airlock wrote last, so that it writes only what is new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    title: String,
    /// SHA-256 of the body.
    body: String,
    is_done: bool,
    assignee: Option<String>,
    fix: Option<String>,
    /// The last that was done on the task when it was read: when, and what the tracker calls all of that
    /// time.
    #[serde(default)]
    heard: Option<(i64, BTreeSet<String>)>,
    /// Environments on whose boards of locks it is.
    #[serde(default)]
    locks: BTreeSet<String>,
    /// Whether somebody made it by hand: then its title and text stay theirs.
    #[serde(default)]
    is_theirs: bool,
}

/// What is to be written: only what is new.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// What people see in lists.
    pub title: Option<String>,
    /// What people read.
    pub body: Option<Vec<Block>>,
    /// Whether it is done.
    pub is_done: Option<bool>,
    /// Whose it is.
    pub assignee: Option<Option<String>>,
    /// The commits that fix what it stands for.
    pub fix: Option<Option<String>>,
}

impl Patch {
    /// Whether nothing is to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Wanted {
    /// It as it is written.
    #[must_use]
    pub fn written(&self) -> Written {
        let body = serde_json::to_vec(&self.body).unwrap_or_default();
        let body = Hash(Sha256::digest(body).into()).to_string();
        Written {
            title: self.title.clone(),
            body,
            is_done: self.is_done,
            assignee: self.assignee.clone(),
            fix: self.fix.clone(),
            heard: None,
            locks: BTreeSet::new(),
            is_theirs: false,
        }
    }

    /// All of it.
    #[must_use]
    pub fn all(&self) -> Patch {
        Patch {
            title: Some(self.title.clone()),
            body: Some(self.body.clone()),
            is_done: Some(self.is_done),
            assignee: Some(self.assignee.clone()),
            fix: Some(self.fix.clone()),
        }
    }

    /// What is to be written where something was; the body, which counts events, only if it may be
    /// written again already, or with what people see without it.
    #[must_use]
    pub fn since(&self, written: &Written, may_write_body: bool) -> Patch {
        let now = self.written();
        let is_other = now.title != written.title || now.is_done != written.is_done;
        let is_ours = !written.is_theirs;
        let may_write_body = may_write_body || is_other;
        Patch {
            title: (is_ours && now.title != written.title).then(|| self.title.clone()),
            body: (is_ours && may_write_body && now.body != written.body)
                .then(|| self.body.clone()),
            is_done: (now.is_done != written.is_done).then_some(self.is_done),
            assignee: (now.assignee != written.assignee).then(|| self.assignee.clone()),
            fix: (now.fix != written.fix).then(|| self.fix.clone()),
        }
    }
}

impl Written {
    /// The same after a patch was written.
    #[must_use]
    pub fn after(self, patch: &Patch, wanted: &Wanted) -> Self {
        let now = wanted.written();
        let body = if patch.body.is_some() { now.body } else { self.body };
        let Self { heard, locks, is_theirs, .. } = self;
        Self { body, heard, locks, is_theirs, ..now }
    }
}

/// What is known of an issue for its task.
#[derive(Debug, Clone, Copy)]
pub struct IssueFacts<'a> {
    /// The issue.
    pub issue: &'a Issue,
    /// Where it was seen.
    pub environments: &'a [String],
    /// Its latest event, if its body is kept.
    pub event: Option<&'a Event>,
    /// Its fix, and what became of it.
    pub fix: Option<(&'a Fix, FixState)>,
    /// Environments it locks.
    pub locks: &'a [String],
    /// Where it is shown.
    pub url: &'a str,
    /// The time.
    pub now: Timestamp,
}

/// The task of an issue.
#[must_use]
pub fn of_issue(facts: &IssueFacts<'_>) -> Wanted {
    let IssueFacts { issue, environments, event, fix, locks, url, now } = *facts;
    let is_resolved = match issue.state.status {
        Status::Resolved { .. } => true,
        Status::FixPending { .. } => issue.state.status.done_until().is_some_and(|at| now < at),
        Status::Open | Status::Muted { .. } => false,
    };
    let id = &issue.short_id;
    let mut shown = vec![("Level".to_owned(), issue.level.as_str().to_owned())];
    let mut fact = |name: &str, text: Option<String>| {
        shown.extend(text.filter(|text| !text.is_empty()).map(|text| (name.to_owned(), text)));
    };
    fact("Handled", issue.handled.map(|handled| if handled { "yes" } else { "no" }.to_owned()));
    fact("Environments", Some(environments.join(", ")));
    fact("Events", Some(issue.n_events.to_string()));
    fact("Users", (issue.n_users > 0).then(|| issue.n_users.to_string()));
    fact("First seen", Some(seen(&issue.first_seen.to_string(), issue.first_release.as_deref())));
    fact("Last seen", Some(seen(&issue.last_seen.to_string(), issue.last_release.as_deref())));
    fact("Locks", Some(locks.join(", ")));
    fact(
        "Fix",
        fix.map(|(fix, state)| {
            format!("{} ({})", shas(fix.commits.iter().map(|commit| commit.sha)), state.as_str())
        }),
    );
    let mut body = Vec::new();
    if !issue.culprit.is_empty() {
        body.push(Block::Text(issue.culprit.clone()));
    }
    body.push(Block::Facts(shown));
    let stack = event.map(stack).unwrap_or_default();
    if !stack.is_empty() {
        body.push(Block::Code(stack));
    }
    body.push(Block::Text(format!(
        "Name the commit that fixes it: `airlock fix {id} --commit SHA`, or write `Fixes: {id}` into \
         its message. The task is done once a deploy brings it."
    )));
    body.push(Block::Link { text: format!("{id} in Airlock"), url: url.to_owned() });
    Wanted {
        title: cut(&format!("{id} {}", issue.title), MOST_TITLE_CHARS),
        body,
        is_done: is_resolved || issue.merged_into.is_some() || issue.discarded_at.is_some(),
        assignee: issue.assignee.clone(),
        fix: fix.map(|(fix, _)| shas(fix.commits.iter().map(|commit| commit.sha))),
    }
}

/// Issues that wait for tasks of their own.
#[derive(Debug, Clone, Copy)]
pub struct StormFacts<'a> {
    /// The first of them: what each is called, and where it is shown.
    pub named: &'a [(String, String)],
    /// How many there are.
    pub n_held: u64,
    /// So many new tasks an hour are made.
    pub most_per_hour: u32,
}

/// The one task for all issues that wait for tasks of their own.
#[must_use]
pub fn of_storm(facts: &StormFacts<'_>) -> Wanted {
    let StormFacts { named, n_held, most_per_hour } = *facts;
    let is_over = n_held == 0;
    let mut body = vec![Block::Text(if is_over {
        "Nothing waits any more: each issue has a task of its own, or needs none.".to_owned()
    } else {
        format!(
            "There are more than {most_per_hour} new tasks an hour. These issues wait for tasks of their \
         own, and get them as soon as there is room, unless they are resolved by then."
        )
    })];
    body.extend(
        named
            .iter()
            .map(|(text, url)| Block::Link { text: cut(text, MOST_TITLE_CHARS), url: url.clone() }),
    );
    let n_more = n_held.saturating_sub(named.len() as u64);
    if n_more > 0 {
        body.push(Block::Text(format!("and {n_more} more")));
    }
    Wanted {
        title: "Many new issues wait for tasks".to_owned(),
        body,
        is_done: is_over,
        assignee: None,
        fix: None,
    }
}

fn seen(at: &str, release: Option<&str>) -> String {
    release.map_or_else(|| at.to_owned(), |release| format!("{at} in {release}"))
}

/// The frames of the crash that are the application's own, or the last of all; the crash is last.
fn stack(event: &Event) -> Vec<String> {
    let Some(exception) = event.exceptions.last() else { return Vec::new() };
    let own: Vec<&Frame> =
        exception.frames.iter().filter(|frame| frame.in_app == Some(true)).collect();
    let all: Vec<&Frame> = exception.frames.iter().collect();
    let frames = if own.is_empty() { all } else { own };
    let first = frames.len().saturating_sub(MOST_FRAMES);
    frames.into_iter().skip(first).map(line).collect()
}

fn line(frame: &Frame) -> String {
    let function = frame.function.as_deref().unwrap_or("?");
    let file = frame.filename.as_deref().or(frame.module.as_deref()).unwrap_or("?");
    let at = frame.lineno.map(|line| format!(":{line}")).unwrap_or_default();
    cut(&format!("{file}{at} in {function}"), MOST_LINE_CHARS)
}

fn cut(text: &str, most: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= most {
        return line;
    }
    line.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests;
