//! Nodes that a removal has to reach though they are not in the ring.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gaggle_group::Peer;
use tokio::time::Instant;
use tracing::warn;

use crate::watched::Watched;

/// Nodes that follow this one without being members of its ring: front ends, members that this
/// node's list lacks, and members that have just left it. Each of them may hold copies.
#[derive(Default)]
pub(crate) struct Followers {
    by_name: Mutex<BTreeMap<Arc<str>, Follower>>,
}

struct Follower {
    peer: Arc<Watched>,
    /// When it last asked this node, or left its ring.
    heard: Option<Instant>,
    /// When another node last said that it is followed by it.
    heard_of: Option<Instant>,
}

fn is_within(time: Option<Instant>, within: Duration) -> bool {
    time.is_some_and(|time| time.elapsed() <= within)
}

impl Followers {
    /// Further ones are not told of removals; they still learn of them by following.
    const MOST: usize = 256;

    /// One has been heard, or heard `of` through another; `connect` makes its handle if it is
    /// new.
    pub(crate) fn heard(
        &self,
        name: &str,
        of: bool,
        connect: impl FnOnce() -> Option<Arc<Watched>>,
    ) {
        let mut by_name = self.lock();
        if !by_name.contains_key(name) {
            if by_name.len() >= Self::MOST {
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
            by_name.insert(name.into(), follower);
        }
        if let Some(known) = by_name.get_mut(name) {
            let time = if of {
                &mut known.heard_of
            } else {
                &mut known.heard
            };
            *time = Some(Instant::now());
        }
    }

    /// The names of those that were heard themselves within that time.
    pub(crate) fn names(&self, within: Duration) -> Vec<Arc<str>> {
        let by_name = self.lock();
        let recent = by_name
            .iter()
            .filter(|(_, known)| is_within(known.heard, within));
        recent.map(|(name, _)| Arc::clone(name)).collect()
    }

    /// The handle of one that is known.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Watched>> {
        let by_name = self.lock();
        by_name.get(name).map(|known| Arc::clone(&known.peer))
    }

    /// Those that were heard within that time. Others are forgotten.
    pub(crate) fn recent(&self, within: Duration) -> Vec<Arc<dyn Peer>> {
        let mut by_name = self.lock();
        by_name
            .retain(|_, known| is_within(known.heard, within) || is_within(known.heard_of, within));
        let peers = by_name.values();
        peers
            .map(|known| Arc::clone(&known.peer) as Arc<dyn Peer>)
            .collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Arc<str>, Follower>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
