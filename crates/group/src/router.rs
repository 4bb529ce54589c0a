//! Who owns a key, as the read path asks it.

use std::sync::Arc;
use std::time::Duration;

use crate::{Peer, Previous};

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

    /// The name by which this node makes itself known to those that it follows.
    fn me(&self) -> Arc<str> {
        let me = self.members().into_iter().find(|member| member.is_self);
        me.map_or_else(|| "".into(), |me| me.name)
    }

    /// A node of that name has asked for removals: it wants to be told of them.
    fn followed_by(&self, name: &str) {
        let _ = name;
    }

    /// Those that follow this node without being members of its ring, as far as it was they who said so.
    fn followers(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    /// Another node says that it is followed by a node of that name.
    fn heard_of(&self, name: &str) {
        let _ = name;
    }

    /// Where to ask for a key whose owner is slow: the node that would stand in for it.
    fn stand_in(&self, key: &[u8]) -> Route {
        let _ = key;
        Route::Standby
    }

    /// The node that kept `key` before the ring changed lately, if it is another one than this and can be asked. It is asked
    /// before the origin.
    fn previous_owner(&self, key: &[u8]) -> Option<Previous> {
        let _ = key;
        None
    }

    /// A node of that name says that it leaves, and is gone within so long; or with `None` that it is here to stay.
    fn leaves(&self, name: &str, gone_within: Option<Duration>) {
        let _ = (name, gone_within);
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
    /// Its name: the base URL that peers use for it.
    pub name: Arc<str>,
    /// Whether it is this node.
    pub is_self: bool,
    /// Whether it is thought to be up.
    pub up: bool,
    /// What this node asked of it, and how that ended. All zero for this node.
    pub requests: PeerRequests,
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
