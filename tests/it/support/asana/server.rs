//! A connection: who asks, whether they may, and what goes wrong on the way.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::failures::{Failure, pass};
use super::reply::{Outcome, Reply};
use super::request::Asked;
use super::state::{State, Who};
use super::webhooks;
use crate::support::pause;

impl State {
    /// Who asks, if they may ask now.
    fn enter(&mut self, asked: &Asked) -> Result<Who, Reply> {
        let who = self.tokens.get(asked.token()).cloned();
        let who = who.ok_or_else(|| Reply::error(401, "Not Authorized"))?;
        let now = self.now();
        self.limits.count(asked, now, 1)?;
        Ok(who)
    }
}

/// Answers one request.
pub(super) async fn serve(
    mut stream: TcpStream,
    state: Arc<Mutex<State>>,
    client: reqwest::Client,
    mut held: watch::Receiver<bool>,
) {
    let lock = || state.lock().expect("nobody panicked");
    let Some(asked) = Asked::read(&mut stream).await else { return };
    let is_read = asked.method == "GET";
    let (index, failure, entered) = {
        let mut state = lock();
        state.log.push(asked.clone());
        let entered = state.enter(&asked);
        let entered = entered.and_then(|who| state.limits.enter(is_read).map(|()| who));
        // What is not let in meets with nothing else.
        let failure = entered.is_ok().then(|| state.plan.take(&asked)).flatten();
        (state.log.len() - 1, failure, entered)
    };
    let reply = match entered {
        Err(reply) => Some(reply),
        Ok(who) => {
            // An error means that the test is over.
            let _ = held.wait_for(|is_held| !is_held).await;
            let reply = meet(failure, &state, &client, &who, &asked).await;
            if matches!(failure, Some(Failure::Hang | Failure::HangAfter)) {
                gone(&mut stream).await;
            }
            lock().limits.leave(is_read);
            reply
        }
    };
    let Some(mut reply) = reply else { return };
    {
        let mut state = lock();
        if let Some(logged) = state.log.get_mut(index) {
            logged.status = Some(reply.status);
        }
        let changes = state.changes.iter().map(|change| ("Asana-Change", change.clone()));
        reply.headers.extend(changes);
    }
    let headers = reply.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
    let body = reply.body.to_string();
    let text = format!(
        "HTTP/1.1 {} Whatever\r\nContent-Type: application/json; charset=UTF-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n{}\r\n",
        reply.status,
        body.len(),
        headers.collect::<String>()
    );
    // An error means that the client has hung up.
    let _ = stream.write_all((text + &body).as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// Waits until the client hangs up.
async fn gone(stream: &mut TcpStream) {
    let mut bytes = [0; 64];
    while stream.read(&mut bytes).await.is_ok_and(|n_read| n_read > 0) {}
}

/// Does what is asked, or what is planned instead; no answer where the connection just ends.
async fn meet(
    failure: Option<Failure>,
    state: &Arc<Mutex<State>>,
    client: &reqwest::Client,
    who: &Who,
    asked: &Asked,
) -> Option<Reply> {
    match failure {
        Some(Failure::Drop | Failure::Hang) => return None,
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
        Some(Failure::Status(401)) => return Some(Reply::error(401, "Not Authorized")),
        Some(Failure::Status(status)) => return Some(Reply::broken(status)),
        Some(Failure::RateLimited(seconds)) => return Some(Reply::rate_limited(seconds)),
        Some(Failure::Late(millis)) => pause(millis).await,
        Some(Failure::DropAnswer | Failure::HangAfter | Failure::StatusAfter(_)) | None => {}
    }
    let (Ok(reply) | Err(reply)): Outcome = if asked.is("POST", "/webhooks") {
        webhooks::create(state, client, who, asked).await
    } else {
        state.lock().expect("nobody panicked").route(who, asked)
    };
    match failure {
        Some(Failure::DropAnswer | Failure::HangAfter) => None,
        Some(Failure::StatusAfter(status)) => Some(Reply::broken(status)),
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
