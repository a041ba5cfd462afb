//! `sentry-cli` announces releases, their commits and their deploys.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Shop, active};
use crate::support::{Answer, Engine, SentryCli, TOKEN, both};

const RELEASES: &str = "/api/v1/projects/shop/releases";

impl Shop {
    /// Runs it in the working copy.
    async fn cli_as(&self, cli: SentryCli, token: &str, arguments: &[&str]) -> (bool, String) {
        let server = self.project.server();
        cli.run((&self.git.path(), &server, token), arguments).await
    }

    /// Runs it, and it goes well; gives what it said.
    async fn cli(&self, cli: SentryCli, arguments: &[&str]) -> String {
        let (is_well, said) = self.cli_as(cli, TOKEN, arguments).await;
        assert!(is_well, "{cli:?} {arguments:?}: {said}");
        said
    }

    /// Announces a release and its commits.
    async fn announce(&self, cli: SentryCli, version: &str, commits: &[&str]) {
        self.cli(cli, &["releases", "new", "-p", "shop", version]).await;
        let set = ["releases", "set-commits", version];
        self.cli(cli, &[&set[..], commits].concat()).await;
        self.cli(cli, &["releases", "finalize", version]).await;
    }

    /// Says that a release was deployed, by this test's clock.
    async fn announce_deploy(&self, cli: SentryCli, version: &str, environment: &str) {
        let now = (self.app.clock.now().as_micros() / 1_000_000).to_string();
        let deploy = ["deploys", "new", "-r", version, "-e", environment, "--finished", &now];
        self.cli(cli, &deploy).await;
    }

    /// The commits of a release.
    async fn release(&self, version: &str) -> Value {
        self.app.get(&format!("{RELEASES}/{version}")).await.ok()
    }

    async fn token(&self, wish: &Value) -> String {
        let made = self.app.post("/api/v1/tokens", wish).await.ok();
        made["token"].as_str().expect("a secret").to_owned()
    }
}

async fn the_life_of_a_fix(engine: Engine, cli: SentryCli) {
    let shop = Shop::start(engine, "c base; c fix; git remote add origin \"$PWD\"").await;
    let (base, fix) = (shop.sha("base"), shop.sha("fix"));
    assert!(shop.cli(cli, &["info", "--no-defaults"]).await.contains("deploy"));
    shop.announce(cli, "shop@1.0", &["--commit", &format!("web@{base}")]).await;
    let release = shop.release("shop@1.0").await;
    assert_eq!(release["commits"], json!([{"repository": "web", "commit": base}]));
    assert_eq!(release["rule"], "registered");
    shop.announce_deploy(cli, "shop@1.0", "beta").await;

    shop.crash_in("KeyError", "shop@1.0").await;
    shop.lock("production", &json!({"issue": "SHOP-1"})).await;
    shop.fix("SHOP-1", &fix).await.ok();
    let event = shop.crash_in("KeyError", "shop@1.0").await;
    assert_eq!(shop.settled(&event).await.0, "suppressed");
    shop.app.clock.advance(std::time::Duration::from_mins(1));
    shop.announce(cli, "shop@1.1", &["--auto"]).await;
    assert_eq!(shop.release("shop@1.1").await["commits"][0]["commit"], fix);
    // Finished is not deployed.
    assert_eq!(shop.state("SHOP-1").await.0, "fix_pending");
    shop.announce_deploy(cli, "shop@1.1", "Beta").await;
    assert_eq!(shop.state("SHOP-1").await.0, "resolved");
    shop.announce_deploy(cli, "shop@1.1", "PROD").await;
    let deploys = shop.app.all("/api/v1/projects/shop/deploys?environment=production").await;
    assert_eq!(deploys.len(), 1);
    assert_eq!(
        (&deploys[0]["gated"], &deploys[0]["version"], &deploys[0]["status"]),
        (&json!(false), &json!("shop@1.1"), &json!("succeeded"))
    );
    assert!(active(&shop.app, "production").await.is_empty());
    let event = shop.crash_in("KeyError", "shop@1.1").await;
    assert_eq!(shop.settled(&event).await.0, "regression");

    let listed = shop.cli(cli, &["releases", "list", "-p", "shop"]).await;
    assert!(listed.contains("shop@1.0") && listed.contains("shop@1.1"), "{listed}");
    let info = shop.cli(cli, &["releases", "info", "shop@1.1", "--show-commits"]).await;
    assert!(info.contains("shop@1.1"), "{info}");
    let deploys = shop.cli(cli, &["deploys", "list", "-r", "shop@1.1"]).await;
    assert!(deploys.contains("beta") && deploys.contains("production"), "{deploys}");
    shop.stop().await;
}

