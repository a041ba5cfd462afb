//! Tasks on the boards of environments, and their files: the same in each tracker.

use std::time::Duration;

use airlock::auth::secrets::{KEY_FILE, Secrets};
use airlock::domain::task::{Block, Wanted};
use airlock::domain::time::Timestamp;
use airlock::domain::tracker::Board;

use airlock::tracker::connections::Trackers;
use airlock::tracker::{Connect as _, Connection, Tracker as _, TrackerError};
use serde_json::json;

use super::{Connected, TRACKER};
use crate::support::asana::{Failure, OAUTH, PAT};
use crate::support::{Engine, TestApp, both};

/// The tracker that the shop has now.
pub(super) async fn tracker(app: &TestApp) -> Connection {
    let store = app.running.store().clone();
    let secrets = Secrets::load(&app.data().join(KEY_FILE), &app.clock).expect("the key");
    let with = (store.clone(), app.clock.clone());
    let trackers = Trackers::new(with, secrets, (app.url(""), None), Duration::from_secs(1));
    let project = store.read().await.expect("a store").find_project("shop").await;
    trackers.connect(&project.expect("an answer").expect("a shop")).await.expect("a tracker")
}

pub(super) fn wanted(title: &str) -> Wanted {
    Wanted {
        title: title.to_owned(),
        body: vec![Block::Text("why".to_owned())],
        is_done: false,
        assignee: None,
        fix: None,
    }
}

both!(locks_and_deploys_have_boards_in_asana, |engine: Engine| async move {
    for token in [OAUTH, PAT] {
        let connected = Connected::start(engine, token).await;
        let Connected { app, asana, errors, .. } = &connected;
        let (locks, deploys) = (asana.project("Lock Beta"), asana.project("Beta Push"));
        let projects = json!({"lock_project": locks, "deploy_project": deploys});
        connected.connect(token, &json!({"environments": {"beta": projects}})).await;
        let tracker = tracker(app).await;
        let (beta, since) = (Board::Locks("beta".to_owned()), app.clock.now());
        let made = tracker.create(&beta, "lock/1", &wanted("No deploys")).await.expect("a task");
        assert!(asana.task(&made.id).is_in(&locks));
        let found = tracker.find(&beta, "lock/1", since).await.expect("an answer");
        assert_eq!(found.as_slice(), std::slice::from_ref(&made));
        assert!(tracker.find(&beta, "lock/2", since).await.expect("an answer").is_empty());
        for is_on in [true, true, false, false] {
            tracker.set_board(&made.id, &Board::Issues, is_on).await.expect("done");
            assert_eq!(asana.task(&made.id).is_in(errors), is_on);
        }
        let none = tracker.create(&Board::Locks("production".to_owned()), "x", &wanted("x")).await;
        assert!(matches!(none, Err(TrackerError::Refused(why)) if why.contains("lock_project")));

        // A file that may be there already is not attached twice.
        let board = Board::Deploys("beta".to_owned());
        let deploy = tracker.create(&board, "deploy/1", &wanted("Deploy 1")).await.expect("a task");
        let file = ("deploy/1", "push \"1\".log");
        let log: &[u8] = b"one\r\n--airlockdeploy1\n\0two";
        asana.fail("POST", "/attachments", 1, Failure::DropAnswer);
        let lost = tracker.attach(&deploy.id, file, log).await;
        assert!(matches!(lost, Err(TrackerError::Ambiguous(_))), "{lost:?}");
        tracker.attach(&deploy.id, file, log).await.expect("done");
        assert_eq!(asana.files(&deploy.id).len(), 1);
        assert_eq!(asana.files(&deploy.id)["push _1_.log"], log);
        assert_eq!(asana.asked("POST", "/attachments").len(), 1);

        asana.by_hand("DELETE", &format!("/tasks/{}", made.id), &json!({}));
        let gone = tracker.set_board(&made.id, &Board::Issues, true).await;
        assert_eq!(gone, Err(TrackerError::Gone));
        let since = Timestamp::from_micros(0);
        assert!(tracker.find(&beta, "lock/1", since).await.expect("an answer").is_empty());
        connected.app.stop().await;
    }
});

both!(locks_and_deploys_have_boards_in_airlock, |engine: Engine| async move {
    let app = TestApp::start(engine).await;
    app.create_project("shop").await;
    let tracker = tracker(&app).await;
    let beta = Board::Locks("beta".to_owned());
    let made = tracker.create(&beta, "lock/1", &wanted("No deploys")).await.expect("a task");
    let again = tracker.create(&beta, "lock/1", &wanted("No deploys")).await.expect("that task");
    assert_eq!(again, made);
    tracker.set_board(&made.id, &Board::Issues, true).await.expect("done");
    let tasks = "/api/v1/projects/shop/tasks";
    let boards = app.get(&format!("{tasks}/1")).await.ok()["boards"].clone();
    assert_eq!(boards, json!(["issues", "locks/beta"]));
    tracker.set_board(&made.id, &Board::Issues, false).await.expect("done");
    assert!(app.all(&format!("{tasks}?board=issues")).await.is_empty());
    assert_eq!(app.all(&format!("{tasks}?board=locks/beta")).await.len(), 1);
    let renamed = json!({"environments": [{"name": "canary", "was": "beta"}, "production"]});
    app.patch("/api/v1/projects/shop", &renamed).await.ok();
    assert_eq!(app.all(&format!("{tasks}?board=locks/canary")).await.len(), 1);
    assert_eq!(app.get(TRACKER).await.ok(), json!({"kind": "built_in"}));
    app.stop().await;
});
