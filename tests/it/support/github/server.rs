//! A connection: who asks, whether they may, and what goes wrong on the way.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::super::asana::{Asked, Failure, pass};
use super::state::{State, Who};
use crate::support::pause;

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    /// Null is no body.
    pub(super) body: Value,
}

/// What a request comes to; errors are answers as well.
pub(super) type Outcome = Result<Reply, Reply>;

impl Reply {
    pub(super) fn new(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    pub(super) fn error(status: u16, message: &str, docs: &str) -> Self {
        let status_text = status.to_string();
        let body = json!({"message": message, "documentation_url": docs, "status": status_text});
        Self::new(status, body)
    }

    pub(super) fn refused(status: u16, message: &str) -> Self {
        Self::error(status, message, "https://docs.github.com/rest")
    }

    pub(super) fn not_found() -> Self {
        Self::refused(404, "Not Found")
    }

    pub(super) fn invalid(errors: &[Value]) -> Self {
        let mut reply = Self::refused(422, "Validation Failed");
        reply.body["errors"] = json!(errors);
        reply
    }
}

impl State {
    /// Who asks, if they may ask now.
    fn enter(&mut self, asked: &Asked) -> Result<Who, Reply> {
        if asked.header("user-agent").is_empty() {
            let text = "Request forbidden by administrative rules. Please make sure your request has \
                        a User-Agent header";
            return Err(Reply::refused(403, text));
        }
        let sent = asked.header("authorization");
        let token = sent.split_once(' ').filter(|(kind, _)| ["Bearer", "token"].contains(kind));
        let who = token.and_then(|(_, token)| self.tokens.get(token.trim())).cloned();
        let who = who.ok_or_else(|| Reply::refused(401, "Bad credentials"))?;
        let now = self.now();
        self.limits.enter(asked, now)?;
        Ok(who)
    }
}

/// Answers one request.
pub(super) async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let lock = || state.lock().expect("nobody panicked");
    let Some(asked) = Asked::read(&mut stream).await else { return };
    let (index, failure, entered) = {
        let mut state = lock();
        state.log.push(asked.clone());
        let entered = state.enter(&asked);
        // What is not let in meets with nothing else.
        let failure = entered.is_ok().then(|| state.plan.take(&asked)).flatten();
        (state.log.len() - 1, failure, entered)
    };
    let reply = match entered {
        Err(reply) => reply,
        Ok(who) => match meet(failure, &state, &who, &asked).await {
            Some(reply) => reply,
            None => return,
        },
    };
    if let Some(logged) = lock().log.get_mut(index) {
        logged.status = Some(reply.status);
    }
    let headers = reply.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
    let headers: String = headers.collect();
    let body = if reply.body.is_null() { String::new() } else { reply.body.to_string() };
    let length = body.len();
    let length =
        if reply.status == 204 { String::new() } else { format!("Content-Length: {length}\r\n") };
    let text = format!(
        "HTTP/1.1 {} Whatever\r\nContent-Type: application/json; charset=utf-8\r\n{length}\
         Connection: close\r\n{headers}\r\n{body}",
        reply.status,
    );
    // An error means that the client has hung up.
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// Does what is asked, or what is planned instead; no answer where the connection just ends.
async fn meet(
    failure: Option<Failure>,
    state: &Arc<Mutex<State>>,
    who: &Who,
    asked: &Asked,
) -> Option<Reply> {
    let broken = |status: u16| Reply::refused(status, "Server Error");
    match failure {
        Some(Failure::Drop) => return None,
        Some(Failure::DropAndDo(seconds)) => {
            let (state, who, asked) = (Arc::clone(state), who.clone(), asked.clone());
            tokio::spawn(async move {
                let clock = state.lock().expect("nobody panicked").clock.clone();
                pass(&clock, seconds).await;
                // Nobody hears the answer.
                let _ = state.lock().expect("nobody panicked").route(&who, &asked);
            });
            return None;
        }
        Some(Failure::Hang) => std::future::pending().await,
        Some(Failure::Status(401)) => return Some(Reply::refused(401, "Bad credentials")),
        Some(Failure::Status(status)) => return Some(broken(status)),
        Some(Failure::RateLimited(seconds)) => {
            let mut reply = Reply::refused(429, "You have exceeded a secondary rate limit.");
            reply.headers.push(("retry-after", seconds.to_string()));
            return Some(reply);
        }
        Some(Failure::Late(millis)) => pause(millis).await,
        Some(Failure::DropAnswer | Failure::HangAfter | Failure::StatusAfter(_)) | None => {}
    }
    let (Ok(reply) | Err(reply)): Outcome =
        state.lock().expect("nobody panicked").route(who, asked);
    match failure {
        Some(Failure::DropAnswer) => None,
        Some(Failure::HangAfter) => std::future::pending().await,
        Some(Failure::StatusAfter(status)) => Some(broken(status)),
        Some(
            Failure::Drop
            | Failure::DropAndDo(_)
            | Failure::Hang
            | Failure::Status(_)
            | Failure::RateLimited(_)
            | Failure::Late(_),
        )
        | None => Some(reply),
    }
}
