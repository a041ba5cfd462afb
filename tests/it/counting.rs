//! What an issue counts, and whose word on it is taken.

use std::time::Duration;

use airlock::domain::time::Timestamp;
use serde_json::{Value, json};

use crate::support::{Answer, Engine, TestApp, TestProject, both, crash, with};

const HOUR: Duration = Duration::from_hours(1);

async fn shop(engine: Engine) -> (TestApp, TestProject) {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    (app, shop)
}

/// Sends events one right after the other and waits until all are digested.
async fn send_all(app: &TestApp, shop: &TestProject, events: impl IntoIterator<Item = Value>) {
    for event in events {
        app.send_event(shop, &event).await.ok();
    }
    app.digested().await;
}

/// The ids of all issues of the shop, in the order of their numbers.
async fn issue_ids(app: &TestApp) -> Vec<String> {
    let issues = app.all("/api/v1/projects/shop/issues").await;
    let number = |id: &str| id.rsplit('-').next().and_then(|number| number.parse::<u64>().ok());
    let mut ids: Vec<_> =
        issues.iter().filter_map(|issue| issue["id"].as_str().map(str::to_owned)).collect();
    ids.sort_by_key(|id| number(id));
    ids
}

both!(events_counted_are_events_listed_and_the_sum_of_the_hours, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    for n in 0..5_u64 {
        for _ in 0..7 {
            app.crash(&shop, "KeyError").await;
        }
        app.crash(&shop, "ValueError").await;
        // Within a batch, and over batches: some hours have several.
        if n % 2 == 0 {
            app.digested().await;
        }
        app.clock.advance(HOUR / 2);
    }
    app.digested().await;
    assert_eq!(issue_ids(&app).await, ["SHOP-1", "SHOP-2"]);
    for (id, n_events) in [("SHOP-1", 35), ("SHOP-2", 5)] {
        assert_eq!(app.issue(id).await["events"], n_events);
        assert_eq!(app.all(&format!("/api/v1/issues/{id}/events")).await.len(), n_events);
    }
    let hours = app.stored_texts(
        "SELECT CAST(SUM(issue_counts.n_events) AS TEXT) FROM issue_counts
        JOIN issues ON issues.id = issue_counts.issue_id GROUP BY issues.number
        ORDER BY issues.number",
    );
    assert_eq!(hours.await, ["35", "5"]);
    let hours = app.stored_texts(
        "SELECT CAST(SUM(issue_counts.n_events) AS TEXT) FROM issue_counts
        JOIN issues ON issues.id = issue_counts.issue_id WHERE issues.number = 1
        GROUP BY issue_counts.hour ORDER BY issue_counts.hour",
    );
    assert_eq!(hours.await, ["14", "14", "7"]);
    let status = app.get("/status.json").await.ok();
    assert_eq!(status["accepted_24h"], 40);
    app.stop().await;
});

both!(a_report_sent_twice_counts_once, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let event = with(crash("KeyError"), &json!({"event_id": "c76085e7ee72463e94764d80b9534fff"}));
    send_all(&app, &shop, vec![event.clone(); 3]).await;
    send_all(&app, &shop, [event]).await;
    assert_eq!(app.issue("SHOP-1").await["events"], 1);
    assert_eq!(app.all("/api/v1/issues/SHOP-1/events").await.len(), 1);
    let hours = "SELECT CAST(SUM(n_events) AS BIGINT) FROM issue_counts";
    assert_eq!(app.stored_number(hours).await, 1);
    app.stop().await;
});

both!(the_same_person_is_one_user_however_often, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let by = |user: Value| with(crash("KeyError"), &json!({ "user": user }));
    send_all(&app, &shop, [by(json!({"id": 7})), by(json!({"id": "7", "email": "a@b.c"}))]).await;
    assert_eq!(app.issue("SHOP-1").await["users"], 1);
    send_all(&app, &shop, [by(json!({"id": 7})), by(Value::Null)]).await;
    assert_eq!(app.issue("SHOP-1").await["users"], 1);
    send_all(&app, &shop, [by(json!({"id": 8})), by(json!({"email": "r@example.org"}))]).await;
    let issue = app.issue("SHOP-1").await;
    assert_eq!((&issue["users"], &issue["events"]), (&json!(3), &json!(6)));
    app.stop().await;
});

