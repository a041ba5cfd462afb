//! What is carried out, and how often, when trackers and databases fail and nodes lose what they had.

mod fake;

use std::time::Duration;

use airlock::auth::secrets::Secrets;
use airlock::config::TRACKER_TIMEOUT;
use airlock::outbox::Outbox;
use airlock::store::Tx;
use airlock::tracker::TrackerError;
use airlock::tracker::connections::Trackers;
use serde_json::{Value, json};

use crate::support::{Engine, TestApp, TestProject, both, crash, until, with};
use fake::{Call, FakeTask, FakeTracker};

/// A shop where every error is serious, on a server that carries nothing out by itself.
pub(crate) async fn shop(engine: Engine) -> (TestApp, TestProject) {
    let app = TestApp::start(engine).await;
    app.running.outbox().stop();
    let shop = open(&app, "shop").await;
    (app, shop)
}

/// A project where every error is serious.
async fn open(app: &TestApp, slug: &str) -> TestProject {
    let project = app.create_project(slug).await;
    let rules = json!({"rules": [{"events": 1}]});
    app.put(&format!("/api/v1/projects/{slug}/rules/filing"), &rules).await.ok();
    project
}

/// A node that carries out effects when told to.
pub(crate) fn node(app: &TestApp) -> Outbox {
    let (store, clock) = (app.running.store().clone(), app.clock.clone());
    let folder = tempfile::tempdir().expect("a folder");
    let secrets = Secrets::load(&folder.path().join("key"), &clock).expect("a key");
    let url = "https://airlock.example".to_owned();
    let urls = (url.clone(), None);
    let trackers = Trackers::new((store.clone(), clock.clone()), secrets, urls, TRACKER_TIMEOUT);
    let repositories = app.running.outbox().repositories().clone();
    Outbox::new((store, clock), trackers, repositories, url)
}

/// The key of a task, with the short id of its issue, which is its title's first word.
fn key_of(task: &FakeTask) -> String {
    let (name, generation) = task.key.rsplit_once('/').expect("a generation");
    let is_issue = uuid::Uuid::parse_str(name).is_ok();
    let word = if is_issue { task.title.split(' ').next().unwrap_or_default() } else { name };
    format!("{word}/{generation}")
}

/// Carries out what is due by now.
pub(crate) async fn work(node: &Outbox, tracker: &FakeTracker) {
    for busy in node.due().await.expect("projects") {
        node.work_with(busy, tracker).await.expect("work");
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
    let metrics = app.get("/metrics").await.text;
    for line in ["airlock_outbox_parked_effects 1", "airlock_outbox_backlog_effects 0"] {
        assert!(metrics.lines().any(|one| one == line), "{metrics}");
    }
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

both!(lanes_go_on_while_the_connection_is_claimed_anew, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let (node, tracker) = (node(&app), FakeTracker::default());
    let rules = json!({"rules": [{"events": 1}], "most_tasks_per_hour": 1000});
    app.put("/api/v1/projects/shop/rules/filing", &rules).await.ok();
    tracker.count();
    for n in 0..100 {
        let event = with(crash("KeyError"), &json!({"fingerprint": [n.to_string()]}));
        app.send_event(&shop, &event).await.ok();
        let clock = app.clock.clone();
        // A task takes its time, so that the claim ends again and again.
        tracker.meanwhile(Call::Create, async move { clock.advance(Duration::from_secs(5)) });
    }
    app.digested().await;
    work(&node, &tracker).await;
    assert_eq!(tracker.tasks().len(), 100);
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
    // What was to be said is lost; that there is to be a task is not.
    assert_eq!(tracker.tasks().len(), 13);
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
    one.work_with(busy, &tracker).await.expect("work");
    assert_eq!(tracker.tasks().len(), 1);
    // A project has one lease of its tracker, whoever worked it.
    assert_eq!(app.stored_number("SELECT COUNT(*) FROM leases").await, 1);
    app.stop().await;
});

both!(
    who_comes_after_another_waits_until_what_it_asked_counts_no_more,
    |engine: Engine| async move {
        let (app, shop) = shop(engine).await;
        let (one, next, tracker) = (node(&app), node(&app), FakeTracker::default());
        tracker.count();
        app.crashed(&shop, "KeyError").await;
        work(&one, &tracker).await;
        // Other projects have the same token.
        let other = open(&app, "other").await;
        app.crashed(&other, "KeyError").await;
        for seconds in [0, 59] {
            app.clock.advance(Duration::from_secs(seconds));
            work(&next, &tracker).await;
            assert_eq!(tracker.tasks().len(), 1);
        }
        app.clock.advance(Duration::from_secs(1));
        work(&next, &tracker).await;
        assert_eq!(tracker.tasks().len(), 2);
        app.crashed(&shop, "TypeError").await;
        work(&one, &tracker).await;
        assert_eq!(tracker.tasks().len(), 2);
        work(&next, &tracker).await;
        assert_eq!(tracker.tasks().len(), 3);
        app.stop().await;
    }
);

both!(a_task_that_takes_long_holds_up_no_other, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let (node, tracker) = (node(&app), FakeTracker::default());
    app.crashed(&shop, "KeyError").await;
    let (answer, answered) = tokio::sync::oneshot::channel::<()>();
    tracker.meanwhile(Call::Create, async move {
        answered.await.expect("an answer");
    });
    let meanwhile = async {
        until("the first is asked for", async || tracker.tasks().len() == 1).await;
        app.crashed(&shop, "TypeError").await;
        until("the other has its task", async || tracker.tasks().len() == 2).await;
        answer.send(()).expect("somebody waits");
    };
    tokio::join!(work(&node, &tracker), meanwhile);
    assert_eq!(effects(&app, "done").await.len(), 2);
    app.stop().await;
});

