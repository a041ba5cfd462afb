//! The fake Asana under Asana's own client, and what that client does not do: fail as wished, lag,
//! count, and deliver late, twice or never.

use std::time::Duration;

use airlock::clock::Clock;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::asana::{
    Asana, BOT, Deliveries, Failure, OAUTH, OTHER_OAUTH, PAT, PERSON, Receiver, WORKSPACE, sign,
};
use crate::support::{Answer, asana_client, client, until};

/// A workspace with two projects.
struct Shop {
    asana: Asana,
    errors: String,
    locks: String,
    client: reqwest::Client,
}

impl Shop {
    async fn start() -> Self {
        let now = airlock::domain::time::Timestamp::parse("2026-11-22T12:00:00Z");
        let asana = Asana::start(Clock::stopped(now.expect("a time"))).await;
        let (errors, locks) = (asana.project("Errors"), asana.project("Lock Production Release"));
        Self { asana, errors, locks, client: client() }
    }

    /// Runs a step of Asana's client, while webhooks are delivered.
    async fn run(&self, step: &str, token: &str) {
        let variables = [
            ("ASANA_HOST", self.asana.url.as_str()),
            ("ASANA_TOKEN", token),
            ("ASANA_WORKSPACE", WORKSPACE),
            ("ASANA_PROJECT", self.errors.as_str()),
            ("ASANA_OTHER_PROJECT", self.locks.as_str()),
        ];
        asana_client(step, &variables).await;
    }

    fn request(&self, method: &str, path: &str, token: &str) -> reqwest::RequestBuilder {
        let method: Method = method.parse().expect("a method");
        self.client.request(method, format!("{}{path}", self.asana.url)).bearer_auth(token)
    }

    async fn send(&self, method: &str, path: &str, data: &Value) -> Answer {
        self.send_as(PAT, method, path, data).await
    }

    async fn send_as(&self, token: &str, method: &str, path: &str, data: &Value) -> Answer {
        Answer::of(self.request(method, path, token).json(&json!({"data": data}))).await
    }

    async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request("GET", path, PAT)).await
    }

    /// A new task; its gid.
    async fn make(&self, name: &str) -> String {
        let data = json!({"name": name, "projects": [self.errors]});
        gid(&self.send("POST", "/tasks", &data).await.ok()["data"])
    }
}

fn gid(record: &Value) -> String {
    record["gid"].as_str().expect("a gid").to_owned()
}

#[tokio::test]
async fn tasks_are_made_changed_and_thrown_away() {
    let shop = Shop::start().await;
    shop.run("tasks", PAT).await;
    assert_eq!(shop.asana.tasks().len(), 0);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let shop = Shop::start().await;
    shop.run("pages", PAT).await;
    // Seven tasks are three pages of three; those that are open are one.
    assert_eq!(shop.asana.asked("GET", "/projects/*/tasks").len(), 3 + 1);
}

#[tokio::test]
async fn tasks_are_in_sections_and_in_twenty_projects() {
    let shop = Shop::start().await;
    shop.run("places", PAT).await;
}

#[tokio::test]
async fn people_read_comments() {
    let shop = Shop::start().await;
    shop.run("stories", PAT).await;
    let task = &shop.asana.tasks()[0];
    assert_eq!(shop.asana.comments(&task.gid), ["fixed"]);
    assert!(task.completed);
}

#[tokio::test]
async fn files_are_attached() {
    let shop = Shop::start().await;
    shop.run("files", PAT).await;
    let files = shop.asana.files(&shop.asana.tasks()[0].gid);
    assert_eq!(files["push.log"], b"one\r\n--two\n\0three");
}

#[tokio::test]
async fn custom_fields_belong_to_projects_and_cost_money() {
    let shop = Shop::start().await;
    shop.run("fields", PAT).await;
    shop.asana.be_free();
    shop.run("free", PAT).await;
}

#[tokio::test]
async fn events_go_on_where_the_last_answer_ended() {
    let shop = Shop::start().await;
    shop.run("events", PAT).await;
}

#[tokio::test]
async fn webhooks_shake_hands_and_sign() {
    let shop = Shop::start().await;
    let mut client = Box::pin(shop.run("webhooks", PAT));
    let mut knobs = Deliveries::default();
    until("the client to end", async || {
        shop.asana.deliver(&mut knobs).await;
        tokio::select! {
            biased;
            () = &mut client => true,
            () = tokio::task::yield_now() => false,
        }
    })
    .await;
    assert_eq!(shop.asana.n_webhooks(), 0);
}

