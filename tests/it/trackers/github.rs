//! Tasks in GitHub: the fake is what a stock client expects, tasks follow their issues, and there is one
//! for each whatever fails.

use std::time::Duration;

use airlock::clock::Clock;
use airlock::domain::time::Timestamp;
use airlock::domain::tracker::Board;
use airlock::tracker::{Tracker as _, TrackerError};
use serde_json::{Value, json};

use super::boards::{tracker, wanted};
use super::{TRACKER, delivered};
use crate::support::asana::Failure;
use crate::support::github::{
    BOT, GitHub, Issue, Limit, PERSON, READ_ONLY, REPOSITORY, Role, STRANGER, TOKEN, effects,
};
use crate::support::{
    Engine, TestApp, TestProject, both, crash, github_client, pause, until, with,
};

const ISSUES: &str = "/repos/acme/shop/issues";
const ISSUE: &str = "/repos/acme/shop/issues/*";
const COMMENTS: &str = "/repos/acme/shop/issues/*/comments";

/// A shop where every error is serious, whose tasks are in GitHub.
pub(super) struct Connected {
    pub(super) app: TestApp,
    pub(super) shop: TestProject,
    pub(super) github: GitHub,
}

impl Connected {
    pub(super) async fn start(engine: Engine) -> Self {
        Self::start_with(engine, Duration::from_secs(1)).await
    }

    async fn start_with(engine: Engine, timeout: Duration) -> Self {
        let app = TestApp::start_with(engine, |config| config.tracker_timeout = timeout).await;
        let shop = app.create_project("shop").await;
        let rules = json!({"rules": [{"events": 1}], "most_tasks_per_hour": 1000});
        app.put("/api/v1/projects/shop/rules/filing", &rules).await.ok();
        let github = GitHub::start(app.clock.clone()).await;
        let connected = Self { app, shop, github };
        let set = connected.connect(&json!({})).await;
        assert!(
            set["checks"].as_array().expect("a list").iter().all(|one| one["ok"] == true),
            "{set}"
        );
        connected.github.forget_asked();
        connected
    }

    /// Sets the tracker, with more settings.
    pub(super) async fn connect(&self, more: &Value) -> Value {
        let mut settings = json!({
            "kind": "github", "url": self.github.url, "token": TOKEN, "repository": REPOSITORY,
        });
        let fields = settings.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        let set = self.app.put(TRACKER, &settings).await;
        assert!(!set.text.contains("github_pat"), "{set:?}");
        set.ok()
    }

    /// The only task of an issue.
    pub(super) fn task(&self, id: &str) -> Issue {
        let title = format!("{id} ");
        let mut own = self.github.issues();
        own.retain(|issue| issue.title.starts_with(&title));
        assert_eq!(own.len(), 1, "{id}: {own:?}");
        own.remove(0)
    }

    pub(super) fn comments(&self, id: &str) -> Vec<String> {
        self.task(id).said()
    }
}

#[tokio::test]
async fn a_stock_client_works_with_the_fake() {
    let now = Timestamp::parse("2026-11-22T12:00:00Z").expect("a time");
    for step in
        ["issues", "pages", "comments", "labels", "people", "history", "refused", "limits", "gone"]
    {
        let github = GitHub::start(Clock::stopped(now)).await;
        for limit in [Limit::Primary(60), Limit::Secondary(1), Limit::Unsaid, Limit::TooQuick] {
            let n = usize::from(step == "limits");
            github.limit("POST", ISSUES, n, limit);
        }
        if step == "gone" {
            github.by_hand(PERSON, "POST", "/issues", &json!({"title": "x"}));
            github.delete(1);
        }
        let variables = [
            ("GITHUB_API", github.url.as_str()),
            ("GITHUB_TOKEN", TOKEN),
            ("GITHUB_REPOSITORY", REPOSITORY),
        ];
        github_client(step, &variables).await;
    }
}

