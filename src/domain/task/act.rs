//! What people do in a tracker, and what it means for the issue.

use std::collections::BTreeSet;

use super::Written;
use crate::domain::time::Timestamp;
use crate::domain::tracker::Board;

/// A task as its tracker has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Where people see it.
    pub url: String,
    /// What people see in lists.
    pub title: String,
    /// Who made it, where the tracker says so.
    pub author: Option<By>,
    /// On which boards it is; `None` where the tracker does not tell.
    pub boards: Option<BTreeSet<Board>>,
    /// Whether it is done.
    pub is_done: bool,
    /// Whose it is.
    pub assignee: Option<String>,
    /// What Airlock's own field says of the commits that fix it.
    pub fix: Option<String>,
    /// What was done on it, the oldest first.
    pub acts: Vec<Act>,
}

/// Something that was done on a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// When.
    pub at: Timestamp,
    /// What the tracker calls it.
    pub id: String,
    /// Who did it.
    pub by: By,
    /// What.
    pub did: Did,
}

/// Who did something in a tracker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// Airlock itself.
    Airlock,
    /// Somebody of this name.
    Person(String),
    /// No user: a rule of the tracker.
    Nobody,
}

/// What was done on a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Did {
    /// It is done.
    Completed,
    /// It is not.
    Reopened,
    /// It was given to somebody, or to nobody.
    Assigned,
    /// Airlock's own field was written.
    SetFix,
    /// It was put on a board or taken off.
    Moved,
    /// Somebody said this.
    Said(String),
    /// Something that means nothing here.
    Other,
}

impl Did {
    /// Its name in the store.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Reopened => "reopened",
            Self::Assigned => "assigned",
            Self::SetFix => "set_fix",
            Self::Moved => "moved",
            Self::Said(_) => "said",
            Self::Other => "other",
        }
    }

    /// What has this name; the text is what was said.
    #[must_use]
    pub fn parse(name: &str, text: String) -> Option<Self> {
        let all = [
            Self::Completed,
            Self::Reopened,
            Self::Assigned,
            Self::SetFix,
            Self::Moved,
            Self::Said(text),
            Self::Other,
        ];
        all.into_iter().find(|one| one.as_str() == name)
    }
}

/// What somebody wants by what they did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// The issue is resolved.
    Resolve,
    /// It is open.
    Reopen,
    /// It is somebody's, or nobody's.
    Assign(Option<String>),
    /// These commits fix it.
    Fix(Vec<String>),
    /// It locks this environment.
    Lock(String),
    /// It locks it no more.
    Unlock(String),
}

impl Act {
    fn is_by_airlock(&self) -> bool {
        match self.by {
            By::Airlock => true,
            By::Person(_) | By::Nobody => false,
        }
    }

    fn is_of_state(&self) -> bool {
        match self.did {
            Did::Completed | Did::Reopened => true,
            Did::Assigned | Did::SetFix | Did::Moved | Did::Said(_) | Did::Other => false,
        }
    }
}

impl Seen {
    /// Environments on whose boards of locks it is, where the tracker tells.
    fn locks(&self) -> Option<BTreeSet<String>> {
        let boards = self.boards.as_ref()?.iter();
        Some(boards.filter_map(Board::locked).map(ToOwned::to_owned).collect())
    }

    /// The last acts that were done on it, as they are remembered.
    fn last(&self) -> Option<(i64, BTreeSet<String>)> {
        let last = self.acts.iter().map(|act| act.at).max()?;
        let of_then = self.acts.iter().filter(|act| act.at == last);
        Some((last.as_micros(), of_then.map(|act| act.id.clone()).collect()))
    }
}

