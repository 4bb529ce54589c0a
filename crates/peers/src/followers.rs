//! Nodes that get removals although they are not in the ring.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use crate::watched::Watched;

/// Nodes that follow this one without being members of its ring: gateways, members that this
/// node's list lacks, and members that have just left it. Each of them may hold copies.
#[derive(Default)]
pub(crate) struct Followers {
    by_address: Mutex<BTreeMap<Arc<str>, Follower>>,
}

struct Follower {
    peer: Arc<Watched>,
    /// When it last asked this node, or left its ring.
    heard: Option<Instant>,
    /// When another node last reported that this one follows it.
    heard_of: Option<Instant>,
}

fn is_within(time: Option<Instant>, within: Duration) -> bool {
    time.is_some_and(|time| time.elapsed() <= within)
}

impl Followers {
    /// Further nodes do not get removals sent; they still receive them by following.
    const MOST: usize = 256;

    /// A node has sent a message, or another node has reported it (`of`); `connect` makes its
    /// handle if it is new.
    pub(crate) fn heard(
        &self,
        address: &str,
        of: bool,
        connect: impl FnOnce() -> Option<Arc<Watched>>,
    ) {
        let mut by_address = self.lock();
        if !by_address.contains_key(address) {
            if by_address.len() >= Self::MOST {
                warn!(
                    most = Self::MOST,
                    "too many nodes follow this one to tell all of them of removals"
                );
                return;
            }
            let Some(peer) = connect() else { return };
            let follower = Follower {
                peer,
                heard: None,
                heard_of: None,
            };
            by_address.insert(address.into(), follower);
        }
        if let Some(known) = by_address.get_mut(address) {
            let time = if of {
                &mut known.heard_of
            } else {
                &mut known.heard
            };
            *time = Some(Instant::now());
        }
    }

    /// A known node has reported its name; `connect` makes its handle if it had another name.
    pub(crate) fn is_called(
        &self,
        address: &str,
        name: &str,
        connect: impl FnOnce() -> Option<Arc<Watched>>,
    ) {
        let mut by_address = self.lock();
        let known = by_address.get_mut(address);
        if let Some(known) = known.filter(|known| known.peer.ring_name() != name)
            && let Some(peer) = connect()
        {
            known.peer = peer;
        }
    }

    /// The base URLs of nodes that have sent a message within that time.
    pub(crate) fn addresses(&self, within: Duration) -> Vec<Arc<str>> {
        let by_address = self.lock();
        let recent = by_address
            .iter()
            .filter(|(_, known)| is_within(known.heard, within));
        recent.map(|(address, _)| Arc::clone(address)).collect()
    }

    /// The handle of a known node.
    pub(crate) fn get(&self, address: &str) -> Option<Arc<Watched>> {
        let by_address = self.lock();
        by_address.get(address).map(|known| Arc::clone(&known.peer))
    }

    /// The nodes in contact within that time. Others are forgotten.
    pub(crate) fn recent(&self, within: Duration) -> Vec<Arc<Watched>> {
        let mut by_address = self.lock();
        by_address
            .retain(|_, known| is_within(known.heard, within) || is_within(known.heard_of, within));
        let peers = by_address.values();
        peers.map(|known| Arc::clone(&known.peer)).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Arc<str>, Follower>> {
        self.by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