both!(a_task_in_github_follows_its_issue, |engine: Engine| async move {
    let connected = Connected::start(engine).await;
    let Connected { app, shop, github } = &connected;
    app.crashed(shop, "KeyError").await;
    delivered(app).await;
    let task = connected.task("SHOP-1");
    assert_eq!((task.is_closed, task.labels.as_slice()), (false, &["airlock".to_owned()][..]));
    assert!(task.body.contains("shop.cart in checkout"), "{}", task.body);
    assert!(task.body.lines().last().is_some_and(|line| line.starts_with("Airlock · ")));
    let shown = app.issue("SHOP-1").await["task"].clone();
    assert_eq!(
        (&shown["tracker"], &shown["id"], &shown["error"]),
        (&json!("github"), &json!("1"), &Value::Null)
    );
    assert_eq!(shown["url"], "https://github.com/acme/shop/issues/1");

    app.act("SHOP-1", "assign", json!({"to": "Zoe"})).await.ok();
    app.act("SHOP-1", "comment", json!({"text": "it is <the> cart & more"})).await.ok();
    app.act("SHOP-1", "resolve", json!({})).await.ok();
    delivered(app).await;
    let task = connected.task("SHOP-1");
    assert_eq!((task.is_closed, task.reason.as_deref()), (true, Some("completed")));
    assert_eq!(task.assignees, [PERSON]);
    let said = ["bootstrap: it is <the> cart & more", "bootstrap resolved it"];
    assert_eq!(connected.comments("SHOP-1"), said);

    // Whom GitHub does not know costs nothing; and what a person changes meanwhile is theirs.
    github.by_hand(PERSON, "PATCH", "/issues/1", &json!({"title": "SHOP-1 cart"}));
    for nobody in ["mallory", "somebody else"] {
        app.act("SHOP-1", "assign", json!({"to": nobody})).await.ok();
    }
    app.clock.advance(Duration::from_hours(1));
    app.crashed(shop, "KeyError").await;
    delivered(app).await;
    let task = connected.task("SHOP-1");
    assert_eq!((task.is_closed, task.title.as_str()), (false, "SHOP-1 cart"));
    assert_eq!(task.assignees, [PERSON]);
    let came_back = connected.comments("SHOP-1").pop().expect("a comment");
    assert!(came_back.starts_with("It came back"), "{came_back}");

    // Somebody deletes it: it stays so until it comes back.
    github.delete(1);
    app.act("SHOP-1", "resolve", json!({})).await.ok();
    delivered(app).await;
    assert_eq!(app.issue("SHOP-1").await["task"]["state"], "deleted");
    assert!(github.issues().is_empty());
    app.clock.advance(Duration::from_hours(1));
    app.crashed(shop, "KeyError").await;
    delivered(app).await;
    assert_eq!((connected.task("SHOP-1").number, connected.task("SHOP-1").is_closed), (2, false));
    assert_eq!(app.stored_number("SELECT COUNT(*) FROM outbox WHERE state = 'parked'").await, 0);
    connected.app.stop().await;
});

const FAILURES: [Failure; 8] = [
    Failure::Drop,
    Failure::DropAnswer,
    Failure::Hang,
    Failure::HangAfter,
    Failure::Status(500),
    Failure::StatusAfter(502),
    Failure::RateLimited(3),
    Failure::Late(300),
];

const LIMITS: [Limit; 5] =
    [Limit::Primary(90), Limit::Secondary(30), Limit::Unsaid, Limit::TooMany(2), Limit::TooQuick];

both!(one_task_in_github_whatever_fails, |engine: Engine| async move {
    let connected = Connected::start(engine).await;
    let Connected { app, shop, github } = &connected;
    for n in 0..FAILURES.len() + LIMITS.len() {
        let id = format!("SHOP-{}", n + 1);
        let trouble = |method: &str, path: &str| match FAILURES.get(n) {
            Some(failure) => github.fail(method, path, 1, *failure),
            None => github.limit(method, path, 1, LIMITS[n - FAILURES.len()]),
        };
        trouble("POST", ISSUES);
        if n % 3 == 1 {
            github.fail("GET", "*", 2, Failure::Drop);
        }
        app.send(shop, &with(crash("KeyError"), &json!({"fingerprint": [id]}))).await;
        delivered(app).await;
        connected.task(&id);
        github.heal();

        trouble("POST", COMMENTS);
        trouble("PATCH", ISSUE);
        app.act(&id, "comment", json!({"text": "hi"})).await.ok();
        app.act(&id, "resolve", json!({})).await.ok();
        delivered(app).await;
        assert_eq!(connected.comments(&id), ["bootstrap: hi", "bootstrap resolved it"], "{n}");
        assert!(connected.task(&id).is_closed, "{n}");
        github.heal();
    }
    assert_eq!(github.issues().len(), FAILURES.len() + LIMITS.len());
    assert_eq!(app.stored_number("SELECT COUNT(*) FROM outbox WHERE state <> 'done'").await, 0);
    connected.app.stop().await;
});

