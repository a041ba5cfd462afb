//! Projects of several repositories: what is deployed is a commit of each.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Shop, active, kinds};
use crate::git::Repository;
use crate::support::{Answer, Engine, both, crash, until, with};

const RELEASES: &str = "/api/v1/projects/shop/releases";
const HOUR: Duration = Duration::from_hours(1);

/// A shop of two repositories: `web` and `api`.
struct Two {
    shop: Shop,
    api: Repository,
}

impl Two {
    async fn start(engine: Engine, web: &str, api: impl FnOnce(&Shop) -> String) -> Self {
        let shop = Shop::start(engine, web).await;
        let two = Self { api: Repository::new(), shop };
        two.api.run(&api(&two.shop));
        let wish = json!({"name": "api", "url": two.api.path()});
        two.shop.app.post("/api/v1/projects/shop/repositories", &wish).await.ok();
        two.fetch_api().await;
        two
    }

    async fn fetch_api(&self) {
        let path = "/api/v1/projects/shop/repositories/api/fetch";
        self.shop.app.post(path, &json!({})).await.ok();
    }

    /// A commit of `api`.
    fn of_api(&self, name: &str) -> String {
        self.api.names()[name].to_string()
    }

    /// A deploy that nobody asked the gate for; an hour goes by.
    async fn record(&self, environment: &str, commit: &str, repository: Option<&str>) -> Value {
        let over = json!({"commit": commit, "repository": repository, "status": "succeeded"});
        let path = Shop::environment(environment, "deploys");
        let recorded = self.shop.app.post(&path, &over).await.ok();
        self.shop.app.clock.advance(HOUR);
        recorded
    }

    /// A deploy that asks the gate, of a commit that tells its repository; an hour goes by.
    async fn deploy(&self, environment: &str, commit: &str) -> Value {
        let started = self.shop.start_deploy(environment, commit).await.ok();
        self.shop.app.clock.advance(HOUR);
        self.shop.finish(&started, "succeeded").await
    }

    /// Registers what a release is in one repository.
    async fn register(&self, version: &str, commit: &str, repository: &str) -> Value {
        let said = json!({"version": version, "commit": commit, "repository": repository});
        self.shop.app.post(RELEASES, &said).await.ok()
    }

    /// The verdict of the gate, and the kinds of its blockers.
    async fn gate(&self, environment: &str, commit: &str) -> (String, Vec<String>, Value) {
        let gate = self.shop.gate(environment, commit).await;
        let verdict = gate["verdict"].as_str().expect("a verdict").to_owned();
        let kinds = kinds(&gate).into_iter().map(str::to_owned).collect();
        if verdict != "clear" {
            // What it does not let pass does not start.
            let refused = self.shop.start_deploy(environment, commit).await;
            assert_eq!(refused.problem(), (409, format!("gate-{verdict}")));
            assert_eq!(gate["cleared"], json!([]), "{gate}");
        }
        (verdict, kinds, gate)
    }

    async fn assert_unknown(&self, environment: &str, commit: &str) -> String {
        let (verdict, kinds, gate) = self.gate(environment, commit).await;
        assert_eq!(
            (verdict.as_str(), kinds),
            ("unknown", vec!["repository_unreadable".to_owned()])
        );
        gate["blockers"][0]["hint"].as_str().expect("a hint").to_owned()
    }

    async fn assert_blocked(&self, environment: &str, commit: &str) {
        let (verdict, kinds, _) = self.gate(environment, commit).await;
        assert_eq!((verdict.as_str(), kinds), ("blocked", vec!["issue_lock".to_owned()]));
    }

    async fn assert_clear(&self, environment: &str, commit: &str) -> Value {
        let (verdict, _, gate) = self.gate(environment, commit).await;
        assert_eq!(verdict, "clear", "{gate}");
        gate
    }

    /// A crash in a release; the verdict, which comes at once or when it is settled.
    async fn said_in(&self, kind: &str, release: &str) -> (String, String) {
        let event = self.shop.crash_in(kind, release).await;
        self.shop.settled(&event).await
    }

    async fn status(&self, id: &str) -> String {
        self.shop.state(id).await.0
    }
}

fn short(sha: &str) -> String {
    sha.chars().take(7).collect()
}

