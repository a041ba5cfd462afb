//! Clients that send reports, whether the server is there or not.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::book::{Answer, Book, Facts};
use crate::Failure;
use crate::wire::Wire;

/// How long a client rests that has nothing to do.
const REST: Duration = Duration::from_millis(1);

/// Clients on threads of their own.
#[derive(Debug)]
pub(super) struct Traffic {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    book: Mutex<Book>,
    /// What every request begins with.
    head: String,
    target: Mutex<Option<SocketAddr>>,
    /// Reports that may still be sent.
    n_left: AtomicU64,
    n_busy: AtomicU64,
    is_over: AtomicBool,
}

impl Traffic {
    /// Starts clients, which wait for a target.
    pub(super) fn start(book: Book, path: &str, n_clients: usize) -> Self {
        let shared = Arc::new(Shared {
            book: Mutex::new(book),
            head: format!("POST {path} HTTP/1.1\r\n"),
            target: Mutex::new(None),
            n_left: AtomicU64::new(0),
            n_busy: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        });
        let client = |_| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || client(&shared))
        };
        Self { threads: (0..n_clients).map(client).collect(), shared }
    }

    /// Sends so many reports there, from now on, and no others.
    pub(super) fn send(&self, address: SocketAddr, n_reports: u64) {
        *lock(&self.shared.target) = Some(address);
        self.shared.n_left.store(n_reports, Ordering::SeqCst);
    }

    /// Begins no request any more until told to send again; waits for those that are under way.
    pub(super) fn rest(&self) {
        self.shared.n_left.store(0, Ordering::SeqCst);
        while self.shared.n_busy.load(Ordering::SeqCst) > 0 {
            std::thread::sleep(REST);
        }
    }

    /// Ends all clients.
    pub(super) fn stop(mut self) -> Result<Book, Failure> {
        self.shared.is_over.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            thread.join().map_err(|_| "a client's thread panicked")?;
        }
        let shared = Arc::try_unwrap(self.shared).map_err(|_| "a client goes on")?;
        Ok(shared.book.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn client(shared: &Shared) {
    let mut wire: Option<(SocketAddr, Wire)> = None;
    while !shared.is_over.load(Ordering::SeqCst) {
        // Busy first: whoever waits for the rest sees it, or this client sees that nothing is left.
        shared.n_busy.fetch_add(1, Ordering::SeqCst);
        let is_sent = take_one(&shared.n_left) && send_one(shared, &mut wire);
        shared.n_busy.fetch_sub(1, Ordering::SeqCst);
        if !is_sent {
            std::thread::sleep(REST);
        }
    }
}

fn take_one(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

/// Sends a report; false when nobody was there to send it to.
fn send_one(shared: &Shared, kept: &mut Option<(SocketAddr, Wire)>) -> bool {
    let Some(address) = *lock(&shared.target) else { return false };
    if kept.as_ref().is_none_or(|(other, _)| *other != address) {
        let Ok(wire) = Wire::connect(address) else {
            *kept = None;
            return false;
        };
        *kept = Some((address, wire));
    }
    let Some((_, wire)) = kept else { return false };
    let facts = lock(&shared.book).next();
    let sent = wire.send(&shared.head, &facts.body());
    let mut book = lock(&shared.book);
    let is_kept = match sent {
        Ok((200, answer)) if is_of(&facts, answer) => {
            book.note(&facts, Answer::Acknowledged);
            true
        }
        Ok((429 | 503, _)) => {
            book.note(&facts, Answer::Refused);
            // The server closes the connection when it did not read the body.
            false
        }
        Ok((status, answer)) => {
            book.complain(&facts, format!("{status} {}", String::from_utf8_lossy(answer)));
            false
        }
        Err(_) => {
            book.note(&facts, Answer::None);
            false
        }
    };
    if !is_kept {
        *kept = None;
    }
    true
}

fn is_of(facts: &Facts, answer: &[u8]) -> bool {
    let answer = serde_json::from_slice::<serde_json::Value>(answer).unwrap_or_default();
    answer["id"] == facts.id.simple().to_string()
}