both!(a_task_in_github_that_was_cut_off_is_found_after_a_restart, |engine: Engine| async move {
    let connected = Connected::start_with(engine, Duration::from_secs(30)).await;
    // It is made, but without its label: the user may not set any more.
    connected.github.let_be(BOT, Role::Read);
    for n in 0..120 {
        let other = json!({"title": format!("other {n}"), "body": "Airlock · 1"});
        connected.github.by_hand(PERSON, "POST", "/issues", &other);
    }
    connected.github.pull("Airlock · 1");
    connected.github.fail("POST", ISSUES, 1, Failure::HangAfter);
    connected.app.crashed(&connected.shop, "KeyError").await;
    until("the task is made", async || connected.github.issues().len() == 121).await;
    let app = connected.app.restart().await;
    connected.github.let_be(BOT, Role::Write);
    delivered(&app).await;
    let connected = Connected { app, ..connected };
    connected.task("SHOP-1");
    assert_eq!(connected.github.asked("POST", ISSUES).len(), 1);
    connected.app.stop().await;
});

both!(what_others_write_in_github_is_not_taken_for_the_task, |engine: Engine| async move {
    let connected = Connected::start(engine).await;
    let Connected { app, shop, github } = &connected;
    // Somebody who knows the key is first.
    app.clock.advance(Duration::from_secs(1));
    app.crashed(shop, "KeyError").await;
    delivered(app).await;
    let task = connected.task("SHOP-1");
    let mark = task.body.lines().last().expect("a line").to_owned();
    github.delete(task.number);
    let forged = json!({"title": "x", "body": format!("hi\n{mark}")});
    github.by_hand(STRANGER, "POST", "/issues", &forged);
    github.pull(&mark);
    // As if the process had died while it was made.
    for sql in [
        "UPDATE tasks SET remote_id = NULL, url = NULL, written = NULL",
        "UPDATE outbox SET state = 'sending'",
        "INSERT INTO lanes (project_id, lane, try_at, n_failures)
            SELECT DISTINCT project_id, lane, 0, 0 FROM outbox",
    ] {
        app.change_store(&format!("{sql} WHERE CAST($1 AS BYTEA) IS NOT NULL"), &[]).await;
    }
    delivered(app).await;
    let task = connected.task("SHOP-1");
    assert_eq!((task.user.as_str(), task.body.lines().last()), (BOT, Some(mark.as_str())));
    assert_eq!(github.issues().iter().filter(|issue| issue.user == STRANGER).count(), 1);
    assert_eq!(app.issue("SHOP-1").await["task"]["id"], task.number.to_string());
    connected.app.stop().await;
});