both!(a_lane_of_many_effects_lets_others_have_their_turn, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let (node, tracker) = (node(&app), FakeTracker::default());
    for number in 0..9 {
        app.crashed(&shop, &format!("Error{number}")).await;
    }
    // Each says something, which takes a step of its own.
    for issue in 1..9 {
        for note in 0..10 {
            let comment = json!({"text": format!("note {note}")});
            app.post(&format!("/api/v1/issues/SHOP-{issue}/comment"), &comment).await.ok();
        }
    }
    app.clock.advance(Duration::from_secs(1));
    work(&node, &tracker).await;
    // The ninth task is made before the others are through.
    let n_said_before = tracker.n_calls_before(Call::Say, Call::Create);
    assert!(n_said_before < 8 * 10, "{n_said_before}");
    assert_eq!((tracker.tasks().len(), tracker.n_calls(Call::Say)), (9, 8 * 10));
    app.stop().await;
});

/// How many events the text of a task says.
fn n_events(tracker: &FakeTracker, index: usize) -> String {
    let body = tracker.tasks()[index].body.clone();
    let after = body.split("(\"Events\", \"").nth(1).expect("a count");
    after.split('"').next().expect("a number").to_owned()
}

both!(text_that_counts_follows_every_few_minutes, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let (node, tracker) = (node(&app), FakeTracker::default());
    app.crashed(&shop, "KeyError").await;
    work(&node, &tracker).await;
    // Nothing is planned for reports alone, and nothing is written for a while.
    for _ in 0..3 {
        app.crashed(&shop, "KeyError").await;
        work(&node, &tracker).await;
    }
    assert_eq!((n_events(&tracker, 0).as_str(), tracker.n_calls(Call::Update)), ("1", 0));
    assert_eq!(effects(&app, "done").await.len(), 1);
    app.clock.advance(Duration::from_mins(5));
    work(&node, &tracker).await;
    assert_eq!((n_events(&tracker, 0).as_str(), tracker.n_calls(Call::Update)), ("4", 1));
    assert_eq!(app.stored_number("SELECT COUNT(*) FROM lanes").await, 0);

    // What was held back, too; a tracker that is away then is tried again.
    app.crashed(&shop, "KeyError").await;
    app.act("SHOP-1", "comment", json!({"text": "hm"})).await.ok();
    work(&node, &tracker).await;
    assert_eq!(n_events(&tracker, 0), "4");
    app.clock.advance(Duration::from_mins(5));
    tracker.fail(Call::Update, not_done());
    work(&node, &tracker).await;
    app.clock.advance(Duration::from_secs(5));
    work(&node, &tracker).await;
    assert_eq!(n_events(&tracker, 0), "5");
    assert_eq!(app.stored_number("SELECT COUNT(*) FROM lanes").await, 0);
    app.stop().await;
});

both!(events_that_come_while_a_task_is_written_are_not_forgotten, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let (node, tracker) = (node(&app), FakeTracker::default());
    app.crashed(&shop, "KeyError").await;
    let store = app.running.store().clone();
    tracker.meanwhile(Call::Create, async move {
        // As digest does: there is a lane already.
        let mut tx = store.write().await.expect("a transaction");
        let count = "UPDATE issues SET n_events = 2";
        match &mut tx {
            Tx::Sqlite(tx) => drop(sqlx::query(count).execute(&mut **tx).await.expect("done")),
            Tx::Postgres(tx) => drop(sqlx::query(count).execute(&mut **tx).await.expect("done")),
        }
        tx.commit().await.expect("a commit");
    });
    work(&node, &tracker).await;
    assert_eq!(n_events(&tracker, 0), "1");
    app.clock.advance(Duration::from_mins(5));
    work(&node, &tracker).await;
    assert_eq!(n_events(&tracker, 0), "2");
    app.stop().await;
});

