//! What git, the gate and reports say of every history of the table.

use std::fmt::Write;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::{Shop, kinds};
use crate::git::Repository;
use crate::git::histories::{Question, histories, of_each, wrong};
use crate::support::{Engine, TestApp, TestProject, crash, until, with};

/// All histories in one repository, where nothing but their beginnings is shared.
struct All {
    git: Repository,
    /// Questions, no two of a history beside each other: a fix that fails in one of them stands for
    /// nothing in another.
    cases: Vec<Vec<Case>>,
    /// What is wrong before anybody is asked: what each of them says has which fix.
    wrong: String,
}

/// A question of one of them.
struct Case {
    title: String,
    question: Question,
    fix: String,
    deployed: String,
}

impl All {
    fn make() -> Self {
        let histories = histories();
        assert!(histories.len() >= 60);
        let each = of_each(&histories, |history| {
            let repository = history.repository();
            let wrong = wrong(history, &repository);
            (repository, wrong)
        });
        let git = Repository::new();
        let (mut cases, mut all_wrong) = (Vec::<Vec<Case>>::new(), String::new());
        for (number, (history, (repository, wrong))) in histories.into_iter().zip(&each).enumerate()
        {
            all_wrong.push_str(wrong);
            let path = repository.path();
            let fetch = format!(
                "git fetch -q --no-tags '{}' 'refs/heads/*:refs/heads/{number}/*'",
                path.display()
            );
            git.run(&fetch);
            let names = repository.names();
            for (at, question) in history.questions.into_iter().enumerate() {
                if cases.len() == at {
                    cases.push(Vec::new());
                }
                cases[at].push(Case {
                    title: history.title.clone(),
                    fix: names[&question.fix].to_string(),
                    deployed: names[&question.deployed].to_string(),
                    question,
                });
            }
        }
        Self { git, cases, wrong: all_wrong }
    }
}

/// An installation that knows all of them.
struct Asked<'a> {
    app: TestApp,
    project: TestProject,
    cases: &'a [Case],
}

impl<'a> Asked<'a> {
    async fn start(engine: Engine, git: &Repository, cases: &'a [Case]) -> Self {
        let app = TestApp::start(engine).await;
        let project = app.create_project("shop").await;
        let wish = json!({"name": "web", "url": git.path()});
        app.post("/api/v1/projects/shop/repositories", &wish).await.ok();
        app.post("/api/v1/projects/shop/repositories/web/fetch", &json!({})).await.ok();
        Self { app, project, cases }
    }

    /// Reports one error for each case; their ids.
    async fn report(&self, release: impl Fn(&Case) -> Value) -> Vec<String> {
        let now = self.app.clock.now().to_string();
        let mut ids = Vec::new();
        let events: Vec<Value> = (self.cases.iter().enumerate())
            .map(|(number, case)| {
                let fields = json!({"fingerprint": [format!("case {number}")], "timestamp": now,
                    "release": release(case)});
                with(crash("KeyError"), &fields)
            })
            .collect();
        for some in events.chunks(20) {
            let sent = some.iter().map(|event| self.app.send_event(&self.project, event));
            for answer in join_all(sent).await {
                ids.push(answer.ok()["id"].as_str().expect("an id").to_owned());
            }
        }
        self.app.digested().await;
        ids
    }

    /// What the gate says where the issue is all that locks the environment.
    async fn gate(&self, environment: &str, case: &Case, issue: &str) -> String {
        let fix = json!({"commit": case.fix});
        let fixed = self.app.put(&format!("/api/v1/issues/{issue}/fix"), &fix).await.ok();
        assert_eq!(fixed["fix"]["problem"], json!(null), "{fixed}");
        let locks = Shop::environment(environment, "locks");
        let lock = self.app.post(&locks, &json!({"issue": issue})).await.ok();
        let lock = lock["id"].as_str().expect("an id").to_owned();
        let path = Shop::environment(environment, &format!("gate?commit={}", case.deployed));
        let gate = self.app.get(&path).await.ok();
        self.app.delete(&format!("/api/v1/locks/{lock}")).await.ok();
        let n_cleared = gate["cleared"].as_array().map(Vec::len);
        match (gate["verdict"].as_str(), kinds(&gate).as_slice(), n_cleared) {
            (Some("clear"), [], Some(1)) if gate["cleared"][0]["lock"] == lock => {
                "clear".to_owned()
            }
            (Some("blocked"), ["issue_lock"], Some(0)) => "blocked".to_owned(),
            (Some("blocked"), ["conflicted"], Some(0)) => "conflicted".to_owned(),
            _ => gate.to_string(),
        }
    }