both!(hostile_texts_do_nothing_in_github, |engine: Engine| async move {
    let connected = Connected::start(engine).await;
    let Connected { app, shop, github } = &connected;
    let nasty = [
        "Fixes #1, closes acme/shop#1 and resolves GH-1 @acme/team @zoe",
        "~~~~\n@zoe #1\n~~~\n```\n@zoe",
        "https://github.com/acme/shop/issues/1 4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f",
        "<!-- --> <details><script>@zoe</script> ![x](https://evil.example/x.png)",
        "a\u{0}b\u{8}\u{1b}[31m\u{7f}\u{85}\u{fffe}\u{ffff}",
        "\u{202e}emoji 🦀 \u{10ffff}",
        "Airlock · 00000000000000000000000000000000/1",
    ];
    for text in nasty {
        let frame = json!({"filename": text, "function": text, "lineno": 7, "in_app": true});
        let value = json!({"type": text, "value": text.repeat(200),
            "stacktrace": {"frames": vec![frame; 30]}});
        let fields = json!({"fingerprint": [text], "environment": "production", "release": text,
            "exception": {"values": [value]}, "transaction": text});
        app.send(shop, &with(crash("x"), &fields)).await;
    }
    delivered(app).await;
    app.act("SHOP-1", "comment", json!({"text": "~~~\n@zoe fixes #1"})).await.ok();
    delivered(app).await;
    let issues = github.issues();
    assert_eq!(issues.len(), app.all("/api/v1/projects/shop/issues").await.len());
    for issue in &issues {
        let comments = issue.comments.iter().map(|comment| &comment.body);
        for text in comments.chain([&issue.body]) {
            let (text, mark) = text.rsplit_once('\n').expect("lines");
            assert!(mark.starts_with("Airlock · "), "{mark}");
            let own = app.url("");
            let found: Vec<_> =
                effects(text).into_iter().filter(|one| !one.starts_with(&own)).collect();
            assert_eq!(found, Vec::<String>::new(), "{text}");
        }
    }
    assert_eq!(issues.iter().map(|issue| issue.comments.len()).sum::<usize>(), 1);
    assert!(github.asked("*", "*").iter().all(|one| one.status < Some(400)));
    connected.app.stop().await;
});

both!(no_more_is_asked_than_github_allows, |engine: Engine| async move {
    let connected = Connected::start(engine).await;
    let Connected { app, shop, github } = &connected;
    app.clock.advance(Duration::from_mins(1));
    github.count();
    for n in 0..120 {
        let event = with(crash("KeyError"), &json!({"fingerprint": [n.to_string()]}));
        app.send_event(shop, &event).await.ok();
    }
    app.digested().await;
    // While the clock stands still there is one minute, and it is used up.
    let asked = || github.asked("*", "*").len();
    until("a minute's worth is asked", async || asked() >= 80).await;
    pause(1_000).await;
    assert_eq!(asked(), 80);
    delivered(app).await;
    assert_eq!(github.issues().len(), 120);
    assert!(github.asked("*", "*").iter().all(|one| one.status < Some(400)));
    connected.app.stop().await;
});

both!(a_limit_of_github_makes_everything_rest, |engine: Engine| async move {
    let connected = Connected::start(engine).await;
    let Connected { app, shop, github } = &connected;
    github.limit("POST", ISSUES, 1, Limit::Primary(600));
    app.crashed(shop, "KeyError").await;
    until("it is asked", async || !github.asked("POST", ISSUES).is_empty()).await;
    app.send(shop, &with(crash("KeyError"), &json!({"fingerprint": ["2"]}))).await;
    app.clock.advance(Duration::from_secs(590));
    pause(500).await;
    assert_eq!(github.asked("POST", "*").len(), 1);
    let status = app.get("/status.json").await.ok();
    assert_eq!(status["parts"]["github"]["state"], "degraded", "{status}");
    app.clock.advance(Duration::from_secs(20));
    delivered(app).await;
    connected.task("SHOP-1");
    connected.task("SHOP-2");
    connected.app.stop().await;
});

