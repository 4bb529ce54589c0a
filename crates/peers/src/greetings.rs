//! The greetings of other nodes, and their differences from this node.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gaggle_group::{Disagreement, Greeting, Hello, PROTOCOL, PeerError};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::identity::Me;
use crate::membership::{FEW, Membership, Met, Weighed};
use crate::peers::Inner;

/// How long two nodes may differ before it is reported: a change takes time to reach all nodes.
const DIFFERS_FOR: Duration = Duration::from_secs(5);
/// A difference that was not confirmed for this time is forgotten.
const FORGETS: Duration = Duration::from_secs(60);
/// The most nodes whose differences are remembered.
const MOST: usize = 1_024;
/// The longest text of a difference, in bytes.
const MAX_HOW: usize = 512;

/// The nodes that differ from this one, and how. By name, or by address if there is no name.
#[derive(Default)]
pub(crate) struct Differences {
    by_node: Mutex<BTreeMap<(Arc<str>, Side), Differs>>,
}

/// The source of a difference. The two are independent: two nodes may agree in one direction and
/// not in the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// This node asked the other.
    Asked,
    /// The other asked this node.
    Told,
}

struct Differs {
    how: String,
    since: Instant,
    heard: Instant,
    is_said: bool,
}

impl Differences {
    /// Records a greeting: `how` the node differs, if it does, and whether that counts at once.
    fn note(&self, node: &Arc<str>, side: Side, how: Option<String>, at_once: bool) {
        let now = Instant::now();
        let key = (Arc::clone(node), side);
        let mut by_node = self.lock();
        let Some(mut how) = how else {
            if by_node.remove(&key).is_some_and(|differs| differs.is_said) {
                info!(node = &**node, "a node agrees with this one again");
            }
            return;
        };
        how.truncate(how.floor_char_boundary(MAX_HOW));
        if by_node.len() >= MOST && !by_node.contains_key(&key) {
            by_node.retain(|_, differs| now.duration_since(differs.heard) < FORGETS);
            if by_node.len() >= MOST {
                return;
            }
        }
        let differs = by_node.entry(key).or_insert_with(|| Differs {
            how: String::new(),
            since: now,
            heard: now,
            is_said: false,
        });
        differs.heard = now;
        differs.how = how;
        let is_due = at_once || now.duration_since(differs.since) >= DIFFERS_FOR;
        if is_due && !differs.is_said {
            differs.is_said = true;
            warn!(
                node = &**node,
                how = differs.how,
                "a node disagrees with this one"
            );
        }
    }

    /// No node has that name any more.
    pub(crate) fn forget(&self, node: &str) {
        self.lock().retain(|(name, _), _| **name != *node);
    }