    /// Waits until all is judged that can be; gives the verdicts and their reasons.
    async fn verdicts(&self, events: &[String]) -> Vec<(String, String)> {
        until("all reports are judged", async || {
            let mut waits = events.iter().zip(self.cases);
            loop {
                let Some((event, case)) = waits.next() else { return true };
                let verdict = self.app.verdict(event).await.0;
                if verdict == "undetermined" && case.question.report != verdict {
                    return false;
                }
            }
        })
        .await;
        let mut verdicts = Vec::new();
        for event in events {
            verdicts.push(self.app.verdict(event).await);
        }
        verdicts
    }

    /// What is wrong with the answers.
    async fn wrong(&self) -> String {
        let mut issues = Vec::new();
        for event in self.report(|_| json!(null)).await {
            let event = format!("/api/v1/projects/shop/events/{event}");
            let issue = self.app.get(&event).await.ok()["issue"].clone();
            issues.push(issue.as_str().expect("an issue").to_owned());
        }
        let mut gates = Vec::new();
        let all: Vec<(&Case, &String)> = self.cases.iter().zip(&issues).collect();
        for some in all.chunks(2) {
            let asked = ["beta", "production"].into_iter().zip(some);
            let asked =
                asked.map(|(environment, (case, issue))| self.gate(environment, case, issue));
            gates.extend(join_all(asked).await);
        }
        let build_of = |case: &Case| json!(format!("shop@{}", case.deployed));
        let events = self.report(build_of).await;
        let verdicts = self.verdicts(&events).await;
        // What nobody can tell says why, once the build is known.
        let again = self.report(build_of).await;
        let mut wrong = String::new();
        for (number, case) in self.cases.iter().enumerate() {
            let Question { text, gate, report, .. } = &case.question;
            let ((verdict, reason), issue) = (&verdicts[number], &issues[number]);
            let mut says = |what: String| {
                writeln!(wrong, "{}: ? {text}: {what}", case.title).expect("text");
            };
            if gates[number] != *gate {
                says(format!("the gate is {}", gates[number]));
            }
            if verdict != report {
                says(format!("the report is {verdict}: {reason}"));
            }
            let shown = self.app.issue(issue).await;
            let state = (shown["status"].as_str(), shown["fix"]["state"].as_str());
            let expected = match report.as_str() {
                "regression" => (Some("open"), Some("failed")),
                _ => (Some("fix_pending"), Some("standing")),
            };
            if state != expected {
                says(format!("the issue is {state:?}"));
            }
            if verdict == "undetermined" {
                let (verdict, reason) = self.app.verdict(&again[number]).await;
                if verdict != "undetermined" || !reason.contains("on another line") {
                    says(format!("the next report is {verdict}: {reason}"));
                }
            }
        }
        wrong
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_history_is_understood() {
    let all = spawn_blocking(All::make).await.expect("repositories");
    assert!(all.wrong.is_empty(), "\n{}", all.wrong);
    let judged = [Engine::Sqlite, Engine::Postgres].map(async |engine| {
        for cases in &all.cases {
            let asked = Asked::start(engine, &all.git, cases).await;
            let wrong = asked.wrong().await;
            asked.app.stop().await;
            assert!(wrong.is_empty(), "{engine:?}\n{wrong}");
        }
    });
    join_all(judged).await;
}
