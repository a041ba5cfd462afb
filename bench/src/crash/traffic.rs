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

/// How long a client rests after a refusal.
const AFTER_REFUSAL: Duration = Duration::from_millis(10);

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
    /// Whether the power is being cut: what is answered now counts as not answered.
    is_late: AtomicBool,
    /// Whether the power is off: nothing that is sent now can be acknowledged.
    is_dark: AtomicBool,
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
            is_late: AtomicBool::new(false),
            is_dark: AtomicBool::new(false),
        });
        let client = |_| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || client(&shared))
        };
        Self { threads: (0..n_clients).map(client).collect(), shared }
    }

    /// Sends so many reports there, from now on, and no others.
    pub(super) fn send(&self, address: SocketAddr, n_reports: u64) {
        self.shared.is_late.store(false, Ordering::SeqCst);
        self.shared.is_dark.store(false, Ordering::SeqCst);
        *lock(&self.shared.target) = Some(address);
        self.shared.n_left.store(n_reports, Ordering::SeqCst);
    }

    /// The power is being cut, until told to send again: see [`Answer::Late`].
    pub(super) fn power_goes(&self) {
        self.shared.is_late.store(true, Ordering::SeqCst);
    }

    /// The power is off, until told to send again: whatever is acknowledged now is a lie.
    pub(super) fn power_is_off(&self) {
        self.shared.is_dark.store(true, Ordering::SeqCst);
    }

    /// Begins no request any more until told to send again; waits for those that are under way.
    pub(super) fn rest(&self) {
        self.shared.n_left.store(0, Ordering::SeqCst);
        while self.shared.n_busy.load(Ordering::SeqCst) > 0 {
            std::thread::sleep(REST);
        }
    }

    /// Whether everything was sent that was to be.
    pub(super) fn is_done(&self) -> bool {
        self.shared.n_left.load(Ordering::SeqCst) == 0
            && self.shared.n_busy.load(Ordering::SeqCst) == 0
    }

    /// Waits until everything is sent that is to be.
    pub(super) fn finish(&self) {
        while !self.is_done() {
            std::thread::sleep(REST);
        }
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.shared.book)
    }

    /// Acknowledgements so far.
    pub(super) fn n_acknowledgements(&self) -> u64 {
        self.book().n_acknowledgements()
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
    let is_dark = shared.is_dark.load(Ordering::SeqCst);
    let sent = wire.send(&shared.head, &facts.body());
    let mut book = lock(&shared.book);
    let is_kept = match sent {
        Ok((200, _)) if is_dark => {
            book.complain(&facts, "acknowledged without a disk");
            false
        }
        Ok((200, answer)) if is_of(&facts, answer) => {
            let is_late = shared.is_late.load(Ordering::SeqCst);
            book.note(&facts, if is_late { Answer::Late } else { Answer::Acknowledged });
            true
        }
        Ok((429, _)) => {
            book.note(&facts, Answer::Refused);
            drop(book);
            std::thread::sleep(AFTER_REFUSAL);
            // The server hangs up on a body that it did not read.
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
