//! What is old is given up, and what is young never is.

use std::time::Duration;

use airlock::retention::{Given, give_up_old};
use airlock::store::Tx;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::support::{
    Answer, Engine, TOKEN, TestApp, TestProject, airlock, both, crash, until, with,
};

const DAY: Duration = Duration::from_hours(24);

async fn shop(engine: Engine) -> (TestApp, TestProject) {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    (app, shop)
}

async fn give_up(app: &TestApp) -> Given {
    give_up_old(app.running.store(), app.clock.now()).await.expect("a round")
}

async fn set(app: &TestApp, settings: Value) {
    let change = json!({ "settings": settings });
    app.patch("/api/v1/projects/shop", &change).await.ok();
}

/// Sends reports of one error, and waits until they are stored; gives their ids.
async fn send(app: &TestApp, shop: &TestProject, n: usize, release: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..n {
        let report = with(crash("KeyError"), &json!({ "release": release }));
        let answer = app.send_event(shop, &report).await.ok();
        ids.push(answer["id"].as_str().expect("an id").to_owned());
    }
    app.digested().await;
    ids
}

async fn event(app: &TestApp, id: &str) -> Value {
    app.get(&format!("/api/v1/projects/shop/events/{id}")).await.ok()
}

both!(events_are_given_up_after_the_retention_time, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let old = send(&app, &shop, 3, "shop@1").await;
    app.clock.advance(DAY * 50);
    let young = send(&app, &shop, 2, "shop@2").await;
    assert_eq!(give_up(&app).await, Given::default());
    app.clock.advance(DAY * 41);
    assert_eq!(give_up(&app).await, Given { n_events: 3, n_bodies: 0 });
    for id in &old {
        let gone = app.get(&format!("/api/v1/projects/shop/events/{id}")).await.problem();
        assert_eq!(gone, (404, "not-found".to_owned()));
    }
    for id in &young {
        assert_eq!(event(&app, id).await["body"], "kept");
    }
    assert_eq!(app.all("/api/v1/issues/SHOP-1/events").await.len(), 2);
    // A release of which only its name was known goes with its last event.
    let releases = app.all("/api/v1/projects/shop/releases").await;
    assert_eq!((releases.len(), &releases[0]["version"]), (1, &json!("shop@2")));
    // What happened stays counted; the hours of what is gone are gone.
    assert_eq!(app.issue("SHOP-1").await["events"], 5);
    let counted = "SELECT CAST(SUM(n_events) AS BIGINT) FROM issue_counts";
    assert_eq!(app.stored_number(counted).await, 2);
    let bodies = "SELECT CAST(SUM(n_bodies) AS BIGINT) FROM issues";
    assert_eq!(app.stored_number(bodies).await, 2);
    app.stop().await;
});

both!(a_project_with_too_many_events_keeps_the_last_thirty_days, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    set(&app, json!({"most_events": 4})).await;
    send(&app, &shop, 3, "shop@1").await;
    app.clock.advance(DAY);
    send(&app, &shop, 6, "shop@2").await;
    app.clock.advance(DAY * 20);
    assert_eq!(give_up(&app).await, Given::default());
    app.clock.advance(DAY * 10);
    // Of the nine the last four may stay; those that are just thirty days old must.
    assert_eq!(give_up(&app).await, Given { n_events: 3, n_bodies: 0 });
    app.clock.advance(DAY);
    assert_eq!(give_up(&app).await, Given { n_events: 0, n_bodies: 0 });
    assert_eq!(app.all("/api/v1/issues/SHOP-1/events").await.len(), 6);
    app.stop().await;
});