both!(a_fix_is_looked_for_in_what_is_deployed_of_its_repository, |engine: Engine| async move {
    let two = Two::start(engine, "c base; c page", |_| "c root; c cure; c more".to_owned()).await;
    let (base, page) = (two.shop.sha("base"), two.shop.sha("page"));
    let (root, cure) = (two.of_api("root"), two.of_api("cure"));
    two.shop.app.crashed(&two.shop.project, "KeyError").await;
    two.shop.lock("production", &json!({"issue": "SHOP-1"})).await;
    let fixed = two.shop.fix("SHOP-1", &short(&cure)).await.ok();
    let commits = json!([{"repository": "api", "commit": cure}]);
    assert_eq!((&fixed["fix"]["commits"], &fixed["fix"]["problem"]), (&commits, &json!(null)));

    // Nobody has said what is there of the other repository.
    let hint = two.assert_unknown("production", &base).await;
    assert!(hint.contains("says nothing of the repository of"), "{hint}");
    // Now it is known that it lacks the fix, whatever becomes of this one.
    let recorded = two.record("production", &root, None).await;
    assert_eq!(recorded["repository"], "api");
    two.assert_blocked("production", &base).await;
    two.assert_blocked("production", &page).await;
    two.assert_blocked("production", &root).await;
    let gate = two.assert_clear("production", &cure).await;
    assert_eq!((&gate["repository"], &gate["cleared"][0]["fix"]), (&json!("api"), &json!(cure)));

    // In beta each of them is deployed by itself.
    assert_eq!(two.deploy("beta", &base).await["resolved"], json!([]));
    assert_eq!(two.deploy("beta", &root).await["resolved"], json!([]));
    assert_eq!(two.status("SHOP-1").await, "fix_pending");
    assert_eq!(two.deploy("beta", &cure).await["resolved"], json!(["SHOP-1"]));
    let gate = two.assert_clear("beta", &page).await;
    assert_eq!(gate["warnings"], json!([]));
    let deployed = two.deploy("beta", &page).await;
    assert_eq!((&deployed["taken_back"], &deployed["resolved"]), (&json!([]), &json!([])));
    assert_eq!(two.status("SHOP-1").await, "resolved");
    let project = two.shop.app.get("/api/v1/projects/shop").await.ok();
    let mut commits = project["environments"][0]["deployed"]["commits"].clone();
    let commits = commits.as_array_mut().expect("a list");
    commits.sort_by_key(|one| one["repository"].to_string());
    assert_eq!(
        json!(commits),
        json!([{"repository": "api", "commit": cure}, {"repository": "web", "commit": page}])
    );
    // An older one of its own repository takes it back; of the other one nothing does.
    assert_eq!(two.deploy("beta", &base).await["taken_back"], json!([]));
    let gate = two.assert_clear("beta", &root).await;
    assert_eq!(gate["warnings"][0]["issues"], json!(["SHOP-1"]));
    assert_eq!(two.deploy("beta", &root).await["taken_back"], json!(["SHOP-1"]));
    assert_eq!(two.status("SHOP-1").await, "fix_pending");

    // Once production has it, it is there for every candidate of the other repository.
    let deployed = two.deploy("production", &cure).await;
    assert_eq!(deployed["released_locks"].as_array().map(Vec::len), Some(1));
    assert!(active(&two.shop.app, "production").await.is_empty());
    two.assert_clear("production", &base).await;
    two.shop.stop().await;
});

