//! The owner of a key, from the read path's point of view.

use std::sync::Arc;

use crate::{Hello, PROTOCOL, Peer, Previous, Word};

/// Finds the node that a key belongs to. Called on misses only; must neither block nor allocate
/// much.
pub trait Router: Send + Sync + 'static {
    /// Where to load `key`, with the health of the owner taken into account.
    fn route(&self, key: &[u8]) -> Route;

    /// Whether this node owns `key` by placement alone. Unlike [`route`](Self::route), which may
    /// admit a request as a probe of a peer, this has no side effect.
    fn is_mine(&self, key: &[u8]) -> bool {
        matches!(self.route(key), Route::Mine)
    }

    /// The member that owns `key` by placement alone, whether it is up or not.
    fn owner(&self, key: &[u8]) -> Member;

    /// Every member of the ring, this node included, in the ring's order.
    fn members(&self) -> Vec<Member>;

    /// A handle for every member but this node.
    fn peers(&self) -> Vec<Arc<dyn Peer>>;

    /// A handle for each node that has to be notified of removals: the peers, and the followers
    /// that are not members of this node's ring.
    fn listeners(&self) -> Vec<Arc<dyn Peer>> {
        self.peers()
    }

    /// This node's name in the ring.
    fn me(&self) -> Arc<str> {
        let me = self.members().into_iter().find(|member| member.is_self);
        me.map_or_else(|| "".into(), |me| me.name)
    }

    /// The base URL that this node announces to the nodes that it follows; empty if it has none.
    fn address(&self) -> Arc<str> {
        self.me()
    }

    /// A node at that base URL has asked for removals: it has to be notified of them.
    fn followed_by(&self, address: &str) {
        let _ = address;
    }

    /// The base URLs of the followers that are not members of this node's ring, as far as they
    /// have announced themselves.
    fn followers(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    /// Another node reports that the node at that base URL follows it.
    fn heard_of(&self, address: &str) {
        let _ = address;
    }

    /// This node's description of itself.
    fn hello(&self) -> Hello {
        let members = self.members();
        Hello {
            name: self.me(),
            address: self.address(),
            member: members.iter().any(|member| member.is_self),
            ring: self.digest().into(),
            members: u32::try_from(members.len()).unwrap_or(u32::MAX),
            protocol: PROTOCOL,
            ..Hello::default()
        }
    }

    /// Another node has sent its description.
    fn greeted(&self, by: &Hello) {
        let _ = by;
    }

    /// Other nodes that have disagreed with this one about the ring for a while: each key may have
    /// two owners then.
    fn disagreements(&self) -> Vec<Disagreement> {
        Vec::new()
    }

    /// The node to ask for a key whose owner is slow: the one that would stand in for it.
    fn stand_in(&self, key: &[u8]) -> Route {
        let _ = key;
        Route::Standby
    }

    /// Whether this node leads a task that one node of the cluster does for all: the owner of that
    /// name, or while it is down the same other node on every node that knows. Two nodes may both
    /// lead for a moment, as with every decision by health.
    fn leads(&self, what: &[u8]) -> bool {
        self.is_mine(what)
    }

    /// The node that kept `key` before a recent change of the ring, if it is another one than this
    /// and can be reached. It is asked before the origin.
    fn previous_owner(&self, key: &[u8]) -> Option<Previous> {
        let _ = key;
        None
    }

    /// A node announces that it leaves, or that it stays.
    fn leaves(&self, word: &Word) {
        let _ = word;
    }

    /// A short text that is equal on two nodes exactly if they place every key identically.
    fn digest(&self) -> String;
}

/// Where to load a key.
#[derive(Clone)]
pub enum Route {
    /// This node owns it.
    Mine,
    /// Ask this peer: the owner, or the node that stands in while the owner is down.
    Theirs(Arc<dyn Peer>),
    /// The owner is down, and this node stands in: load, but do not keep it in the main cache.
    Standby,
}

/// A member of the ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name, from which the ring is computed.
    pub name: Arc<str>,
    /// The base URL at which this node reaches it, or for this node itself, at which it wants to
    /// be reached. Empty if there is none.
    pub address: Arc<str>,
    /// Whether it is this node.
    pub is_self: bool,
    /// Whether it is assumed to be up.
    pub up: bool,
    /// The requests of this node to it, by result. All zero for this node.
    pub requests: PeerRequests,
}

/// A disagreement of another node with this one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disagreement {
    /// The other node's name, or its address while the name is unknown.
    pub node: Arc<str>,
    /// How the two differ, in one line.
    pub how: String,
}

impl Disagreement {
    /// A disagreement with that node.
    pub fn new(node: impl Into<Arc<str>>, how: impl Into<String>) -> Self {
        Self {
            node: node.into(),
            how: how.into(),
        }
    }
}

/// Requests sent to a peer, by result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeerRequests {
    /// Values received.
    pub ok: u64,
    /// Answers that there is no such key.
    pub not_found: u64,
    /// Requests with any other result.
    pub error: u64,
}

/// The router of a group that is in no cluster: it owns every key.
#[derive(Debug, Clone)]
pub struct LocalOnly {
    name: Arc<str>,
}

impl LocalOnly {
    /// A ring with one member, called `name`.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into() }
    }

    fn member(&self) -> Member {
        Member {
            name: self.name.clone(),
            address: "".into(),
            is_self: true,
            up: true,
            requests: PeerRequests::default(),
        }
    }
}

impl Default for LocalOnly {
    fn default() -> Self {
        Self::new("local")
    }
}

impl Router for LocalOnly {
    fn route(&self, _key: &[u8]) -> Route {
        Route::Mine
    }

    fn owner(&self, _key: &[u8]) -> Member {
        self.member()
    }

    fn members(&self) -> Vec<Member> {
        vec![self.member()]
    }

    fn peers(&self) -> Vec<Arc<dyn Peer>> {
        Vec::new()
    }

    fn digest(&self) -> String {
        format!("local:{}", self.name)
    }
}
