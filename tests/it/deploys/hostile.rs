//! Repositories that are not as they should be, and what the gate says of them: never `clear` by
//! mistake, and what to do.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::kinds;
use crate::git::Repository;
use crate::support::{Answer, Engine, TestApp, both, crash, with};

/// No commit of any repository.
const NOBODYS: &str = "4f2c91a0b1c2d3e4f5061728394a5b6c7d8e9f00";

/// A repository, and what is asked about it.
struct Case {
    /// What becomes of it before it is fetched for the first time.
    before: &'static str,
    /// And afterwards.
    after: &'static str,
    /// Where it is said to be, from its working copy; `None` for there.
    place: Option<&'static str>,
    /// A commit by its name, or as it is.
    candidate: &'static str,
    /// The verdict and the first blocker's kind, while nothing locks the environment.
    expected: (&'static str, Option<&'static str>),
    /// A part of the reason.
    reason: &'static str,
}

/// With the commits `base`, `fix` and `later`, all of it well.
const WELL: Case = Case {
    before: "c base; c fix; c later",
    after: "true",
    place: None,
    candidate: "later",
    expected: ("clear", None),
    reason: "",
};

const UNKNOWN: Case =
    Case { candidate: NOBODYS, expected: ("unknown", Some("commit_unknown")), ..WELL };

const UNREADABLE: Case =
    Case { candidate: NOBODYS, expected: ("unknown", Some("repository_unreadable")), ..WELL };

const CASES: &[(&str, Case)] = &[
    ("well", WELL),
    ("empty", Case { before: "true", reason: "no repository has the commit", ..UNKNOWN }),
    (
        "shallow",
        Case {
            before: "c base; c later; git clone -q --bare --depth 1 \"file://$PWD\" ../shallow",
            place: Some("../shallow"),
            candidate: "later",
            reason: "shallow",
            ..UNREADABLE
        },
    ),
    (
        "sha256",
        Case {
            before: "rm -rf .git; git init -q --object-format=sha256 -b main .; \
                     echo a > a; git add a; git commit -qm a",
            reason: "SHA-256",
            ..UNREADABLE
        },
    ),
    ("nowhere", Case { place: Some("../nowhere"), reason: "cannot be fetched", ..UNREADABLE }),
    ("vanished", Case { after: "mv .git gone", reason: "cannot be fetched", ..UNREADABLE }),
    // What is known stays known.
    ("vanished-known", Case { after: "mv .git gone", ..WELL }),
    (
        "corrupt",
        Case {
            before: "c base; find .git/objects -type f -exec sh -c 'chmod u+w {}; echo x > {}' ';'",
            reason: "cannot be fetched",
            ..UNREADABLE
        },
    ),
    (
        "corrupt-later",
        Case {
            after: "c more; find .git/objects -type f -exec sh -c 'chmod u+w {}; echo x > {}' ';'",
            candidate: "more",
            reason: "cannot be fetched",
            ..UNREADABLE
        },
    ),
    (
        "force-pushed",
        // Forgotten at its source: what was read is known all the same.
        Case {
            after: "git reset -q --hard HEAD~2; c anew; git reflog expire --expire=now --all; git gc -q --prune=now",
            ..WELL
        },
    ),
    (
        "huge",
        Case {
            before: "for i in 1 2 3 4 5 6 7 8; do head -c 1000000 /dev/urandom > $i; git add $i; done; c later",
            reason: "is the limit of a mirror",
            candidate: "later",
            ..UNREADABLE
        },
    ),
    (
        "hostile-names",
        Case {
            after: r#"
                git update-ref 'refs/heads/--upload-pack=touch${IFS}ran' HEAD
                git update-ref 'refs/heads/$(touch${IFS}ran)'"$(printf '\xff')" HEAD
                git update-ref refs/tags/-v1 HEAD:base
                git update-ref refs/tags/4f2c91a0b1c2d3e4f5061728394a5b6c7d8e9f00 HEAD
                git update-ref refs/heads/4f2c91a0b1c2d3e4f5061728394a5b6c7d8e9f00 HEAD
            "#,
            // A branch or tag that is called like a commit is none.
            reason: "no repository has the commit",
            ..UNKNOWN
        },
    ),
    (
        "hostile-messages",
        Case {
            after: r#"
                tree=$(git rev-parse HEAD^{tree}); parent=$(git rev-parse HEAD)
                printf 'tree %s\nparent %s\nauthor \xff <\xff> 99999999999999 +9999\ncommitter x <y> -5 -0000\nencoding nonsense\n\n' $tree $parent > ../commit
                printf '\033]0;S\007\n\nThis reverts commit %s.\n(cherry picked from commit %0100000d)\nThis reverts commit %0100000d.\n\0more' $parent 7 7 >> ../commit
                odd=$(git hash-object --literally -t commit -w ../commit)
                git update-ref refs/heads/odd $odd
                echo "odd $odd" >> "$NAMES"
            "#,
            candidate: "odd",
            ..WELL
        },
    ),
];

