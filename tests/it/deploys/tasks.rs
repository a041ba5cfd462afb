//! The tasks of locks and deploys, in the tracker that is part of Airlock.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::Shop;
use crate::support::asana::{Asana, Failure, PAT};
use crate::support::{Answer, Engine, TOKEN, both, until};

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

impl Shop {
    /// More output of a deploy.
    async fn say(&self, deploy: &Value, text: &str) {
        let path = format!("/api/v1/deploys/{}/output", deploy["id"].as_str().expect("an id"));
        let request = self.app.request(Method::POST, &path).body(text.to_owned());
        let answer = request.bearer_auth(TOKEN).send().await.expect("sent");
        assert!(answer.status().is_success(), "{answer:?}");
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
        let lines: Vec<String> = (0..2_000).map(|n| format!("step {n} läuft\n")).collect();
        shop.say(&deploy, &lines.concat()).await;
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

both!(what_a_deploy_says_is_said_on_its_task, |engine: Engine| async move {
    let shop = Shop::start(engine, "c base").await;
    let deploy = shop.start_deploy("beta", &shop.sha("base")).await.ok();
    shop.task(&deploy).await;
    shop.say(&deploy, "\u{1b}[1mbuilding\u{1b}[0m\n10 %\r100 %\npassword=hunter2hunter2\n").await;
    shop.app.clock.advance(Duration::from_secs(31));
    until("it is said", async || !comments(&shop.task(&deploy).await).is_empty()).await;
    // What is new is not told at once, but all of it in the end; the task is told what is not there.
    shop.say(&deploy, &"a line of forty characters, with its end\n".repeat(1_000)).await;
    shop.say(&deploy, "pushed\n").await;
    shop.finish(&deploy, "succeeded").await;
    let task = shop.task(&deploy).await;
    let said = comments(&task);
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(said[0], "building\n100 %\npassword=**************");
    let (first, last) = (said[1].lines().next(), said[1].lines().last());
    assert_eq!(first, Some("(24623 bytes of output are left out here)"));
    assert_eq!(last, Some("pushed"));
    // Later output is said as well.
    shop.say(&deploy, "and cleaned up\n").await;
    until("it is said", async || comments(&shop.task(&deploy).await).len() == 3).await;
    shop.stop().await;
});

both!(what_a_deploy_says_is_in_asana_once_whatever_fails, |engine: Engine| async move {
    for failure in [Failure::DropAnswer, Failure::Status(500), Failure::Status(429)] {
        let shop = Shop::start(engine, "c base").await;
        let asana = Asana::start(shop.app.clock.clone()).await;
        let settings = json!({
            "kind": "asana", "url": asana.url, "token": PAT, "issue_project": asana.project("Errors"),
            "environments": {"beta": {"deploy_project": asana.project("Push")}},
        });
        shop.app.put("/api/v1/projects/shop/tracker", &settings).await.ok();
        let deploy = shop.start_deploy("beta", &shop.sha("base")).await.ok();
        until("it has a task", async || asana.tasks().len() == 1).await;
        let task = asana.tasks().remove(0).gid;
        asana.fail("POST", &format!("/tasks/{task}/stories"), 2, failure);
        asana.fail("POST", "/attachments", 2, failure);
        shop.say(&deploy, "building\n").await;
        until("it is said", async || {
            shop.app.clock.advance(Duration::from_secs(7));
            asana.comments(&task).len() == 1
        })
        .await;
        shop.say(&deploy, "pushed\n").await;
        shop.finish(&deploy, "succeeded").await;
        until("all is carried out", async || {
            shop.app.clock.advance(Duration::from_secs(7));
            shop.app.stored_number("SELECT COUNT(*) FROM lanes").await == 0
        })
        .await;
        let said = asana.comments(&task);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].starts_with("building") && said[1].starts_with("pushed"), "{said:?}");
        assert_eq!(asana.files(&task).len(), 1);
        assert_eq!(asana.files(&task)["deploy-1.log"], b"building\npushed\n");
        shop.stop().await;
    }
});