both!(a_merge_keeps_the_task, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let (node, tracker) = (node(&app), FakeTracker::default());
    let rules = json!({"rules": [{"level": "fatal"}]});
    app.put("/api/v1/projects/shop/rules/filing", &rules).await.ok();
    app.send(&shop, &with(crash("KeyError"), &json!({"level": "fatal"}))).await;
    app.crashed(&shop, "ValueError").await;
    work(&node, &tracker).await;
    assert_eq!(tracker.tasks().len(), 1);
    let hash = app.issue("SHOP-1").await["fingerprint"]["hash"].clone();
    app.act("SHOP-1", "merge", json!({"into": "SHOP-2"})).await.ok();
    work(&node, &tracker).await;
    let tasks = tracker.tasks();
    assert_eq!(tasks.len(), 2);
    assert_eq!((tasks[0].is_done, tasks[1].is_done), (true, false));
    assert_eq!(tasks[0].said, ["bootstrap made it part of SHOP-2"]);
    assert_eq!(tasks[1].said, ["SHOP-1 is part of it from now on"]);
    let why = app.all("/api/v1/issues/SHOP-2/activity").await;
    let why = why.iter().find(|one| one["kind"] == "became_serious").expect("it is");
    assert_eq!(why["reason"], "SHOP-1 is part of it");

    // It is what it was when it is one of its own again.
    app.act("SHOP-2", "unmerge", json!({ "hashes": [hash] })).await.ok();
    work(&node, &tracker).await;
    let tasks = tracker.tasks();
    assert_eq!((tasks.len(), tasks[0].is_done, tasks[1].is_done), (2, false, false));
    app.stop().await;
});

both!(what_is_over_before_it_has_a_task_has_none, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let (node, tracker) = (node(&app), FakeTracker::default());
    app.crashed(&shop, "KeyError").await;
    app.act("SHOP-1", "resolve", json!({})).await.ok();
    work(&node, &tracker).await;
    assert_eq!((tracker.tasks().len(), effects(&app, "done").await.len()), (0, 2));
    assert_eq!(app.issue("SHOP-1").await["task"], Value::Null);
    app.clock.advance(Duration::from_hours(1));
    app.crashed(&shop, "KeyError").await;
    work(&node, &tracker).await;
    assert_eq!(tracker.tasks().len(), 1);
    app.stop().await;
});

both!(a_deleted_task_stays_deleted_until_the_next_regression, |engine: Engine| async move {
    let (app, shop) = shop(engine).await;
    let (node, tracker) = (node(&app), FakeTracker::default());
    app.crashed(&shop, "KeyError").await;
    work(&node, &tracker).await;
    tracker.delete(0);
    app.act("SHOP-1", "comment", json!({"text": "where is it?"})).await.ok();
    work(&node, &tracker).await;
    app.act("SHOP-1", "resolve", json!({})).await.ok();
    work(&node, &tracker).await;
    let task = app.issue("SHOP-1").await["task"].clone();
    assert_eq!((&task["state"], &task["error"]), (&json!("deleted"), &Value::Null));
    assert_eq!((effects(&app, "done").await.len(), tracker.tasks().len()), (3, 1));

    app.clock.advance(Duration::from_hours(1));
    app.crashed(&shop, "KeyError").await;
    work(&node, &tracker).await;
    let tasks = tracker.tasks();
    assert_eq!((tasks.len(), key_of(&tasks[1]).as_str()), (2, "SHOP-1/2"));
    assert!(tasks[1].said[0].starts_with("It came back"), "{:?}", tasks[1].said);
    assert_eq!(app.issue("SHOP-1").await["task"]["id"], "2");

    // Also when nobody knew of it before, and when somebody wants one.
    tracker.delete(1);
    app.act("SHOP-1", "resolve", json!({})).await.ok();
    app.clock.advance(Duration::from_hours(1));
    app.crashed(&shop, "KeyError").await;
    work(&node, &tracker).await;
    assert_eq!(app.issue("SHOP-1").await["task"]["id"], "3");
    tracker.delete(2);
    app.act("SHOP-1", "resolve", json!({})).await.ok();
    app.act("SHOP-1", "reopen", json!({})).await.ok();
    work(&node, &tracker).await;
    assert_eq!(app.issue("SHOP-1").await["task"]["id"], "3");
    app.act("SHOP-1", "comment", json!({"text": "anybody?"})).await.ok();
    app.act("SHOP-1", "file", json!({})).await.ok();
    work(&node, &tracker).await;
    assert_eq!(app.issue("SHOP-1").await["task"]["id"], "4");
    app.stop().await;
});

