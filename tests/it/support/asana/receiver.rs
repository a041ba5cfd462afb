//! Somebody who takes webhooks.

use std::sync::{Arc, Mutex};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::request::Asked;

/// A receiver that shakes hands and keeps what it is sent.
pub(crate) struct Receiver {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Signatures and bodies.
    received: Vec<(String, String)>,
    is_broken: bool,
    is_silent: bool,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("its address"));
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some(asked) = Asked::read(&mut stream).await else { continue };
                let taken = shared.lock().expect("nobody panicked").take(&asked);
                let Some((status, echo)) = taken else {
                    tokio::spawn(async move {
                        let _open = stream;
                        std::future::pending::<()>().await;
                    });
                    continue;
                };
                let answer = format!(
                    "HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\nConnection: close\r\n{echo}\r\n"
                );
                // An error means that the other side has hung up.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { url, state }
    }

    /// Takes what was received so far, the oldest first.
    pub(crate) fn received(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.state.lock().expect("nobody panicked").received)
    }

    /// Answers 500 from now on.
    pub(crate) fn break_down(&self) {
        self.state.lock().expect("nobody panicked").is_broken = true;
    }

    /// Keeps what it is sent from now on, and does not answer.
    pub(crate) fn fall_silent(&self) {
        self.state.lock().expect("nobody panicked").is_silent = true;
    }
}

impl State {
    /// How to answer, with a header; not at all if it is silent.
    fn take(&mut self, asked: &Asked) -> Option<(u16, String)> {
        if self.is_broken {
            return Some((500, String::new()));
        }
        if let Some(secret) = asked.headers.get("x-hook-secret") {
            return Some((200, format!("X-Hook-Secret: {secret}\r\n")));
        }
        let signature = asked.header("x-hook-signature").to_owned();
        self.received.push((signature, String::from_utf8_lossy(&asked.body).into_owned()));
        (!self.is_silent).then(|| (200, String::new()))
    }
}
