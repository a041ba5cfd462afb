//! What keys and projects may report: origins, rate limits, quotas.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Engine, TestApp, TestProject, both, until};

async fn change_key(app: &TestApp, project: &TestProject, change: Value) -> Answer {
    let path = format!("/api/v1/projects/{}/keys/{}", project.slug, project.key);
    app.patch(&path, &change).await
}

async fn set(app: &TestApp, project: &TestProject, settings: Value) -> Answer {
    let path = format!("/api/v1/projects/{}", project.slug);
    app.patch(&path, &json!({ "settings": settings })).await
}

fn mixed(app: &TestApp, project: &TestProject, title: &str) -> reqwest::RequestBuilder {
    let event = json!({ "message": title }).to_string();
    let discarded =
        r#"{"discarded_events":[{"reason":"before_send","category":"error","quantity":2}]}"#;
    let body = format!(
        "{{}}\n{{\"type\":\"session\"}}\n{{}}\n{{\"type\":\"client_report\"}}\n{discarded}\n\
         {{\"type\":\"event\"}}\n{event}\n"
    );
    app.report(project, "envelope").body(body)
}

/// Waits until the housekeeper has flushed the counts of a minute.
async fn flushed(app: &TestApp, project: &TestProject, kind: &str) -> i64 {
    app.clock.advance(Duration::from_mins(2));
    let sql = format!(
        "SELECT CAST(COALESCE(SUM(n), 0) AS BIGINT) FROM outcomes WHERE project_id = {} AND outcome = '{kind}'",
        project.id
    );
    until("the counts to reach the store", async || app.stored_number(&sql).await > 0).await;
    app.stored_number(&sql).await
}

both!(a_key_takes_browsers_from_its_own_origins_alone, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let origins = json!(["https://shop.example", "*.shop.example"]);
    change_key(&app, &shop, json!({ "origins": origins })).await.ok();
    let send = async |header: Option<(&str, &str)>, title: &str| {
        let mut request = app.report(&shop, "store").body(json!({"message": title}).to_string());
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        Answer::of(request).await
    };
    send(None, "server").await.ok();
    send(Some(("Origin", "https://SHOP.example")), "origin").await.ok();
    send(Some(("Referer", "https://www.shop.example/cart?x=1")), "referer").await.ok();
    for header in [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Referer", "https://evil.example/?https://shop.example"),
    ] {
        let answer = send(Some(header), "refused").await;
        assert_eq!(answer.status, 403, "{header:?}");
        assert_eq!(answer.json()["causes"], json!(["origin"]));
        // The page can read why.
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
    // Also where the envelope itself names the key.
    let body = format!("{{\"dsn\":\"{}\"}}\n{{\"type\":\"event\"}}\n{{}}\n", shop.dsn);
    let request = app.request(Method::POST, &format!("/api/{}/envelope/", shop.id)).body(body);
    assert_eq!(Answer::of(request.header("Origin", "https://evil.example")).await.status, 403);

    for bad in ["*", "shop example", "https://shop.example/cart", ""] {
        let answer = change_key(&app, &shop, json!({ "origins": [bad] })).await;
        assert_eq!(answer.problem(), (422, "invalid".to_owned()), "{bad}");
        assert!(answer.json()["detail"].as_str().is_some_and(|detail| detail.contains("*.shop")));
    }
    assert_eq!(flushed(&app, &shop, "refused").await, 4);
    app.stop().await;
});

