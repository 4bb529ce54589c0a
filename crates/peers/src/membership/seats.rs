//! The ring of a list: the node at each address, and its name.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, PoisonError};

use gaggle_group::{Greeting, Hello};
use tracing::{info, warn};

use super::Membership;
use crate::identity::Me;
use crate::peers::Inner;
use crate::view::{Rest, View};
use crate::watched::Watched;
use crate::{Listed, PeersError, name_of};

/// The node at an address of the list.
#[derive(Debug, PartialEq, Eq)]
enum Who {
    Me,
    /// A member of the ring, by its name. `since` orders the runs of one name: the latest counts.
    Member {
        name: Arc<str>,
        since: u64,
    },
    /// A node that owns no keys: a gateway, or a node that leaves. It gets removals.
    Listener {
        name: Arc<str>,
    },
    /// No node of this cluster.
    Stranger {
        name: Arc<str>,
    },
}

/// The result of a list.
#[derive(Default)]
struct Seats {
    /// The members without this node, by name.
    members: BTreeMap<Arc<str>, (Arc<Watched>, u64)>,
    /// Nodes that are not members but get removals.
    listeners: Vec<Arc<Watched>>,
    handles: BTreeMap<String, Arc<Watched>>,
    /// Names that are reached at more than one address, or by more than one node.
    shared: HashSet<Arc<str>>,
    ambiguous: HashSet<Arc<str>>,
}

impl Inner {
    /// Makes the ring of the listed nodes that do not leave, if it differs from the present one;
    /// returns whether it does. If all of them leave, the ring is unchanged.
    pub(crate) fn rebuild(&self, membership: &mut Membership) -> Result<bool, PeersError> {
        let me = self.me();
        let seats = self.seats(membership, &me)?;
        let am_member = self.options.member && me.is_known();
        let leaving = &membership.leaving;
        let own = am_member.then(|| Arc::clone(&me.name)).into_iter();
        let there = seats.members.keys().cloned().chain(own);
        let there: Vec<Arc<str>> = there.filter(|name| !leaving.contains_key(name)).collect();
        let nobody_stays = there.is_empty() && (am_member || !seats.members.is_empty());
        let old = self.view();
        // From the old ring, which is far cheaper than from scratch if little has changed.
        let ring = match nobody_stays {
            true => old.ring.clone(),
            false => old.ring.with_members(there)?,
        };
        let mut nodes = Vec::with_capacity(ring.members().len());
        for name in ring.members() {
            nodes.push(match seats.members.get(name) {
                Some((peer, _)) => Some(Arc::clone(peer)),
                None if *name == me.name => None,
                // No node stays, and the list has changed: the previous members are still asked.
                None => match old.get(name) {
                    Some(peer) => Some(Arc::clone(peer)),
                    None => return Ok(false),
                },
            });
        }
        let is_same = ring.members() == old.ring.members();
        let leaving = membership.leaving.values();
        let rest = Rest {
            listeners: seats.listeners,
            leaving: leaving.filter_map(|node| node.peer.clone()).collect(),
            advertised: advertised(membership),
        };
        membership.handles = seats.handles;
        membership.shared = seats.shared;
        membership.ambiguous = seats.ambiguous;
        let new = View::new(ring, nodes, rest, me);
        if is_same && new.has_handles_of(&old) {
            return Ok(false);
        }
        // Members that leave may still answer clients, and return: they get removals for a while.
        for peer in old.peers() {
            if new.at(peer.address()).is_none() {
                let address = peer.address();
                self.followers
                    .heard(address, false, || Some(Arc::clone(peer)));
            }
        }
        // This comes first, so that a load by the new ring finds the old one.
        if self.hands_over && !is_same {
            self.history.changes(&old, &new);
        }
        let standings = new.peers().map(|peer| Arc::clone(peer.standing()));
        self.fleet.set(standings.collect());
        if !is_same {
            info!(members = new.nodes.len(), ring = %new.digest, "the ring has changed");
        }
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        Ok(!is_same)
    }

    fn seats(&self, membership: &mut Membership, me: &Me) -> Result<Seats, PeersError> {
        let mut seats = Seats::default();
        let listed = std::mem::take(&mut membership.listed);
        let filled = listed
            .iter()
            .try_for_each(|node| self.seat(node, membership, me, &mut seats));
        membership.listed = listed;
        filled.map(|()| seats)
    }