impl Written {
    /// What people want who did something on a task since it was last read or written: in their order,
    /// with who did it. What Airlock did means nothing.
    #[must_use]
    pub fn meant<'a>(&self, seen: &'a Seen) -> Vec<(&'a By, Meaning)> {
        let new = self.news(seen);
        let is_other = seen.is_done != self.is_done;
        let last = |is_it: fn(&Act) -> bool| new.iter().rposition(|act| is_it(act));
        let last_of_state = last(Act::is_of_state);
        let last_assigned = last(|act| act.did == Did::Assigned);
        let last_fix = last(|act| act.did == Did::SetFix);
        let state = || if seen.is_done { Meaning::Resolve } else { Meaning::Reopen };
        let mut meant = Vec::new();
        for (index, act) in new.iter().enumerate() {
            let is_last = |of: Option<usize>| of == Some(index);
            let meaning = match (&act.did, &act.by) {
                (Did::Completed | Did::Reopened, By::Person(_) | By::Nobody) => {
                    (is_last(last_of_state) && is_other).then(state)
                }
                (Did::Assigned, By::Person(_) | By::Nobody) => {
                    is_last(last_assigned).then(|| Meaning::Assign(seen.assignee.clone()))
                }
                (Did::SetFix, By::Person(_) | By::Nobody) => {
                    let commits = seen.fix.as_deref().map(commits_of).unwrap_or_default();
                    let is_it = is_last(last_fix) && !commits.is_empty();
                    is_it.then_some(Meaning::Fix(commits))
                }
                // What a rule says may be anybody's text.
                (Did::Said(text), By::Person(_)) => named_fix(text).map(Meaning::Fix),
                (_, By::Airlock)
                | (Did::Said(_), By::Nobody)
                | (Did::Moved | Did::Other, By::Person(_) | By::Nobody) => None,
            };
            meant.extend(meaning.map(|meaning| (&act.by, meaning)));
        }
        // Nobody says who it was.
        if is_other && last_of_state.is_none() {
            meant.push((&By::Nobody, state()));
        }
        if let (Some(by), Some(locks)) = (self.mover(seen), seen.locks()) {
            let (on, off) = (locks.difference(&self.locks), self.locks.difference(&locks));
            meant.extend(on.map(|name| (by, Meaning::Lock(name.clone()))));
            meant.extend(off.map(|name| (by, Meaning::Unlock(name.clone()))));
        }
        meant
    }

    /// What was done on a task since it was last read, in order.
    fn news<'a>(&self, seen: &'a Seen) -> Vec<&'a Act> {
        let is_new = |act: &&Act| {
            let at = act.at.as_micros();
            let is_after = |(last, ids): &(i64, BTreeSet<String>)| {
                at > *last || (at == *last && !ids.contains(&act.id))
            };
            self.heard.as_ref().is_none_or(is_after)
        };
        let mut new: Vec<&Act> = seen.acts.iter().filter(is_new).collect();
        new.sort_by_key(|act| act.at);
        new
    }

    /// Who put it on a board or took it off since it was last read. Without one it is where it was,
    /// even if nobody shows it there.
    fn mover<'a>(&self, seen: &'a Seen) -> Option<&'a By> {
        let mut new = self.news(seen).into_iter().rev();
        new.find(|act| act.did == Did::Moved && !act.is_by_airlock()).map(|act| &act.by)
    }

    /// What it is where somebody made it by hand to lock an environment.
    #[must_use]
    pub fn theirs(seen: &Seen, environment: &str) -> Self {
        Self {
            title: seen.title.clone(),
            body: String::new(),
            is_done: seen.is_done,
            assignee: seen.assignee.clone(),
            fix: None,
            heard: seen.last(),
            locks: BTreeSet::from([environment.to_owned()]),
            is_theirs: true,
        }
    }

    /// Environments on whose boards of locks it is.
    #[must_use]
    pub fn locks(&self) -> &BTreeSet<String> {
        &self.locks
    }

    /// The same on the boards of these environments.
    #[must_use]
    pub fn on_boards(self, locks: BTreeSet<String>) -> Self {
        Self { locks, ..self }
    }

    /// The same after the task was read and everything on it was followed.
    #[must_use]
    pub fn after_reading(self, seen: &Seen) -> Self {
        let locks = self.mover(seen).and_then(|_| seen.locks());
        let mut read = Self { is_done: seen.is_done, ..self };
        if let Some(locks) = locks {
            read.locks = locks;
        }
        let is_theirs = |act: &Act, did: &Did| act.did == *did && !act.is_by_airlock();
        let last = |did: Did| seen.acts.iter().rev().find(|act| act.did == did);
        if last(Did::Assigned).is_some_and(|act| is_theirs(act, &Did::Assigned)) {
            read.assignee.clone_from(&seen.assignee);
        }
        if last(Did::SetFix).is_some_and(|act| is_theirs(act, &Did::SetFix)) {
            read.fix.clone_from(&seen.fix);
        }
        read.heard = seen.last().or(read.heard);
        read
    }
}

/// How a line begins that names a fix.
const BEGINNINGS: [&str; 3] = ["fixed in ", "fixed by ", "airlock fix "];

/// The commits that a comment names as the fix: those of its last line that begins so. Quoted lines are
/// somebody else's.
#[must_use]
pub fn named_fix(comment: &str) -> Option<Vec<String>> {
    let named = |line: &str| {
        let line = line.trim();
        let lower = line.to_ascii_lowercase();
        let beginning = BEGINNINGS.iter().find(|beginning| lower.starts_with(*beginning))?;
        let commits = commits_of(lower.strip_prefix(beginning)?);
        (!commits.is_empty()).then_some(commits)
    };
    comment.lines().rev().find_map(named)
}

