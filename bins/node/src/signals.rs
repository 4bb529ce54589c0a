//! SIGTERM and SIGINT: both ask for an orderly stop.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals, caught from now on.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

pub(crate) fn listen() -> anyhow::Result<Signals> {
    let catch = |kind| signal(kind).context("signals cannot be caught");
    Ok(Signals {
        terminate: catch(SignalKind::terminate())?,
        interrupt: catch(SignalKind::interrupt())?,
    })
}

impl Signals {
    /// Waits for the first of them.
    pub(crate) async fn received(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