both!(version_2_drives_the_life_of_a_fix, |engine: Engine| async move {
    the_life_of_a_fix(engine, SentryCli::Two).await;
});

both!(version_3_drives_the_life_of_a_fix, |engine: Engine| async move {
    the_life_of_a_fix(engine, SentryCli::Three).await;
});

async fn without_access_to_the_repository(engine: Engine, cli: SentryCli) {
    let script = "c ancient; c old; c base; git tag first; c more; c fix; git tag second; c last";
    let shop = Shop::start_without_access(engine, script).await;
    shop.git.run("git checkout -q first");
    let local = ["--local", "--initial-depth", "2"];
    shop.announce(cli, "1.0", &local).await;
    let first = json!([{"repository": "origin", "commit": shop.sha("base")}]);
    assert_eq!(shop.release("1.0").await["commits"], first);
    shop.announce_deploy(cli, "1.0", "beta").await;
    shop.crash_in("KeyError", "1.0").await;
    shop.lock("production", &json!({"issue": "SHOP-1"})).await;

    shop.app.clock.advance(std::time::Duration::from_mins(1));
    shop.git.run("git checkout -q second");
    shop.announce(cli, "1.1", &local).await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    let event = shop.crash_in("KeyError", "1.0").await;
    assert_eq!(shop.settled(&event).await.0, "suppressed");
    assert_eq!(shop.gate("production", &shop.sha("base")).await["verdict"], "blocked");
    shop.app.clock.advance(std::time::Duration::from_mins(1));
    shop.git.run("git checkout -q main");
    shop.announce(cli, "1.2", &local).await;
    // The commits of a release and of those before it.
    assert_eq!(shop.gate("production", &shop.sha("last")).await["verdict"], "clear");
    shop.announce_deploy(cli, "1.2", "beta").await;
    assert_eq!(shop.state("SHOP-1").await.0, "resolved");
    let event = shop.crash_in("KeyError", "1.1").await;
    assert_eq!(shop.settled(&event).await.0, "regression");

    // What is older than all that was sent: nobody can tell.
    shop.crash_in("ValueError", "0.9").await;
    shop.lock("production", &json!({"issue": "SHOP-2"})).await;
    shop.fix("SHOP-2", &shop.sha("ancient")).await.ok();
    let event = shop.crash_in("ValueError", "1.2").await;
    assert_eq!(shop.app.verdict(&event).await.0, "undetermined");
    assert_ne!(shop.gate("production", &shop.sha("last")).await["verdict"], "clear");
    shop.stop().await;
}

both!(version_2_sends_commits_without_parents, |engine: Engine| async move {
    without_access_to_the_repository(engine, SentryCli::Two).await;
});

both!(version_3_sends_commits_without_parents, |engine: Engine| async move {
    without_access_to_the_repository(engine, SentryCli::Three).await;
});