    /// One for each node.
    pub(crate) fn said(&self) -> Vec<Disagreement> {
        let mut by_node = self.lock();
        by_node.retain(|_, differs| differs.heard.elapsed() < FORGETS);
        let said = by_node.iter().filter(|(_, differs)| differs.is_said);
        let mut said: Vec<_> = said
            .map(|((node, _), differs)| Disagreement::new(Arc::clone(node), differs.how.clone()))
            .collect();
        said.dedup_by(|one, other| one.node == other.node);
        said
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Arc<str>, Side), Differs>> {
        self.by_node.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// A node answers at an address that this node asked; `name` is the name that was assumed for
    /// it.
    pub(crate) fn met(self: &Arc<Self>, name: &Arc<str>, address: &str, greeting: Greeting) {
        let greeting = match greeting {
            // Groups that are served without a membership.
            Greeting::Node(hello) if hello.instance.id == 0 => Greeting::Nameless,
            greeting => greeting,
        };
        let mut membership = self.membership();
        match membership.handles.get(address) {
            Some(peer) if *peer.ring_name() == **name => {}
            // It is from an earlier ring, in which the node had another name.
            Some(_) => return,
            None => {
                if let Greeting::Node(hello) = &greeting {
                    self.follower_is_called(address, &hello.name);
                }
                return;
            }
        }
        let mut differs = self.differs(address, &greeting);
        let weighed = match membership.met.get_mut(address) {
            Some(met) => met.weigh(greeting.clone()),
            None => {
                let met = Met::new(greeting.clone());
                membership.met.insert(address.to_owned(), met);
                Weighed::News
            }
        };
        match weighed {
            Weighed::Doubted => return,
            Weighed::Ambiguous | Weighed::Same => {}
            Weighed::News => {
                self.recognise(&membership, address, &greeting);
                self.returns(&mut membership, &greeting);
                self.rebuild_or_warn(&mut membership);
                self.moved.now();
            }
        }
        if membership.met.get(address).is_some_and(Met::is_ambiguous) {
            let how =
                format!("several nodes answer at {address}; each needs an address of its own");
            differs = Some((how, true));
        }
        let (how, at_once) = differs.map_or((None, false), |(how, at_once)| (Some(how), at_once));
        self.differences.note(name, Side::Asked, how, at_once);
    }

    /// How the node that answers at an address differs from this one, and whether that is reported
    /// at once.
    fn differs(&self, address: &str, greeting: &Greeting) -> Option<(String, bool)> {
        match greeting {
            Greeting::Node(hello) if hello.instance.id == self.instance.id => None,
            Greeting::Node(hello) => {
                let how = self.how_differs(hello)?;
                Some((how, self.is_foreign(hello)))
            }
            Greeting::Stranger(answer) => {
                let how = format!(
                    "what answers at {address} is no node of Gaggle or groupcache: {answer}"
                );
                Some((how, true))
            }
            _ => None,
        }
    }

    /// A node has answered. If it had announced that it leaves, it may have restarted, perhaps at
    /// another address.
    fn returns(self: &Arc<Self>, membership: &mut Membership, greeting: &Greeting) {
        let Greeting::Node(hello) = greeting else {
            return;
        };
        let leaving = membership.leaving.get(&hello.name);
        let is_later = leaving.is_some_and(|leaving| {
            let (said_by, met) = (leaving.instance, hello.instance);
            said_by.id != 0 && said_by.id != met.id && said_by.started <= met.started
        });
        if is_later && hello.member {
            self.take_back(membership, &hello.name);
        }
    }

    /// The same. A large ring is not built on the executor's threads.
    pub(crate) async fn met_elsewhere(
        node: &Arc<Self>,
        name: &Arc<str>,
        address: &Arc<str>,
        greeting: Greeting,
    ) {
        if node.view().nodes.len() <= FEW {
            return node.met(name, address, greeting);
        }
        let (inner, name, address) = (Arc::clone(node), Arc::clone(name), Arc::clone(address));
        let met = tokio::task::spawn_blocking(move || inner.met(&name, &address, greeting)).await;
        if let Err(failure) = met {
            warn!(error = %failure, "a node's description of itself is lost");
        }
    }

    /// A node answers, but refuses this one.
    pub(crate) fn refused_by(&self, name: &Arc<str>, failure: &PeerError) {
        let how = format!("it refuses this node: {failure}");
        self.differences.note(name, Side::Asked, Some(how), false);
    }

    /// This node has been found at an address. The first in the list counts, so that it is the
    /// same each time; in a ring shared with golang/groupcache the list's spelling counts.
    fn recognise(&self, membership: &Membership, address: &str, greeting: &Greeting) {
        let Greeting::Node(hello) = greeting else {
            return;
        };
        if hello.instance.id != self.instance.id {
            return;
        }
        let known = self.me();
        let place = |address: &str| {
            let mut listed = membership.listed.iter();
            listed.position(|node| node.address == address)
        };
        let is_better = match place(&known.address) {
            _ if known.address.is_empty() => true,
            None => self.is_groupcache,
            Some(at) => self.was_told_no_address && place(address) < Some(at),
        };
        if !is_better {
            return;
        }
        let name = match &self.options.name {
            Some(name) => Arc::clone(name),
            None => self.name_for(address),
        };
        info!(
            node = &*name,
            address, "this node has found itself in the list"
        );
        let me = Me {
            name,
            address: address.into(),
        };
        *self.me.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(me);
    }

    /// Another node has sent a hello.
    pub(crate) fn greeted(&self, by: &Hello) {
        if by.instance.id == self.instance.id || by.cluster != self.options.cluster {
            return;
        }
        let view = self.view();
        let name = match by.name.is_empty() {
            true => Arc::clone(&by.address),
            false => Arc::clone(&by.name),
        };
        if name.is_empty() {
            return;
        }
        self.differences
            .note(&name, Side::Told, self.how_differs(by), false);
        if by.address.is_empty() {
            return;
        }
        // A gateway, or a member that this node's list lacks, has copies like any other node.
        self.heard(&by.address, false, &view);
        self.follower_is_called(&by.address, &by.name);
        // Held while a ring is built: there will be another greeting.
        let Some(mut membership) = self.try_membership() else {
            return;
        };
        if membership
            .damping
            .is_there(|address| *address == *by.address)
        {
            self.refresh.notify_one();
        }
        // A change of it need not wait for the next greeting.
        let is_known = membership.met.values().any(|met| match &met.greeting {
            Greeting::Node(hello) => hello.instance == by.instance && hello.name == by.name,
            _ => false,
        });
        let handles = || membership.handles.values();
        let peer = handles()
            .find(|peer| *peer.ring_name() == *name)
            .or_else(|| handles().find(|peer| **peer.address() == *by.address));
        match peer {
            Some(peer) if !is_known || !peer.answers() => peer.probe(),
            // The address under which it is listed is not known, so each node without a known name
            // is asked.
            None if !is_known => handles()
                .filter(|peer| !peer.is_judged())
                .for_each(|peer| peer.probe()),
            _ => {}
        }
    }

    fn follower_is_called(&self, address: &str, name: &str) {
        if name.is_empty() || self.is_groupcache {
            return;
        }
        self.followers
            .is_called(address, name, || self.watch(name, address, true).ok());
    }

    fn is_foreign(&self, hello: &Hello) -> bool {
        hello.cluster != self.options.cluster
    }

    fn how_differs(&self, hello: &Hello) -> Option<String> {
        if self.is_foreign(hello) {
            let (theirs, ours) = (&hello.cluster, &self.options.cluster);
            return Some(format!(
                "it is of the cluster {theirs:?}, this node of {ours:?}"
            ));
        }
        let mut how = Vec::new();
        let ours = self.hello();
        if hello.profile != ours.profile {
            how.push(format!(
                "profile {} there, {} here",
                hello.profile, ours.profile
            ));
        } else if hello.ring != ours.ring {
            how.push(format!(
                "ring {} of {} members there, {} of {} here",
                hello.ring, hello.members, ours.ring, ours.members
            ));
        }
        if hello.protocol != PROTOCOL {
            how.push(format!(
                "protocol version {} there, {PROTOCOL} here",
                hello.protocol
            ));
        }
        if !ours.groups.is_empty() && hello.groups != ours.groups {
            how.push(format!(
                "groups {:?} there, {:?} here",
                hello.groups, ours.groups
            ));
        }
        (!how.is_empty()).then(|| how.join("; "))
    }

    /// This node's hello.
    pub(crate) fn hello(&self) -> Hello {
        let (me, view) = (self.me(), self.view());
        let mut hello = Hello::default();
        hello.instance = self.instance;
        hello.cluster = Arc::clone(&self.options.cluster);
        hello.name = Arc::clone(&me.name);
        hello.address = Arc::clone(&me.address);
        hello.member = self.options.member;
        hello.ring = view.digest.as_str().into();
        hello.members = u32::try_from(view.nodes.len()).unwrap_or(u32::MAX);
        hello.profile = match self.is_groupcache {
            true => "groupcache".into(),
            false => "gaggle".into(),
        };
        hello.protocol = PROTOCOL;
        hello.groups.clone_from(&self.options.groups);
        hello
    }
}
