//! The threads that understand reports.
//!
//! They stay, so that what each has learned and allocated serves the next batch, and they stand
//! back: what is in the spool can wait, a client cannot.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SendError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// How far the threads stand back, from 0 to 19: they get a tenth of what others want.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

/// Some threads with one queue of work. They end with it.
#[derive(Debug)]
pub(super) struct Crew {
    jobs: Sender<Job>,
    /// Shares of work that are worth making.
    pub(super) n_threads: usize,
}

impl Crew {
    /// A crew of `n_threads`, or of as many as the system gives.
    pub(super) fn new(n_threads: usize) -> Self {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..n_threads {
            let queue = Arc::clone(&queue);
            let thread = std::thread::Builder::new().name(format!("digest-{number}"));
            if let Err(cause) = thread.spawn(move || work(&queue)) {
                tracing::warn!(%cause, "digest has fewer threads than cores");
            }
        }
        Self { jobs, n_threads }
    }

    /// Gives a share of work to the crew.
    pub(super) fn begin<T: Send + 'static>(
        &self,
        share: impl FnOnce() -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (done, result) = oneshot::channel();
        let job: Job = Box::new(move || {
            // Whoever does not wait for it any more does not need it.
            let _ = done.send(share());
        });
        if let Err(SendError(job)) = self.jobs.send(job) {
            // There is no crew.
            job();
        }
        result
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    step_back();
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // Its share is lost, and whoever waits for it hears that; the thread goes on.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

/// Where it is not allowed digest is merely as important as the rest.
fn step_back() {
    #[cfg(target_os = "linux")]
    {
        let thread = rustix::thread::gettid();
        let _ = rustix::process::setpriority_process(Some(thread), NICE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn shares_are_done_and_a_panic_is_heard() {
        let crew = Crew::new(2);
        let panicked = crew.begin(|| panic!("a defect"));
        assert!(panicked.await.is_err());
        let shares: Vec<_> = (0..10).map(|n| crew.begin(move || n * 2)).collect();
        for (n, share) in shares.into_iter().enumerate() {
            assert_eq!(share.await, Ok(n * 2));
        }
    }

    #[tokio::test]
    async fn without_a_crew_the_work_is_done_all_the_same() {
        let crew = Crew::new(0);
        assert_eq!(crew.begin(|| 7).await, Ok(7));
    }
}
