//! The members of the ring: the listed nodes, without those that leave.

mod damping;
mod met;
mod seats;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use gaggle_group::Instance;
use gaggle_ring::RingError;
use tokio::time::Instant;
use tracing::warn;

use crate::leaving::Leaving;
use crate::peers::Inner;
use crate::watched::Watched;
use crate::{Listed, PeersError};
pub(crate) use damping::Damping;
use damping::Known;
pub(crate) use met::{Met, Weighed};

/// A ring of up to this many nodes is built quickly.
pub(crate) const FEW: usize = 24;

/// The data that rings are made from. It is locked while a new one is made, so that two changes do
/// not overwrite each other.
pub(crate) struct Membership {
    /// The nodes as the source lists them, with or without this node; each address is there once.
    pub(crate) listed: Vec<Listed>,
    /// Handles of the listed nodes, by address. This node's own address has none, if it is spelled
    /// as this node spells it.
    pub(crate) handles: BTreeMap<String, Arc<Watched>>,
    /// The node that answered last at a listed address.
    pub(crate) met: BTreeMap<String, Met>,
    /// The nodes that have announced that they leave, listed or not, by name.
    pub(crate) leaving: BTreeMap<Arc<str>, Leaving>,
    /// The last announcement of each name on whether it leaves.
    pub(crate) words: BTreeMap<Arc<str>, (Instance, u64)>,
    /// When nodes that left were last added again.
    pub(crate) returned: BTreeMap<Arc<str>, Instant>,
    pub(crate) damping: Damping,
    /// The source's last list, if more of it will be applied later, and when.
    put_off: Option<(Vec<Listed>, Instant)>,
    /// Names that two nodes have, so that each is reported once.
    ambiguous: HashSet<Arc<str>>,
    /// Names that are reached at more than one of the addresses.
    pub(crate) shared: HashSet<Arc<str>>,
    born: Instant,
    /// Whether the source has answered.
    has_list: bool,
    /// Whether it has settled once. Until then all new members are added at once.
    pub(crate) has_settled: bool,
}

impl Membership {
    pub(crate) fn new(damping: Damping) -> Self {
        Self {
            listed: Vec::new(),
            handles: BTreeMap::new(),
            met: BTreeMap::new(),
            leaving: BTreeMap::new(),
            words: BTreeMap::new(),
            returned: BTreeMap::new(),
            damping,
            put_off: None,
            ambiguous: HashSet::new(),
            shared: HashSet::new(),
            born: Instant::now(),
            has_list: false,
            has_settled: false,
        }
    }

    /// Whether there is nothing to wait for: for a source that may `grow`, whether its list is
    /// applied as a whole.
    pub(crate) fn is_whole(&self, grows: bool) -> bool {
        (self.has_list || !grows) && self.put_off.is_none()
    }

    fn forget_unlisted(&mut self) {
        let listed = self.listed.iter();
        let there: HashSet<&str> = listed.map(|node| &*node.address).collect();
        self.met.retain(|address, _| there.contains(&**address));
    }
}

impl Inner {
    /// Makes a list the one in force. This node is in the ring if it is a member, listed or not.
    pub(crate) fn list(
        &self,
        membership: &mut Membership,
        listed: Vec<Listed>,
    ) -> Result<bool, PeersError> {
        let mut seen = HashSet::new();
        if let Some(twice) = listed.iter().find(|node| !seen.insert(&*node.address)) {
            let member = twice.address.clone();
            return Err(RingError::DuplicateMember { member }.into());
        }
        if let Some(position) = listed.iter().position(|node| node.address.is_empty()) {
            return Err(RingError::EmptyMember { position }.into());
        }
        let before = std::mem::replace(&mut membership.listed, listed);
        let changed = self.rebuild(membership);
        match &changed {
            Ok(_) => {
                membership.forget_unlisted();
                if membership.listed != before {
                    self.moved.now();
                }
            }
            Err(_) => membership.listed = before,
        }
        changed
    }

    /// A source has returned a list: it is applied as far as [`Damping`] allows, and the rest
    /// later.
    pub(crate) fn believe(&self, nodes: Vec<Listed>) {
        let mut seen = HashSet::new();
        let mut nodes = nodes;
        nodes.retain(|node| seen.insert(node.address.clone()));
        let mut membership = self.membership();
        let membership = &mut *membership;
        let me = self.me();
        let known = |address: &str| match membership.handles.get(address) {
            Some(peer) if membership.leaving.contains_key(peer.ring_name()) => Known::Leaving,
            Some(peer) if peer.answers() => {
                // It counts as up, perhaps only because it has not been asked since.
                peer.check();
                Known::Up
            }
            Some(_) => Known::Down,
            None => Known::Leaving,
        };
        let addresses: Vec<String> = nodes.iter().map(|node| node.address.clone()).collect();
        let in_force = membership.listed.iter();
        let in_force: Vec<&str> = in_force.map(|node| &*node.address).collect();
        // It takes effect only if the list is a valid ring.
        let mut damping = membership.damping.clone();
        let now = Instant::now();
        let is_starting =
            !membership.has_settled && membership.born.elapsed() < self.options.damping;
        if is_starting {
            damping.welcome();
        }
        let believed = damping.believe(&addresses, &in_force, &me.address, known, now);
        // The source's new list takes precedence over its old one.
        let known = membership.listed.iter().chain(&nodes);
        let known: HashMap<&str, &Listed> = known.map(|node| (&*node.address, node)).collect();
        let believed_nodes = believed.members.iter();
        let list = believed_nodes
            .filter_map(|address| known.get(&**address).copied().cloned())
            .collect();
        membership.put_off = None;
        match self.list(membership, list) {
            Ok(_) => {
                membership.damping = damping;
                if !membership.has_list {
                    membership.has_list = true;
                    self.moved.now();
                }
                membership.put_off = believed.due.map(|due| (nodes, due));
            }
            Err(failure) => {
                warn!(error = %failure, "the new member list is unusable; keeping the last one");
            }
        }
    }

    /// The same. Building a large ring takes tens of milliseconds, for which it must not block the
    /// executor's threads.
    pub(crate) async fn believe_elsewhere(self: &Arc<Self>, nodes: Vec<Listed>) {
        if nodes.len() <= FEW {
            return self.believe(nodes);
        }
        let inner = Arc::clone(self);
        let believed = tokio::task::spawn_blocking(move || inner.believe(nodes)).await;
        if let Err(failure) = believed {
            warn!(error = %failure, "the new member list is ignored; keeping the last one");
        }
    }

    /// When more of the source's last list will be applied.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.membership().put_off.as_ref().map(|(_, due)| *due)
    }

    /// Checks the source's last list again.
    pub(crate) async fn believe_more(self: &Arc<Self>) {
        let put_off = self.membership().put_off.take();
        if let Some((listed, _)) = put_off {
            self.believe_elsewhere(listed).await;
        }
    }

    /// The source has failed: its last list no longer counts as evidence. Members that lists have
    /// lacked are still remembered.
    pub(crate) fn doubt(&self) {
        self.membership().put_off = None;
    }
}