both!(a_rate_limit_silences_its_own_category_and_nothing_else, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let blog = app.create_project("blog").await;
    let limit = json!({"events": 2, "seconds": 60});
    assert_eq!(
        change_key(&app, &shop, json!({ "rate_limit": limit })).await.ok()["rate_limit"],
        limit
    );
    for title in ["one", "two"] {
        Answer::of(mixed(&app, &shop, title)).await.ok();
    }
    let answer = Answer::of(mixed(&app, &shop, "three")).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.json()["causes"], json!(["rate_limited"]));
    assert_eq!(answer.header("retry-after"), Some("30"));
    assert_eq!(answer.header("x-sentry-rate-limits"), Some("30:error;default:key:rate_limited"));
    // Sessions and what SDKs dropped are never limited, nor are other projects.
    let session = "{}\n{\"type\":\"session\"}\n{}\n";
    Answer::of(app.report(&shop, "envelope").body(session)).await.ok();
    app.send_event(&blog, &json!({"message": "another"})).await.ok();
    app.clock.advance(Duration::from_secs(30));
    app.send_event(&shop, &json!({"message": "four"})).await.ok();
    assert_eq!(app.send_event(&shop, &json!({"message": "five"})).await.status, 429);

    // Null takes it away; a project has one for all its keys.
    change_key(&app, &shop, json!({"rate_limit": null})).await.ok();
    app.send_event(&shop, &json!({"message": "six"})).await.ok();
    set(&app, &shop, json!({"rate_limit": {"events": 1, "seconds": 10}})).await.ok();
    app.send_event(&shop, &json!({"message": "seven"})).await.ok();
    let answer = app.send_event(&shop, &json!({"message": "eight"})).await;
    let limits = answer.header("x-sentry-rate-limits");
    assert_eq!(limits, Some("10:error;default:project:rate_limited"), "{answer:?}");

    app.digested().await;
    let titles = app.stored_texts("SELECT title FROM issues ORDER BY title").await;
    assert_eq!(titles, ["another", "four", "one", "seven", "six", "two"]);
    let mut database = app.counted().await;
    let counted = database.outcomes(shop.id).await;
    // The report of the refused envelope's neighbours is counted all the same.
    let expected = [
        ("accepted".to_owned(), 5),
        ("discarded error:before_send".to_owned(), 6),
        ("refused rate_limited".to_owned(), 3),
        ("skipped session".to_owned(), 4),
    ];
    assert_eq!(counted, expected.into());
    app.stop().await;
});

both!(each_category_over_its_limit_is_named, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    change_key(&app, &shop, json!({"rate_limit": {"events": 1, "seconds": 60}})).await.ok();
    set(&app, &shop, json!({"security_daily_quota": 1})).await.ok();
    let policy = r#"{"csp-report":{"document-uri":"https://shop.example/","violated-directive":"img-src","blocked-uri":"https://evil.example/x.png"}}"#;
    let event = r#"{"message":"one"}"#;
    let both =
        format!("{{}}\n{{\"type\":\"event\"}}\n{event}\n{{\"type\":\"raw_security\"}}\n{policy}\n");
    Answer::of(app.report(&shop, "envelope").body(both.clone())).await.ok();
    let answer = Answer::of(app.report(&shop, "envelope").body(both)).await;
    assert_eq!(answer.status, 429);
    let limits = "60:error;default:key:rate_limited, 3600:security:project:quota";
    assert_eq!(answer.header("x-sentry-rate-limits"), Some(limits));
    // Who reads nothing else waits for the longer one.
    assert_eq!(answer.header("retry-after"), Some("3600"));
    assert_eq!(answer.json()["causes"], json!(["quota"]));
    let mut database = app.counted().await;
    let counted = database.outcomes(shop.id).await;
    let of = |code: &str| counted.get(&format!("refused {code}")).copied();
    assert_eq!((of("rate_limited"), of("quota")), (Some(1), Some(1)), "{counted:?}");
    app.stop().await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_the_disk_refuses_uses_up_nothing() {
    let app = TestApp::start(Engine::Sqlite).await;
    let shop = app.create_project("shop").await;
    set(&app, &shop, json!({"daily_quota": 2, "rate_limit": {"events": 2, "seconds": 3600}}))
        .await
        .ok();
    let send = async || app.send_event(&shop, &json!({"message": "x"})).await;
    send().await.ok();
    app.digested().await;
    let spool = app.data().join("spool");
    let away = app.data().join("away");
    until("the last segment to be gone", async || {
        let files = std::fs::read_dir(&spool).expect("the spool").flatten();
        !files.into_iter().any(|file| file.path().extension().is_some_and(|end| end == "spool"))
    })
    .await;
    std::fs::rename(&spool, &away).expect("the spool can be moved");
    let refused = send().await;
    assert_eq!(refused.json()["causes"], json!(["spool_failing"]), "{refused:?}");
    std::fs::rename(&away, &spool).expect("the spool can be moved back");
    send().await.ok();
    assert_eq!(send().await.json()["causes"], json!(["quota"]));
    app.stop().await;
}

both!(a_quota_ends_with_its_day_and_survives_a_restart, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    set(&app, &shop, json!({"daily_quota": 3, "monthly_quota": 4})).await.ok();
    let send = async |app: &TestApp| app.send_event(&shop, &json!({"message": "x"})).await;
    for _ in 0..2 {
        send(&app).await.ok();
    }
    // What is counted reaches the store at the latest when the service stops.
    let app = app.restart().await;
    send(&app).await.ok();
    let answer = send(&app).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["causes"]), (429, &json!(["quota"])));
    // It is noon; nobody is asked to be silent for longer than an hour, the quota may be raised.
    assert_eq!(answer.header("retry-after"), Some("3600"));
    let limits = answer.header("x-sentry-rate-limits");
    assert_eq!(limits, Some("3600:error;default:project:quota"));
    let detail = answer.json()["detail"].as_str().expect("a detail").to_owned();
    assert_eq!(detail, "the project's quota is used up for 43200 s");
    app.clock.advance(Duration::from_hours(12));
    send(&app).await.ok();
    let answer = send(&app).await;
    let detail = answer.json()["detail"].as_str().expect("a detail").to_owned();
    let nine_days = 9 * 86_400;
    assert_eq!(detail, format!("the project's quota is used up for {nine_days} s"), "the month");
    app.stop().await;
});