both!(a_release_is_known_in_each_repository_it_is_registered_in, |engine: Engine| async move {
    let two = Two::start(engine, "c base; git tag v1", |_| {
        "c root; git tag v1; c cure; git tag v2".to_owned()
    })
    .await;
    let (base, root, cure) = (two.shop.sha("base"), two.of_api("root"), two.of_api("cure"));
    two.shop.app.crashed(&two.shop.project, "KeyError").await;
    two.shop.fix("SHOP-1", &cure).await.ok();
    let verdict = async |event: &str| two.shop.app.verdict(event).await.0;

    // Names of commits lead to one repository, names of tags to all that have them.
    assert_eq!(two.said_in("KeyError", &format!("api@{root}")).await.0, "suppressed");
    let part: String = root.chars().take(9).collect();
    assert_eq!(two.said_in("KeyError", &format!("api-1.0-{part}")).await.0, "suppressed");
    assert_eq!(two.said_in("KeyError", "shop@1").await.0, "suppressed");
    let shown = two.shop.app.get(&format!("{RELEASES}/shop@1")).await.ok();
    assert_eq!(
        (&shown["rule"], shown["commits"].as_array().map(Vec::len)),
        (&json!("tag"), Some(2))
    );
    // A build of which only the other repository is known may have it or not.
    let of_web = two.shop.crash_in("KeyError", &format!("web@{base}")).await;
    let registered = two.shop.crash_in("KeyError", "8").await;
    let shown = two.register("8", &base, "web").await;
    assert_eq!(shown["commits"], json!([{"repository": "web", "commit": base}]));
    // What is due is seen to in one go.
    assert_eq!(two.said_in("KeyError", &format!("new@{root}")).await.0, "suppressed");
    for event in [&of_web, &registered] {
        assert_eq!(verdict(event).await, "undetermined");
    }
    // What is missing is said, and nobody is asked to register what is registered.
    until("the reason is told anew", async || {
        two.shop.app.verdict(&registered).await.1.contains("says nothing of the repository")
    })
    .await;
    assert_eq!(two.shop.app.issue("SHOP-1").await["flags"], json!([]));
    let shown = two.shop.app.get(&format!("{RELEASES}/web@{base}")).await.ok();
    assert_eq!(shown["commits"], json!([{"repository": "web", "commit": base}]));
    let shown = two.register("8", &root, "api").await;
    assert_eq!(shown["commits"].as_array().map(Vec::len), Some(2));
    assert_eq!(two.shop.settled(&registered).await.0, "suppressed");
    assert_eq!(verdict(&of_web).await, "undetermined");
    assert_eq!(two.status("SHOP-1").await, "fix_pending");

    // It was another commit of the one repository: the other stays what it was.
    let shown = two.register("8", &cure, "api").await;
    let mut commits = shown["commits"].as_array().expect("a list").clone();
    commits.sort_by_key(|one| one["repository"].to_string());
    assert_eq!(
        json!(commits),
        json!([{"repository": "api", "commit": cure}, {"repository": "web", "commit": base}])
    );
    until("the fix failed", async || {
        two.shop.state("SHOP-1").await == ("open".to_owned(), "failed".to_owned())
    })
    .await;
    assert_eq!(two.shop.settled(&registered).await.0, "regression");
    two.shop.stop().await;
});

both!(a_fix_of_two_repositories_needs_both, |engine: Engine| async move {
    let two = Two::start(engine, "c base; c fix", |_| "c root; c cure".to_owned()).await;
    let (base, fix) = (two.shop.sha("base"), two.shop.sha("fix"));
    let (root, cure) = (two.of_api("root"), two.of_api("cure"));
    two.shop.app.crashed(&two.shop.project, "KeyError").await;
    two.shop.lock("production", &json!({"issue": "SHOP-1"})).await;
    let both = json!({"commits": [{"commit": fix}, {"commit": cure, "repository": "api"}]});
    let fixed = two.shop.app.put("/api/v1/issues/SHOP-1/fix", &both).await.ok();
    let commits = fixed["fix"]["commits"].as_array().expect("a list");
    assert!(commits.contains(&json!({"repository": "web", "commit": fix})), "{commits:?}");
    assert!(commits.contains(&json!({"repository": "api", "commit": cure})), "{commits:?}");

    // Nothing is known of the other one; then it is known not to have its part.
    two.assert_unknown("production", &fix).await;
    two.assert_unknown("production", &cure).await;
    two.assert_blocked("production", &base).await;
    two.record("production", &base, None).await;
    two.assert_blocked("production", &cure).await;
    two.record("production", &root, None).await;
    two.assert_blocked("production", &fix).await;
    let recorded = two.record("production", &fix, None).await;
    assert_eq!((&recorded["resolved"], &recorded["released_locks"]), (&json!([]), &json!([])));
    two.assert_blocked("production", &fix).await;
    two.assert_clear("production", &cure).await;

    // Reports are judged by the same rule: of a release, and of what was deployed.
    two.register("7", &fix, "web").await;
    two.register("7", &root, "api").await;
    assert_eq!(two.said_in("KeyError", "7").await.0, "suppressed");
    let now = || json!({"environment": "beta", "timestamp": two.shop.app.clock.now().to_string()});
    two.deploy("beta", &root).await;
    assert_eq!(two.deploy("beta", &fix).await["resolved"], json!([]));
    assert_eq!(two.status("SHOP-1").await, "fix_pending");
    let event = two.shop.app.send(&two.shop.project, &with(crash("KeyError"), &now())).await;
    assert_eq!(two.shop.settled(&event).await.0, "suppressed");
    assert_eq!(two.deploy("beta", &cure).await["resolved"], json!(["SHOP-1"]));
    two.shop.app.clock.advance(HOUR);
    let event = two.shop.app.send(&two.shop.project, &with(crash("KeyError"), &now())).await;
    assert_eq!(two.shop.settled(&event).await.0, "regression");
    // What failed clears nothing, in neither of them.
    two.assert_blocked("production", &cure).await;
    two.shop.stop().await;
});