/// The commits at the beginning of a text: 7 to 40 hexadecimal digits each, or addresses that end so.
fn commits_of(text: &str) -> Vec<String> {
    let words = text.split(|c: char| c.is_whitespace() || ",;".contains(c));
    let words = words.filter(|word| !word.is_empty() && !["and", "&"].contains(word));
    words.map_while(commit_of).collect()
}

fn commit_of(word: &str) -> Option<String> {
    let word = word.trim_matches(|c: char| ".`()<>\"'!".contains(c));
    let sha = word.rsplit('/').next()?.to_ascii_lowercase();
    let is_one = (7..=40).contains(&sha.len()) && sha.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then_some(sha)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_a_fix() {
        let named = |text: &str| named_fix(text).map(|commits| commits.join(" "));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(named("fixed in 4f2c91a"), some("4f2c91a"));
        assert_eq!(named("Thanks!\n  Fixed in `4F2C91A`, and 1234567."), some("4f2c91a 1234567"));
        assert_eq!(named("airlock fix https://x.example/c/4f2c91a please"), some("4f2c91a"));
        assert_eq!(named("fixed in 4f2c91a\nno: fixed\nfixed by 5f2c91a"), some("5f2c91a"));
        for none in [
            "",
            "not fixed in 4f2c91a",
            "> fixed in 4f2c91a",
            "fixed in release 4f2c91a",
            "fixed in 4f2c91",
            "fixed in 4f2c91a4f2c91a4f2c91a4f2c91a4f2c91a4f2c91a",
            "fixed in",
        ] {
            assert_eq!(named(none), None, "{none}");
        }
    }

    fn written() -> Written {
        Written {
            title: String::new(),
            body: String::new(),
            is_done: false,
            assignee: None,
            fix: None,
            heard: Some((5, ["9", "10"].map(str::to_owned).into())),
            locks: BTreeSet::new(),
            is_theirs: false,
        }
    }

    fn act(at: i64, id: &str, by: By, did: Did) -> Act {
        Act { at: Timestamp::from_micros(at), id: id.to_owned(), by, did }
    }

    #[test]
    fn only_what_people_did_since_means_something() {
        let zoe = || By::Person("Zoe".to_owned());
        let fix = || Did::Said("fixed in 4f2c91a".to_owned());
        let mut seen = Seen {
            is_done: true,
            assignee: Some("Zoe".to_owned()),
            fix: None,
            acts: vec![
                act(5, "9", zoe(), fix()),
                act(5, "10", zoe(), Did::Reopened),
                act(6, "11", By::Airlock, fix()),
                act(6, "12", By::Nobody, fix()),
                act(7, "13", zoe(), Did::Assigned),
                act(7, "100", zoe(), Did::Completed),
            ],
            ..Seen::default()
        };
        let meant = |seen: &Seen| -> Vec<Meaning> {
            written().meant(seen).into_iter().map(|(_, meaning)| meaning).collect()
        };
        assert_eq!(meant(&seen), [Meaning::Assign(Some("Zoe".to_owned())), Meaning::Resolve]);
        let read = written().after_reading(&seen);
        assert!(read.meant(&seen).is_empty(), "{read:?}");
        assert_eq!(read.heard, Some((7, ["13", "100"].map(str::to_owned).into())));
        // Something else may be done at the same time and only be read later, whatever it is called.
        seen.acts.push(act(7, "2", zoe(), fix()));
        assert_eq!(read.meant(&seen).len(), 1);
        seen.acts.pop();

        // What Airlock itself did is no wish of anybody.
        for one in &mut seen.acts {
            one.by = By::Airlock;
        }
        assert_eq!(meant(&seen), []);
        // Nor is where it is while nobody put it there.
        seen.boards = Some(BTreeSet::from([Board::Locks("beta".to_owned()), Board::Issues]));
        assert_eq!(meant(&seen), []);
        seen.is_done = false;
        seen.acts.push(act(8, "101", zoe(), Did::Moved));
        assert_eq!(meant(&seen), [Meaning::Lock("beta".to_owned())]);
        let read = written().after_reading(&seen);
        seen.boards = Some(BTreeSet::from([Board::Issues]));
        assert!(read.meant(&seen).is_empty());
        seen.acts.push(act(9, "102", zoe(), Did::Moved));
        let meaning: Vec<_> = read.meant(&seen).into_iter().map(|(_, one)| one).collect();
        assert_eq!(meaning, [Meaning::Unlock("beta".to_owned())]);
        // A state that nobody is known for is believed.
        (seen.is_done, seen.boards) = (true, None);
        seen.acts.clear();
        assert_eq!(meant(&seen), [Meaning::Resolve]);
    }
}
