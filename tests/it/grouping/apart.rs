//! Issues are joined, compared, taken apart and discarded by their fingerprints.

use serde_json::{Value, json};

use super::{crash_at, issues_of_events};
use crate::support::{Database, Engine, TestApp, TestProject, both, with};

const LINE: &str = "    prices = [item['total'] for item in cart]";
const EDITED: &str = "    prices = [item['total'] for item in cart if item]";

/// The fingerprints of an issue that something takes part in.
fn hashes(issue: &Value, part: &str) -> Vec<String> {
    let merged = issue["merged_fingerprints"].as_array().expect("a list");
    std::iter::once(&issue["fingerprint"])
        .chain(merged)
        .filter(|one| one["why"]["items"].to_string().contains(part))
        .map(|one| one["hash"].as_str().expect("a hash").to_owned())
        .collect()
}

both!(an_edited_line_is_the_same_issue_in_another_release, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    app.send(&shop, &crash_at("post", LINE, "shop@1")).await;
    app.send(&shop, &crash_at("post", EDITED, "shop@2")).await;
    let issue = app.issue("SHOP-1").await;
    assert_eq!(issue["events"], 2);
    assert_eq!(issue["fingerprint"]["how"], "new");
    assert_eq!(issue["merged_fingerprints"][0]["how"], "edited line");
    assert_eq!(app.changes("SHOP-1").await, ["opened", "joined"]);
    let activity = app.get("/api/v1/issues/SHOP-1/activity").await.ok();
    assert_eq!(activity["items"][0]["how"], "edited_line");
    // In one release two lines are two errors.
    app.send(&shop, &crash_at("post", "    prices = [item['total'] for item in wishes]", "shop@2"))
        .await;
    assert_eq!(app.issue("SHOP-2").await["events"], 1);
    // The old line in the old release is still the first issue.
    app.send(&shop, &crash_at("post", LINE, "shop@1")).await;
    assert_eq!(app.issue("SHOP-1").await["events"], 3);
    app.stop().await;
});

both!(two_edited_lines_that_arrive_together_are_judged_alike, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    let mut database = Database::open(app.config.database.as_deref().expect("an address")).await;
    // While nothing can be stored, reports gather in one batch.
    database.hold().await;
    for event in [crash_at("post", LINE, "shop@1"), crash_at("post", EDITED, "shop@2")] {
        app.send_event(&shop, &event).await.ok();
    }
    database.release().await;
    app.digested().await;
    assert_eq!(issues_of_events(&app).await, ["1", "1"]);
    assert_eq!(app.changes("SHOP-1").await, ["opened", "joined"]);
    app.stop().await;
});

both!(why_two_issues_are_not_one_is_said_in_words, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    app.send(&shop, &crash_at("post", LINE, "shop@1")).await;
    app.send(&shop, &crash_at("get", LINE, "shop@1")).await;
    let compared = app.get("/api/v1/issues/SHOP-1/compare/SHOP-2").await.ok();
    assert_eq!((&compared["same"], &compared["shared"]), (&json!(false), &json!(4)));
    assert_eq!(compared["a"]["reason"], "stack: 2 frames of the application");
    assert_eq!(
        compared["differences"][0]["words"],
        "the frames near the crash: `shop.views|post` in the first, `shop.views|get` in the second"
    );
    assert_eq!(compared["differences"].as_array().map(Vec::len), Some(1));
    app.act("SHOP-2", "merge", json!({"into": "SHOP-1"})).await.ok();
    let compared = app.get("/api/v1/issues/SHOP-1/compare/SHOP-2").await.ok();
    assert_eq!((&compared["same"], &compared["differences"]), (&json!(true), &json!([])));
    app.create_project("other").await;
    let missing = app.get("/api/v1/issues/SHOP-1/compare/OTHER-1").await;
    assert_eq!(missing.problem().0, 404);
    app.stop().await;
});

async fn two_merged(app: &TestApp) -> TestProject {
    let shop = app.create_project("shop").await;
    let user = |id: &str| json!({"user": {"id": id}, "tags": {"shard": id}});
    app.send(&shop, &with(crash_at("post", LINE, "shop@1"), &user("7"))).await;
    app.send(&shop, &with(crash_at("get", LINE, "shop@1"), &user("8"))).await;
    app.send(&shop, &with(crash_at("get", LINE, "shop@2"), &user("9"))).await;
    app.act("SHOP-2", "merge", json!({"into": "SHOP-1"})).await.ok();
    shop
}