both!(locks_and_deploys_have_labels_in_github, |engine: Engine| async move {
    let connected = Connected::start(engine).await;
    let Connected { app, github, .. } = &connected;
    let (locks, deploys) = ("airlock: lock beta", "airlock/deploy beta?");
    let labels = json!({"beta": {"lock_label": locks, "deploy_label": deploys}});
    let set = connected.connect(&json!({"environments": labels})).await;
    assert_eq!(set["checks"][5]["name"], "beta.deploy_label", "{set}");
    assert!(github.labels().contains(&deploys.to_owned()), "{set}");
    let path = "/api/v1/projects/shop/environments/beta/locks";
    let made = app.post(path, &json!({"reason": "the database moves"})).await.ok();
    delivered(app).await;
    let task = github.labelled(locks);
    assert_eq!((task.len(), task[0].is_closed), (1, false), "{task:?}");
    let id = made["id"].as_str().expect("an id");
    app.delete(&format!("/api/v1/locks/{id}")).await.ok();
    delivered(app).await;
    assert!(github.labelled(locks)[0].is_closed);

    let tracker = tracker(app).await;
    let (board, start) = (Board::Deploys("beta".to_owned()), Timestamp::from_micros(0));
    let deploy = tracker.create(&board, "deploy/1", &wanted("Deploy 1")).await.expect("a task");
    for since in [start, app.clock.now()] {
        let found = tracker.find(&board, "deploy/1", since).await.expect("an answer");
        assert_eq!(found.as_slice(), std::slice::from_ref(&deploy));
    }
    for is_on in [true, true, false, false] {
        tracker.set_board(&deploy.id, &Board::Issues, is_on).await.expect("done");
        assert_eq!(github.labelled("airlock").len(), usize::from(is_on));
    }
    let none = tracker.create(&Board::Locks("production".to_owned()), "x", &wanted("x")).await;
    assert!(matches!(none, Err(TrackerError::Refused(why)) if why.contains("lock_label")));
    connected.app.stop().await;
});

both!(what_is_gone_in_github_is_told_from_what_is_not_seen, |engine: Engine| async move {
    let connected = Connected::start(engine).await;
    let Connected { app, github, .. } = &connected;
    let tracker = tracker(app).await;
    let mut ids = Vec::new();
    for n in 0..3 {
        let made = tracker.create(&Board::Issues, &format!("k/{n}"), &wanted("x")).await;
        ids.push(made.expect("a task").id);
    }
    let done = airlock::domain::task::Patch { is_done: Some(true), ..Default::default() };
    let update = async |id: &str| tracker.update(id, "k", &done).await;
    let refused = |done: Result<(), TrackerError>, why: &str| match done {
        Err(TrackerError::Refused(said)) => assert!(said.contains(why), "{said}"),
        other => panic!("not {why} but {other:?}"),
    };
    github.delete(1);
    assert_eq!(update(&ids[0]).await, Err(TrackerError::Gone));
    assert_eq!(tracker.say(&ids[0], "k", "x").await, Err(TrackerError::Gone));
    assert_eq!(tracker.has_said(&ids[0], "k").await, Err(TrackerError::Gone));
    github.transfer(2);
    assert_eq!(update(&ids[1]).await, Err(TrackerError::Gone));

    // That nothing is seen at all is about the repository, not about the task.
    github.let_be(BOT, Role::None);
    refused(update(&ids[2]).await, "not with this token");
    let found = tracker.find(&Board::Issues, "k/2", Timestamp::from_micros(0)).await;
    assert!(matches!(found, Err(TrackerError::Refused(_))), "{found:?}");
    github.let_be(BOT, Role::Write);
    github.set(|repository| repository.has_issues = false);
    refused(update(&ids[2]).await, "turned off");
    github.set(|repository| (repository.has_issues, repository.is_archived) = (true, true));
    refused(update(&ids[2]).await, "archived");
    github.set(|repository| {
        repository.is_archived = false;
        repository.name = "acme/store".to_owned();
    });
    refused(update(&ids[2]).await, "set its new name");
    github.set(|repository| repository.name = REPOSITORY.to_owned());
    // Who made it may close it; who may not comment is told why.
    github.by_hand(PERSON, "PUT", "/issues/3/lock", &json!({}));
    github.let_be(BOT, Role::Triage);
    refused(tracker.say(&ids[2], "k", "x").await, "issue is locked");
    assert_eq!(update(&ids[2]).await, Ok(()));
    connected.app.stop().await;
});