both!(bodies_of_a_hot_issue_are_sampled_and_rows_are_not, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let first = send(&app, &shop, 40, "shop@1").await;
    let second = send(&app, &shop, 5, "shop@2").await;
    let mut n_kept = Vec::new();
    for ids in [&first, &second] {
        let mut n = 0;
        for id in ids {
            let event = event(&app, id).await;
            n += u32::from(event["body"] == "kept");
            if event["body"] == "sampled" {
                assert_eq!(event["event_id"], **id);
                assert_eq!(event["environment"], "production");
                assert_eq!(event["verdict"]["kind"], "known");
                assert_eq!(event["title"], "KeyError: broken");
                assert!(event["notes"].to_string().contains("not kept"), "{event}");
            }
        }
        n_kept.push(n);
    }
    // The first twenty, and one of the new release.
    assert_eq!(n_kept, [20, 1]);
    let listed = app.all("/api/v1/issues/SHOP-1/events").await;
    assert_eq!(listed.len(), 45);
    assert_eq!(listed.iter().filter(|event| event["body"] == "kept").count(), 21);
    let latest = app.get("/api/v1/issues/SHOP-1/events/latest").await.ok();
    assert_eq!((&latest["body"], &latest["release"]), (&json!("kept"), &json!("shop@2")));
    // What was sampled away is known when it is sent again.
    let again = with(crash("KeyError"), &json!({"event_id": first.last(), "release": "shop@1"}));
    app.send_event(&shop, &again).await.ok();
    app.digested().await;
    assert_eq!(app.issue("SHOP-1").await["events"], 45);
    // A start forgets what was seen, but not that the issue is an old one.
    let app = app.restart().await;
    let mut n_kept = 0;
    for _ in 0..6 {
        let id = send(&app, &shop, 1, "shop@1").await.remove(0);
        n_kept += u32::from(event(&app, &id).await["body"] == "kept");
    }
    assert!(n_kept <= 3, "{n_kept}");
    app.stop().await;
});

both!(bodies_beyond_what_an_issue_may_have_are_thinned_out, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    set(&app, json!({"most_bodies_per_issue": 20})).await;
    let first = send(&app, &shop, 20, "shop@1").await;
    for minute in 0..15 {
        app.clock.advance(Duration::from_mins(2));
        send(&app, &shop, 1, if minute == 7 { "shop@rare" } else { "shop@1" }).await;
    }
    let given = give_up(&app).await;
    assert_eq!((given.n_events, given.n_bodies >= 15), (0, true), "{given:?}");
    let listed = app.all("/api/v1/issues/SHOP-1/events").await;
    let kept: Vec<&Value> = listed.iter().filter(|event| event["body"] == "kept").collect();
    assert!((15..=20).contains(&kept.len()), "{}", kept.len());
    assert!(kept.iter().any(|event| event["release"] == "shop@rare"));
    assert_eq!(event(&app, &first[0]).await["body"], "kept");
    assert_eq!(listed[0]["body"], "kept");
    assert_eq!(give_up(&app).await, Given::default());
    app.stop().await;
});

both!(bodies_are_compressed_with_what_they_share, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let before = send(&app, &shop, 1, "shop@1").await.remove(0);
    // Every error keeps its first bodies.
    for kind in 0..15 {
        for _ in 0..20 {
            app.send_event(&shop, &crash(&format!("Error{kind}"))).await.ok();
        }
    }
    until("a dictionary to be trained", async || {
        app.send_event(&shop, &crash("Late")).await.ok();
        app.digested().await;
        app.stored_number("SELECT COUNT(*) FROM dictionaries").await == 1
    })
    .await;
    let answer = app.send_event(&shop, &crash("Later")).await.ok();
    let after = answer["id"].as_str().expect("an id");
    app.digested().await;
    for id in [&before, after] {
        let event = event(&app, id).await;
        assert_eq!(event["body"], "kept");
        assert_eq!(event["exceptions"][0]["value"], "broken");
    }
    // Without it only what was stored before can be read.
    app.change_store("UPDATE dictionaries SET dictionary = $1", b"no dictionary").await;
    assert_eq!(event(&app, &before).await["body"], "kept");
    assert_eq!(event(&app, after).await["body"], "damaged");
    app.stop().await;
});