#[tokio::test]
async fn the_client_repeats_what_changes_nothing_twice() {
    let shop = Shop::start().await;
    shop.asana.fail("PUT", "/tasks/*", 1, Failure::RateLimited(1));
    shop.asana.fail("POST", "/tasks/*/stories", 1, Failure::RateLimited(1));
    shop.run("limits", PAT).await;
    let statuses = |method: &str| -> Vec<Option<u16>> {
        shop.asana.asked(method, "*").iter().map(|asked| asked.status).collect()
    };
    assert_eq!(statuses("PUT"), [Some(429), Some(200)]);
    assert_eq!(statuses("POST"), [Some(201), Some(429)]);
    assert_eq!(shop.asana.asked("POST", "*")[0].json()["data"]["name"], "checkout is broken");
}

#[tokio::test]
async fn a_task_may_be_made_though_nobody_says_so() {
    let shop = Shop::start().await;
    shop.asana.fail("POST", "/tasks", 1, Failure::Status(500));
    shop.asana.fail("POST", "/tasks", 1, Failure::DropAnswer);
    shop.run("broken", PAT).await;
    assert_eq!(shop.asana.tasks_with("twice").len(), 1);
    assert_eq!(shop.asana.asked("POST", "/tasks")[1].status, None);
}

#[tokio::test]
async fn external_ids_belong_to_an_application() {
    let shop = Shop::start().await;
    shop.run("external", OAUTH).await;
    let path = "/tasks/external%3Aairlock%2Fshop%3A1";
    for token in [PAT, OTHER_OAUTH] {
        let answer = shop.send_as(token, "GET", path, &json!({})).await;
        assert_eq!(answer.status, 404, "{answer:?}");
    }
    let data = json!({"name": "x", "projects": [shop.errors], "external": {"gid": "mine"}});
    shop.send("POST", "/tasks", &data).await.ok();
    assert_eq!(shop.asana.tasks_with("mine").len(), 0);
    assert_eq!(shop.asana.tasks_with("airlock/shop:1").len(), 1);
}

#[tokio::test]
async fn rejected_calls_count_as_well() {
    let shop = Shop::start().await;
    shop.asana.limit(2);
    let mut after = Vec::new();
    for _ in 0..4 {
        let answer = shop.get("/users/me").await;
        after.push(answer.header("retry-after").map(ToOwned::to_owned));
        shop.asana.clock.advance(Duration::from_secs(20));
    }
    // A minute after the first call there would be room, had nobody asked at 40 seconds.
    assert_eq!(after, [None, None, Some("20".to_owned()), Some("20".to_owned())]);
    shop.asana.clock.advance(Duration::from_mins(1));
    assert_eq!(shop.get("/users/me").await.ok()["data"]["gid"], BOT);
    shop.asana.revoke(PAT);
    assert_eq!(shop.get("/users/me").await.status, 401);
}

#[tokio::test]
async fn only_so_many_calls_run_at_a_time() {
    let shop = Shop::start().await;
    shop.asana.limit_at_a_time(2, 0);
    shop.asana.hold(true);
    let waiting = tokio::spawn(shop.request("GET", "/users/me", PAT).send());
    let other = tokio::spawn(shop.request("GET", "/users/me", PAT).send());
    until("two reads", async || shop.asana.n_in_flight() == 2).await;
    assert_eq!(shop.get("/users/me").await.status, 429);
    assert_eq!(shop.send("POST", "/tasks", &json!({})).await.status, 429);
    shop.asana.hold(false);
    for call in [waiting, other] {
        assert_eq!(call.await.expect("no panic").expect("an answer").status(), 200);
    }
    assert_eq!(shop.asana.n_in_flight(), 0);
}

