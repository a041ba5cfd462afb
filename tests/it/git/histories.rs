//! Whether a fix is contained, in histories that git made.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::panic::catch_unwind;

use airlock::domain::containment::{Containment, Deployed, Rule, SamePatch};
use airlock::git::graph_file::Commits;
use airlock::git::patches::Patches;

use super::{Repository, fixture};

struct History {
    title: String,
    script: String,
    /// Fix, deployed, answer, commit.
    questions: Vec<Vec<String>>,
}

fn histories() -> Vec<History> {
    let text = std::fs::read_to_string(fixture("histories.txt")).expect("histories");
    let parts = text.split("\n== ").skip(1);
    parts
        .map(|part| {
            let (title, rest) = part.split_once('\n').expect("a title");
            let (asked, script): (Vec<&str>, Vec<&str>) =
                rest.lines().partition(|line| line.starts_with("? "));
            let words = |line: &str| line.split_whitespace().skip(1).map(str::to_owned).collect();
            History {
                title: title.to_owned(),
                script: script.join("\n"),
                questions: asked.into_iter().map(words).collect(),
            }
        })
        .collect()
}

/// What is wrong with the answers of one history.
fn wrong(history: &History) -> String {
    let repository = Repository::new();
    repository.run(&history.script);
    let mut commits = Commits::default();
    // What no branch has is asked for as well.
    repository.run(
        "while read -r name sha; do git update-ref refs/heads/named/$name $sha; done < \"$NAMES\"",
    );
    repository.fetch(&mut commits).expect("a fetch");
    let names = repository.names();
    let opened = repository.mirror.open().expect("a repository");
    let mut patches = Patches::new(&opened, &commits.history);
    let mut wrong = String::new();
    for question in &history.questions {
        let [fix, deployed, expected, rest @ ..] = question.as_slice() else {
            panic!("{question:?}")
        };
        let fix_sha = names[fix];
        let looked = patches.same([fix_sha], &BTreeMap::new()).expect("patches");
        let same_patch: SamePatch =
            looked.into_iter().map(|(sha, looked)| (sha, looked.same)).collect();
        let tip = commits.history.find(&names[deployed]).expect("a commit");
        let failed = BTreeSet::new();
        let answer = Deployed::new(&commits.history, tip, &same_patch, &failed).contains(&fix_sha);
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
        let wanted = rest.first().map(|name| names[name]);
        if said != expected || (wanted.is_some() && wanted != commit) {
            let name = names.iter().find(|(_, sha)| Some(**sha) == commit);
            let name = name.map(|(name, _)| name);
            writeln!(wrong, "{}: ? {} says {said} {name:?}", history.title, question.join(" "))
                .expect("text");
        }
    }
    wrong
}

#[test]
fn git_histories_are_understood() {
    let histories = histories();
    assert!(histories.len() >= 60);
    let n_threads = 4;
    let wrong: String = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads)
            .map(|first| {
                let mine = histories.iter().skip(first).step_by(n_threads);
                scope.spawn(move || {
                    let told = |history: &History| {
                        let title = &history.title;
                        catch_unwind(|| wrong(history))
                            .unwrap_or_else(|_| format!("{title}: panic\n"))
                    };
                    mine.map(told).collect::<String>()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(wrong.is_empty(), "\n{wrong}");
}
