//! What nodes say of themselves.

use std::sync::Arc;
use std::time::Duration;

/// The version of what Gaggle's nodes say to each other. Nodes of different versions work together as far as each knows
/// the other's requests.
pub const PROTOCOL: u32 = 2;

/// One run of a node's program: the next has another number. The same node under two addresses has one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instance {
    /// When it started, in milliseconds of Unix time by its own clock: what tells a later run of the same name from an
    /// earlier one. 0 where that is unknown.
    pub started: u64,
    /// A random number.
    pub id: u64,
}

/// What a node says of itself when it asks another for a sign of life, and is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hello {
    /// This run of it.
    pub instance: Instance,
    /// The cluster that it belongs to. Nodes of two clusters have nothing to say to each other.
    pub cluster: Arc<str>,
    /// Its name in the ring; empty while it does not know.
    pub name: Arc<str>,
    /// The base URL by which it wants to be reached; empty while it does not know.
    pub address: Arc<str>,
    /// Whether it is a member of the ring, and so owns keys.
    pub member: bool,
    /// The digest of its ring.
    pub ring: Arc<str>,
    /// How many members that ring has.
    pub members: u32,
    /// How it places keys, such as `gaggle`.
    pub profile: Arc<str>,
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// The groups that it has, in order.
    pub groups: Vec<Arc<str>>,
}

/// Who answers at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Greeting {
    /// A node of Gaggle's, and what it says of itself.
    Node(Hello),
    /// Something that answers as a node does and says nothing of itself: golang/groupcache's, or an older Gaggle.
    Nameless,
    /// Something else, and what it answered.
    Stranger(Arc<str>),
}

/// A node's word that it leaves, or that it is here to stay.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Word {
    /// The node's name in the ring.
    pub node: Arc<str>,
    /// The run that says so. Its default is that of a node that cannot tell.
    pub instance: Instance,
    /// Which word of that run this is: an earlier one that arrives later counts for nothing.
    pub number: u64,
    /// It leaves, and is gone in so long at most; `None` says that it is here to stay.
    pub gone_within: Option<Duration>,
}

impl Word {
    /// A word whose order is unknown.
    pub fn new(node: impl Into<Arc<str>>, gone_within: Option<Duration>) -> Self {
        Self {
            node: node.into(),
            instance: Instance::default(),
            number: 0,
            gone_within,
        }
    }

    /// The same as that one of a run.
    #[must_use]
    pub fn of(self, instance: Instance, number: u64) -> Self {
        Self {
            instance,
            number,
            ..self
        }
    }
}
