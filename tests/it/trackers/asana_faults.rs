//! Whatever fails on the way to Asana: one task, each comment once, and never more than it allows.

use std::time::Duration;

use serde_json::json;

use super::{Connected, delivered};
use crate::support::asana::{Failure, OAUTH, PAT};
use crate::support::{Engine, both, crash, pause, until, with};

const FAILURES: [Failure; 10] = [
    Failure::Drop,
    Failure::DropAnswer,
    Failure::Hang,
    Failure::HangAfter,
    Failure::Status(500),
    Failure::StatusAfter(500),
    Failure::StatusAfter(503),
    Failure::RateLimited(3),
    Failure::Late(300),
    Failure::Status(504),
];

async fn once(engine: Engine, token: &str) {
    let connected = Connected::start(engine, token).await;
    let Connected { app, shop, asana, .. } = &connected;
    let mut n_issues = 0;
    let lookups = [None, Some(Failure::Drop), Some(Failure::Status(500)), Some(Failure::Late(200))];
    for (n, failure) in FAILURES.into_iter().enumerate() {
        n_issues += 1;
        let id = format!("SHOP-{n_issues}");
        asana.fail("POST", "/tasks", 1, failure);
        if let Some(lookup) = lookups[n % lookups.len()] {
            asana.fail("GET", "*", 2, lookup);
        }
        let event = with(crash("KeyError"), &json!({"fingerprint": [id]}));
        app.send(shop, &event).await;
        connected.delivered().await;
        connected.task(&id);
        asana.heal();

        asana.fail("POST", "/tasks/*/stories", 1, failure);
        asana.fail("PUT", "/tasks/*", 1, failure);
        app.act(&id, "comment", json!({"text": "hi"})).await.ok();
        app.act(&id, "resolve", json!({})).await.ok();
        connected.delivered().await;
        let said = ["bootstrap: hi", "bootstrap resolved it"];
        assert_eq!(connected.comments(&id), said, "{failure:?}");
        assert!(connected.task(&id).completed, "{failure:?}");
        asana.heal();
    }
    assert_eq!(asana.tasks().len(), n_issues);
    assert_eq!(app.stored_number("SELECT COUNT(*) FROM outbox WHERE state <> 'done'").await, 0);
    connected.app.stop().await;
}

both!(one_task_whatever_fails_with_oauth, |engine: Engine| once(engine, OAUTH));
both!(one_task_whatever_fails_with_a_personal_token, |engine: Engine| once(engine, PAT));

both!(a_task_that_was_cut_off_is_found_after_a_restart, |engine: Engine| async move {
    let long = Duration::from_secs(30);
    let connected = Connected::start_with(engine, PAT, long).await;
    connected.asana.fail("POST", "/tasks", 1, Failure::HangAfter);
    connected.app.crashed(&connected.shop, "KeyError").await;
    until("the task is being made", async || !connected.asana.asked("POST", "/tasks").is_empty())
        .await;
    // It ends in the middle.
    let app = connected.app.restart().await;
    delivered(&app).await;
    let connected = Connected { app, ..connected };
    connected.task("SHOP-1");
    assert_eq!(connected.asana.asked("POST", "/tasks").len(), 1);
    connected.app.stop().await;
});

both!(a_copy_and_a_report_are_not_taken_for_the_task, |engine: Engine| async move {
    let connected = Connected::start(engine, PAT).await;
    let Connected { app, shop, asana, errors } = &connected;
    app.crashed(shop, "KeyError").await;
    connected.delivered().await;
    let task = connected.task("SHOP-1");
    let mark = task.notes.lines().last().expect("a line").to_owned();
    asana.duplicate(&task.gid);
    let other =
        json!({"name": "x", "notes": format!("{mark}\nsays a report"), "projects": [errors]});
    asana.by_hand("POST", "/tasks", &other);
    // As if the process had died after the task was made, and before that was written down.
    for sql in [
        "UPDATE tasks SET remote_id = NULL, url = NULL, written = NULL",
        "UPDATE outbox SET state = 'sending'",
        "INSERT INTO lanes (project_id, lane, try_at, n_failures)
            SELECT DISTINCT project_id, lane, 0, 0 FROM outbox",
    ] {
        app.change_store(&format!("{sql} WHERE CAST($1 AS BYTEA) IS NOT NULL"), &[]).await;
    }
    asana.by_hand("PUT", &format!("/tasks/{}", task.gid), &json!({"completed": true}));
    connected.delivered().await;
    assert_eq!(app.issue("SHOP-1").await["task"]["id"], json!(task.gid));
    assert!(!asana.task(&task.gid).completed);
    assert_eq!((asana.asked("POST", "/tasks").len(), asana.tasks().len()), (1, 3));
    connected.app.stop().await;
});

