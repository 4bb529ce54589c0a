//! The task that pings a peer when asked to, and steadily while it is down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use gaggle_group::Peer;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::flaps::Flaps;
use super::standing::Standing;
use crate::Options;

/// What the monitor knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Health {
    /// Whether the last ping was answered.
    pub(crate) answers: bool,
    /// Whether keys are routed to it: one that flaps has to answer for a while first.
    pub(crate) up: bool,
    /// Pings that have ended. Grows with each, so that a waiter can tell a new verdict from an
    /// old one.
    pub(crate) checks: u64,
}

impl Health {
    pub(crate) const UNKNOWN: Self = Self {
        answers: true,
        up: true,
        checks: 0,
    };
}

pub(crate) struct Monitor {
    pub(crate) peer: Arc<dyn Peer>,
    pub(crate) options: Options,
    pub(crate) standing: Arc<Standing>,
    /// Wakes it.
    pub(crate) check: Arc<Notify>,
    /// Wakes it though the peer is down.
    pub(crate) probe: Arc<Notify>,
    /// Requests that the peer has answered, in whatever way: each is a sign of life.
    pub(crate) answered: Arc<AtomicU64>,
    pub(crate) health: watch::Sender<Health>,
    /// Told each time that the peer is found to be down.
    pub(crate) went_down: Arc<Notify>,
}

impl Monitor {
    /// Pings when woken, and every `probe_every` while the peer is down. Never ends.
    pub(crate) async fn run(self) {
        let mut flaps = Flaps::new(self.options.damping);
        loop {
            if self.health.borrow().up {
                self.check.notified().await;
            } else {
                tokio::select! {
                    () = sleep(self.options.probe_every) => {}
                    () = self.probe.notified() => {}
                }
            }
            let before = self.answered.load(Relaxed);
            let began = Instant::now();
            let pinged = answers(&*self.peer, self.options.ping_timeout).await;
            self.standing.pinged(began.elapsed());
            // A peer with more work than processors may be late for a ping while it answers one
            // request after the other. To drop such a peer would send its work to the origin,
            // just when there is most of it.
            let answers = pinged || self.answered.load(Relaxed) != before;
            let was = *self.health.borrow();
            let up = flaps.note(answers, Instant::now());
            if was.answers != answers {
                // What requests told of it before is of another life.
                self.standing.start_over();
            }
            self.health.send_modify(|health| {
                health.answers = answers;
                health.up = up;
                health.checks += 1;
            });
            let peer = self.peer.name();
            match (was.up, up) {
                (true, false) => warn!(peer, "a peer is down"),
                (false, true) => info!(peer, "a peer is up again"),
                _ if !was.answers && answers => {
                    info!(
                        peer,
                        "a peer that flaps answers again; it is left out until it answers steadily"
                    );
                }
                _ => {}
            }
            if was.answers && !answers {
                self.went_down.notify_one();
            }
        }
    }
}

/// Pings whose verdict is not believed, in sequence, before one is.
const UNFAIR_PINGS: usize = 3;

/// Whether the peer answers a ping within `limit`.
///
/// A time-out that fires late says that this process did not run for a while: the answer may have
/// been lying there all the time. On a machine that is short of processors that is no reason to
/// give up on a peer, so the peer is pinged again.
async fn answers(peer: &dyn Peer, limit: Duration) -> bool {
    for _ in 0..UNFAIR_PINGS {
        let started = Instant::now();
        if matches!(timeout(limit, peer.ping()).await, Ok(Ok(()))) {
            return true;
        }
        if started.elapsed() <= limit + limit / 8 {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use async_trait::async_trait;
    use gaggle_group::{Entry, Fetch, Notice, PeerError};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(300);

    /// A peer that never answers its first pings; with each of them, time jumps.
    struct Silent {
        pings: AtomicUsize,
        silent: usize,
        jump: Duration,
    }

    impl Silent {
        fn new(silent: usize, jump: Duration) -> Self {
            Self {
                pings: AtomicUsize::new(0),
                silent,
                jump,
            }
        }
    }

    #[async_trait]
    impl Peer for Silent {
        fn name(&self) -> &str {
            "silent"
        }
        async fn fetch(&self, _: Fetch<'_>) -> Result<Entry, PeerError> {
            Ok(Entry::absent())
        }
        async fn remove(&self, _: &str, _: &Notice) -> Result<(), PeerError> {
            Ok(())
        }
        async fn ping(&self) -> Result<(), PeerError> {
            if self.pings.fetch_add(1, Relaxed) < self.silent {
                tokio::time::advance(self.jump).await;
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_ping_that_this_process_slept_through_is_repeated() {
        let starved = Silent::new(2, 3 * LIMIT);
        assert!(answers(&starved, LIMIT).await);
        assert_eq!(starved.pings.load(Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_ping_that_was_waited_for_in_time_is_believed() {
        let dead = Silent::new(9, Duration::ZERO);
        assert!(!answers(&dead, LIMIT).await);
        assert_eq!(dead.pings.load(Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn repetitions_are_bounded() {
        let dead = Silent::new(9, 3 * LIMIT);
        assert!(!answers(&dead, LIMIT).await);
        assert_eq!(dead.pings.load(Relaxed), UNFAIR_PINGS);
    }
}
