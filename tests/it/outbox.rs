//! What is carried out, and how often, when trackers and databases fail and nodes lose what they had.

mod fake;

use std::time::Duration;

use airlock::outbox::Outbox;
use airlock::tracker::TrackerError;
use serde_json::{Value, json};

use crate::support::{Engine, TestApp, TestProject, both, crash, with};
use fake::{Call, FakeTracker};

/// A shop where every error is serious, on a server that carries nothing out by itself.
pub(crate) async fn shop(engine: Engine) -> (TestApp, TestProject) {
    let app = TestApp::start(engine).await;
    app.running.outbox().stop();
    let shop = app.create_project("shop").await;
    let rules = json!({"rules": [{"events": 1}]});
    app.put("/api/v1/projects/shop/rules/filing", &rules).await.ok();
    (app, shop)
}

/// A node that carries out effects when told to.
pub(crate) fn node(app: &TestApp) -> Outbox {
    let store = app.running.store().clone();
    Outbox::new(store, app.clock.clone(), "https://airlock.example".to_owned())
}

/// Carries out what is due by now.
pub(crate) async fn work(node: &Outbox, tracker: &FakeTracker) {
    for busy in node.due().await.expect("projects") {
        node.work_with(busy, |_| tracker.clone()).await.expect("work");
    }
}

/// The effects of the shop in a state.
async fn effects(app: &TestApp, state: &str) -> Vec<Value> {
    app.all(&format!("/api/v1/outbox?project=shop&state={state}")).await
}

fn ambiguous() -> TrackerError {
    TrackerError::Ambiguous("the connection ended".to_owned())
}

fn refused() -> TrackerError {
    TrackerError::Refused("no".to_owned())
}

fn not_done() -> TrackerError {
    TrackerError::NotDone { cause: "not reached".to_owned(), after: None }
}

both!(a_task_that_may_be_there_is_looked_for_until_somebody_knows, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let (node, tracker) = (node(&app), FakeTracker::default());
    app.crashed(&shop, "KeyError").await;
    // It is made, and nobody hears of it; then nobody may look.
    tracker.fail_after(Call::Create, ambiguous());
    work(&node, &tracker).await;
    tracker.fail(Call::Find, refused());
    app.clock.advance(Duration::from_secs(5));
    work(&node, &tracker).await;
    assert_eq!(effects(&app, "parked").await.len(), 1);
    // Whatever happens next, it is looked for first.
    tracker.fail(Call::Find, not_done());
    app.act("SHOP-1", "comment", json!({"text": "again"})).await.ok();
    work(&node, &tracker).await;
    app.clock.advance(Duration::from_mins(1));
    work(&node, &tracker).await;
    assert_eq!(tracker.tasks().len(), 1);
    assert_eq!(tracker.tasks()[0].said, ["bootstrap: again"]);
    let id = effects(&app, "parked").await[0]["id"].as_str().expect("an id").to_owned();
    app.post(&format!("/api/v1/outbox/{id}/retry"), &json!({})).await.ok();
    work(&node, &tracker).await;
    assert_eq!(tracker.tasks().len(), 1);
    assert_eq!(app.issue("SHOP-1").await["task"]["id"], "1");
    assert_eq!(effects(&app, "done").await.len(), 2);
    app.stop().await;
});

both!(
    a_comment_that_may_be_there_is_looked_for_until_somebody_knows,
    |engine: Engine| async move {
        let (app, shop) = shop(engine).await;
        let (node, tracker) = (node(&app), FakeTracker::default());
        app.crashed(&shop, "KeyError").await;
        work(&node, &tracker).await;
        app.act("SHOP-1", "comment", json!({"text": "once"})).await.ok();
        tracker.fail_after(Call::Say, ambiguous());
        work(&node, &tracker).await;
        for error in [not_done(), refused()] {
            app.clock.advance(Duration::from_mins(1));
            tracker.fail(Call::HasSaid, error);
            work(&node, &tracker).await;
        }
        let id = effects(&app, "parked").await[0]["id"].as_str().expect("an id").to_owned();
        app.post(&format!("/api/v1/outbox/{id}/retry"), &json!({})).await.ok();
        work(&node, &tracker).await;
        assert_eq!(tracker.tasks()[0].said, ["bootstrap: once"]);
        app.stop().await;
    }
);