both!(checks_of_github_say_what_to_do, |engine: Engine| async move {
    let connected = Connected::start(engine).await;
    let Connected { app, github, .. } = &connected;
    // What is the last check, and what it says.
    let last = async |more: Value| {
        let checks = connected.connect(&more).await["checks"].as_array().expect("a list").clone();
        let failed = checks.iter().find(|check| check["ok"] == false).or(checks.last());
        let failed = failed.expect("a check").clone();
        let text = |name: &str| failed[name].as_str().unwrap_or_default().to_owned();
        (text("name"), text("detail") + " - " + &text("hint"))
    };
    let says = |(name, text): (String, String), wanted: &str, words: &str| {
        assert_eq!(name, wanted, "{text}");
        assert!(text.contains(words), "{text}");
    };
    says(last(json!({"token": "github_pat_wrong"})).await, "token", "make a new one");
    says(last(json!({"repository": "acme/other"})).await, "repository", "owner/name");
    says(last(json!({"token": READ_ONLY})).await, "issues", "Issues: Read and write");
    says(last(json!({"url": "http://127.0.0.1:1"})).await, "token", "cannot be reached");
    github.let_be(BOT, Role::Read);
    says(last(json!({})).await, "repository", "may only read");
    github.let_be(BOT, Role::Triage);
    says(last(json!({"issue_label": "new"})).await, "issue_label", "make this label");
    github.let_be(BOT, Role::Write);
    says(last(json!({"issue_label": "new"})).await, "issue_label", "new, made now");
    says(last(json!({"issue_label": "NEW"})).await, "issue_label", "NEW");
    github.set(|repository| repository.has_issues = false);
    says(last(json!({})).await, "repository", "turn them on");
    github.set(|repository| (repository.has_issues, repository.is_archived) = (true, true));
    says(last(json!({})).await, "repository", "is archived");
    github.set(|repository| repository.is_archived = false);
    assert!(github.issues().is_empty());
    for wrong in [
        json!({"repository": "shop"}),
        json!({"repository": "acme/../shop"}),
        json!({"issue_label": ""}),
        json!({"issue_label": "a,b"}),
        json!({"issue_label": "x".repeat(51)}),
        json!({"environments": {"beta": {"lock_label": "Airlock"}}}),
        json!({"environments": {"beta": {"lock_project": "x"}}}),
        json!({"environments": {"staging": {}}}),
        json!({"poll_seconds": 1}),
        json!({"fix_field": "1"}),
    ] {
        let mut settings = json!({"kind": "github", "url": github.url, "token": TOKEN,
            "repository": REPOSITORY});
        let fields = settings.as_object_mut().expect("an object");
        fields.extend(wrong.as_object().expect("an object").clone());
        let refused = app.put(TRACKER, &settings).await;
        assert_eq!(refused.problem(), (422, "invalid".to_owned()), "{wrong}");
        assert!(!refused.text.contains(TOKEN), "{refused:?}");
    }
    connected.connect(&json!({"environments": {"prod": {"lock_label": "locks"}}})).await;
    let shown = app.get(TRACKER).await;
    assert!(!shown.text.contains(TOKEN), "{shown:?}");
    assert_eq!(
        shown.ok(),
        json!({
            "kind": "github", "url": github.url, "repository": REPOSITORY, "issue_label": "airlock",
            "environments": {"production": {"lock_label": "locks", "deploy_label": null}},
            "poll_seconds": 60, "reconcile_seconds": 600,
        })
    );
    connected.app.stop().await;
});

both!(what_a_token_of_github_is_refused_for_waits_for_another, |engine: Engine| async move {
    let connected = Connected::start(engine).await;
    let Connected { app, shop, github } = &connected;
    github.revoke(TOKEN);
    app.crashed(shop, "KeyError").await;
    until("the tracker is down", async || {
        let status = app.get("/status.json").await.ok();
        status["parts"]["github"]["state"] == "down"
    })
    .await;
    let n_asked = github.asked("*", "*").len();
    app.act("SHOP-1", "comment", json!({"text": "x"})).await.ok();
    pause(300).await;
    assert_eq!(github.asked("*", "*").len(), n_asked);
    // The permission is missing: what was to be done is kept, with the reason.
    connected.connect(&json!({"token": READ_ONLY})).await;
    until("it is parked", async || {
        app.clock.advance(Duration::from_mins(1));
        app.stored_number("SELECT COUNT(*) FROM outbox WHERE state = 'parked'").await > 0
    })
    .await;
    let parked = app.get("/api/v1/outbox?state=parked").await;
    assert!(parked.text.contains("Issues: Read and write"), "{parked:?}");
    connected.app.stop().await;
});
