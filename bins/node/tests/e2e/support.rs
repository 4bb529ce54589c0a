//! What the tests are made of: processes, clusters of them, an origin that counts, and two kinds of clients.

use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{MissedTickBehavior, interval, timeout};

pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod origin;
pub(crate) mod process;
pub(crate) mod raw;

pub(crate) use client::Client;
pub(crate) use cluster::{Cluster, Setup, loopback};
pub(crate) use origin::Origin;
pub(crate) use process::{Node, Process, command};

/// The end of every wait. Far beyond what any of them takes, so that it only ends tests that would hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Held by the tests that keep both cores busy. Two at a time would starve each other's nodes of the 250 ms that a peer
/// has to show a sign of life, and a peer that is thought dead is no longer the one place where a key is loaded.
pub(crate) async fn busy() -> MutexGuard<'static, ()> {
    static BUSY: Mutex<()> = Mutex::const_new(());
    BUSY.lock().await
}

/// Asks again and again until the answer is yes.
pub(crate) async fn until(what: &str, mut asked: impl AsyncFnMut() -> bool) {
    let mut tick = interval(Duration::from_millis(20));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let waited = timeout(PATIENCE, async {
        loop {
            tick.tick().await;
            if asked().await {
                return;
            }
        }
    });
    assert!(waited.await.is_ok(), "waited in vain for: {what}");
}
