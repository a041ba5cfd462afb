//! The table of histories that git makes, and whether fixes are contained in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use airlock::domain::containment::{Containment, Deployed, Rule, SamePatch};
use airlock::git::graph_file::Commits;
use airlock::git::patches::Patches;

use super::{Repository, fixture};

/// A history of the table, and what is asked about it.
pub(crate) struct History {
    pub(crate) title: String,
    script: String,
    pub(crate) questions: Vec<Question>,
}

/// Whether a fix is in what is deployed, and what follows.
pub(crate) struct Question {
    /// As it stands in the table.
    pub(crate) text: String,
    pub(crate) fix: String,
    pub(crate) deployed: String,
    answer: String,
    commit: Option<String>,
    pub(crate) gate: String,
    pub(crate) report: String,
}

impl Question {
    fn parse(line: &str) -> Option<Self> {
        let text = line.strip_prefix("? ")?;
        let (asked, follows) = text.split_once(" | ")?;
        let (gate, report) = follows.split_once(", ")?;
        let mut asked = asked.split_whitespace().map(str::to_owned);
        Some(Self {
            text: text.to_owned(),
            fix: asked.next()?,
            deployed: asked.next()?,
            answer: asked.next()?,
            commit: asked.next(),
            gate: gate.to_owned(),
            report: report.to_owned(),
        })
    }
}

/// The histories of the table.
pub(crate) fn histories() -> Vec<History> {
    let text = std::fs::read_to_string(fixture("histories.txt")).expect("histories");
    let parts = text.split("\n== ").skip(1);
    parts
        .map(|part| {
            let (title, rest) = part.split_once('\n').expect("a title");
            let (asked, script): (Vec<&str>, Vec<&str>) =
                rest.lines().partition(|line| line.starts_with("? "));
            let question = |line| Question::parse(line).unwrap_or_else(|| panic!("{line}"));
            History {
                title: title.to_owned(),
                script: script.join("\n"),
                questions: asked.into_iter().map(question).collect(),
            }
        })
        .collect()
}

impl History {
    /// A repository with it. What no branch has is asked for as well: each commit with a name has one.
    pub(crate) fn repository(&self) -> Repository {
        let repository = Repository::new();
        repository.run(&self.script);
        repository.run(
            "while read -r name sha; do git update-ref refs/heads/named/$name $sha; done < \"$NAMES\"",
        );
        repository
    }
}

/// Does something with each history, several at a time; gives the results in their order.
pub(crate) fn of_each<T: Send>(
    histories: &[History],
    act: impl Fn(&History) -> T + Sync,
) -> Vec<T> {
    let n_each = histories.len().div_ceil(4);
    std::thread::scope(|scope| {
        let act = &act;
        let threads: Vec<_> = histories
            .chunks(n_each)
            .map(|some| scope.spawn(move || some.iter().map(act).collect::<Vec<T>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    })
}

/// What is wrong with the answers about what its repository has.
pub(crate) fn wrong(history: &History, repository: &Repository) -> String {
    let mut commits = Commits::default();
    repository.fetch(&mut commits).expect("a fetch");
    let names = repository.names();
    let opened = repository.mirror.open().expect("a repository");
    let mut patches = Patches::new(&opened, &commits.history);
    let mut wrong = String::new();
    for question in &history.questions {
        let fix_sha = names[&question.fix];
        let looked = patches.same([fix_sha], &BTreeMap::new()).expect("patches");
        let same_patch: SamePatch =
            looked.into_iter().map(|(sha, looked)| (sha, looked.same)).collect();
        let tip = commits.history.find(&names[&question.deployed]).expect("a commit");
        let failed = BTreeSet::new();
        let answer =
            Deployed::new(&commits.history, tip, &same_patch, &failed).contains(&fix_sha, &[]);
        let (said, commit) = match answer {
            Containment::Contained { commit, rule } => {
                let rule = match rule {
                    Rule::Same => "same",
                    Rule::Picked => "picked",
                    Rule::SamePatch => "same_patch",
                    Rule::Squashed => "squashed",
                    Rule::Named => "named",
                };
                (rule, Some(commit))
            }
            Containment::Absent => ("absent", None),
            Containment::Reverted { by, .. } => ("reverted", Some(by)),
            Containment::Conflicted { by, .. } => ("conflicted", Some(by)),
            Containment::Unknown => ("unknown", None),
        };
        let wanted = question.commit.as_ref().map(|name| names[name]);
        if said != question.answer || (wanted.is_some() && wanted != commit) {
            let name = names.iter().find(|(_, sha)| Some(**sha) == commit);
            let name = name.map(|(name, _)| name);
            writeln!(wrong, "{}: ? {} says {said} {name:?}", history.title, question.text)
                .expect("text");
        }
    }
    wrong
}