both!(many_users_are_counted_nearly_without_a_row_for_each, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let by = |kind: &str, n: usize| with(crash(kind), &json!({"user": {"id": n}}));
    send_all(&app, &shop, (0..1_000).map(|n| by("KeyError", n))).await;
    assert_eq!(app.issue("SHOP-1").await["users"], 1_000);
    send_all(&app, &shop, (0..1_600).map(|n| by("KeyError", n))).await;
    send_all(&app, &shop, (1_500..1_900).map(|n| by("ValueError", n))).await;
    assert_eq!(app.issue("SHOP-2").await["users"], 400);
    let is_near = |n: &Value, about: u64| n.as_u64().is_some_and(|n| n.abs_diff(about) < about / 8);
    let users = &app.issue("SHOP-1").await["users"];
    assert!(is_near(users, 1_600), "{users}");
    let kept = "SELECT COUNT(*) FROM issue_users JOIN issues ON issues.id = issue_users.issue_id
        WHERE issues.number = 1";
    assert_eq!(app.stored_number(kept).await, 1_024);
    let merged = app.post("/api/v1/issues/SHOP-2/merge", &json!({"into": "SHOP-1"})).await.ok();
    assert!(is_near(&merged["users"], 1_900), "{}", merged["users"]);
    assert_eq!(app.stored_number(kept).await, 1_024);
    app.stop().await;
});

both!(a_tag_with_many_values_is_bounded, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let order = |n: usize| with(crash("KeyError"), &json!({"tags": {"order": format!("o{n:03}")}}));
    send_all(&app, &shop, (0..60).map(order)).await;
    send_all(&app, &shop, (50..120).map(order)).await;
    let tags = app.get("/api/v1/issues/SHOP-1/tags").await.ok();
    let tags = tags["items"].as_array().unwrap();
    let values = tags.iter().find(|tag| tag["tag"] == "order").expect("the tag")["values"].clone();
    let values = values.as_array().unwrap();
    assert_eq!(values.len(), 101, "a hundred and the rest");
    assert_eq!(values[0], json!({"value": "(other)", "events": 20}));
    assert_eq!(values[1], json!({"value": "o050", "events": 2}));
    let n_events: u64 = values.iter().map(|value| value["events"].as_u64().unwrap()).sum();
    assert_eq!(n_events, 130);
    app.stop().await;
});

both!(new_issues_are_numbered_in_the_order_of_their_first_report, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let kinds: Vec<String> = (1..=30).map(|n| format!("Error{n}")).collect();
    // Each twice, so that a batch has known ones between the new.
    let events = kinds.iter().flat_map(|kind| [crash(kind), crash(kind)]);
    send_all(&app, &shop, events).await;
    for (number, kind) in (1..).zip(&kinds) {
        let issue = app.issue(&format!("SHOP-{number}")).await;
        assert_eq!(issue["title"], format!("{kind}: broken"));
        assert_eq!(issue["events"], 2);
    }
    assert_eq!(issue_ids(&app).await.len(), 30);
    app.stop().await;
});

both!(numbers_of_one_project_leave_no_gap_for_another, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let depot = app.create_project("depot").await;
    for n in 0..5 {
        app.crash(&shop, &format!("Shop{n}")).await;
        app.crash(&depot, &format!("Depot{n}")).await;
    }
    app.digested().await;
    for n in 0..5 {
        let id = n + 1;
        assert_eq!(app.issue(&format!("SHOP-{id}")).await["title"], format!("Shop{n}: broken"));
        assert_eq!(app.issue(&format!("DEPOT-{id}")).await["title"], format!("Depot{n}: broken"));
    }
    app.stop().await;
});

both!(an_own_fingerprint_splits_and_joins, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let own = |kind: &str, entries: Value| with(crash(kind), &json!({ "fingerprint": entries }));
    let events = [
        crash("KeyError"),
        own("KeyError", json!(["{{ default }}"])),
        own("KeyError", json!([])),
        own("KeyError", json!(["x"])),
        own("ValueError", json!(["x"])),
        own("KeyError", json!(["{{ default }}", "eu"])),
        own("KeyError", json!(["y"])),
    ];
    send_all(&app, &shop, events).await;
    let mut counts = Vec::new();
    for id in issue_ids(&app).await {
        counts.push(app.issue(&id).await["events"].as_u64().unwrap());
    }
    // The default thrice, x twice, the default in eu, y.
    assert_eq!(counts, [3, 2, 1, 1]);
    let why = app.issue("SHOP-2").await["fingerprint"]["why"].clone();
    assert_eq!(why["reason"], "fingerprint set by the application");
    app.stop().await;
});