    fn seat(
        &self,
        node: &Listed,
        membership: &mut Membership,
        me: &Me,
        seats: &mut Seats,
    ) -> Result<(), PeersError> {
        let met = membership.met.get(&node.address);
        let who = self.who(node, met.map(|met| &met.greeting), me);
        let name = match &who {
            // This node's own address, in its own spelling, is not a peer. Another spelling is
            // asked from time to time, since another node may take it.
            Who::Me if *node.address == *me.address => return Ok(()),
            Who::Me => &me.name,
            Who::Member { name, .. } | Who::Listener { name } | Who::Stranger { name } => name,
        };
        let peer = self.handle(membership, name, &node.address)?;
        seats
            .handles
            .insert(node.address.clone(), Arc::clone(&peer));
        match who {
            Who::Me | Who::Stranger { .. } => {}
            Who::Listener { .. } => seats.listeners.push(peer),
            Who::Member { name, since } if name == me.name && me.is_known() => {
                // A node that has not answered yet may be this node.
                if since > 0 {
                    if !membership.ambiguous.contains(&name) {
                        let address = &*node.address;
                        warn!(
                            node = &*name,
                            address, "another node has this node's name; it is left out"
                        );
                    }
                    seats.ambiguous.insert(name);
                }
            }
            Who::Member { name, since } => {
                // One node has two addresses, or has moved: its earlier run may still be listed.
                // An address that answers is preferred, and of those the latest.
                let is_better = match seats.members.get(&name) {
                    Some((other, of_other)) => {
                        seats.shared.insert(Arc::clone(&name));
                        (peer.answers(), since) > (other.answers(), *of_other)
                    }
                    None => true,
                };
                if is_better {
                    seats.members.insert(name, (peer, since));
                }
            }
        }
        Ok(())
    }

    /// A peer is down, or up again. If its name is also reached at another address, that may be
    /// the better one.
    pub(crate) fn reseat(self: &Arc<Self>, name: &Arc<str>) {
        let name = Arc::clone(name);
        self.beside(move |inner| {
            let mut membership = inner.membership();
            if membership.shared.contains(&name) {
                inner.rebuild_or_warn(&mut membership);
            }
        });
    }

    /// The node at an address, as far as it is known.
    fn who(&self, node: &Listed, met: Option<&Greeting>, me: &Me) -> Who {
        let given = || match &node.name {
            // In such a ring the list's spelling of the address is the name, since the other nodes
            // cannot ask.
            Some(name) if !self.is_groupcache => name.as_str().into(),
            _ => self.name_for(&node.address),
        };
        if *node.address == *me.address {
            return Who::Me;
        }
        match met {
            Some(Greeting::Node(hello)) => self.who_says(node, hello, given()),
            // In a ring with golang/groupcache all nodes have the same list, and nothing more.
            Some(Greeting::Stranger(_)) if !self.is_groupcache => Who::Stranger { name: given() },
            _ => {
                let name = given();
                if name == me.name && me.is_known() && node.name.is_none() {
                    return Who::Me;
                }
                Self::member_or_not(node, name, 0)
            }
        }
    }

    fn who_says(&self, node: &Listed, hello: &Hello, given: Arc<str>) -> Who {
        if hello.instance.id == self.instance.id {
            return Who::Me;
        }
        if hello.cluster != self.options.cluster {
            return Who::Stranger { name: given };
        }
        let name = match hello.name.is_empty() || self.is_groupcache {
            true => given,
            false => Arc::clone(&hello.name),
        };
        match hello.member {
            // A node that does not know its name yet is not a member yet.
            true if hello.name.is_empty() => Who::Listener { name },
            true => Self::member_or_not(node, name, hello.instance.started),
            false => Who::Listener { name },
        }
    }

    fn member_or_not(node: &Listed, name: Arc<str>, since: u64) -> Who {
        match node.leaving || node.member == Some(false) {
            true => Who::Listener { name },
            false => Who::Member { name, since },
        }
    }

    /// The name that an address stands for in this ring.
    pub(crate) fn name_for(&self, address: &str) -> Arc<str> {
        match self.is_groupcache {
            true => address.into(),
            false => name_of(address).into(),
        }
    }

    /// The handle of the node of that name at that address: the existing one, if there is one.
    fn handle(
        &self,
        membership: &Membership,
        name: &str,
        address: &str,
    ) -> Result<Arc<Watched>, PeersError> {
        let fits = |peer: &Arc<Watched>| peer.ring_name() == name && **peer.address() == *address;
        let listed = membership.handles.get(address).cloned().filter(fits);
        let left = || membership.leaving.get(name)?.peer.clone().filter(fits);
        let followed = || self.followers.get(address).filter(fits);
        let past = || self.history.get(name).filter(fits);
        let known = listed.or_else(left).or_else(followed).or_else(past);
        let renamed = membership.handles.get(address);
        if let Some(renamed) = renamed.filter(|peer| !fits(peer)) {
            self.differences.forget(renamed.ring_name());
        }
        let is_met = membership.met.contains_key(address);
        match known {
            Some(peer) => Ok(peer),
            None => self
                .watch(name, address, is_met)
                .map_err(|source| PeersError::Connect {
                    address: address.to_owned(),
                    source,
                }),
        }
    }
}

/// The base URLs by which the nodes of the list advertise themselves.
fn advertised(membership: &Membership) -> HashSet<Arc<str>> {
    let met = membership.met.values();
    let nodes = met.filter_map(|met| match &met.greeting {
        Greeting::Node(hello) => Some(Arc::clone(&hello.address)),
        _ => None,
    });
    nodes.collect()
}
