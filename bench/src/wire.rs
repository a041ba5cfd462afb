//! A client of HTTP that costs next to nothing: it shares the machine with what it measures.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Failure;

/// Nobody is waited for longer.
const PATIENCE: Duration = Duration::from_mins(10);

/// A connection that is kept.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, request: Vec::new(), answer: Vec::new() })
    }

    /// Sends a request; `head` is all of it up to the body, without its length. Gives the status and
    /// the body of the answer.
    pub(crate) fn send(&mut self, head: &str, body: &[u8]) -> Result<(u16, &[u8]), Failure> {
        self.request.clear();
        write!(self.request, "{head}Host: bench\r\nContent-Length: {}\r\n\r\n", body.len())?;
        self.request.extend_from_slice(body);
        self.stream.write_all(&self.request)?;
        self.answer.clear();
        let end = loop {
            if let Some(end) = find(&self.answer, b"\r\n\r\n") {
                break end + 4;
            }
            self.read_more()?;
        };
        let head = std::str::from_utf8(self.answer.get(..end).unwrap_or_default())?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or("an answer without a status")?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        let length: usize = length.ok_or("an answer without a length")?;
        while self.answer.len() < end + length {
            self.read_more()?;
        }
        Ok((status, self.answer.get(end..end + length).unwrap_or_default()))
    }

    fn read_more(&mut self) -> Result<(), Failure> {
        let mut buffer = [0; 4096];
        let n_bytes = self.stream.read(&mut buffer)?;
        if n_bytes == 0 {
            return Err("the server hung up".into());
        }
        self.answer.extend_from_slice(buffer.get(..n_bytes).unwrap_or_default());
        Ok(())
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
