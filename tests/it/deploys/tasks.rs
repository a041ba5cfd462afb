//! The tasks of locks and deploys, in the tracker that is part of Airlock.

use reqwest::Method;
use serde_json::{Value, json};

use super::Shop;
use crate::support::{Answer, Engine, both, until};

impl Shop {
    /// A task, once everything was carried out.
    async fn task(&self, of: &Value) -> Value {
        until("effects are carried out", async || {
            self.app.stored_number("SELECT COUNT(*) FROM outbox WHERE state <> 'done'").await == 0
        })
        .await;
        let kind = if of["gated"].is_null() { "locks" } else { "deploys" };
        let id = of["id"].as_str().expect("an id");
        loop {
            let shown = self.app.get(&format!("/api/v1/{kind}/{id}")).await.ok();
            let number = shown["task"]["id"].as_str().expect("a task").to_owned();
            let task = self.app.get(&format!("/api/v1/projects/shop/tasks/{number}")).await.ok();
            let again = self.app.get(&format!("/api/v1/{kind}/{id}")).await.ok();
            // It may change in between.
            if shown["task"] == again["task"] {
                assert_eq!(shown["task"]["state"], task["state"]);
                return task;
            }
        }
    }
}

fn title(task: &Value) -> &str {
    task["title"].as_str().expect("a title")
}

fn comments(task: &Value) -> Vec<&str> {
    let all = task["comments"].as_array().expect("a list");
    all.iter().map(|one| one["text"].as_str().expect("a text")).collect()
}

both!(a_lock_has_a_task_until_it_is_released, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let wish = json!({"reason": "the import runs", "assignee": "zoe", "key": "import"});
    let lock = shop.lock("production", &wish).await;
    let task = shop.task(&lock).await;
    assert_eq!(title(&task), "production is locked: the import runs");
    assert_eq!((&task["state"], &task["assignee"]), (&json!("open"), &json!("zoe")));

    // The same lock again is the same task; what is said is said there.
    let wish = json!({"reason": "the import still runs", "assignee": "robin", "key": "import"});
    let path = Shop::environment("production", "locks");
    assert_eq!(shop.app.post(&path, &wish).await.status.as_u16(), 200);
    let of = format!("/api/v1/locks/{}", lock["id"].as_str().expect("an id"));
    shop.app.post(&format!("{of}/comment"), &json!({"text": "half of it"})).await.ok();
    let past = json!({"commit": shop.sha("base"), "override": "it cannot wait"});
    shop.app.post(&Shop::environment("production", "deploys"), &past).await.ok();
    let task = shop.task(&lock).await;
    assert_eq!(title(&task), "production is locked: the import still runs");
    assert_eq!(task["assignee"], "robin");

    let request = shop.app.api(Method::DELETE, &of);
    Answer::of(request.json(&json!({"reason": "all imported"}))).await.ok();
    let task = shop.task(&lock).await;
    assert_eq!(task["state"], "done");
    assert_eq!(
        comments(&task),
        [
            "bootstrap: half of it",
            "bootstrap overrode the gate for deploy 1: it cannot wait",
            "bootstrap released it: all imported"
        ]
    );
    shop.stop().await;
});

both!(the_task_of_a_lock_is_done_when_the_lock_expires, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let wish = json!({"reason": "the import runs", "expires_at": "2026-11-21T13:00:00Z"});
    let lock = shop.lock("production", &wish).await;
    assert_eq!(shop.task(&lock).await["state"], "open");
    shop.app.clock.advance(std::time::Duration::from_hours(1));
    until("the task is done", async || shop.task(&lock).await["state"] == "done").await;
    shop.stop().await;
});

both!(the_lock_of_an_issue_has_the_task_of_the_issue, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    shop.crash_at("KeyError", "base").await;
    let lock = shop.lock("production", &json!({"issue": "SHOP-1"})).await;
    let task = shop.task(&lock).await;
    assert!(title(&task).starts_with("SHOP-1 KeyError"), "{task}");
    let id = shop.app.issue("SHOP-1").await["task"]["id"].clone();
    assert_eq!(id, json!(task["number"].to_string()));
    shop.stop().await;
});

both!(a_deploy_is_a_task_that_is_done_when_it_succeeded, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base; c fix").await;
    shop.crash_at("KeyError", "base").await;
    shop.fix("SHOP-1", &shop.sha("fix")).await.ok();
    let deploy = shop.start_deploy("beta", &shop.sha("fix")).await.ok();
    let task = shop.task(&deploy).await;
    let short = shop.sha("fix").chars().take(7).collect::<String>();
    assert_eq!(title(&task), format!("Deploy 1 to beta: {short}"));
    assert_eq!(task["state"], "open");
    shop.finish(&deploy, "succeeded").await;
    let task = shop.task(&deploy).await;
    assert_eq!(task["state"], "done");
    assert!(task["body"].to_string().contains(r#"["Resolved","SHOP-1"]"#), "{task}");
    shop.stop().await;
});

both!(
    a_deploy_that_went_wrong_stays_open_with_the_end_of_its_output,
    |engine: Engine| async move {
        let shop = Shop::start(engine, "c base").await;
        let deploy = shop.start_deploy("beta", &shop.sha("base")).await.ok();
        let path = format!("/api/v1/deploys/{}/output", deploy["id"].as_str().expect("an id"));
        let lines: Vec<String> = (0..2_000).map(|n| format!("step {n} läuft\n")).collect();
        let request = shop.app.request(reqwest::Method::POST, &path).body(lines.concat());
        assert!(
            request
                .bearer_auth(crate::support::TOKEN)
                .send()
                .await
                .expect("sent")
                .status()
                .is_success()
        );
        shop.finish(&deploy, "failed").await;
        let task = shop.task(&deploy).await;
        assert!(title(&task).ends_with(": failed"), "{task}");
        assert_eq!(task["state"], "open");
        let code =
            task["body"].as_array().expect("a body").iter().find_map(|one| one["code"].as_array());
        let last = code.and_then(|lines| lines.last()).expect("output");
        assert_eq!(last, "step 1999 läuft");
        shop.app.clock.advance(std::time::Duration::from_mins(1));

        // One that nobody hears of any more stays open as well.
        let silent = shop.start_deploy("beta", &shop.sha("base")).await.ok();
        shop.app.clock.advance(std::time::Duration::from_mins(11));
        until("the deploy is lost", async || title(&shop.task(&silent).await).ends_with(": lost"))
            .await;
        shop.stop().await;
    }
);