/// One of the cases in an installation.
struct Asked<'a> {
    app: &'a TestApp,
    slug: &'a str,
    prefix: String,
    git: Repository,
}

impl<'a> Asked<'a> {
    async fn new(app: &'a TestApp, slug: &'a str, case: &Case) -> Self {
        let project = app.create_project(slug).await;
        let git = Repository::new();
        git.run(case.before);
        let shown = app.get(&format!("/api/v1/projects/{slug}")).await.ok();
        let prefix = shown["prefix"].as_str().expect("a prefix").to_owned();
        let url: PathBuf = git.path().join(case.place.unwrap_or(""));
        let wish = json!({"name": "web", "url": url, "branches": ["*"]});
        let repositories = format!("/api/v1/projects/{slug}/repositories");
        app.post(&repositories, &wish).await.ok();
        let fetch = format!("{repositories}/web/fetch");
        app.post(&fetch, &json!({})).await;
        git.run(case.after);
        app.post(&fetch, &json!({})).await;
        app.send(&project, &with(crash("KeyError"), &json!({"release": "1"}))).await;
        Self { app, slug, prefix, git }
    }

    fn sha(&self, name: &str) -> String {
        self.git.names().get(name).map_or_else(|| name.to_owned(), ToString::to_string)
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/projects/{}/environments/beta/{rest}", self.slug)
    }

    async fn gate(&self, candidate: &str) -> Value {
        self.app.get(&self.path(&format!("gate?commit={candidate}"))).await.ok()
    }

    async fn start(&self, candidate: &str) -> Answer {
        self.app.post(&self.path("deploys"), &json!({"commit": candidate})).await
    }

    async fn fix(&self, commit: &str) -> Value {
        let path = format!("/api/v1/issues/{}-1/fix", self.prefix);
        self.app.put(&path, &json!({"commit": commit})).await.ok()
    }
}

/// Asks the gate, and whether it stays closed for what is not fixed.
async fn ask(asked: &Asked<'_>, name: &str, case: &Case) {
    let candidate = asked.sha(case.candidate);
    let gate = asked.gate(&candidate).await;
    let (verdict, kind) = case.expected;
    assert_eq!(
        (gate["verdict"].as_str(), kinds(&gate).first().copied()),
        (Some(verdict), kind),
        "{name}: {gate}"
    );
    if verdict == "unknown" {
        let blocker = &gate["blockers"][0];
        let reason = blocker["reason"].as_str().expect("a reason");
        assert!(reason.contains(case.reason), "{name}: {reason}");
        assert!(blocker["hint"].is_string(), "{name}: {blocker}");
        assert_eq!(
            asked.start(&candidate).await.problem(),
            (409, "gate-unknown".to_owned()),
            "{name}"
        );
    }
    // With a lock: no fix, one that nobody has, and one that is in no candidate here.
    let lock = json!({"issue": format!("{}-1", asked.prefix)});
    asked.app.post(&asked.path("locks"), &lock).await.ok();
    let stays_closed = async |why: &str| {
        let gate = asked.gate(&candidate).await;
        assert_ne!(gate["verdict"], "clear", "{name}, {why}: {gate}");
        assert_eq!(gate["cleared"], json!([]), "{name}, {why}: {gate}");
        let blockers = gate["blockers"].as_array().expect("a list");
        let locked = blockers.iter().find(|one| !one["lock"].is_null());
        let hint = locked.and_then(|one| one["hint"].as_str());
        assert!(hint.is_some(), "{name}, {why}: {gate}");
        let refused = asked.start(&candidate).await;
        assert_eq!(refused.status, 409, "{name}, {why}: {refused:?}");
        gate["verdict"].as_str().map(str::to_owned)
    };
    let blocked = Some("blocked".to_owned());
    assert_eq!(stays_closed("no fix").await, blocked, "{name}");
    let nobodys = asked.fix("0123456789012345678901234567890123456789").await;
    assert_eq!(nobodys["fix"]["problem"], "unknown-commit", "{name}");
    let verdict = stays_closed("a fix that nobody has").await;
    if case.expected.0 == "clear" {
        assert_eq!(verdict, blocked, "{name}");
    } else {
        // It is its own fix, and yet nobody can tell what it is.
        assert_eq!(asked.fix(&candidate).await["fix"]["problem"], "unknown-commit", "{name}");
        stays_closed("itself").await;
    }
}

