//! Who is in the ring: those that are listed, less those that leave.

mod damping;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use gaggle_group::Peer as _;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::PeersError;
use crate::leaving::Leaving;
use crate::peers::Inner;
use crate::view::View;
use crate::watched::Watched;
pub(crate) use damping::Damping;
use damping::Known;

/// What rings are made from. Locked while a new one is made, so that two changes do not overwrite
/// each other.
pub(crate) struct Membership {
    /// With this node, if it is a member.
    pub(crate) listed: Vec<Arc<str>>,
    /// Those that have said that they leave, listed or not.
    pub(crate) leaving: BTreeMap<Arc<str>, Leaving>,
    /// When nodes that left were last taken back.
    pub(crate) returned: BTreeMap<Arc<str>, Instant>,
    pub(crate) damping: Damping,
    /// The source's last answer, if more of it will be believed later, and when.
    put_off: Option<(Vec<String>, Instant)>,
}

impl Membership {
    pub(crate) fn new(listed: Vec<Arc<str>>, damping: Damping) -> Self {
        Self {
            listed,
            leaving: BTreeMap::new(),
            returned: BTreeMap::new(),
            damping,
            put_off: None,
        }
    }
}

impl Inner {
    /// Makes a list the one in force, this node added if it is a member, and left out if not.
    pub(crate) fn list(
        &self,
        membership: &mut Membership,
        members: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<bool, PeersError> {
        let mut members: Vec<Arc<str>> =
            members.into_iter().map(|name| name.into().into()).collect();
        if !self.options.member {
            members.retain(|name| *name != self.me);
        } else if !members.contains(&self.me) {
            members.push(Arc::clone(&self.me));
        }
        let before = std::mem::replace(&mut membership.listed, members);
        let changed = self.rebuild(membership);
        if changed.is_err() {
            membership.listed = before;
        }
        changed
    }

    /// A source has answered: what it says is believed as far as [`Damping`] does, the rest
    /// later.
    pub(crate) fn believe(&self, members: Vec<String>) {
        let mut seen = HashSet::new();
        let mut listed = members;
        listed.retain(|name| seen.insert(name.clone()));
        let mut membership = self.membership();
        let membership = &mut *membership;
        let view = self.view();
        let by_name: HashMap<&str, &Arc<Watched>> =
            view.peers().map(|peer| (peer.name(), peer)).collect();
        let known = |name: &str| match by_name.get(name) {
            _ if membership.leaving.contains_key(name) => Known::Leaving,
            Some(peer) if peer.answers() => {
                // Believed to be up, which it may be only because nobody has asked it since.
                peer.check();
                Known::Up
            }
            Some(_) => Known::Down,
            None => Known::Leaving,
        };
        let in_force: Vec<&str> = membership.listed.iter().map(|name| &**name).collect();
        // Takes effect only if the list can be a ring.
        let mut damping = membership.damping.clone();
        let believed = damping.believe(&listed, &in_force, &self.me, known, Instant::now());
        membership.put_off = None;
        match self.list(membership, believed.members) {
            Ok(_) => {
                membership.damping = damping;
                membership.put_off = believed.due.map(|due| (listed, due));
            }
            Err(failure) => {
                warn!(error = %failure, "the new member list is unusable; keeping the last one");
            }
        }
    }

    /// When more of the source's last answer will be believed.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.membership().put_off.as_ref().map(|(_, due)| *due)
    }

    /// Looks at the source's last answer again.
    pub(crate) fn believe_more(&self) {
        let put_off = self.membership().put_off.take();
        if let Some((listed, _)) = put_off {
            self.believe(listed);
        }
    }

    /// The source has failed: its last answer is no evidence any more. What lists have lacked
    /// goes on to be remembered.
    pub(crate) fn doubt(&self) {
        self.membership().put_off = None;
    }

    /// Makes the ring of those who are listed and do not leave, if it is another one; whether it
    /// is. Where all of them leave it stays as it is.
    pub(crate) fn rebuild(&self, membership: &Membership) -> Result<bool, PeersError> {
        let leaving = &membership.leaving;
        let listed = membership.listed.iter();
        let there: Vec<Arc<str>> = listed
            .filter(|name| !leaving.contains_key(*name))
            .cloned()
            .collect();
        if there.is_empty() && !membership.listed.is_empty() {
            return Ok(false);
        }
        let old = self.view();
        // From the old ring: far cheaper than from nothing where little has changed.
        let ring = old.ring.with_members(there)?;
        if ring.members() == old.ring.members() {
            return Ok(false);
        }
        let known: HashMap<&str, &Arc<Watched>> =
            old.peers().map(|peer| (peer.name(), peer)).collect();
        let mut nodes = Vec::with_capacity(ring.members().len());
        for name in ring.members() {
            let name: &str = name;
            if *name == *self.me {
                nodes.push(None);
                continue;
            }
            let known = known.get(name).copied().cloned();
            let known = known
                .or_else(|| leaving.get(name)?.peer.clone())
                .or_else(|| self.known(name));
            nodes.push(Some(match known {
                Some(peer) => peer,
                None => self.watch(name).map_err(|source| PeersError::Connect {
                    name: name.to_owned(),
                    source,
                })?,
            }));
        }
        let new = View::new(ring, nodes);
        // Those that leave may still answer clients, and come back: they are told of removals for
        // a while.
        for peer in old.peers() {
            self.followers
                .heard(peer.name(), false, || Some(Arc::clone(peer)));
        }
        // First: who loads by the new ring is to find the old one.
        if self.hands_over {
            self.history.changes(&old, &new);
        }
        let standings = new.peers().map(|peer| Arc::clone(peer.standing()));
        self.fleet.set(standings.collect());
        info!(members = new.nodes.len(), ring = %new.digest, "the ring has changed");
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        Ok(true)
    }

    /// The handle of a node that is in no ring just now.
    fn known(&self, name: &str) -> Option<Arc<Watched>> {
        self.followers.get(name).or_else(|| self.history.get(name))
    }
}
