//! A peer and the monitor that watches it.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use gaggle_group::{Entry, Fetch, Known, News, Notice, Peer, PeerError, PeerRequests, Put};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use crate::Options;

/// A peer behind which a monitor runs: a task that pings it when asked to, and steadily while it is down.
pub(crate) struct Watched {
    peer: Arc<dyn Peer>,
    options: Options,
    /// Wakes the monitor.
    check: Arc<Notify>,
    health: watch::Receiver<Health>,
    /// Requests that the peer has answered, in whatever way: each is a sign of life.
    answered: Arc<AtomicU64>,
    monitor: JoinHandle<()>,
    ok: AtomicU64,
    not_found: AtomicU64,
    error: AtomicU64,
}

/// What the monitor knows.
#[derive(Debug, Clone, Copy)]
struct Health {
    up: bool,
    /// Pings that have ended. Grows with each, so that a waiter can tell a new verdict from an old one.
    checks: u64,
}

impl Watched {
    /// Watches `peer`; `went_down` is told each time that it is found to be down. Needs a tokio runtime.
    pub(crate) fn new(peer: Arc<dyn Peer>, options: Options, went_down: Arc<Notify>) -> Self {
        let (sender, health) = watch::channel(Health {
            up: true,
            checks: 0,
        });
        let check = Arc::new(Notify::new());
        let answered = Arc::new(AtomicU64::new(0));
        let monitor = tokio::spawn(monitor(
            Arc::clone(&peer),
            options.clone(),
            Arc::clone(&check),
            Arc::clone(&answered),
            sender,
            went_down,
        ));
        Self {
            peer,
            options,
            check,
            health,
            answered,
            monitor,
            ok: AtomicU64::new(0),
            not_found: AtomicU64::new(0),
            error: AtomicU64::new(0),
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.health.borrow().up
    }

    pub(crate) fn requests(&self) -> PeerRequests {
        PeerRequests {
            ok: self.ok.load(Relaxed),
            not_found: self.not_found.load(Relaxed),
            error: self.error.load(Relaxed),
        }
    }

    fn no_sign_of_life(&self) -> PeerError {
        PeerError::Unavailable {
            peer: self.peer.name().into(),
            reason: format!("no sign of life within {:?}", self.options.ping_timeout).into(),
        }
    }

    /// Fetches, and has the monitor look after the peer while the answer is late.
    async fn fetch_watched(&self, fetch: Fetch<'_>) -> Result<Entry, PeerError> {
        let mut answer = pin!(self.peer.fetch(fetch));
        loop {
            tokio::select! {
                answer = &mut answer => return answer,
                () = sleep(self.options.suspect_after) => {}
            }
            // Late. A slow origin or a dead peer? The next ping to end tells; one ping serves all that wait.
            let mut health = self.health.clone();
            let Health { up, checks: seen } = *health.borrow_and_update();
            if !up {
                // Marked down since this set out. The next ping comes with the next probe, and may be as long in coming as
                // everything before it.
                return Err(self.no_sign_of_life());
            }
            self.check.notify_one();
            tokio::select! {
                answer = &mut answer => return answer,
                verdict = health.wait_for(|health| health.checks > seen) => {
                    if !verdict.is_ok_and(|health| health.up) {
                        return Err(self.no_sign_of_life());
                    }
                }
            }
        }
    }
}

#[async_trait]
impl Peer for Watched {
    fn name(&self) -> &str {
        self.peer.name()
    }

    async fn fetch(&self, fetch: Fetch<'_>) -> Result<Entry, PeerError> {
        let answer = self.fetch_watched(fetch).await;
        match &answer {
            Ok(entry) if entry.value.is_some() => self.ok.fetch_add(1, Relaxed),
            Ok(_) => self.not_found.fetch_add(1, Relaxed),
            Err(_) => self.error.fetch_add(1, Relaxed),
        };
        match &answer {
            Err(PeerError::Unavailable { .. }) => self.check.notify_one(),
            _ => {
                self.answered.fetch_add(1, Relaxed);
            }
        }
        answer
    }

    async fn remove(&self, group: &str, notice: &Notice) -> Result<(), PeerError> {
        self.peer.remove(group, notice).await
    }

    async fn put(&self, put: Put<'_>) -> Result<(), PeerError> {
        self.peer.put(put).await
    }

    async fn news(
        &self,
        group: &str,
        known: &Known,
        follower: &str,
    ) -> Result<Option<News>, PeerError> {
        self.peer.news(group, known, follower).await
    }

    fn is_up(&self) -> bool {
        Self::is_up(self)
    }