mod storms {
    use super::*;

    /// What became of issues' tasks.
    async fn states(app: &TestApp, n: usize) -> Vec<String> {
        let mut states = Vec::new();
        for number in 1..=n {
            let task = app.issue(&format!("SHOP-{number}")).await["task"].clone();
            states.push(task["state"].as_str().unwrap_or("none").to_owned());
        }
        states
    }

    /// The keys of tasks, the oldest first.
    fn keys(tracker: &FakeTracker) -> Vec<String> {
        tracker.tasks().iter().map(super::key_of).collect()
    }

    async fn stormy(engine: Engine, most: u32) -> (TestApp, TestProject) {
        let (app, shop) = shop(engine).await;
        let rules = json!({"rules": [{"events": 1}], "most_tasks_per_hour": most});
        app.put("/api/v1/projects/shop/rules/filing", &rules).await.ok();
        (app, shop)
    }

    both!(many_new_issues_wait_for_tasks, |engine: Engine| async move {
        let (app, shop) = stormy(engine, 3).await;
        let (node, tracker) = (node(&app), FakeTracker::default());
        for n in 1..=8 {
            app.crashed(&shop, &format!("Error{n}")).await;
            work(&node, &tracker).await;
        }
        let held = ["open", "open", "open", "held", "held", "held", "held", "held"];
        assert_eq!(states(&app, 8).await, held);
        assert_eq!(keys(&tracker), ["SHOP-1/1", "SHOP-2/1", "SHOP-3/1", "SHOP/storm/1"]);
        assert_eq!(effects(&app, "planned").await.len(), 5);
        let body = tracker.tasks()[3].body.clone();
        assert!(body.contains("SHOP-4 Error4: broken") && !body.contains("SHOP-3"), "{body}");
        assert!(body.contains("https://airlock.example/api/v1/issues/SHOP-4"), "{body}");
        assert!(!body.contains("SHOP-8"), "it is written again after a while: {body}");

        // One that somebody wants is not held; one that is over never gets one.
        app.act("SHOP-7", "file", json!({})).await.ok();
        app.act("SHOP-5", "resolve", json!({})).await.ok();
        work(&node, &tracker).await;
        let held = ["open", "open", "open", "held", "planned", "held", "open", "held"];
        assert_eq!(states(&app, 8).await, held);
        app.clock.advance(Duration::from_mins(5));
        work(&node, &tracker).await;
        let body = tracker.tasks()[3].body.clone();
        assert!(body.contains("SHOP-8"), "{body}");
        assert!(!body.contains("SHOP-7") && !body.contains("SHOP-5"), "{body}");

        // A new one comes after those that wait.
        app.clock.advance(Duration::from_mins(56));
        app.crashed(&shop, "Error9").await;
        work(&node, &tracker).await;
        let over = ["open", "open", "open", "open", "planned", "open", "open", "open", "held"];
        assert_eq!(states(&app, 9).await, over);
        assert!(!tracker.tasks()[3].is_done);
        for _ in 0..13 {
            app.clock.advance(Duration::from_mins(5));
            work(&node, &tracker).await;
        }
        assert_eq!(states(&app, 9).await.last().map(String::as_str), Some("open"));
        assert!(tracker.tasks()[3].is_done);
        assert_eq!(app.stored_number("SELECT COUNT(*) FROM lanes").await, 0);

        // The next storm has a task of its own.
        for n in 10..=14 {
            app.crashed(&shop, &format!("Error{n}")).await;
        }
        work(&node, &tracker).await;
        assert!(keys(&tracker).contains(&"SHOP/storm/2".to_owned()), "{:?}", keys(&tracker));
        app.stop().await;
    });

    both!(a_storm_has_one_task_whatever_fails, |engine: Engine| async move {
        let (app, shop) = stormy(engine, 1).await;
        let (one, other, tracker) = (node(&app), node(&app), FakeTracker::default());
        app.crashed(&shop, "Error1").await;
        work(&one, &tracker).await;
        for n in 2..=12 {
            app.crashed(&shop, &format!("Error{n}")).await;
        }
        // It is made, and nobody hears of it; then another node goes on.
        tracker.fail_after(Call::Create, ambiguous());
        work(&one, &tracker).await;
        app.clock.advance(Duration::from_mins(2));
        work(&other, &tracker).await;
        work(&one, &tracker).await;
        assert_eq!(keys(&tracker), ["SHOP-1/1", "SHOP/storm/1"]);
        app.clock.advance(Duration::from_hours(1));
        for n in [&one, &other, &one] {
            work(n, &tracker).await;
        }
        assert_eq!(keys(&tracker), ["SHOP-1/1", "SHOP/storm/1", "SHOP-2/1"]);
        app.stop().await;
    });
}