/// A client that does not find the release before, and sends as many commits as it was told to.
async fn a_set_that_follows_nothing(cli: SentryCli) {
    let script = "c base text; c fix text; git tag first; on other base; c one text; c two text; c three text";
    let shop = Shop::start_without_access(Engine::Sqlite, script).await;
    shop.git.run("git checkout -q first");
    shop.announce(cli, "1.0", &["--local", "--initial-depth", "2"]).await;
    shop.crash_in("KeyError", "0.9").await;
    shop.lock("production", &json!({"issue": "SHOP-1"})).await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    assert_eq!(shop.gate("production", &shop.sha("fix")).await["verdict"], "clear");
    // Another line, in a checkout that has nothing else.
    let alone = shop.git.path().join("../alone");
    shop.git.run("git clone -q --single-branch -b other \"file://$PWD\" ../alone");
    shop.git.run("git -C ../alone remote remove origin");
    shop.app.clock.advance(std::time::Duration::from_mins(1));
    let server = shop.project.server();
    let in_alone = async |arguments: &[&str]| {
        let (is_well, said) = cli.run((&alone, &server, TOKEN), arguments).await;
        assert!(is_well, "{cli:?} {arguments:?}: {said}");
    };
    in_alone(&["releases", "new", "-p", "shop", "1.1"]).await;
    let set =
        ["releases", "set-commits", "1.1", "--local", "--initial-depth", "3", "--ignore-missing"];
    in_alone(&set).await;
    assert_eq!(shop.release("1.1").await["commits"][0]["commit"], shop.sha("three"));
    assert_eq!(shop.gate("production", &shop.sha("three")).await["verdict"], "unknown");
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_2_does_not_link_what_follows_nothing() {
    a_set_that_follows_nothing(SentryCli::Two).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_3_does_not_link_what_follows_nothing() {
    a_set_that_follows_nothing(SentryCli::Three).await;
}

/// A first set of one commit has none before it to begin the next one with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_after_a_single_commit_is_linked() {
    let shop = Shop::start_without_access(Engine::Sqlite, "c fix; c more").await;
    shop.git.run("git checkout -q --detach HEAD~");
    shop.announce(SentryCli::Two, "1.0", &["--local", "--initial-depth", "1"]).await;
    shop.git.run("git checkout -q main");
    shop.app.clock.advance(std::time::Duration::from_mins(1));
    shop.announce(SentryCli::Two, "1.1", &["--local"]).await;
    shop.crash_in("KeyError", "0.9").await;
    shop.lock("production", &json!({"issue": "SHOP-1"})).await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    assert_eq!(shop.gate("production", &shop.sha("more")).await["verdict"], "clear");
    shop.stop().await;
}

/// A set says what a release has, not what its commits descend from.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_within_a_set_proves_nothing() {
    let script = "c base; on topic; c side; on main; c fix; merge all topic";
    let shop = Shop::start_without_access(Engine::Sqlite, script).await;
    shop.announce(SentryCli::Three, "1.0", &["--local", "--initial-depth", "9"]).await;
    shop.crash_in("KeyError", "0.9").await;
    shop.lock("production", &json!({"issue": "SHOP-1"})).await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    assert_eq!(shop.gate("production", &shop.sha("all")).await["verdict"], "clear");
    for within in ["side", "fix", "base"] {
        let gate = shop.gate("production", &shop.sha(within)).await;
        assert_ne!(gate["verdict"], "clear", "{within}: {gate}");
        let said = gate["blockers"].to_string();
        assert!(said.contains("only listed with a release"), "{within}: {said}");
    }
    shop.stop().await;
}