both!(what_looks_the_same_in_another_repository_is_another, |engine: Engine| async move {
    // The same change by the same author with the same subject, and words that name the fix.
    let two = Two::start(engine, "c base; c fix; c later", |shop| {
        let fix = shop.sha("fix");
        format!(
            "c root; c fix; c picked picked \"$(printf 'fix\\n\\n(cherry picked from commit {fix})')\"; \
             c undo undo \"$(printf 'Revert\\n\\nThis reverts commit {fix}.')\""
        )
    })
    .await;
    let (base, fix) = (two.shop.sha("base"), two.shop.sha("fix"));
    let (twin, picked, undo) = (two.of_api("fix"), two.of_api("picked"), two.of_api("undo"));
    let patch_of = |repository: &Repository| {
        repository
            .run("git show \"$(sha fix)\" | git patch-id --stable | cut -d ' ' -f 1 > ../patch");
        std::fs::read_to_string(repository.path().join("../patch")).expect("a patch-id")
    };
    assert_ne!(fix, twin);
    assert_eq!(patch_of(&two.shop.git), patch_of(&two.api));
    two.shop.app.crashed(&two.shop.project, "KeyError").await;
    two.shop.lock("beta", &json!({"issue": "SHOP-1"})).await;
    two.shop.fix("SHOP-1", &fix).await.ok();
    for candidate in [&twin, &picked] {
        two.assert_unknown("beta", candidate).await;
    }
    two.record("beta", &base, None).await;
    for candidate in [&twin, &picked] {
        two.assert_blocked("beta", candidate).await;
        let recorded = two.record("beta", candidate, None).await;
        assert_eq!((&recorded["resolved"], &recorded["released_locks"]), (&json!([]), &json!([])));
    }
    assert_eq!(two.status("SHOP-1").await, "fix_pending");
    two.register("7", &base, "web").await;
    two.register("7", &picked, "api").await;
    assert_eq!(two.said_in("KeyError", "7").await.0, "suppressed");

    // Nor does the other one take it back.
    let deployed = two.deploy("beta", &fix).await;
    assert_eq!(deployed["resolved"], json!(["SHOP-1"]));
    let gate = two.assert_clear("beta", &undo).await;
    let warned: Vec<&Value> =
        gate["warnings"].as_array().expect("a list").iter().map(|one| &one["kind"]).collect();
    assert_eq!(warned, ["unresolved_revert"]);
    assert_eq!(two.deploy("beta", &undo).await["taken_back"], json!([]));
    assert_eq!(two.shop.state("SHOP-1").await, ("resolved".to_owned(), "standing".to_owned()));
    two.shop.stop().await;
});