both!(a_dictionary_goes_with_the_last_event_that_may_need_it, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    for kind in 0..15 {
        for _ in 0..20 {
            app.send_event(&shop, &crash(&format!("Error{kind}"))).await.ok();
        }
    }
    let n_dictionaries = async || app.stored_number("SELECT COUNT(*) FROM dictionaries").await;
    until("a dictionary to be trained", async || {
        app.send_event(&shop, &crash("Late")).await.ok();
        app.digested().await;
        n_dictionaries().await == 1
    })
    .await;
    app.clock.advance(DAY * 59);
    send(&app, &shop, 1, "shop@1").await;
    app.clock.advance(DAY * 33);
    assert!(give_up(&app).await.n_events > 300);
    assert_eq!(n_dictionaries().await, 1, "the last event may need it");
    app.clock.advance(DAY * 58);
    assert_eq!(give_up(&app).await.n_events, 1);
    assert_eq!(n_dictionaries().await, 0);
    // Nobody uses what is gone.
    let late = send(&app, &shop, 1, "shop@2").await.remove(0);
    assert_eq!(event(&app, &late).await["body"], "kept");
    app.stop().await;
});

both!(a_damaged_body_costs_its_neighbours_nothing, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let damaged = send(&app, &shop, 1, "shop@1").await.remove(0);
    let sound = send(&app, &shop, 1, "shop@2").await.remove(0);
    app.change_store("UPDATE events SET body = $1 WHERE release = 'shop@1'", b"no zstd").await;
    let listed = app.all("/api/v1/issues/SHOP-1/events").await;
    let bodies: Vec<_> = listed.iter().map(|event| (&event["event_id"], &event["body"])).collect();
    assert!(bodies.contains(&(&json!(damaged), &json!("damaged"))), "{bodies:?}");
    assert!(bodies.contains(&(&json!(sound), &json!("kept"))), "{bodies:?}");
    let event = event(&app, &damaged).await;
    assert_eq!((&event["body"], &event["release"]), (&json!("damaged"), &json!("shop@1")));
    assert!(event["notes"].to_string().contains("damaged"), "{event}");
    app.stop().await;
});