async fn what_cannot_be_done_is_said(cli: SentryCli) {
    let shop = Shop::start(Engine::Sqlite, "c base; git tag v3.0").await;
    shop.app.create_project("blog").await;
    let deploy = |version: &'static str, environment: &'static str| {
        ["deploys", "new", "-r", version, "-e", environment]
    };
    shop.cli(cli, &["releases", "new", "-p", "shop", "2.0"]).await;
    shop.cli(cli, &["releases", "new", "-p", "shop", "v3.0"]).await;
    let refused = async |token: &str, arguments: &[&str], why: &str| {
        let (is_well, said) = shop.cli_as(cli, token, arguments).await;
        assert!(!is_well && said.contains(why), "{cli:?} {arguments:?}: {said}");
    };
    refused(TOKEN, &deploy("2.0", "beta"), "set-commits").await;
    refused(TOKEN, &deploy("2.0", "mars"), "it has beta, production").await;
    // Version 2 has words of its own.
    let unknown = match cli {
        SentryCli::Two => "Project not found",
        SentryCli::Three => "does not exist",
    };
    refused(TOKEN, &["releases", "new", "1.0", "-p", "nowhere"], unknown).await;
    refused(TOKEN, &["releases", "info", "9.9", "-p", "shop"], "").await;
    refused(TOKEN, &deploy("unheard-of", "beta"), "which project is meant: blog, shop").await;
    refused("airlock_wrong", &["info"], "").await;
    refused(&shop.project.key, &["releases", "new", "1", "-p", "shop"], "scope `deploy`").await;
    let reader = shop.token(&json!({"name": "reader", "scopes": ["read"]})).await;
    refused(&reader, &["releases", "new", "1", "-p", "shop"], "lacks the scope deploy").await;
    let bound = json!({"name": "ci", "scopes": ["deploy"], "projects": ["shop"]});
    let bound = shop.token(&bound).await;
    refused(&bound, &["releases", "new", "1", "-p", "blog"], unknown).await;

    let (_, said) = shop.cli_as(cli, &bound, &["releases", "delete", "9.9"]).await;
    assert!(said.contains("Did nothing"), "{said}");

    // Its version says what it is; the token says of which project.
    let now = (shop.app.clock.now().as_micros() / 1_000_000).to_string();
    let deploy = ["deploys", "new", "-r", "v3.0", "-e", "live", "--finished", &now];
    let (is_well, said) = shop.cli_as(cli, &bound, &deploy).await;
    assert!(is_well, "{said}");
    refused(TOKEN, &["releases", "delete", "v3.0", "-p", "shop"], "named by events or deploys")
        .await;
    shop.cli(cli, &["releases", "delete", "2.0", "-p", "shop"]).await;
    assert_eq!(shop.app.get(&format!("{RELEASES}/2.0")).await.problem().0, 404);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_2_says_what_cannot_be_done() {
    what_cannot_be_done_is_said(SentryCli::Two).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_3_says_what_cannot_be_done() {
    what_cannot_be_done_is_said(SentryCli::Three).await;
}

both!(bodies_that_make_no_sense_are_no_fault_of_the_server, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let base = shop.sha("base");
    let releases = "/api/0/organizations/acme/releases/";
    let one = "/api/0/projects/acme/shop/releases/1.0/";
    let deploys = "/api/0/organizations/acme/releases/1.0/deploys/";
    let commits = |id: &str, name: &str| json!({"commits": [{"id": id, "repository": name}]});
    for (method, path, body, status) in [
        (Method::POST, releases, "{".to_owned(), 400),
        (Method::POST, releases, "[]".to_owned(), 422),
        (Method::POST, releases, "{}".to_owned(), 422),
        (Method::POST, releases, json!({"version": "a\u{0}b"}).to_string(), 422),
        (Method::POST, releases, json!({"version": "x".repeat(251)}).to_string(), 422),
        (Method::POST, releases, json!({"version": 7}).to_string(), 422),
        (Method::POST, releases, json!({"version": "1", "projects": ["\u{0}"]}).to_string(), 422),
        (Method::PUT, one, json!({"dateReleased": "soon"}).to_string(), 422),
        (Method::PUT, one, json!({"refs": []}).to_string(), 422),
        (
            Method::PUT,
            one,
            json!({"refs": [{"repository": "web", "commit": "main"}]}).to_string(),
            422,
        ),
        (
            Method::PUT,
            one,
            json!({"refs": [{"repository": "no", "commit": base}]}).to_string(),
            422,
        ),
        (Method::PUT, one, commits("r17", "web").to_string(), 422),
        (Method::PUT, one, commits(&base, "a b").to_string(), 200),
        (Method::POST, deploys, "{}".to_owned(), 422),
        (
            Method::POST,
            deploys,
            json!({"environment": "beta", "dateStarted": "2020-01-01T00:01:00Z",
                "dateFinished": "2020-01-01T00:00:00Z"})
            .to_string(),
            422,
        ),
        (
            Method::POST,
            deploys,
            json!({"environment": "beta", "url": "x".repeat(501)}).to_string(),
            422,
        ),
        (Method::GET, "/api/0/organizations/acme/chunk-upload/", String::new(), 404),
        (Method::PATCH, one, String::new(), 405),
        (Method::GET, "/api/0/projects/acme/%00/releases/", String::new(), 404),
        (Method::GET, "/api/0/projects/acme/shop/releases/%00/", String::new(), 404),
        (Method::POST, "/api/0/projects/acme/shop/releases/%00/deploys/", "{}".to_owned(), 404),
    ] {
        let request = shop.app.api(method.clone(), path).body(body.clone());
        let answer = Answer::of(request).await;
        let short: String = body.chars().take(100).collect();
        assert_eq!(answer.status.as_u16(), status, "{method} {path} {short}: {answer:?}");
        if status >= 400 && status != 405 {
            assert!(answer.json()["detail"].is_string(), "{answer:?}");
        }
    }
    let unsaid = Answer::of(shop.app.request(Method::GET, "/api/0/")).await;
    assert_eq!(unsaid.status, 401);
    assert!(unsaid.json()["detail"].is_string());
    // With several repositories nobody guesses.
    let wish = json!({"name": "api", "url": "https://127.0.0.1:9/api"});
    shop.app.post("/api/v1/projects/shop/repositories", &wish).await.ok();
    let body = commits(&"5".repeat(40), "origin").to_string();
    let answer = Answer::of(shop.app.api(Method::PUT, one).body(body)).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(answer.json()["detail"].as_str().expect("a detail").contains("push it"));
    shop.stop().await;
});