#[tokio::test]
async fn search_is_late_and_lists_are_not() {
    let shop = Shop::start().await;
    shop.asana.lag(Duration::from_mins(1));
    shop.make("checkout is broken").await;
    let search = format!("/workspaces/{WORKSPACE}/tasks/search?text=checkout");
    let n_found = async || shop.get(&search).await.ok()["data"].as_array().map(Vec::len);
    assert_eq!(n_found().await, Some(0));
    let list = shop.get(&format!("/projects/{}/tasks?limit=5", shop.errors)).await.ok();
    assert_eq!(list["data"].as_array().map(Vec::len), Some(1));
    shop.asana.clock.advance(Duration::from_mins(1));
    assert_eq!(n_found().await, Some(1));
    shop.asana.limit_searches(2);
    assert_eq!(n_found().await, Some(1));
    assert_eq!(shop.get(&search).await.status, 429);
    assert_eq!(shop.get("/users/me").await.status, 200);
}

#[tokio::test]
async fn pages_are_for_those_who_give_a_limit_and_offsets_expire() {
    let shop = Shop::start().await;
    for name in ["one", "two"] {
        shop.make(name).await;
    }
    let list = format!("/tasks?project={}", shop.errors);
    assert!(shop.get(&list).await.ok().get("next_page").is_none());
    let page = shop.get(&format!("{list}&limit=1")).await.ok();
    let next = page["next_page"]["path"].as_str().expect("a next page").to_owned();
    let second = shop.get(&next).await.ok();
    assert_eq!((&second["data"][0]["name"], &second["next_page"]), (&json!("two"), &Value::Null));
    shop.asana.expire_offsets();
    assert_eq!(shop.get(&next).await.status, 400);
    assert_eq!(shop.get(&format!("{list}&limit=101")).await.status, 400);
}

#[tokio::test]
async fn sync_tokens_last_a_day_and_rules_are_nobody() {
    let shop = Shop::start().await;
    let path = format!("/events?resource={}", shop.errors);
    let sync = async || shop.get(&path).await.json()["sync"].as_str().map(ToOwned::to_owned);
    let token = sync().await.expect("a token");
    let gid = shop.make("checkout is broken").await;
    shop.asana.by_rule("PUT", &format!("/tasks/{gid}"), &json!({"completed": true}));
    shop.asana.by_hand("PUT", &format!("/tasks/{gid}"), &json!({"completed": false}));
    let events = shop.get(&format!("{path}&sync={token}")).await.ok();
    let users: Vec<&Value> =
        events["data"].as_array().expect("events").iter().map(|event| &event["user"]).collect();
    assert_eq!(users[0]["gid"], BOT);
    assert_eq!(users[1], &Value::Null);
    assert_eq!(users[3]["gid"], PERSON);
    shop.asana.clock.advance(Duration::from_hours(24));
    assert_eq!(shop.get(&format!("{path}&sync={token}")).await.status, 412);
    let token = sync().await.expect("a token");
    assert_eq!(shop.get(&format!("{path}&sync={token}")).await.status, 200);
    shop.asana.expire_sync();
    assert_eq!(shop.get(&format!("{path}&sync={token}")).await.status, 412);
}

#[tokio::test]
async fn trash_keeps_a_task_for_thirty_days() {
    let shop = Shop::start().await;
    let gid = shop.make("checkout is broken").await;
    let path = format!("/tasks/{gid}");
    shop.asana.by_hand("DELETE", &path, &json!({}));
    assert_eq!(shop.get(&path).await.status, 404);
    assert!(shop.asana.task(&gid).trashed_at.is_some());
    assert!(shop.asana.undelete(&gid));
    assert_eq!(shop.get(&path).await.status, 200);
    shop.asana.by_hand("DELETE", &path, &json!({}));
    shop.asana.clock.advance(Duration::from_hours(30 * 24));
    assert!(!shop.asana.undelete(&gid));
}

#[tokio::test]
async fn batches_go_as_a_whole_or_not_at_all() {
    let shop = Shop::start().await;
    let action = |name: &str| {
        let data = json!({"name": name, "projects": [shop.errors]});
        json!({"method": "post", "relative_path": "/tasks", "data": data})
    };
    let bad = json!({"method": "get", "relative_path": "/tasks/17"});
    let batch = json!({"actions": [action("one"), action("two"), bad]});
    let results = shop.send("POST", "/batch", &batch).await.ok();
    let statuses: Vec<&Value> = results["data"]
        .as_array()
        .expect("results")
        .iter()
        .map(|one| &one["status_code"])
        .collect();
    assert_eq!(statuses, [201, 201, 404]);
    shop.asana.limit(5);
    assert_eq!(shop.send("POST", "/batch", &batch).await.status, 429);
    assert_eq!(shop.asana.tasks().len(), 2);
}