both!(what_was_merged_is_taken_apart_again, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = two_merged(&app).await;
    let merged = app.issue("SHOP-1").await;
    assert_eq!((&merged["events"], &merged["users"]), (&json!(3), &json!(3)));
    let gone = hashes(&merged, "shop.views|get");
    let left = app.act("SHOP-1", "unmerge", json!({ "hashes": gone })).await.ok();
    assert_eq!((&left["id"], &left["unmerged_into"]), (&json!("SHOP-1"), &json!("SHOP-2")));
    assert_eq!((&left["events"], hashes(&left, "").len()), (&json!(1), 1));
    assert_eq!(left["releases"], json!({"first": "shop@1", "last": "shop@1"}));
    let back = app.issue("SHOP-2").await;
    assert_eq!((&back["events"], &back["users"]), (&json!(2), &json!(2)));
    assert_eq!(back["releases"], json!({"first": "shop@1", "last": "shop@2"}));
    assert_eq!(back["status"], "open");
    assert_eq!(app.changes("SHOP-1").await, ["opened", "absorbed", "unmerged"]);
    assert_eq!(app.changes("SHOP-2").await, ["opened", "merged_into", "split_from"]);
    let tags = app.get("/api/v1/issues/SHOP-1/tags").await.ok();
    assert!(!tags.to_string().contains("shop@2"), "{tags}");
    let counted = "SELECT CAST(SUM(issue_counts.n_events) AS BIGINT) FROM issue_counts
        JOIN issues ON issues.id = issue_counts.issue_id WHERE issues.number = ";
    assert_eq!(app.stored_number(&format!("{counted}1")).await, 1);
    assert_eq!(app.stored_number(&format!("{counted}2")).await, 2);
    // What comes now goes where it belongs.
    app.send(&shop, &crash_at("get", LINE, "shop@2")).await;
    assert_eq!(app.issue("SHOP-2").await["events"], 3);
    app.stop().await;
});

both!(an_own_fingerprint_becomes_an_issue_of_its_own, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let _shop = two_merged(&app).await;
    let own = hashes(&app.issue("SHOP-1").await, "shop.views|post");
    let left = app.act("SHOP-1", "unmerge", json!({ "hashes": own })).await.ok();
    assert_eq!((&left["unmerged_into"], &left["events"]), (&json!("SHOP-3"), &json!(2)));
    let new = app.issue("SHOP-3").await;
    assert_eq!((&new["events"], &new["title"]), (&json!(1), &json!("KeyError: 'total'")));
    for (hashes, status) in [(json!([]), 422), (json!(["12"]), 422), (json!(own), 422)] {
        let refused = app.act("SHOP-1", "unmerge", json!({ "hashes": hashes })).await;
        assert_eq!(refused.problem().0, status);
    }
    app.stop().await;
});

both!(an_issue_that_lost_its_latest_events_is_called_what_is_left, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    app.crashed(&shop, "KeyError").await;
    app.clock.advance(std::time::Duration::from_hours(1));
    app.crashed(&shop, "ValueError").await;
    app.act("SHOP-2", "merge", json!({"into": "SHOP-1"})).await.ok();
    assert_eq!(app.issue("SHOP-1").await["title"], "ValueError: broken");
    let gone = hashes(&app.issue("SHOP-1").await, "ValueError");
    app.act("SHOP-1", "discard", json!({})).await.ok();
    let left = app.act("SHOP-1", "unmerge", json!({ "hashes": gone })).await.ok();
    assert_eq!(
        (&left["title"], &left["last_seen"]),
        (&json!("KeyError: broken"), &left["first_seen"])
    );
    let back = app.issue("SHOP-2").await;
    assert_eq!(back["title"], "ValueError: broken");
    assert!(back["discarded_at"].is_string(), "what was dropped is dropped after it left");
    app.stop().await;
});

both!(events_of_a_discarded_issue_are_dropped_until_it_is_reopened, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    let shop = app.create_project("shop").await;
    app.crashed(&shop, "KeyError").await;
    app.crashed(&shop, "ValueError").await;
    app.act("SHOP-1", "discard", json!({})).await.ok();
    app.act("SHOP-1", "discard", json!({})).await.ok();
    app.crashed(&shop, "KeyError").await;
    assert_eq!(app.issue("SHOP-1").await["events"], 1);
    let ids = |items: Vec<Value>| {
        items
            .into_iter()
            .map(|one| one["id"].as_str().expect("an id").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(app.all("/api/v1/projects/shop/issues").await), ["SHOP-2"]);
    let discarded = app.all("/api/v1/projects/shop/issues?status=discarded").await;
    assert_eq!(ids(discarded), ["SHOP-1"]);
    let refused = app.act("SHOP-2", "merge", json!({"into": "SHOP-1"})).await;
    assert_eq!(refused.problem(), (409, "invalid-transition".to_owned()));
    app.act("SHOP-1", "reopen", json!({})).await.ok();
    app.crashed(&shop, "KeyError").await;
    assert_eq!(app.issue("SHOP-1").await["events"], 2);
    assert_eq!(app.changes("SHOP-1").await, ["opened", "discarded", "restored"]);
    let outcomes = app.stop_and_count(&shop).await;
    assert_eq!((outcomes["accepted"], outcomes["dropped"]), (3, 1));
});
