//! Who is in the ring: those that are listed, less those that leave.

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

/// Lists up to so many nodes make a ring that is quickly built.
pub(crate) const FEW: usize = 24;

/// What rings are made from. Locked while a new one is made, so that two changes do not overwrite
/// each other.
pub(crate) struct Membership {
    /// As the source lists them, this node or not; no address is there twice.
    pub(crate) listed: Vec<Listed>,
    /// Handles of those that are listed, by address. This node's own address has none, as long as
    /// it is spelled as this node spells it.
    pub(crate) handles: BTreeMap<String, Arc<Watched>>,
    /// Who answered last at an address that is listed.
    pub(crate) met: BTreeMap<String, Met>,
    /// Those that have said that they leave, listed or not, by name.
    pub(crate) leaving: BTreeMap<Arc<str>, Leaving>,
    /// The last word of each name on whether it leaves.
    pub(crate) words: BTreeMap<Arc<str>, (Instance, u64)>,
    /// When nodes that left were last taken back.
    pub(crate) returned: BTreeMap<Arc<str>, Instant>,
    pub(crate) damping: Damping,
    /// The source's last answer, if more of it will be believed later, and when.
    put_off: Option<(Vec<Listed>, Instant)>,
    /// Names that two nodes go by, so that it is said once.
    ambiguous: HashSet<Arc<str>>,
    /// Names that are reached at more than one of the addresses.
    pub(crate) shared: HashSet<Arc<str>>,
    born: Instant,
    /// Whether the source has answered.
    has_list: bool,
    /// Whether it has come to rest once. Until then all new members are welcome.
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

    /// Whether there is nothing to wait for: of a source that may `grow`, an answer that is believed as a whole.
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

    /// A source has answered: what it says is believed as far as [`Damping`] does, the rest
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
                // Believed to be up, which it may be only because nobody has asked it since.
                peer.check();
                Known::Up
            }
            Some(_) => Known::Down,
            None => Known::Leaving,
        };
        let addresses: Vec<String> = nodes.iter().map(|node| node.address.clone()).collect();
        let in_force = membership.listed.iter();
        let in_force: Vec<&str> = in_force.map(|node| &*node.address).collect();
        // Takes effect only if the list can be a ring.
        let mut damping = membership.damping.clone();
        let now = Instant::now();
        let is_starting =
            !membership.has_settled && membership.born.elapsed() < self.options.damping;
        if is_starting {
            damping.welcome();
        }
        let believed = damping.believe(&addresses, &in_force, &me.address, known, now);
        // What the source says now goes before what it said.
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

    /// The same. To build a large ring takes tens of milliseconds, which the executor's threads
    /// have other uses for.
    pub(crate) async fn believe_elsewhere(self: &Arc<Self>, nodes: Vec<Listed>) {
        if nodes.len() <= FEW {
            return self.believe(nodes);
        }
        let inner = Arc::clone(self);
        let believed = tokio::task::spawn_blocking(move || inner.believe(nodes)).await;
        if let Err(failure) = believed {
            warn!(error = %failure, "the new member list is not looked at; keeping the last one");
        }
    }

    /// When more of the source's last answer will be believed.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.membership().put_off.as_ref().map(|(_, due)| *due)
    }

    /// Looks at the source's last answer again.
    pub(crate) async fn believe_more(self: &Arc<Self>) {
        let put_off = self.membership().put_off.take();
        if let Some((listed, _)) = put_off {
            self.believe_elsewhere(listed).await;
        }
    }

    /// The source has failed: its last answer is no evidence any more. What lists have lacked
    /// goes on to be remembered.
    pub(crate) fn doubt(&self) {
        self.membership().put_off = None;
    }
}