both!(what_was_certainly_not_made_is_made_again, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let (node, tracker) = (node(&app), FakeTracker::default());
    app.crashed(&shop, "KeyError").await;
    tracker.fail(Call::Create, not_done());
    work(&node, &tracker).await;
    assert_eq!(effects(&app, "planned").await.len(), 1);
    app.clock.advance(Duration::from_secs(5));
    work(&node, &tracker).await;
    assert_eq!((tracker.tasks().len(), tracker.n_calls(Call::Find)), (1, 0));
    app.stop().await;
});

both!(who_lost_the_tracker_writes_nothing_any_more, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let (old, new, tracker) = (node(&app), node(&app), FakeTracker::default());
    app.crashed(&shop, "KeyError").await;
    // While the old one makes the task, its lease ends, and the new one does all there is to do.
    tracker.fail_after(Call::Create, not_done());
    let (clock, other) = (app.clock.clone(), tracker.clone());
    tracker.meanwhile(Call::Create, async move {
        clock.advance(Duration::from_mins(2));
        work(&new, &other).await;
    });
    work(&old, &tracker).await;
    assert_eq!(tracker.tasks().len(), 1);
    let task = app.issue("SHOP-1").await["task"].clone();
    assert_eq!((&task["id"], &task["error"]), (&json!("1"), &Value::Null));
    assert_eq!(effects(&app, "done").await.len(), 1);
    app.stop().await;
});

both!(what_makes_no_sense_is_parked_and_holds_up_nobody, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let (node, tracker) = (node(&app), FakeTracker::default());
    for n in 0..12 {
        let event = with(crash("KeyError"), &json!({"fingerprint": [n.to_string()]}));
        app.send(&shop, &event).await;
    }
    let spoil = "UPDATE outbox SET effect = 'x' WHERE CAST($1 AS BYTEA) IS NOT NULL";
    app.change_store(spoil, &[]).await;
    let spoil = "INSERT INTO lanes (project_id, lane, try_at, n_failures)
        SELECT id, 'nobody/1', 0, 0 FROM projects WHERE CAST($1 AS BYTEA) IS NOT NULL";
    app.change_store(spoil, &[]).await;
    app.crashed(&shop, "ValueError").await;
    work(&node, &tracker).await;
    assert_eq!(tracker.tasks().len(), 1);
    let parked = "SELECT COUNT(*) FROM outbox WHERE state = 'parked' AND error LIKE '%effect%'";
    assert_eq!(app.stored_number(parked).await, 12);
    assert_eq!(effects(&app, "parked").await.len(), 0);
    assert_eq!(app.stored_number("SELECT COUNT(*) FROM lanes").await, 0);
    app.stop().await;
});

both!(an_issue_that_makes_no_sense_parks_its_effect, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let (node, tracker) = (node(&app), FakeTracker::default());
    app.crashed(&shop, "KeyError").await;
    app.crashed(&shop, "ValueError").await;
    let spoil = "UPDATE issues SET level = 'x' WHERE number = 1 AND CAST($1 AS BYTEA) IS NOT NULL";
    app.change_store(spoil, &[]).await;
    work(&node, &tracker).await;
    let parked = effects(&app, "parked").await;
    assert_eq!(parked.len(), 1);
    let why = parked[0]["error"].as_str().expect("a reason");
    assert!(why.contains("table issues, column level"), "{why}");
    assert_eq!(tracker.tasks().len(), 1);
    app.stop().await;
});

both!(only_one_node_tries_to_have_a_tracker, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let (one, other) = (node(&app), node(&app));
    app.crashed(&shop, "KeyError").await;
    let busy = one.due().await.expect("projects").pop().expect("the shop");
    let tracker = FakeTracker::default();
    let is_postgres = matches!(engine, Engine::Postgres);
    tracker.meanwhile(Call::Create, async move {
        let n_due = other.due().await.expect("projects").len();
        // One process alone has a SQLite file: whoever held a lease before is gone.
        assert_eq!(n_due, usize::from(!is_postgres));
    });
    one.work_with(busy, |_| tracker.clone()).await.expect("work");
    assert_eq!(tracker.tasks().len(), 1);
    // Leases go with their project.
    assert_eq!(app.stored_number("SELECT COUNT(*) FROM leases").await, 1);
    app.stop().await;
});
