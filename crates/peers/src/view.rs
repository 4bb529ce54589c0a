//! One membership: a ring and the handles that belong to it, never changed once made.

use std::sync::Arc;

use gaggle_group::{Member, Peer, PeerRequests, Route};
use gaggle_ring::{Profile, Ring};

use crate::watched::Watched;

/// How many members after the owner are considered as stand-ins. Past that the node loads by itself.
const STAND_INS: usize = 3;

pub(crate) struct View {
    pub(crate) ring: Ring,
    /// In the ring's order; `None` is this node.
    pub(crate) nodes: Vec<Option<Arc<Watched>>>,
    pub(crate) digest: String,
}

impl View {
    pub(crate) fn new(ring: Ring, nodes: Vec<Option<Arc<Watched>>>) -> Self {
        let digest = format!("{:016x}", ring.digest());
        Self {
            ring,
            nodes,
            digest,
        }
    }

    pub(crate) fn route(&self, key: &[u8]) -> Route {
        match self.ring.owner_index(key).map(|at| &self.nodes[at]) {
            Some(None) => Route::Mine,
            // Nobody owns anything in a ring without members: this node, which is none, loads for itself.
            None => Route::Standby,
            Some(Some(owner)) if owner.is_up() => Route::Theirs(Arc::clone(owner) as Arc<dyn Peer>),
            Some(Some(_)) => self.stand_in(key),
        }
    }

    /// The next live member after the owner. Every node that knows the owner to be down picks the same one, so that the
    /// origin is asked once and not once per node.
    fn stand_in(&self, key: &[u8]) -> Route {
        // golang/groupcache would route such a request on by its own ring, to the very owner that is down.
        if matches!(self.ring.profile(), Profile::Groupcache { .. }) {
            return Route::Standby;
        }
        for at in self
            .ring
            .owner_indices(key, 1 + STAND_INS)
            .into_iter()
            .skip(1)
        {
            match &self.nodes[at] {
                None => return Route::Standby,
                Some(peer) if peer.is_up() => {
                    return Route::Theirs(Arc::clone(peer) as Arc<dyn Peer>);
                }
                Some(_) => {}
            }
        }
        Route::Standby
    }

    /// Whether a node of that name is a member.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.nodes.iter().flatten().any(|peer| peer.name() == name)
    }

    pub(crate) fn owner(&self, key: &[u8]) -> Option<Member> {
        self.ring.owner_index(key).map(|at| self.member(at))
    }

    pub(crate) fn members(&self) -> Vec<Member> {
        (0..self.nodes.len()).map(|at| self.member(at)).collect()
    }

    fn member(&self, at: usize) -> Member {
        let node = &self.nodes[at];
        Member {
            name: Arc::clone(&self.ring.members()[at]),
            is_self: node.is_none(),
            up: node.as_ref().is_none_or(|peer| peer.is_up()),
            requests: node
                .as_ref()
                .map_or_else(PeerRequests::default, |peer| peer.requests()),
        }
    }
}
