//! Asana as it is seen from outside: a server with the shapes of its published API, which holds all
//! it is told and fails in every way that one wishes.
//!
//! It listens under `/api/1.0` and knows one workspace, a bot ([`PAT`], [`OAUTH`]) and a person.
//! What a person does is done by [`Asana::by_hand`], which no limit or failure touches and which
//! is not in the log. Its time is that of the clock it is given: nothing happens by itself, and
//! webhooks are delivered when [`Asana::deliver`] says so.

mod events;
mod failures;
mod fields;
mod limits;
mod lists;
mod places;
mod receiver;
mod reply;
mod request;
mod rich_text;
mod routes;
mod server;
mod state;
mod stories;
mod tasks;
mod webhooks;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use airlock::clock::Clock;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

pub(crate) use failures::Failure;
pub(super) use failures::{Plan, pass};
pub(crate) use receiver::Receiver;
pub(crate) use request::Asked;
pub(crate) use state::{BOT, PERSON, WORKSPACE};
pub(crate) use tasks::Task;
pub(crate) use webhooks::Deliveries;

use super::client;
use state::{State, Who};

/// The bot's personal access token.
pub(crate) const PAT: &str = "1/1100000000000002:a-personal-access-token";
/// The bot's token by OAuth, of the application `airlock`.
pub(crate) const OAUTH: &str = "an-oauth-token-of-airlock";
/// The bot's token by OAuth, of another application.
pub(crate) const OTHER_OAUTH: &str = "an-oauth-token-of-another";

/// The server.
pub(crate) struct Asana {
    /// With `/api/1.0`.
    pub(crate) url: String,
    pub(crate) clock: Clock,
    state: Arc<Mutex<State>>,
    client: reqwest::Client,
    is_held: watch::Sender<bool>,
}

