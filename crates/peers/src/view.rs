//! The ring and its nodes at one moment.

use std::collections::HashSet;
use std::sync::Arc;

use gaggle_group::{Member, Peer, PeerRequests, Route};
use gaggle_ring::{Profile, Ring};

use crate::identity::Me;
use crate::watched::Watched;

/// How many members after the owner are considered as stand-ins. Beyond that the node loads by
/// itself.
const STAND_INS: usize = 3;

/// The nodes outside of the ring.
#[derive(Default)]
pub(crate) struct Rest {
    /// Nodes of the list that are not members, but get removals.
    pub(crate) listeners: Vec<Arc<Watched>>,
    /// Nodes that have announced that they leave.
    pub(crate) leaving: Vec<Arc<Watched>>,
    /// The base URLs that the nodes of the list advertise, whatever the list says.
    pub(crate) advertised: HashSet<Arc<str>>,
}

pub(crate) struct View {
    pub(crate) ring: Ring,
    /// In the ring's order; `None` is this node.
    pub(crate) nodes: Vec<Option<Arc<Watched>>>,
    pub(crate) rest: Rest,
    me: Arc<Me>,
    pub(crate) digest: String,
}

impl View {
    pub(crate) fn new(
        ring: Ring,
        nodes: Vec<Option<Arc<Watched>>>,
        rest: Rest,
        me: Arc<Me>,
    ) -> Self {
        let digest = format!("{:016x}", ring.digest());
        Self {
            ring,
            nodes,
            rest,
            me,
            digest,
        }
    }

    pub(crate) fn route(&self, key: &[u8]) -> Route {
        match self.ring.owner_index(key).map(|at| &self.nodes[at]) {
            Some(None) => Route::Mine,
            // A ring without members has no owners, so this node, which is not a member, loads for
            // itself.
            None => Route::Standby,
            Some(Some(owner)) if owner.admits() => {
                Route::Theirs(Arc::clone(owner) as Arc<dyn Peer>)
            }
            // Every node that knows the owner to be down picks the same one, so that the origin
            // is asked once and not once per node.
            Some(Some(_)) => self.live(key, 0),
        }
    }

    /// The second node to ask for a key, in addition to the one that it is routed to.
    pub(crate) fn stand_in(&self, key: &[u8]) -> Route {
        self.live(key, 1)
    }

    /// Whether this node is the first one, from the owner of that name on, that is up and can
    /// lead.
    pub(crate) fn leads(&self, what: &[u8], can: impl Fn(&Watched) -> bool) -> bool {
        let Some(owner) = self.ring.owner_index(what) else {
            // A ring without members has no other candidate.
            return true;
        };
        // By their names: the ring's own order may be that of the list, which can differ between
        // nodes.
        let names = self.ring.members();
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        order.sort_unstable_by_key(|at| &names[*at]);
        let (before, from) = order.split_at(order.partition_point(|at| names[*at] < names[owner]));
        let mut in_turn = from.iter().chain(before).map(|at| &self.nodes[*at]);
        let first = in_turn.find(|node| {
            node.as_ref()
                .is_none_or(|peer| peer.is_usable() && can(peer))
        });
        first.is_some_and(Option::is_none)
    }

    /// The `nth` (from 0) of the owner and its stand-ins that are up.
    fn live(&self, key: &[u8], nth: usize) -> Route {
        // golang/groupcache would forward such a request by its own ring, to the very owner that
        // is down.
        if matches!(self.ring.profile(), Profile::Groupcache { .. }) {
            return Route::Standby;
        }
        let nodes = self.ring.owner_indices(key, 1 + STAND_INS);
        let nodes = nodes.into_iter().map(|at| &self.nodes[at]);
        let mut live = nodes.filter(|node| node.as_ref().is_none_or(|peer| peer.is_usable()));
        match live.nth(nth) {
            Some(Some(peer)) => Route::Theirs(Arc::clone(peer) as Arc<dyn Peer>),
            Some(None) | None => Route::Standby,
        }
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = &Arc<Watched>> {
        self.nodes.iter().flatten()
    }

    /// The handle of the member of that name; `None` for this node, and if there is none.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Watched>> {
        self.peers().find(|peer| peer.ring_name() == name)
    }

    /// The handle of the member at that address.
    pub(crate) fn at(&self, address: &str) -> Option<&Arc<Watched>> {
        self.peers().find(|peer| **peer.address() == *address)
    }

    /// Whether the node at that base URL is in the list.
    pub(crate) fn knows(&self, address: &str) -> bool {
        let mut known = self.peers().chain(&self.rest.listeners);
        self.rest.advertised.contains(address) || known.any(|peer| **peer.address() == *address)
    }

    /// Whether both ask the same nodes by the same handles.
    pub(crate) fn has_handles_of(&self, other: &Self) -> bool {
        let same = |a: &[Arc<Watched>], b: &[Arc<Watched>]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
        };
        let peers = |view: &Self| view.peers().cloned().collect::<Vec<_>>();
        self.me == other.me
            && same(&peers(self), &peers(other))
            && same(&self.rest.listeners, &other.rest.listeners)
            && same(&self.rest.leaving, &other.rest.leaving)
            && self.rest.advertised == other.rest.advertised
    }

    /// Whether this node owns that key.
    pub(crate) fn is_mine(&self, key: &[u8]) -> bool {
        let owner = self.ring.owner_index(key);
        owner.is_some_and(|at| self.nodes[at].is_none())
    }

    pub(crate) fn owner(&self, key: &[u8]) -> Option<Member> {
        self.ring.owner_index(key).map(|at| self.member(at))
    }

    pub(crate) fn members(&self) -> Vec<Member> {
        (0..self.nodes.len()).map(|at| self.member(at)).collect()
    }

    fn member(&self, at: usize) -> Member {
        let node = &self.nodes[at];
        let address = match node {
            Some(peer) => peer.address(),
            None => &self.me.address,
        };
        Member {
            name: Arc::clone(&self.ring.members()[at]),
            address: Arc::clone(address),
            is_self: node.is_none(),
            up: node.as_ref().is_none_or(|peer| peer.is_usable()),
            requests: node
                .as_ref()
                .map_or_else(PeerRequests::default, |peer| peer.requests()),
        }
    }
}
