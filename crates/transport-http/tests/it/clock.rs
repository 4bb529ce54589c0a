//! A clock that a test moves, beside sockets that work as ever.

use std::sync::mpsc;
use std::time::Duration;

use tokio::select;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::advance;

use crate::support::LONG;

/// Keeps a paused clock from jumping. By itself it goes to the next timer whenever all tasks wait,
/// also where what they wait for is on its way through a socket.
pub(crate) struct StoppedClock {
    _stopped: mpsc::Sender<()>,
}

impl StoppedClock {
    /// For a test that is started with a paused clock.
    pub(crate) fn new() -> Self {
        let (stopped, over) = mpsc::channel::<()>();
        // It does not jump while a blocking task runs. This one ends with the test; and if that
        // hangs, so that its own timeouts end it.
        spawn_blocking(move || over.recv_timeout(LONG));
        Self { _stopped: stopped }
    }

    /// Lets time pass slowly until it is done: what is on its way arrives between two
    /// milliseconds.
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