#[tokio::test]
async fn forms_are_understood() {
    let shop = Shop::start().await;
    let form = format!("name=a+%26+b&projects={}&opt_fields=name", shop.errors);
    let request = shop.request("POST", "/tasks", PAT).body(form);
    let request = request.header("Content-Type", "application/x-www-form-urlencoded");
    let made = Answer::of(request).await.ok();
    assert_eq!(made["data"]["name"], "a & b");
    assert_eq!(made["data"].as_object().map(serde_json::Map::len), Some(2));
}

#[tokio::test]
async fn failures_come_when_they_are_planned() {
    let shop = Shop::start().await;
    let data = json!({"name": "one", "projects": [shop.errors]});
    let short = Duration::from_millis(500);
    let send = || shop.request("POST", "/tasks", PAT).json(&json!({"data": data}));
    let arrived = async |n: usize| {
        until("the request", async || shop.asana.asked("POST", "/tasks").len() == n).await;
    };
    shop.asana.fail("POST", "/tasks", 1, Failure::Drop);
    assert!(send().send().await.is_err());
    shop.asana.fail("POST", "/tasks", 1, Failure::Hang);
    assert!(send().timeout(short).send().await.expect_err("no answer").is_timeout());
    arrived(2).await;
    assert_eq!(shop.asana.tasks().len(), 0);
    shop.asana.fail("POST", "/tasks", 1, Failure::HangAfter);
    assert!(send().timeout(short).send().await.expect_err("no answer").is_timeout());
    until("the task", async || shop.asana.tasks().len() == 1).await;
    shop.asana.fail("*", "*", 1, Failure::StatusAfter(504));
    assert_eq!(Answer::of(send()).await.status, 504);
    assert_eq!(shop.asana.tasks().len(), 2);
    shop.asana.fail("POST", "/tasks", 1, Failure::Late(1));
    assert_eq!(Answer::of(send()).await.status, 201);
    shop.asana.fail("POST", "/tasks", 1, Failure::Status(401));
    shop.asana.heal();
    assert_eq!(Answer::of(send()).await.status, 201);
    shop.asana.forget_asked();
    assert_eq!(shop.asana.asked("*", "*").len(), 0);
}

#[tokio::test]
async fn deliveries_fail_for_a_day_and_then_no_more() {
    let shop = Shop::start().await;
    // Another server that takes hooks: one that shakes hands, and one that is gone later.
    let hooks = Receiver::start().await;
    let data = json!({"resource": shop.errors, "target": hooks.url});
    shop.send("POST", "/webhooks", &data).await.ok();
    let secret = shop.asana.secret();
    let mut knobs = Deliveries { are_doubled: true, are_reversed: true, ..Deliveries::default() };
    shop.make("one").await;
    shop.make("two").await;
    assert_eq!(shop.asana.deliver(&mut knobs).await, 1);
    let received = hooks.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0], received[1]);
    let (signature, body) = &received[0];
    assert_eq!(signature, &sign(&secret, body.as_bytes()));
    let events: Value = serde_json::from_str(body).expect("JSON");
    let last = shop.asana.tasks()[1].gid.clone();
    assert_eq!(events["events"][0]["resource"]["gid"], last.as_str());

    // What is lost is lost for good.
    knobs = Deliveries { lost: 1, ..Deliveries::default() };
    shop.make("three").await;
    shop.asana.deliver(&mut knobs).await;
    knobs.most_events = 1;
    shop.make("four").await;
    shop.make("five").await;
    while shop.asana.deliver(&mut knobs).await > 0 {}
    // Two events one by one, and the first heartbeat.
    assert_eq!(hooks.received().len(), 3);
    assert_eq!(shop.asana.deliver(&mut knobs).await, 0);
    shop.asana.clock.advance(Duration::from_hours(8));
    assert_eq!(shop.asana.deliver(&mut knobs).await, 1);
    assert_eq!(hooks.received().pop().expect("a heartbeat").1, r#"{"events":[]}"#);

    hooks.break_down();
    shop.make("six").await;
    for _ in 0..24 {
        assert_eq!(shop.asana.deliver(&mut knobs).await, 1);
        shop.asana.clock.advance(Duration::from_hours(1));
    }
    shop.asana.deliver(&mut knobs).await;
    assert_eq!(shop.asana.n_webhooks(), 0);
    shop.asana.refuse_localhost();
    assert_eq!(shop.send("POST", "/webhooks", &data).await.status, 403);
}

