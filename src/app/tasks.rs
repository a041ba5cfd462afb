//! Every task that runs in the background.

use tokio::task::{JoinHandle, JoinSet};

/// The tasks of a process; all of them are waited for.
#[derive(Debug, Default)]
pub(super) struct Tasks(JoinSet<()>);

impl Tasks {
    /// Starts a task.
    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task);
    }

    /// Ends those that are left, wherever they are.
    pub(super) async fn abort(&mut self) {
        self.0.shutdown().await;
    }

    /// Waits until all have ended.
    pub(super) async fn join(&mut self) {
        while let Some(ended) = self.0.join_next().await {
            if let Err(cause) = ended {
                tracing::error!(%cause, "a task ended badly");
            }
        }
    }
}

/// Starts a task that the caller waits for itself.
pub(super) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    #[expect(clippy::disallowed_methods, reason = "the caller keeps the handle and waits")]
    tokio::spawn(task)
}