both!(the_gate_is_never_clear_by_mistake, |engine: Engine| async move {
    let app = TestApp::start_with(engine, |config| config.git_most_bytes = 2_000_000).await;
    for (name, case) in CASES {
        let asked = Asked::new(&app, name, case).await;
        ask(&asked, name, case).await;
    }
    app.stop().await;
});

both!(a_message_that_lies_takes_a_fix_back_but_brings_none, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let case = Case {
        after: "on line base; c claims claims \"$(printf 'Fix\\n\\nThis reverts commit %s.\\n' $(sha later))\"; on main",
        ..WELL
    };
    let asked = Asked::new(&app, "liar", &case).await;
    let lock = json!({"issue": format!("{}-1", asked.prefix)});
    app.post(&asked.path("locks"), &lock).await.ok();
    asked.fix(&asked.sha("later")).await;
    assert_eq!(asked.gate(&asked.sha("later")).await["verdict"], "clear");
    // It never had what it says to take back.
    let gate = asked.gate(&asked.sha("claims")).await;
    assert_eq!((&gate["verdict"], kinds(&gate)), (&json!("blocked"), vec!["issue_lock"]));
    asked.git.run("merge joined line; revert back later");
    let fetch = "/api/v1/projects/liar/repositories/web/fetch";
    app.post(fetch, &json!({})).await.ok();
    // A claim from another line is neither believed nor passed over: a person looks.
    let gate = asked.gate(&asked.sha("joined")).await;
    assert_eq!((&gate["verdict"], kinds(&gate)), (&json!("blocked"), vec!["conflicted"]));
    let gate = asked.gate(&asked.sha("back")).await;
    assert_eq!((&gate["verdict"], kinds(&gate)), (&json!("blocked"), vec!["issue_lock"]));
    app.stop().await;
});

both!(
    a_mirror_that_was_damaged_is_fetched_anew_before_anything_is_clear,
    |engine: Engine| async move {
        let app = TestApp::start(engine).await;
        let asked = Asked::new(&app, "damaged", &WELL).await;
        let Asked { git, .. } = asked;
        let later = git.names()["later"].to_string();
        let gate = format!("/api/v1/projects/damaged/environments/beta/gate?commit={later}");
        let mirror = std::fs::read_dir(app.data().join("git")).expect("a folder").next();
        let mirror = mirror.expect("a mirror").expect("an entry").path();
        std::fs::write(mirror.join("commits"), "nonsense").expect("a file");
        std::fs::rename(git.path().join(".git"), git.path().join("gone")).expect("moved");
        let app = app.restart().await;
        let answer = app.get(&gate).await.ok();
        assert_eq!(answer["verdict"], "unknown", "{answer}");
        std::fs::rename(git.path().join("gone"), git.path().join(".git")).expect("moved");
        app.clock.advance(std::time::Duration::from_secs(6));
        let answer = app.get(&gate).await.ok();
        assert_eq!(answer["verdict"], "clear", "{answer}");
        app.stop().await;
    }
);