both!(of_a_commit_of_both_repositories_one_must_be_named, |engine: Engine| async move {
    // The one began as a copy of the other.
    let two = Two::start(engine, "c base; c fix", |_| "c base; c fix; c own".to_owned()).await;
    let (base, fix) = (two.shop.sha("base"), two.shop.sha("fix"));
    assert_eq!((two.of_api("base"), two.of_api("fix")), (base.clone(), fix.clone()));
    let assert_ambiguous = |answer: &Answer| {
        assert_eq!(answer.problem(), (422, "invalid".to_owned()));
        let detail = answer.json()["detail"].as_str().expect("a detail").to_owned();
        assert!(detail.contains("or its repository"), "{detail}");
    };
    let app = &two.shop.app;
    app.crashed(&two.shop.project, "KeyError").await;
    two.shop.lock("beta", &json!({"issue": "SHOP-1"})).await;
    assert_ambiguous(&two.shop.fix("SHOP-1", &fix).await);
    let named = json!({"commit": fix, "repository": "web"});
    app.put("/api/v1/issues/SHOP-1/fix", &named).await.ok();

    let gate =
        |repository: &str| Shop::environment("beta", &format!("gate?commit={fix}{repository}"));
    assert_ambiguous(&app.get(&gate("")).await);
    let deploys = Shop::environment("beta", "deploys");
    for over in [json!({}), json!({"status": "succeeded"}), json!({"override": "it burns"})] {
        assert_ambiguous(&app.post(&deploys, &with(json!({"commit": fix}), &over)).await);
    }
    assert_ambiguous(&app.post(RELEASES, &json!({"version": "1", "commit": fix})).await);

    // It is not the fix where the fix is not of that repository.
    let verdict = async |repository: &str| app.get(&gate(repository)).await.ok()["verdict"].clone();
    assert_eq!(verdict("&repository=api").await, "unknown");
    two.record("beta", &base, Some("web")).await;
    assert_eq!(verdict("&repository=api").await, "blocked");
    let recorded = two.record("beta", &fix, Some("api")).await;
    assert_eq!((&recorded["repository"], &recorded["resolved"]), (&json!("api"), &json!([])));
    assert_eq!(two.status("SHOP-1").await, "fix_pending");
    assert_eq!(verdict("&repository=web").await, "clear");
    let deploy = app.post(&deploys, &named).await.ok();
    assert_eq!(two.shop.finish(&deploy, "succeeded").await["resolved"], json!(["SHOP-1"]));
    two.shop.stop().await;
});

both!(a_commit_that_nobody_has_is_deployed_to_a_named_repository, |engine: Engine| async move {
    let two = Two::start(engine, "c base", |_| "c root".to_owned()).await;
    let wish = json!({"commit": "7".repeat(40), "override": "it burns"});
    let deploys = Shop::environment("beta", "deploys");
    let refused = two.shop.app.post(&deploys, &wish).await;
    assert_eq!(refused.problem(), (422, "invalid".to_owned()));
    assert!(refused.text.contains("name its repository"), "{refused:?}");
    let named = with(wish, &json!({"repository": "web"}));
    assert_eq!(two.shop.app.post(&deploys, &named).await.ok()["repository"], "web");
    two.shop.stop().await;
});

both!(a_commit_that_comes_later_finds_its_repository, |engine: Engine| async move {
    let two = Two::start(engine, "c base", |_| "c root".to_owned()).await;
    let app = &two.shop.app;
    app.crashed(&two.shop.project, "KeyError").await;
    two.shop.lock("production", &json!({"issue": "SHOP-1"})).await;
    two.api.run("c cure; git update-ref refs/hidden/cure HEAD; git reset -q --hard HEAD~1");
    let (root, cure) = (two.of_api("root"), two.of_api("cure"));
    let fixed = two.shop.fix("SHOP-1", &cure).await.ok();
    assert_eq!(fixed["fix"]["commits"], json!([{"repository": null, "commit": cure}]));
    assert_eq!(fixed["fix"]["problem"], "unknown-commit");
    // It may belong to either: what is not pushed is in none.
    two.assert_blocked("production", &two.shop.sha("base")).await;
    two.assert_blocked("production", &root).await;
    let (_, kinds, _) = two.gate("production", &cure).await;
    assert_eq!(kinds, ["issue_lock", "commit_unknown"]);
    // Nobody guesses where what was deployed belongs.
    let deploys = Shop::environment("production", "deploys");
    let over = json!({"commit": cure, "status": "succeeded"});
    let refused = app.post(&deploys, &over).await;
    assert_eq!(refused.problem(), (422, "invalid".to_owned()));
    assert!(refused.json()["detail"].as_str().expect("a detail").contains("name its repository"));
    let refused = app.post(RELEASES, &json!({"version": "1", "commit": cure})).await;
    assert_eq!(refused.problem(), (422, "invalid".to_owned()));
    let in_its_build = two.shop.crash_in("KeyError", &format!("api@{root}")).await;
    assert_eq!(app.verdict(&in_its_build).await.0, "undetermined");

    app.clock.advance(HOUR);
    two.api.run("git reset -q --hard refs/hidden/cure");
    two.fetch_api().await;
    assert_eq!(two.shop.settled(&in_its_build).await.0, "suppressed");
    let issue = app.issue("SHOP-1").await;
    assert_eq!(issue["fix"]["commits"], json!([{"repository": "api", "commit": cure}]));
    assert_eq!(issue["fix"]["problem"], json!(null));
    two.assert_clear("production", &cure).await;
    two.shop.stop().await;
});

