//! HTTP byte by byte, for what a client library would never send.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Nobody waits longer than this for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to the server.
pub(crate) struct Wire {
    stream: TcpStream,
    received: Vec<u8>,
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub(crate) struct WireAnswer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl WireAnswer {
    /// A header, if it is there.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let is_it = |(own, _): &&(String, String)| own.eq_ignore_ascii_case(name);
        self.headers.iter().find(is_it).map(|(_, value)| value.as_str())
    }

    /// Whether the server ends the connection after it.
    pub(crate) fn is_last(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Its JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    fn head(text: &str) -> Self {
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let status = status.and_then(|status| status.parse().ok());
        let header = |line: &str| {
            let (name, value) = line.split_once(':').expect("a header");
            (name.to_owned(), value.trim().to_owned())
        };
        let headers = lines.map(header).collect();
        Self { status: status.expect("a status line"), headers, body: String::new() }
    }
}

impl Wire {
    /// A new connection.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        Self { stream, received: Vec::new() }
    }

    /// Sends bytes. A server that has hung up is told by the next [`Self::answer`].
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // An error means that the server has hung up.
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Says that nothing more is coming.
    pub(crate) async fn finish(&mut self) {
        // An error means that the server has hung up.
        let _ = self.stream.shutdown().await;
    }

    /// Whether the server hangs up within `span`, whatever it says before.
    pub(crate) async fn is_over_within(&mut self, span: Duration) -> bool {
        tokio::time::timeout(span, async { while self.read_more().await.is_some() {} })
            .await
            .is_ok()
    }

    /// The next answer; none when the server hangs up instead.
    pub(crate) async fn answer(&mut self) -> Option<WireAnswer> {
        let answer = tokio::time::timeout(PATIENCE, self.read_answer());
        answer.await.expect("an answer or a hang-up within half a minute")
    }

    async fn read_answer(&mut self) -> Option<WireAnswer> {
        let end = loop {
            let end = self.received.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                break end;
            }
            self.read_more().await?;
        };
        let head = String::from_utf8_lossy(&self.received[..end]).into_owned();
        let mut answer = WireAnswer::head(&head);
        let length = answer.header("content-length").map_or(0, |length| {
            length.parse().unwrap_or_else(|_| panic!("a strange length: {head}"))
        });
        let all = end + 4 + length;
        while self.received.len() < all {
            self.read_more().await?;
        }
        answer.body = String::from_utf8_lossy(&self.received[end + 4..all]).into_owned();
        self.received.drain(..all);
        Some(answer)
    }

    async fn read_more(&mut self) -> Option<()> {
        match self.stream.read_buf(&mut self.received).await {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(()),
        }
    }
}