    async fn ping(&self) -> Result<(), PeerError> {
        self.peer.ping().await
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.monitor.abort();
    }
}

/// Pings when woken, and every `probe_every` while the peer is down.
async fn monitor(
    peer: Arc<dyn Peer>,
    options: Options,
    check: Arc<Notify>,
    answered: Arc<AtomicU64>,
    health: watch::Sender<Health>,
    went_down: Arc<Notify>,
) {
    loop {
        if health.borrow().up {
            check.notified().await;
        } else {
            sleep(options.probe_every).await;
        }
        let before = answered.load(Relaxed);
        // A peer with more work than processors may be late for a ping while it answers one request after the other.
        // To drop such a peer would send its work to the origin, just when there is most of it.
        let up = answers(&*peer, options.ping_timeout).await || answered.load(Relaxed) != before;
        let was_up = health.borrow().up;
        health.send_modify(|health| {
            health.up = up;
            health.checks += 1;
        });
        match (was_up, up) {
            (true, false) => {
                warn!(peer = peer.name(), "a peer is down");
                went_down.notify_one();
            }
            (false, true) => info!(peer = peer.name(), "a peer is up again"),
            _ => {}
        }
    }
}

/// Pings whose verdict is not believed, in sequence, before one is.
const UNFAIR_PINGS: usize = 3;

/// Whether the peer answers a ping within `limit`.
///
/// A time-out that fires late says that this process did not run for a while: the answer may have been lying there all the
/// time. On a machine that is short of processors that is no reason to give up on a peer, so the peer is pinged again.
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
    use std::sync::atomic::{AtomicBool, AtomicUsize};

    use gaggle_group::Key;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(400);

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

    /// Pings hang, and fetches are answered as long as `answering`.
    struct Busy {
        answering: AtomicBool,
    }

    #[async_trait]
    impl Peer for Busy {
        fn name(&self) -> &str {
            "busy"
        }
        async fn fetch(&self, _: Fetch<'_>) -> Result<Entry, PeerError> {
            if !self.answering.load(Relaxed) {
                std::future::pending::<()>().await;
            }
            Ok(Entry::absent())
        }
        async fn remove(&self, _: &str, _: &Notice) -> Result<(), PeerError> {
            Ok(())
        }
        async fn ping(&self) -> Result<(), PeerError> {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_answers_requests_is_up_whatever_its_pings_say() {
        let busy = Arc::new(Busy {
            answering: AtomicBool::new(true),
        });
        let watched = Watched::new(busy.clone(), Options::default(), Arc::new(Notify::new()));
        let key = Key::from_static(b"k");
        let fetch = || Fetch {
            group: "g",
            key: &key,
            max_value: 1,
            deadline: Duration::from_secs(5),
            party: None,
            removals: &[],
        };
        for _ in 0..20 {
            watched.check.notify_one();
            sleep(Duration::from_millis(100)).await;
            watched.fetch(fetch()).await.unwrap();
            assert!(watched.is_up());
        }
        busy.answering.store(false, Relaxed);
        assert!(watched.fetch(fetch()).await.is_err());
        assert!(!watched.is_up(), "silence on both ends is death");
    }

    // Row 2 of the fault matrix: 0.95 s before, as it waited for the next probe.
    #[tokio::test(start_paused = true)]
    async fn a_fetch_that_set_out_just_before_its_peer_was_marked_down_fails_with_the_others() {
        let hung = Arc::new(Busy {
            answering: AtomicBool::new(false),
        });
        let watched = Watched::new(hung, Options::default(), Arc::new(Notify::new()));
        let key = Key::from_static(b"k");
        let fetch = Fetch {
            group: "g",
            key: &key,
            max_value: 1,
            deadline: Duration::from_secs(5),
            party: None,
            removals: &[],
        };
        let began = Instant::now();
        let first = async {
            assert!(watched.fetch(fetch).await.is_err());
            began.elapsed()
        };
        // The monitor's verdict falls while this one is in its first 100 ms.
        let last = async {
            sleep(Duration::from_millis(450)).await;
            let began = Instant::now();
            assert!(watched.fetch(fetch).await.is_err());
            began.elapsed()
        };
        let (first, last) = tokio::join!(first, last);
        println!("row 2: the first fetch failed after {first:?}, the last after {last:?}");
        assert!(first <= Duration::from_millis(510), "{first:?}");
        assert!(last <= Duration::from_millis(110), "{last:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn repetitions_are_bounded() {
        let dead = Silent::new(9, 3 * LIMIT);
        assert!(!answers(&dead, LIMIT).await);
        assert_eq!(dead.pings.load(Relaxed), UNFAIR_PINGS);
    }
}