both!(a_release_of_both_is_announced_and_deployed_at_once, |engine: Engine| async move {
    let two = Two::start(engine, "c base; c fix", |_| "c root; c cure".to_owned()).await;
    let app = &two.shop.app;
    app.crashed(&two.shop.project, "KeyError").await;
    let lock = two.shop.lock("beta", &json!({"issue": "SHOP-1"})).await;
    let both =
        json!({"commits": [{"commit": two.shop.sha("fix")}, {"commit": two.of_api("cure")}]});
    app.put("/api/v1/issues/SHOP-1/fix", &both).await.ok();
    let announce = async |version: &str, web: &str, api: &str| {
        let path = format!("/api/0/organizations/acme/releases/{version}/");
        let new = json!({"version": version, "projects": ["shop"]});
        app.post("/api/0/organizations/acme/releases/", &new).await.ok();
        let refs =
            json!([{"repository": "web", "commit": web}, {"repository": "api", "commit": api}]);
        app.put(&path, &json!({"projects": ["shop"], "refs": refs})).await.ok();
        app.clock.advance(HOUR);
        app.post(&format!("{path}deploys/"), &json!({"environment": "beta"})).await.ok();
    };
    let (fix, cure) = (two.shop.sha("fix"), two.of_api("cure"));
    announce("1.0", &fix, &two.of_api("root")).await;
    assert_eq!(two.status("SHOP-1").await, "fix_pending");
    assert_eq!(two.said_in("KeyError", "1.0").await.0, "suppressed");
    assert_eq!(active(app, "beta").await, [lock["id"].as_str().expect("an id")]);
    announce("1.1", &fix, &cure).await;
    assert_eq!(two.status("SHOP-1").await, "resolved");
    assert!(active(app, "beta").await.is_empty());
    let shown = app.get(&format!("{RELEASES}/1.1")).await.ok();
    assert_eq!(shown["commits"].as_array().map(Vec::len), Some(2));
    assert_eq!(two.said_in("KeyError", "1.1").await.0, "regression");
    two.shop.stop().await;
});

both!(a_deploy_of_another_repository_proves_nothing, |engine: Engine| async move {
    let two = Two::start(engine, "c base; c page", |_| "c root; c cure; c more".to_owned()).await;
    let (page, cure, more) = (two.shop.sha("page"), two.of_api("cure"), two.of_api("more"));
    two.record("beta", &cure, None).await;
    two.register("9", &cure, "api").await;
    two.shop.crash_in("KeyError", "9").await;
    let fixed = two.shop.fix("SHOP-1", &cure).await.ok();
    assert_eq!(fixed["fix"]["problem"], "seen-in-release");
    two.shop.lock("production", &json!({"issue": "SHOP-1"})).await;
    two.shop.app.clock.advance(HOUR);

    assert_eq!(two.record("beta", &page, None).await["resolved"], json!([]));
    let issue = two.shop.app.issue("SHOP-1").await;
    assert_eq!(
        (&issue["status"], &issue["fix"]["problem"]),
        (&json!("fix_pending"), &json!("seen-in-release"))
    );
    let (verdict, ..) = two.gate("production", &cure).await;
    assert_ne!(verdict, "clear");

    assert_eq!(two.record("beta", &more, None).await["resolved"], json!(["SHOP-1"]));
    // What is deployed of its repository is what it is in, whatever was deployed since.
    two.record("beta", &two.shop.sha("base"), None).await;
    two.shop.app.crashed(&two.shop.project, "ValueError").await;
    two.shop.fix("SHOP-2", &two.of_api("root")).await.ok();
    until("the other one is resolved", async || two.status("SHOP-2").await == "resolved").await;
    let deployed = two.shop.app.issue("SHOP-2").await["fix"]["deployed"].clone();
    assert_eq!(deployed[0]["commit"], more, "{deployed}");
    two.shop.stop().await;
});