#[tokio::test]
async fn tasks_have_places_on_several_boards() {
    let shop = Shop::start().await;
    let sections = format!("/projects/{}/sections", shop.locks);
    let done = gid(&shop.send("POST", &sections, &json!({"name": "Done"})).await.ok()["data"]);
    let first = shop.make("first").await;
    let memberships = json!([
        {"project": shop.locks, "section": done}, {"project": shop.errors},
    ]);
    let data = json!({"name": "second", "memberships": memberships, "followers": [PERSON]});
    let second = gid(&shop.send("POST", "/tasks", &data).await.ok()["data"]);
    assert!(shop.asana.task(&second).is_in(&shop.locks));
    assert_eq!(shop.asana.task(&second).followers, [PERSON]);
    let path = format!("/projects/{}/tasks?limit=9", shop.errors);
    let names = async || {
        let list = shop.get(&path).await.ok();
        let tasks = list["data"].as_array().expect("tasks").iter();
        tasks.map(|task| task["name"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["first", "second"]);
    let add = format!("/tasks/{second}/addProject");
    let data = json!({"project": shop.errors, "insert_before": first});
    shop.send("POST", &add, &data).await.ok();
    assert_eq!(names().await, ["second", "first"]);
    let data = json!({"project": shop.errors, "insert_after": first});
    shop.send("POST", &add, &data).await.ok();
    assert_eq!(names().await, ["first", "second"]);
    let data = json!({"project": shop.errors, "insert_after": null});
    shop.send("POST", &add, &data).await.ok();
    assert_eq!(names().await, ["second", "first"]);
    // A section of another project is no place for it.
    let data = json!({"project": shop.errors, "section": done});
    assert_eq!(shop.send("POST", &add, &data).await.status, 400);
    let others = json!({"followers": [PERSON]});
    let answer = shop.send("POST", &format!("/tasks/{second}/removeFollowers"), &others).await.ok();
    assert_eq!(answer["data"]["followers"], json!([]));
}

#[tokio::test]
async fn people_copy_tasks_and_the_api_announces_changes() {
    let shop = Shop::start().await;
    let one = shop.make("checkout is broken, SHOP-1").await;
    let copy = shop.asana.duplicate(&one);
    let keys: Vec<String> =
        shop.asana.tasks_with("SHOP-1").into_iter().map(|task| task.gid).collect();
    assert_eq!(keys, [one, copy.clone()]);
    assert_eq!(shop.asana.task(&copy).created_by.as_deref(), Some(PERSON));
    shop.asana.announce("name=new_ids;info=https://example.com;affected=true");
    let answer = shop.get("/users/me").await;
    let change = answer.header("asana-change").expect("an announcement");
    assert!(change.starts_with("name=new_ids;"));
}

#[tokio::test]
async fn a_receiver_that_is_too_slow_is_told_again() {
    let shop = Shop::start().await;
    let hooks = Receiver::start().await;
    let data = json!({"resource": shop.errors, "target": hooks.url});
    let hook = gid(&shop.send("POST", "/webhooks", &data).await.ok()["data"]);
    shop.make("one").await;
    hooks.fall_silent();
    let timeout = Some(Duration::from_millis(500));
    let mut knobs = Deliveries { timeout, ..Deliveries::default() };
    for n_retries in 1..=2 {
        assert_eq!(shop.asana.deliver(&mut knobs).await, 1);
        // Not before its time.
        assert_eq!(shop.asana.deliver(&mut knobs).await, 0);
        let shown = shop.get(&format!("/webhooks/{hook}")).await.ok();
        assert_eq!(shown["data"]["delivery_retry_count"], n_retries);
        assert!(shown["data"]["next_attempt_after"].is_string(), "{shown}");
        assert_eq!(shown["data"]["last_success_at"], Value::Null);
        shop.asana.clock.advance(Duration::from_secs(20));
    }
    let mut received = Vec::new();
    until("both deliveries", async || {
        received.extend(hooks.received());
        received.len() == 2
    })
    .await;
    assert_eq!(received.first(), received.last());
}
