//! A project moves to a newer config, and nobody's issues split.

use std::time::Duration;

use airlock::retention::give_up_old;
use serde_json::{Value, json};

use super::labelled::{Labelled, b_cubed, lines};
use super::{crash_at, issues_of_events, n_issues, send_all};
use crate::support::{Database, Engine, TestApp, both, with};

const RULES: &str = "/api/v1/projects/shop/rules/grouping";

/// Puts the one project on the frozen config.
async fn begin_with_g0(app: &TestApp) {
    app.change_store(
        "INSERT INTO project_rules (project_id, kind, rules, version, changed_at)
        SELECT id, 'grouping', '{\"config\": \"g0\"}', 1, 0 FROM projects WHERE length($1) = 0",
        b"",
    )
    .await;
}

/// The labelled events with ids in their order: those of `round` are others than of any other.
fn events(round: u32) -> Vec<(String, Value)> {
    let labelled: Vec<Labelled> = lines("labelled.jsonl");
    labelled
        .into_iter()
        .map(|labelled| {
            let id = format!("{round:08x}{:024x}", labelled.index);
            (labelled.cluster, with(labelled.event, &json!({ "event_id": id, "timestamp": null })))
        })
        .collect()
}

both!(an_upgrade_opens_no_issue_for_errors_that_have_one, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    begin_with_g0(&app).await;
    send_all(&app, &shop, events(1).iter().map(|(_, event)| event)).await;
    let before = issues_of_events(&app).await;
    assert_eq!(before.len(), events(1).len());
    let n_before = n_issues(&app).await;

    let discarded = app.act("SHOP-1", "discard", json!({})).await.ok();
    assert!(discarded["discarded_at"].is_string());
    let n_of_discarded = before.iter().filter(|number| *number == "1").count();
    assert!(n_of_discarded > 1);
    app.act("SHOP-2", "merge", json!({"into": "SHOP-3"})).await.ok();

    let rules = app.put(RULES, &json!({"config": "g1"})).await.ok();
    assert_eq!((&rules["config"], &rules["previous"]["config"]), (&json!("g1"), &json!("g0")));
    assert_eq!(rules["previous"]["until"], "2027-02-19T12:00:00Z");
    let refused = app.put(RULES, &json!({"config": "g0"})).await;
    assert_eq!(refused.problem(), (422, "invalid".to_owned()));
    send_all(&app, &shop, events(2).iter().map(|(_, event)| event)).await;

    assert_eq!(n_issues(&app).await, n_before, "an upgrade opens no issue");
    let after = issues_of_events(&app).await;
    assert_eq!(after.len(), 2 * before.len() - n_of_discarded, "discarded stays discarded");
    let upgraded =
        app.stored_number("SELECT COUNT(*) FROM issue_hashes WHERE how = 'upgraded'").await;
    assert!(upgraded > 100, "{upgraded}");
    let offered = app
        .stored_number("SELECT COUNT(*) FROM issue_activity WHERE change LIKE '%merge_offered%'")
        .await;
    assert!(offered > 10, "where the new config sees one error in two issues: {offered}");
    app.stop().await;
});

both!(an_error_that_storms_while_a_project_is_upgraded_stays_one_issue, |engine: Engine| {
    async move {
        let app = TestApp::start(engine).await;
        let shop = app.create_project("shop").await;
        begin_with_g0(&app).await;
        app.crashed(&shop, "KeyError").await;
        app.put(RULES, &json!({"config": "g1"})).await.ok();
        let mut database =
            Database::open(app.config.database.as_deref().expect("an address")).await;
        // One batch, of which few bodies are kept.
        database.hold().await;
        for _ in 0..200 {
            app.crash(&shop, "KeyError").await;
        }
        database.release().await;
        app.digested().await;
        assert_eq!(n_issues(&app).await, 1);
        assert_eq!(app.issue("SHOP-1").await["events"], 201);
        app.stop().await;
    }
});

both!(when_the_overlap_is_over_old_fingerprints_lead_nowhere, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    begin_with_g0(&app).await;
    let crash = |id: &str| {
        let event = crash_at("post", "    prices = cart['total']", "1");
        with(event, &json!({ "event_id": id }))
    };
    app.send(&shop, &crash("00000000000000000000000000000001")).await;
    app.put(RULES, &json!({"config": "g1"})).await.ok();
    app.clock.advance(Duration::from_hours(91 * 24));
    app.send(&shop, &crash("00000000000000000000000000000002")).await;
    assert_eq!(issues_of_events(&app).await, ["1", "2"]);
    app.stop().await;
});

both!(old_fingerprints_get_more_time_while_issues_are_found_by_them, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    begin_with_g0(&app).await;
    let crash = |n: u32| crash_at(&format!("post_{n}"), "    prices = cart['total']", "1");
    for n in 1..=3 {
        app.send(&shop, &crash(n)).await;
    }
    app.put(RULES, &json!({"config": "g1"})).await.ok();
    let after_days = async |n: u64| {
        app.clock.advance(Duration::from_hours(n * 24));
        give_up_old(app.running.store(), app.clock.now()).await.expect("a round");
        app.get(RULES).await.ok()["previous"]["until"].clone()
    };
    assert_eq!(after_days(70).await, "2027-02-19T12:00:00Z");
    app.send(&shop, &crash(1)).await;
    assert_eq!(after_days(5).await, "2027-02-19T12:00:00Z", "there is time yet");
    assert_eq!(after_days(10).await, "2027-03-16T12:00:00Z", "30 days from day 85");
    assert_eq!(after_days(15).await, "2027-03-16T12:00:00Z");
    app.send(&shop, &crash(2)).await;
    assert_eq!(after_days(10).await, "2027-04-10T12:00:00Z", "30 days from day 110");
    assert_eq!(after_days(25).await, "2027-04-10T12:00:00Z", "nothing needed it for 35 days");
    app.send(&shop, &crash(2)).await;
    assert_eq!(n_issues(&app).await, 3);
    assert_eq!(after_days(5).await, "2027-04-10T12:00:00Z");
    app.send(&shop, &crash(3)).await;
    assert_eq!(n_issues(&app).await, 4, "its time is over");
    app.stop().await;
});

both!(labelled_events_that_come_in_become_the_issues_a_developer_would_make, |engine: Engine| {
    async move {
        let app = TestApp::start(engine).await;
        let shop = app.create_project("shop").await;
        let events = events(1);
        send_all(&app, &shop, events.iter().map(|(_, event)| event)).await;
        let truth: Vec<&str> = events.iter().map(|(cluster, _)| cluster.as_str()).collect();
        let issues = issues_of_events(&app).await;
        let (precision, recall) = b_cubed(&truth, &issues);
        assert!(precision >= 1.0 && recall >= 0.993, "{precision} {recall}");
        app.stop().await;
    }
});