both!(limits_that_make_no_sense_are_refused_and_named, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    for settings in [
        json!({"daily_quota": 0}),
        json!({"monthly_quota": -1}),
        json!({"rate_limit": {"events": 1}}),
        json!({"rate_limit": {"events": 1, "seconds": 0}}),
        json!({"security_rate_limit": {"events": 1, "seconds": 4000}}),
        json!({"hourly_quota": 5}),
    ] {
        let answer = set(&app, &shop, settings.clone()).await;
        assert_eq!(answer.problem(), (422, "invalid".to_owned()), "{settings}");
    }
    for rate in [json!({"events": 0, "seconds": 1}), json!("fast"), json!({"events": 1})] {
        let answer = change_key(&app, &shop, json!({ "rate_limit": rate })).await;
        assert_eq!(answer.problem(), (422, "invalid".to_owned()), "{rate}");
    }
    let settings = app.get("/api/v1/projects/shop").await.ok()["settings"].clone();
    assert_eq!(settings["daily_quota"], Value::Null);
    assert_eq!(settings["untrusted_keys_rearm_locks"], false);
    app.stop().await;
});

/// A limit counts while the store is away, also after a restart: keys and limits are in a file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_and_origins_are_known_while_the_store_is_away() {
    let app = TestApp::start(Engine::Sqlite).await;
    let shop = app.create_project("shop").await;
    set(&app, &shop, json!({"rate_limit": {"events": 1, "seconds": 60}})).await.ok();
    change_key(&app, &shop, json!({"origins": ["shop.example"]})).await.ok();
    // Started anew without its database, the service knows both from the copy beside the spool.
    let away = "postgres://nobody@127.0.0.1:9/none".to_owned();
    let app = app.restart_with(|config| config.database = Some(away)).await;
    let send = async |origin: &str| {
        let request = app.report(&shop, "store").header("Origin", origin);
        Answer::of(request.body(r#"{"message":"x"}"#)).await
    };
    assert_eq!(send("https://other.example").await.json()["causes"], json!(["origin"]));
    send("https://shop.example").await.ok();
    assert_eq!(send("https://shop.example").await.json()["causes"], json!(["rate_limited"]));
    app.stop().await;
}

both!(what_became_of_reports_is_shown_by_hour, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let blog = app.create_project("blog").await;
    let outcomes =
        async |query: &str| app.get(&format!("/api/v1/projects/shop/outcomes{query}")).await;
    assert_eq!(outcomes("").await.ok()["hours"], json!([]));
    Answer::of(mixed(&app, &shop, "one")).await.ok();
    app.send_event(&blog, &json!({"message": "not counted here"})).await.ok();
    app.digested().await;
    app.clock.advance(Duration::from_hours(2));
    let twice = json!({"event_id": "c76085e7ee72463e94764d80b9534fff", "message": "twice"});
    for _ in 0..2 {
        app.send_event(&shop, &twice).await.ok();
    }
    let broken = "{}\n{\"type\":\"event\"}\nnonsense\n";
    Answer::of(app.report(&shop, "envelope").body(broken)).await.ok();
    assert_eq!(
        app.report(&shop, "store").body("nonsense").send().await.expect("an answer").status(),
        400
    );
    app.digested().await;

    let expected = |accepted: u64, duplicate: u64, buried: u64, refused: Value, early: bool| {
        let skipped = if early { json!({"session": 1}) } else { json!({}) };
        let discarded = if early { json!({"error": {"before_send": 2}}) } else { json!({}) };
        json!({"accepted": accepted, "duplicate": duplicate, "buried": buried,
            "refused": refused, "skipped": skipped, "discarded": discarded})
    };
    let at = |at: &str, mut counts: Value| {
        counts["at"] = json!(at);
        counts
    };
    let all = outcomes("").await.ok();
    assert_eq!(all["from"], "2026-11-20T15:00:00Z");
    assert_eq!(all["totals"], expected(2, 1, 1, json!({"malformed": 1}), true));
    let early = at("2026-11-21T12:00:00Z", expected(1, 0, 0, json!({}), true));
    let late = at("2026-11-21T14:00:00Z", expected(1, 1, 1, json!({"malformed": 1}), false));
    assert_eq!(all["hours"], json!([early, late]));
    assert_eq!(outcomes("?hours=2").await.ok()["hours"], json!([late]));
    for bad in ["0", "745", "-1", "many"] {
        let answer = outcomes(&format!("?hours={bad}")).await;
        assert_eq!(answer.problem(), (422, "invalid".to_owned()), "{bad}");
    }
    assert_eq!(app.get("/api/v1/projects/none/outcomes").await.status, 404);
    let open = Answer::of(app.request(Method::GET, "/api/v1/projects/shop/outcomes")).await;
    assert_eq!(open.status, 401);
    app.stop().await;
});

