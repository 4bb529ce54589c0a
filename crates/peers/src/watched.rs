//! A peer and the monitor that watches it.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use gaggle_group::{Fetch, Fetched, Key, Peer, PeerError, PeerRequests};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::Options;

/// A peer behind which a monitor runs: a task that pings it when asked to, and steadily while it is down.
pub(crate) struct Watched {
    peer: Arc<dyn Peer>,
    options: Options,
    /// Wakes the monitor.
    check: Arc<Notify>,
    health: watch::Receiver<Health>,
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
        let monitor = tokio::spawn(monitor(
            Arc::clone(&peer),
            options.clone(),
            Arc::clone(&check),
            sender,
            went_down,
        ));
        Self {
            peer,
            options,
            check,
            health,
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

    /// Fetches, and has the monitor look after the peer while the answer is late.
    async fn fetch_watched(&self, fetch: Fetch<'_>) -> Result<Fetched, PeerError> {
        let mut answer = pin!(self.peer.fetch(fetch));
        let mut health = self.health.clone();
        loop {
            tokio::select! {
                answer = &mut answer => return answer,
                () = sleep(self.options.suspect_after) => {}
            }
            // Late. A slow origin or a dead peer? The next ping to end tells; one ping serves all that wait.
            let seen = health.borrow_and_update().checks;
            self.check.notify_one();
            tokio::select! {
                answer = &mut answer => return answer,
                verdict = health.wait_for(|health| health.checks > seen) => {
                    if !verdict.is_ok_and(|health| health.up) {
                        return Err(PeerError::Unavailable {
                            peer: self.peer.name().into(),
                            reason: format!("no sign of life within {:?}", self.options.ping_timeout).into(),
                        });
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

    async fn fetch(&self, fetch: Fetch<'_>) -> Result<Fetched, PeerError> {
        let answer = self.fetch_watched(fetch).await;
        match &answer {
            Ok(Fetched::Found(_)) => self.ok.fetch_add(1, Relaxed),
            Ok(Fetched::NotFound) => self.not_found.fetch_add(1, Relaxed),
            Err(_) => self.error.fetch_add(1, Relaxed),
        };
        if let Err(PeerError::Unavailable { .. }) = &answer {
            self.check.notify_one();
        }
        answer
    }

    async fn remove(&self, group: &str, key: &Key) -> Result<(), PeerError> {
        self.peer.remove(group, key).await
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
    health: watch::Sender<Health>,
    went_down: Arc<Notify>,
) {
    loop {
        if health.borrow().up {
            check.notified().await;
        } else {
            sleep(options.probe_every).await;
        }
        let answer = timeout(options.ping_timeout, peer.ping()).await;
        let up = matches!(answer, Ok(Ok(())));
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
