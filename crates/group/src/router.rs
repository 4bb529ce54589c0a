//! Who owns a key, as the read path asks it.

use std::sync::Arc;

use crate::{Hello, PROTOCOL, Peer, Previous, Word};

/// Says which node a key belongs to. Called on misses only; must neither block nor allocate much.
pub trait Router: Send + Sync + 'static {
    /// Where to load `key`, with the health of the owner taken into account.
    fn route(&self, key: &[u8]) -> Route;

    /// Whether this node owns `key` by placement alone. Unlike [`route`](Self::route), which may let a request through to try a peer,
    /// this is a question and nothing else.
    fn is_mine(&self, key: &[u8]) -> bool {
        matches!(self.route(key), Route::Mine)
    }

    /// The member that owns `key` by placement alone, whether it is up or not.
    fn owner(&self, key: &[u8]) -> Member;

    /// Every member of the ring, this node included, in the ring's order.
    fn members(&self) -> Vec<Member>;

    /// A handle for every member but this node.
    fn peers(&self) -> Vec<Arc<dyn Peer>>;

    /// A handle for each node that a removal has to reach: the peers, and those that follow this node without being members
    /// of its ring.
    fn listeners(&self) -> Vec<Arc<dyn Peer>> {
        self.peers()
    }

    /// This node's name in the ring.
    fn me(&self) -> Arc<str> {
        let me = self.members().into_iter().find(|member| member.is_self);
        me.map_or_else(|| "".into(), |me| me.name)
    }

    /// The base URL by which this node makes itself known to those that it follows; empty where it has none.
    fn address(&self) -> Arc<str> {
        self.me()
    }

    /// A node that is reached at that base URL has asked for removals: it wants to be told of them.
    fn followed_by(&self, address: &str) {
        let _ = address;
    }

    /// The base URLs of those that follow this node without being members of its ring, as far as it was they who said so.
    fn followers(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    /// Another node says that it is followed by the node at that base URL.
    fn heard_of(&self, address: &str) {
        let _ = address;
    }

    /// What this node says of itself.
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

    /// Another node has said that of itself.
    fn greeted(&self, by: &Hello) {
        let _ = by;
    }

    /// Other nodes that have seen things otherwise than this one for a while: each key may have two owners then.
    fn disagreements(&self) -> Vec<Disagreement> {
        Vec::new()
    }

    /// Where to ask for a key whose owner is slow: the node that would stand in for it.
    fn stand_in(&self, key: &[u8]) -> Route {
        let _ = key;
        Route::Standby
    }

    /// Whether it falls to this node to do what one node of the cluster does for all: the owner of that name, or while it is
    /// down the same other one on every node that knows. Two nodes may think so for a moment, as with every question of health.
    fn leads(&self, what: &[u8]) -> bool {
        self.is_mine(what)
    }

    /// The node that kept `key` before the ring changed lately, if it is another one than this and can be asked. It is asked
    /// before the origin.
    fn previous_owner(&self, key: &[u8]) -> Option<Previous> {
        let _ = key;
        None
    }

    /// A node says that it leaves, or that it is here to stay.
    fn leaves(&self, word: &Word) {
        let _ = word;
    }

    /// A short text that is equal on two nodes exactly if they place every key alike.
    fn digest(&self) -> String;
}

/// Where to load a key.
#[derive(Clone)]
pub enum Route {
    /// This node owns it.
    Mine,
    /// Ask this peer: the owner, or the node that stands in while the owner is down.
    Theirs(Arc<dyn Peer>),
    /// The owner is down, and this node stands in: load, but not into the main cache.
    Standby,
}

/// A member of the ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name, of which the ring is made.
    pub name: Arc<str>,
    /// The base URL by which this node reaches it, or by which it wants to be reached itself. Empty where there is none.
    pub address: Arc<str>,
    /// Whether it is this node.
    pub is_self: bool,
    /// Whether it is thought to be up.
    pub up: bool,
    /// What this node asked of it, and how that ended. All zero for this node.
    pub requests: PeerRequests,
}

/// In what another node differs from this one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disagreement {
    /// The other node's name, or its address while that is unknown.
    pub node: Arc<str>,
    /// How the two differ, in one line.
    pub how: String,
}

impl Disagreement {
    /// One with that node, in that way.
    pub fn new(node: impl Into<Arc<str>>, how: impl Into<String>) -> Self {
        Self {
            node: node.into(),
            how: how.into(),
        }
    }
}

/// Requests sent to a peer, by their end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeerRequests {
    /// Values that came.
    pub ok: u64,
    /// Answers that there is no such key.
    pub not_found: u64,
    /// Requests that brought neither.
    pub error: u64,
}

/// The router of a group that shares with nobody: every key is its own.
#[derive(Debug, Clone)]
pub struct LocalOnly {
    name: Arc<str>,
}

impl LocalOnly {
    /// A ring of one, whose only member is called `name`.
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