both!(a_regression_that_only_untrusted_keys_saw_is_told_so, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let browser = json!({"label": "browser", "trusted": false});
    let browser = app.post("/api/v1/projects/shop/keys", &browser).await.ok();
    let key = browser["public_key"].as_str().expect("a key").to_owned();
    let browser = TestProject { key, ..shop.clone() };
    let crash = async |by: &TestProject| {
        app.clock.advance(Duration::from_mins(1));
        let id = app.crashed(by, "KeyError").await;
        app.get(&format!("/api/v1/projects/shop/events/{id}")).await.ok()["trusted"].clone()
    };
    let resolve = async || app.act("SHOP-1", "resolve", json!({})).await.ok();
    assert_eq!(crash(&shop).await, true);
    resolve().await;
    assert_eq!(crash(&browser).await, false);
    let issue = app.issue("SHOP-1").await;
    assert_eq!((&issue["status"], &issue["regressed"]), (&json!("open"), &json!(true)));
    crash(&browser).await;
    assert_eq!(app.changes("SHOP-1").await, ["opened", "resolved", "regressed"]);
    crash(&shop).await;
    crash(&shop).await;
    let told = ["opened", "resolved", "regressed", "regression_confirmed"];
    assert_eq!(app.changes("SHOP-1").await, told);
    let activity = app.get("/api/v1/issues/SHOP-1/activity").await.ok();
    assert_eq!(activity["items"][1]["trusted"], false);

    // A trusted key needs no confirmation, and a project may believe all of its keys.
    resolve().await;
    crash(&shop).await;
    let activity = app.get("/api/v1/issues/SHOP-1/activity").await.ok();
    assert_eq!(
        (&activity["items"][0]["kind"], &activity["items"][0]["trusted"]),
        (&json!("regressed"), &json!(true))
    );
    set(&app, &shop, json!({"untrusted_keys_rearm_locks": true})).await.ok();
    resolve().await;
    crash(&browser).await;
    crash(&shop).await;
    let changes = app.changes("SHOP-1").await;
    assert_eq!(changes.last().map(String::as_str), Some("regressed"));
    app.stop().await;
});
