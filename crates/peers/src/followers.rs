//! Nodes that a removal has to reach though they are not in the ring.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gaggle_group::Peer;
use tokio::time::Instant;

use crate::watched::Watched;

/// Nodes that follow this one without being members of its ring: front ends, members that this node's list lacks, and
/// members that have just left it. Each of them may hold copies.
#[derive(Default)]
pub(crate) struct Followers {
    by_name: Mutex<BTreeMap<Arc<str>, Follower>>,
}

struct Follower {
    peer: Arc<Watched>,
    heard: Instant,
}

impl Followers {
    /// Further ones are not told of removals; they still learn of them by following.
    const MOST: usize = 256;

    /// One has been heard; `connect` makes its handle if it is new.
    pub(crate) fn heard(&self, name: &str, connect: impl FnOnce() -> Option<Arc<Watched>>) {
        let mut by_name = self.lock();
        let now = Instant::now();
        if let Some(known) = by_name.get_mut(name) {
            known.heard = now;
            return;
        }
        if by_name.len() >= Self::MOST {
            return;
        }
        if let Some(peer) = connect() {
            by_name.insert(name.into(), Follower { peer, heard: now });
        }
    }

    /// The handle of one that is known.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Watched>> {
        let by_name = self.lock();
        by_name.get(name).map(|known| Arc::clone(&known.peer))
    }

    /// Those that were heard within that time. Others are forgotten.
    pub(crate) fn recent(&self, within: Duration) -> Vec<Arc<dyn Peer>> {
        let mut by_name = self.lock();
        let now = Instant::now();
        by_name.retain(|_, known| now.saturating_duration_since(known.heard) <= within);
        let peers = by_name.values();
        peers
            .map(|known| Arc::clone(&known.peer) as Arc<dyn Peer>)
            .collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Arc<str>, Follower>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