both!(messages_that_differ_in_values_are_one_issue, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let said = |text: &str| json!({"message": text});
    let events = [
        said("order 5512 not found"),
        said("order 77 not found"),
        said("order c76085e7-ee72-463e-9476-4d80b9534fff not found"),
        said("basket 5512 not found"),
    ];
    send_all(&app, &shop, events).await;
    assert_eq!(app.issue("SHOP-1").await["events"], 3);
    assert_eq!(issue_ids(&app).await.len(), 2);
    app.stop().await;
});

both!(an_issue_is_called_what_its_latest_event_says, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let noon = app.clock.now();
    let event = |value: &str, level: &str, release: Option<&str>, at: Timestamp| {
        let mut event = crash("KeyError");
        event["exception"]["values"][0]["value"] = json!(value);
        with(event, &json!({"level": level, "release": release, "timestamp": at.to_string()}))
    };
    send_all(&app, &shop, [event("first", "warning", Some("1.0"), noon)]).await;
    app.clock.advance(HOUR);
    send_all(&app, &shop, [event("second", "fatal", Some("1.1"), noon.plus(HOUR))]).await;
    // It arrives last, but happened before.
    send_all(&app, &shop, [event("late", "info", Some("0.9"), noon.minus(HOUR))]).await;
    let issue = app.issue("SHOP-1").await;
    assert_eq!((&issue["title"], &issue["level"]), (&json!("KeyError: second"), &json!("fatal")));
    assert_eq!(issue["culprit"], "shop.cart in checkout");
    assert_eq!(issue["releases"], json!({"first": "0.9", "last": "1.1"}));
    assert_eq!(issue["first_seen"], noon.minus(HOUR).to_string());
    assert_eq!(issue["last_seen"], noon.plus(HOUR).to_string());
    assert_eq!(app.get("/api/v1/issues/SHOP-1/events/latest").await.ok()["level"], "fatal");

    app.clock.advance(HOUR);
    send_all(&app, &shop, [event("third", "error", None, noon.plus(HOUR * 2))]).await;
    let issue = app.issue("SHOP-1").await;
    assert_eq!(issue["title"], "KeyError: third");
    assert_eq!(issue["releases"]["last"], "1.1", "an event that names no release changes none");
    app.stop().await;
});

/// Sends one event in an envelope whose header says when it was sent.
async fn send_at(app: &TestApp, shop: &TestProject, sent_at: Timestamp, event: &Value) -> Value {
    let payload = event.to_string();
    let envelope = format!(
        "{{\"sent_at\":\"{sent_at}\"}}\n{{\"type\":\"event\",\"length\":{}}}\n{payload}\n",
        payload.len()
    );
    let answer = Answer::of(app.report(shop, "envelope").body(envelope)).await.ok();
    app.digested().await;
    let id = answer["id"].as_str().expect("an id");
    app.get(&format!("/api/v1/projects/shop/events/{id}")).await.ok()
}

both!(a_client_whose_clock_is_an_hour_off_is_corrected, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let now = app.clock.now();
    let ago = Duration::from_mins(5);
    for theirs in [now.minus(HOUR), now.plus(HOUR)] {
        let event = with(crash("KeyError"), &json!({"timestamp": theirs.minus(ago).to_string()}));
        let event = send_at(&app, &shop, theirs, &event).await;
        assert_eq!(event["timestamp"], now.minus(ago).to_string());
        assert_eq!(event["received_at"], now.to_string());
        let notes = event["notes"].to_string();
        assert!(notes.contains("3600 s"), "{notes}");
    }
    let hours = "SELECT CAST(COUNT(DISTINCT hour) AS BIGINT) FROM issue_counts";
    assert_eq!(app.stored_number(hours).await, 1);
    app.stop().await;
});

both!(an_event_of_the_year_2099_happened_when_it_arrived, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let now = app.clock.now().to_string();
    for impossible in ["2099-01-01T00:00:00Z", "1999-01-01T00:00:00Z"] {
        let event = with(crash("KeyError"), &json!({"timestamp": impossible}));
        let id = app.send(&shop, &event).await;
        let event = app.get(&format!("/api/v1/projects/shop/events/{id}")).await.ok();
        assert_eq!(event["timestamp"], now);
        assert!(event["notes"].to_string().contains(impossible), "{}", event["notes"]);
    }
    let issue = app.issue("SHOP-1").await;
    assert_eq!((&issue["first_seen"], &issue["last_seen"]), (&json!(now), &json!(now)));
    app.stop().await;
});
