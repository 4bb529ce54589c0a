//! The tasks that run while a feed is open.

use std::sync::Arc;
use std::time::Duration;

use gaggle_follow::{Batch, FeedError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle};

use super::progress::Progress;
use crate::PostgresError;

/// How long the tasks, which wait for the server, may take to end.
const CLOSE: Duration = Duration::from_millis(900);

/// A stream, the task that follows it, and the one that delays changes until they are visible.
/// Both end when this is dropped.
pub(super) struct Running {
    pub(super) batches: mpsc::Receiver<Batch>,
    pub(super) stop: Option<oneshot::Sender<()>>,
    pub(super) stream: Work,
    pub(super) gate: Work,
    pub(super) progress: Arc<Progress>,
}

/// How a task has ended.
pub(super) type Ended = Result<Result<(), PostgresError>, JoinError>;

/// A task and its result, which a dropped wait does not lose.
pub(super) struct Work {
    handle: JoinHandle<Result<(), PostgresError>>,
    ended: Option<Ended>,
}

impl Work {
    pub(super) fn start(
        work: impl Future<Output = Result<(), PostgresError>> + Send + 'static,
    ) -> Self {
        Self {
            handle: tokio::spawn(work),
            ended: None,
        }
    }

    /// Waits until it has ended.
    async fn wait(&mut self) {
        if self.ended.is_none() {
            self.ended = Some((&mut self.handle).await);
        }
    }
}

impl Running {
    /// Makes both tasks end.
    pub(super) fn stop(&mut self) {
        self.batches.close();
        if let Some(stop) = self.stop.take() {
            // The receiver is dropped if the task has ended already.
            let _ = stop.send(());
        }
    }

    /// Waits until both tasks have ended, but not for long: one of them has ended, or was stopped.
    pub(super) async fn wait(&mut self) {
        let both = async { tokio::join!(self.gate.wait(), self.stream.wait()) };
        if tokio::time::timeout(CLOSE, both).await.is_err() {
            for work in [&self.gate, &self.stream] {
                work.handle.abort();
            }
        }
    }

    /// The failures of the tasks, the cause first.
    pub(super) fn failures(self) -> Vec<FeedError> {
        let failure = |work: Work| match work.ended? {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(FeedError::new(error)),
            // A task that was stopped did not fail.
            Err(error) if error.is_cancelled() => None,
            Err(error) => Some(FeedError::new(error)),
        };
        [self.gate, self.stream]
            .into_iter()
            .filter_map(failure)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;
    use crate::lsn::Lsn;

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_dropped_loses_no_cause() {
        let (stop, stopped) = oneshot::channel();
        let (sender, batches) = mpsc::channel(1);
        drop(sender);
        let (fail, failing) = oneshot::channel::<()>();
        let mut running = Running {
            batches,
            stop: Some(stop),
            stream: Work::start(async {
                // It ends after the gate.
                let _ = failing.await;
                drop(stopped);
                Ok(())
            }),
            gate: Work::start(async { Err(PostgresError::ShuttingDown) }),
            progress: Arc::new(Progress::new(Lsn(1), Lsn(2), true)),
        };
        assert!(running.batches.recv().await.is_none());
        let dropped = tokio::time::timeout(Duration::from_millis(1), running.wait());
        assert!(dropped.await.is_err(), "the stream has not ended");
        fail.send(()).unwrap();
        running.wait().await;
        let failures = running.failures();
        let cause = failures[0].source().unwrap().downcast_ref();
        assert!(matches!(cause, Some(PostgresError::ShuttingDown)));
        assert_eq!(failures.len(), 1);
    }
}
