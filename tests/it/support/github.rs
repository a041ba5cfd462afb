//! GitHub as it is seen from outside: a server with the shapes of its published REST API, which holds
//! all it is told and fails in every way that one wishes.
//!
//! It knows one repository ([`REPOSITORY`]), a bot that may write in it ([`TOKEN`]), its token that may
//! only read ([`READ_ONLY`]), a person and a stranger. What people do is done by [`GitHub::by_hand`],
//! which no limit or failure touches and which is not in the log. Its time is that of the clock it is
//! given.

mod limits;
mod markdown;
mod records;
mod routes;
mod server;
mod state;

use std::sync::{Arc, Mutex, MutexGuard};

use airlock::clock::Clock;
use serde_json::Value;
use tokio::net::TcpListener;

pub(crate) use limits::Limit;
pub(crate) use markdown::effects;
pub(crate) use state::{Issue, Role};

use super::asana::{Asked, Failure};
use state::{Place, State};

/// The repository.
pub(crate) const REPOSITORY: &str = "acme/shop";
/// The bot.
pub(crate) const BOT: &str = "airlock-bot";
/// A person who may write.
pub(crate) const PERSON: &str = "zoe";
/// Somebody who may only read, as anybody may.
pub(crate) const STRANGER: &str = "mallory";
/// The bot's token.
pub(crate) const TOKEN: &str = "github_pat_11AAAAAAA0airlock";
/// A token of the bot without the permission to write issues.
pub(crate) const READ_ONLY: &str = "github_pat_11AAAAAAA0reads";

/// The server.
pub(crate) struct GitHub {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

impl GitHub {
    /// A server with an empty repository.
    pub(crate) async fn start(clock: Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let state = Arc::new(Mutex::new(State::new(clock, url.clone())));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(server::serve(stream, Arc::clone(&shared)));
            }
        });
        Self { url, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panicked")
    }

    /// The next `n` such requests fail; as for Asana.
    pub(crate) fn fail(&self, method: &str, path: &str, n: usize, failure: Failure) {
        self.state().plan.add(method, path, n, failure);
    }

    /// The next `n` such requests are refused because of a limit.
    pub(crate) fn limit(&self, method: &str, path: &str, n: usize, limit: Limit) {
        self.state().limits.plan(method, path, n, limit);
    }

    /// One of so many requests fails from now on, whatever it is, in any way.
    pub(crate) fn fail_any(&self, one_in: u64, seed: u64) {
        self.state().plan.fail_any(one_in, seed);
    }

    /// Nothing fails from now on.
    pub(crate) fn heal(&self) {
        let mut state = self.state();
        state.plan.clear();
        state.limits.clear();
    }

    /// What the limits count from now on is refused where it is too much.
    pub(crate) fn count(&self) {
        self.state().limits.counts = true;
    }

    /// A token is worth nothing any more.
    pub(crate) fn revoke(&self, token: &str) {
        self.state().tokens.remove(token);
    }

    /// What somebody may do in the repository from now on.
    pub(crate) fn let_be(&self, login: &str, role: Role) {
        self.state().roles.insert(login.to_owned(), role);
    }

    /// Changes the repository as its settings do.
    pub(crate) fn set(&self, change: impl FnOnce(&mut state::Repository)) {
        change(&mut self.state().repository);
    }

    /// Makes a pull request that is listed among issues; its number.
    pub(crate) fn pull(&self, body: &str) -> u64 {
        self.state().new_pull(body)
    }

    /// Somebody deletes an issue, which the API cannot do.
    pub(crate) fn delete(&self, number: u64) {
        self.state().issue_mut(number).place = Place::Deleted;
    }

    /// Somebody moves an issue to another repository.
    pub(crate) fn transfer(&self, number: u64) {
        self.state().issue_mut(number).place = Place::Moved;
    }

    /// What somebody does, in the application: any request below the repository.
    pub(crate) fn by_hand(&self, login: &str, method: &str, path: &str, body: &Value) -> Value {
        let target = format!("/repos/{REPOSITORY}{path}");
        let asked = Asked::new(method, &target, body.to_string().into_bytes());
        let who = state::Who { login: login.to_owned(), may_write: true };
        let reply = self.state().route(&who, &asked);
        reply.unwrap_or_else(|refused| panic!("{path}: {refused:?}")).body
    }

    /// All issues that are there, in the order in which they were made.
    pub(crate) fn issues(&self) -> Vec<Issue> {
        let state = self.state();
        state.issues.iter().filter(|issue| issue.is_here() && !issue.is_pull).cloned().collect()
    }

    /// Those with a label.
    pub(crate) fn labelled(&self, label: &str) -> Vec<Issue> {
        let mut issues = self.issues();
        issues.retain(|issue| issue.labels.iter().any(|own| own == label));
        issues
    }

    /// The names of the repository's labels.
    pub(crate) fn labels(&self) -> Vec<String> {
        self.state().labels.iter().map(|label| label.name.clone()).collect()
    }

    /// Such requests that arrived, in their order, as for [`Self::fail`]; with their status.
    pub(crate) fn asked(&self, method: &str, path: &str) -> Vec<Asked> {
        let state = self.state();
        state.log.iter().filter(|asked| asked.is(method, path)).cloned().collect()
    }

    /// Forgets what was asked.
    pub(crate) fn forget_asked(&self) {
        self.state().log.clear();
    }
}