impl Asana {
    /// A server with an empty workspace.
    pub(crate) async fn start(clock: Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let who =
            |app: Option<&str>| Who { user: Some(BOT.to_owned()), app: app.map(ToOwned::to_owned) };
        let tokens = BTreeMap::from([
            (PAT.to_owned(), who(None)),
            (OAUTH.to_owned(), who(Some("airlock"))),
            (OTHER_OAUTH.to_owned(), who(Some("another"))),
        ]);
        let state = Arc::new(Mutex::new(State::new(clock.clone(), tokens)));
        let (is_held, held) = watch::channel(false);
        let (shared, outward) = (Arc::clone(&state), client());
        let inward = outward.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, held) = (Arc::clone(&shared), held.clone());
                tokio::spawn(server::serve(stream, shared, inward.clone(), held));
            }
        });
        let url = format!("http://{address}/api/1.0");
        Self { url, clock, state, client: outward, is_held }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panicked")
    }

    /// The next `n` such requests fail. `*` stands for any method, any segment of a path, or any
    /// path.
    pub(crate) fn fail(&self, method: &str, path: &str, n: usize, failure: Failure) {
        self.state().plan.add(method, path, n, failure);
    }

    /// One of so many requests fails from now on, whatever it is, in any way.
    pub(crate) fn fail_any(&self, one_in: u64, seed: u64) {
        self.state().plan.fail_any(one_in, seed);
    }

    /// Nothing fails from now on.
    pub(crate) fn heal(&self) {
        self.state().plan.clear();
    }

    /// Requests wait, once they are let in, until they are let go.
    pub(crate) fn hold(&self, is_held: bool) {
        self.is_held.send_replace(is_held);
    }

    /// Calls of a token in a minute; those that are rejected count.
    pub(crate) fn limit(&self, per_minute: usize) {
        self.state().limits.per_minute = Some(per_minute);
    }

    /// Searches of a token in a minute.
    pub(crate) fn limit_searches(&self, per_minute: usize) {
        self.state().limits.searches_per_minute = per_minute;
    }

    /// Reads and writes at a time.
    pub(crate) fn limit_at_a_time(&self, reads: usize, writes: usize) {
        let limits = &mut self.state().limits;
        (limits.reads_at_a_time, limits.writes_at_a_time) = (reads, writes);
    }

    /// How many requests are being answered.
    pub(crate) fn n_in_flight(&self) -> usize {
        let limits = &self.state().limits;
        limits.n_reads + limits.n_writes
    }

    /// From now on the workspace pays for nothing: no search, no custom fields.
    pub(crate) fn be_free(&self) {
        self.state().is_free = true;
    }

    /// How far search is behind.
    pub(crate) fn lag(&self, lag: Duration) {
        self.state().search_lag = lag;
    }

    /// Forgets where pages start.
    pub(crate) fn expire_offsets(&self) {
        self.state().offsets.clear();
    }

    /// Forgets what sync tokens mean.
    pub(crate) fn expire_sync(&self) {
        self.state().sync_epoch += 1;
    }

    /// A token is worth nothing any more.
    pub(crate) fn revoke(&self, token: &str) {
        self.state().tokens.remove(token);
    }

    /// Webhooks to this machine are refused from now on, as Asana does.
    pub(crate) fn refuse_localhost(&self) {
        self.state().refuses_localhost = true;
    }

    /// A new project; its gid.
    pub(crate) fn project(&self, name: &str) -> String {
        self.state().new_project(name)
    }

    /// What the bot may do in a project from now on: `admin`, `editor`, `commenter` or `viewer`.
    pub(crate) fn allow(&self, project: &str, level: &str) {
        self.state().access.insert(project.to_owned(), level.to_owned());
    }

    /// What the person does, in the application: any request.
    pub(crate) fn by_hand(&self, method: &str, path: &str, data: &Value) -> Value {
        self.done_by(Some(PERSON), method, path, data)
    }

    /// What a rule of the workspace does, by no user.
    pub(crate) fn by_rule(&self, method: &str, path: &str, data: &Value) -> Value {
        self.done_by(None, method, path, data)
    }

    fn done_by(&self, user: Option<&str>, method: &str, path: &str, data: &Value) -> Value {
        let who = Who { user: user.map(ToOwned::to_owned), app: None };
        let asked = Asked::new(method, path, json!({"data": data}).to_string().into_bytes());
        let reply = self.state().route(&who, &asked);
        reply.expect("what is done by hand is right").body["data"].clone()
    }

    /// The person takes a task out of the trash; whether it was in there.
    pub(crate) fn undelete(&self, gid: &str) -> bool {
        let who = Who { user: Some(PERSON.to_owned()), app: None };
        self.state().undelete_task(&who, gid)
    }

    /// The person makes a copy of a task, with all it says; the copy's gid.
    pub(crate) fn duplicate(&self, gid: &str) -> String {
        let task = self.task(gid);
        let place =
            |(project, section): &(String, String)| json!({"project": project, "section": section});
        let memberships: Vec<Value> = task.memberships.iter().map(place).collect();
        let data = json!({
            "name": task.name, "notes": task.notes, "memberships": memberships,
            "custom_fields": task.custom_fields, "workspace": WORKSPACE,
        });
        let copy = self.by_hand("POST", "/tasks", &data);
        copy["gid"].as_str().expect("a gid").to_owned()
    }

    /// Every answer tells from now on of a change to come: `name=…;info=…;affected=true`.
    pub(crate) fn announce(&self, change: &str) {
        self.state().changes.push(change.to_owned());
    }

    /// All tasks that are not in the trash, in the order in which they were made.
    pub(crate) fn tasks(&self) -> Vec<Task> {
        let state = self.state();
        state.tasks.iter().filter(|task| task.trashed_at.is_none()).cloned().collect()
    }

    /// Those whose name, notes, fields or external ids hold this key.
    pub(crate) fn tasks_with(&self, key: &str) -> Vec<Task> {
        self.tasks().into_iter().filter(|task| task.mentions(key)).collect()
    }

    /// A task, wherever it is.
    pub(crate) fn task(&self, gid: &str) -> Task {
        let state = self.state();
        let task = state.tasks.iter().find(|task| task.gid == gid);
        task.unwrap_or_else(|| panic!("no task {gid}")).clone()
    }

    /// The texts of a task's comments, the oldest first.
    pub(crate) fn comments(&self, task: &str) -> Vec<String> {
        let state = self.state();
        let own = state.stories.iter().filter(|story| {
            story["target"]["gid"] == task && story["resource_subtype"] == "comment_added"
        });
        own.map(|story| story["text"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The bytes of a task's attachments by their names.
    pub(crate) fn files(&self, task: &str) -> BTreeMap<String, Vec<u8>> {
        let state = self.state();
        let own = state.attachments.iter().filter(|own| own["parent"]["gid"] == task);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        own.map(|own| (text(&own["name"]), state.files[&text(&own["gid"])].clone())).collect()
    }

    /// How many webhooks there are.
    pub(crate) fn n_webhooks(&self) -> usize {
        self.state().webhooks.len()
    }

    /// The secret of the newest webhook.
    pub(crate) fn secret(&self) -> String {
        self.state().webhooks.last().expect("a webhook").secret.clone()
    }

    /// Lets webhooks say of every task what never happened to it.
    pub(crate) fn lie(&self) {
        self.state().lie();
    }

    /// Delivers to webhooks what is due, once, with these faults; says how many deliveries it
    /// tried.
    pub(crate) async fn deliver(&self, knobs: &mut Deliveries) -> usize {
        webhooks::deliver(&self.state, &self.client, knobs).await
    }

    /// Such requests that arrived, in their order, as for [`Self::fail`].
    pub(crate) fn asked(&self, method: &str, path: &str) -> Vec<Asked> {
        let state = self.state();
        state.log.iter().filter(|asked| asked.is(method, path)).cloned().collect()
    }

    /// Forgets what was asked.
    pub(crate) fn forget_asked(&self) {
        self.state().log.clear();
    }
}

/// The hexadecimal HMAC of a body, as `X-Hook-Signature` has it.
pub(crate) fn sign(secret: &str, body: &[u8]) -> String {
    webhooks::sign(secret, body)
}