both!(what_is_kept_has_bounds, |engine: Engine| async move {
    let (app, _) = shop(engine).await;
    for (settings, named) in [
        (json!({"retention_days": 29}), "retention_days must be 30 to 3650"),
        (json!({"most_events": 0}), "most_events must be 1 to 100000000"),
        (json!({"most_bodies_per_issue": 19}), "most_bodies_per_issue must be 20 to 10000"),
    ] {
        let change = json!({ "settings": settings });
        let answer = app.patch("/api/v1/projects/shop", &change).await;
        assert!(answer.body().contains(named), "{named}: {answer:?}");
    }
    let project = app.get("/api/v1/projects/shop").await.ok();
    assert_eq!(project["settings"]["retention_days"], 90);
    app.stop().await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_space_of_what_was_given_up_goes_back_to_the_disk() {
    let (app, _) = shop(Engine::Sqlite).await;
    let pages = "SELECT page_count FROM pragma_page_count";
    let mut tx = app.running.store().write().await.expect("a transaction");
    let Tx::Sqlite(connection) = &mut tx else { panic!("not SQLite") };
    let filled = "CREATE TABLE filler AS WITH RECURSIVE n(n) AS
        (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 3000) SELECT randomblob(4000) AS b FROM n";
    sqlx::raw_sql(filled).execute(&mut **connection).await.expect("a table");
    tx.commit().await.expect("a commit");
    let most = app.stored_number(pages).await;
    let mut tx = app.running.store().write().await.expect("a transaction");
    let Tx::Sqlite(connection) = &mut tx else { panic!("not SQLite") };
    sqlx::raw_sql("DROP TABLE filler").execute(&mut **connection).await.expect("no table");
    tx.commit().await.expect("a commit");
    give_up(&app).await;
    let left = app.stored_number(pages).await;
    assert!(left + 1_500 < most, "{left} of {most}");
    app.stop().await;
}

/// Waits until somebody waits for a row, then changes events and gives all rows back: whoever has
/// events by then, and waits for an issue, waits for ever.
async fn takes_events_of_a_held_issue(app: &TestApp) {
    let address = app.config.database.clone().expect("an address");
    let mut settler = PgConnection::connect(&address).await.expect("the database");
    settler.execute("BEGIN; SELECT id FROM issues FOR UPDATE").await.expect("the issue");
    let meanwhile = async {
        let waiting = "SELECT COUNT(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        until("it waits for the issue", async || app.stored_number(waiting).await > 0).await;
        settler.execute("UPDATE events SET reason = 'settled'; COMMIT").await.expect("no deadlock");
    };
    let given = give_up_old(app.running.store(), app.clock.now());
    let (given, ()) = tokio::join!(given, meanwhile);
    given.expect("no deadlock");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn giving_up_events_and_settling_them_take_the_issue_first() {
    let (app, shop) = shop(Engine::Postgres).await;
    send(&app, &shop, 3, "shop@1").await;
    app.clock.advance(DAY * 91);
    takes_events_of_a_held_issue(&app).await;
    assert_eq!(app.stored_number("SELECT COUNT(*) FROM events").await, 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn giving_up_bodies_and_settling_events_take_the_issue_first() {
    let (app, shop) = shop(Engine::Postgres).await;
    set(&app, json!({"most_bodies_per_issue": 20})).await;
    send(&app, &shop, 20, "shop@1").await;
    for _ in 0..5 {
        app.clock.advance(Duration::from_mins(2));
        send(&app, &shop, 1, "shop@1").await;
    }
    takes_events_of_a_held_issue(&app).await;
    let kept = "SELECT COUNT(*) FROM events WHERE body IS NOT NULL";
    assert!(app.stored_number(kept).await <= 20);
    app.stop().await;
}

both!(output_of_deploys_is_given_up_after_the_retention_time, |engine: Engine| async move {
    let (app, _) = shop(engine).await;
    let (environments, sha) = ("/api/v1/projects/shop/environments", "5".repeat(40));
    let start = async |environment: &str| {
        let path = format!("{environments}/{environment}/deploys");
        let wish = json!({"commit": sha, "override": "a test", "lease_seconds": 86_400});
        let deploy = app.post(&path, &wish).await.ok();
        format!("/api/v1/deploys/{}", deploy["id"].as_str().expect("an id"))
    };
    let put_out = async |deploy: &str, n_pieces: usize| {
        for _ in 0..n_pieces {
            let path = format!("{deploy}/output");
            Answer::of(app.api(Method::POST, &path).body("pushing\n")).await.ok();
        }
    };
    let end = json!({"status": "failed"});
    let old = start("beta").await;
    // More than one step gives up.
    put_out(&old, 45).await;
    app.post(&format!("{old}/finish"), &end).await.ok();
    app.clock.advance(DAY * 50);
    let young = start("beta").await;
    put_out(&young, 1).await;
    app.post(&format!("{young}/finish"), &end).await.ok();
    give_up(&app).await;
    assert_eq!(app.stored_number("SELECT COUNT(*) FROM deploy_output").await, 46);
    app.clock.advance(DAY * 41);
    give_up(&app).await;
    assert_eq!(app.stored_number("SELECT COUNT(*) FROM deploy_output").await, 1);

    let shown = app.get(&old).await.ok();
    assert_eq!((&shown["status"], &shown["output_bytes"]), (&json!("failed"), &json!(45 * 8)));
    assert_eq!(shown["output_gone_at"], app.clock.now().to_string());
    let gone = app.get(&format!("{old}/output")).await;
    assert_eq!(gone.problem(), (410, "output-gone".to_owned()));
    let id = old.rsplit('/').next().expect("an id");
    let url = app.url("");
    let shown = airlock()
        .args(["--url", &url, "deploy", "show", id, "--follow"])
        .env("AIRLOCK_TOKEN", TOKEN)
        .output()
        .await
        .expect("it runs");
    let said = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.status.success() && said.contains("given up"), "{shown:?}");
    // What comes now comes too late.
    put_out(&old, 1).await;
    assert_eq!(app.stored_number("SELECT COUNT(*) FROM deploy_output").await, 1);
    let shown = app.get(&young).await.ok();
    assert_eq!(shown["output_gone_at"], Value::Null);
    assert_eq!(app.get(&format!("{young}/output")).await.text, "pushing\n");
    give_up(&app).await;
    app.stop().await;
});
