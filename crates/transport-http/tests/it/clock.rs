//! A clock that a test moves, with real sockets.

use std::sync::mpsc;
use std::time::Duration;

use tokio::select;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::advance;

use crate::support::LONG;

/// Keeps a paused clock from jumping. Otherwise it advances to the next timer whenever all tasks
/// wait, even if bytes for them are on their way through a socket.
pub(crate) struct StoppedClock {
    _stopped: mpsc::Sender<()>,
}

impl StoppedClock {
    /// For a test that is started with a paused clock.
    pub(crate) fn new() -> Self {
        let (stopped, over) = mpsc::channel::<()>();
        // The clock does not jump while a blocking task runs. This task ends with the test, or
        // before, so that the timeouts of a test that hangs can end it.
        spawn_blocking(move || over.recv_timeout(LONG));
        Self { _stopped: stopped }
    }

    /// Lets time pass slowly until it is done: bytes on their way arrive between two milliseconds.
    pub(crate) async fn run<T>(&self, until: impl Future<Output = T>) -> T {
        let mut until = std::pin::pin!(until);
        loop {
            let step = async {
                for _ in 0..20 {
                    yield_now().await;
                }
                advance(Duration::from_millis(1)).await;
            };
            select! {
                biased;
                done = &mut until => return done,
                () = step => {}
            }
        }
    }
}
