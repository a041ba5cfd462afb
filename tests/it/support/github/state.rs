//! What there is in GitHub.

use std::collections::BTreeMap;

use airlock::clock::Clock;
use airlock::domain::time::Timestamp;

use super::super::asana::{Asked, Plan};
use super::limits::Limits;
use super::{BOT, PERSON, READ_ONLY, REPOSITORY, STRANGER, TOKEN};

/// What happens is numbered apart from what is said; here even backwards, as no order is promised.
const FIRST_EVENT: u64 = 20_000_000_000;

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Who {
    pub(super) login: String,
    /// Whether the token may write issues.
    pub(super) may_write: bool,
}

/// What somebody may do in the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Nothing: it is private, and not there.
    None,
    /// Read, make issues and comment.
    Read,
    /// Also label, assign and close.
    Triage,
    /// Also make labels.
    Write,
}

/// The repository.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    /// `owner/name`.
    pub(crate) name: String,
    pub(crate) has_issues: bool,
    pub(crate) is_archived: bool,
    pub(crate) is_private: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Label {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) color: String,
    pub(super) description: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Comment {
    pub(crate) id: u64,
    pub(crate) user: String,
    pub(crate) body: String,
    pub(crate) at: Timestamp,
}

/// Something that happened with an issue, or was said on it.
#[derive(Debug, Clone)]
pub(super) struct Happened {
    /// That of the comment where something was said; else it is counted apart.
    pub(super) id: u64,
    pub(super) event: &'static str,
    pub(super) actor: String,
    /// A label or a login.
    pub(super) what: String,
    pub(super) at: Timestamp,
}

/// Where an issue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the repository.
    Here,
    /// Nowhere.
    Deleted,
    /// In another repository.
    Moved,
}

/// An issue or pull request.
#[derive(Debug, Clone)]
pub(crate) struct Issue {
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) user: String,
    pub(crate) is_closed: bool,
    /// Why it is closed, or that it was reopened.
    pub(crate) reason: Option<String>,
    pub(crate) labels: Vec<String>,
    pub(crate) assignees: Vec<String>,
    pub(crate) comments: Vec<Comment>,
    pub(super) timeline: Vec<Happened>,
    pub(crate) is_locked: bool,
    pub(crate) is_pull: bool,
    pub(crate) place: Place,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) closed_at: Option<Timestamp>,
}

impl Issue {
    /// Whether it is still in the repository.
    pub(super) fn is_here(&self) -> bool {
        self.place == Place::Here
    }

    /// What Airlock said, without the lines that name keys and the fences.
    pub(crate) fn said(&self) -> Vec<String> {
        let text = |comment: &Comment| {
            let (text, mark) = comment.body.rsplit_once("\n\n").expect("a line with the key");
            assert!(mark.starts_with("Airlock · "), "{mark}");
            text.trim_start_matches("~~~\n").trim_end_matches("\n~~~").to_owned()
        };
        let own = self.comments.iter().filter(|comment| comment.user == BOT);
        own.map(text).collect()
    }
}

/// All of it.
#[derive(Debug)]
pub(super) struct State {
    pub(super) clock: Clock,
    pub(super) url: String,
    pub(super) tokens: BTreeMap<String, Who>,
    pub(super) roles: BTreeMap<String, Role>,
    pub(super) repository: Repository,
    pub(super) labels: Vec<Label>,
    pub(super) issues: Vec<Issue>,
    pub(super) plan: Plan,
    pub(super) limits: Limits,
    pub(super) log: Vec<Asked>,
    next_id: u64,
}

impl State {
    pub(super) fn new(clock: Clock, url: String) -> Self {
        let who = |may_write: bool| Who { login: BOT.to_owned(), may_write };
        let roles = [(BOT, Role::Write), (PERSON, Role::Write), (STRANGER, Role::Read)];
        Self {
            clock,
            url,
            tokens: BTreeMap::from([
                (TOKEN.to_owned(), who(true)),
                (READ_ONLY.to_owned(), who(false)),
            ]),
            roles: roles.into_iter().map(|(login, role)| (login.to_owned(), role)).collect(),
            repository: Repository {
                name: REPOSITORY.to_owned(),
                has_issues: true,
                is_archived: false,
                is_private: true,
            },
            labels: Vec::new(),
            issues: Vec::new(),
            plan: Plan::default(),
            limits: Limits::default(),
            log: Vec::new(),
            next_id: 1_000,
        }
    }

    pub(super) fn time(&self) -> Timestamp {
        self.clock.now()
    }

    /// In microseconds.
    pub(super) fn now(&self) -> i64 {
        self.clock.now().as_micros()
    }

    pub(super) fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Notes that something happened with an issue.
    pub(super) fn note(&mut self, number: u64, actor: &str, event: &'static str, what: &str) {
        let (id, at) = (FIRST_EVENT - self.id(), self.time());
        let (actor, what) = (actor.to_owned(), what.to_owned());
        self.issue_mut(number).timeline.push(Happened { id, event, actor, what, at });
    }

    /// Notes which of two lists has what the other has not.
    pub(super) fn note_change(
        &mut self,
        (number, actor): (u64, &str),
        [on, off]: [&'static str; 2],
        (before, after): (&[String], &[String]),
    ) {
        for one in after.iter().filter(|one| !before.contains(one)) {
            self.note(number, actor, on, one);
        }
        for one in before.iter().filter(|one| !after.contains(one)) {
            self.note(number, actor, off, one);
        }
    }

    pub(super) fn role(&self, login: &str) -> Role {
        self.roles.get(login).copied().unwrap_or(Role::None)
    }

    pub(super) fn issue(&self, number: u64) -> &Issue {
        let found = self.issues.iter().find(|issue| issue.number == number);
        found.unwrap_or_else(|| panic!("no issue {number}"))
    }

    pub(super) fn issue_mut(&mut self, number: u64) -> &mut Issue {
        let found = self.issues.iter_mut().find(|issue| issue.number == number);
        found.unwrap_or_else(|| panic!("no issue {number}"))
    }

    /// The name of a label as it is written, which is made if it is not there.
    pub(super) fn label(&mut self, name: &str) -> String {
        let known =
            self.labels.iter().find(|label| label.name.to_lowercase() == name.to_lowercase());
        if let Some(known) = known {
            return known.name.clone();
        }
        let id = self.id();
        let (name, color) = (name.to_owned(), "ededed".to_owned());
        self.labels.push(Label { id, name: name.clone(), color, description: None });
        name
    }

    pub(super) fn new_issue(&mut self, user: &str, title: &str, body: &str) -> &mut Issue {
        let (number, now) = (self.issues.len() as u64 + 1, self.time());
        self.issues.push(Issue {
            number,
            title: title.to_owned(),
            body: body.to_owned(),
            user: user.to_owned(),
            is_closed: false,
            reason: None,
            labels: Vec::new(),
            assignees: Vec::new(),
            comments: Vec::new(),
            timeline: Vec::new(),
            is_locked: false,
            is_pull: false,
            place: Place::Here,
            created_at: now,
            updated_at: now,
            closed_at: None,
        });
        self.issues.last_mut().expect("it was just made")
    }

    pub(super) fn new_pull(&mut self, body: &str) -> u64 {
        let pull = self.new_issue(BOT, "A change", body);
        pull.is_pull = true;
        pull.number
    }
}