both!(no_more_is_asked_than_asana_allows, |engine: Engine| async move {
    let connected = Connected::start(engine, OAUTH).await;
    let Connected { app, shop, asana, .. } = &connected;
    asana.limit(150);
    for n in 0..300 {
        let event = with(crash("KeyError"), &json!({"fingerprint": [n.to_string()]}));
        app.send_event(shop, &event).await.ok();
    }
    app.digested().await;
    // While the clock stands still there is one minute, and it is used up.
    let asked = || asana.asked("*", "*").len();
    until("a minute's worth is asked", async || asked() >= 150).await;
    pause(1_000).await;
    assert_eq!(asked(), 150);
    connected.delivered().await;
    assert_eq!(asana.tasks().len(), 300);
    let refused = asana.asked("*", "*").iter().filter(|one| one.status == Some(429)).count();
    assert_eq!(refused, 0);
    // Waiting is no failure, and who waits is not tried again and again.
    let tries = "SELECT CAST(MAX(n_tries) AS BIGINT) FROM outbox";
    let most_tries = app.stored_number(tries).await;
    assert!(most_tries < 8, "{most_tries}");
    connected.app.stop().await;
});

both!(a_tracker_that_is_away_rests, |engine: Engine| async move {
    let connected = Connected::start(engine, OAUTH).await;
    let Connected { app, shop, asana, .. } = &connected;
    asana.fail("POST", "/tasks", 1_000, Failure::Status(500));
    asana.fail("GET", "/tasks/*", 1_000, Failure::Drop);
    app.crashed(shop, "KeyError").await;
    until("it rests", async || {
        app.clock.advance(Duration::from_secs(1));
        let status = app.get("/status.json").await.ok();
        status["parts"]["asana"]["state"] == "down"
    })
    .await;
    let status = app.get("/status.json").await.ok();
    assert!(status["parts"]["asana"]["last_error"].is_string(), "{status}");
    asana.heal();
    connected.delivered().await;
    connected.task("SHOP-1");
    assert_eq!(app.get("/status.json").await.ok()["parts"]["asana"]["state"], "ok");
    connected.app.stop().await;
});

both!(what_was_refused_is_tried_again_when_the_tracker_is_mended, |engine: Engine| async move {
    let connected = Connected::start(engine, PAT).await;
    let Connected { app, shop, asana, .. } = &connected;
    for again in ["set", "checked"] {
        let n_before = asana.tasks().len();
        asana.fail("POST", "/tasks", 9, Failure::Status(403));
        app.send(shop, &with(crash("KeyError"), &json!({"fingerprint": [again]}))).await;
        connected.delivered().await;
        assert_eq!(
            app.stored_number("SELECT COUNT(*) FROM outbox WHERE state = 'parked'").await,
            1
        );
        assert_eq!(asana.tasks().len(), n_before);
        asana.heal();
        if again == "set" {
            connected.connect(PAT, &json!({})).await;
        } else {
            app.post("/api/v1/projects/shop/tracker/check", &json!({})).await.ok();
        }
        connected.delivered().await;
        assert_eq!(asana.tasks().len(), n_before + 1);
        assert_eq!(app.stored_number("SELECT COUNT(*) FROM outbox WHERE state <> 'done'").await, 0);
    }
    connected.app.stop().await;
});
