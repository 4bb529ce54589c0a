//! How nodes describe themselves to each other.

use std::sync::Arc;
use std::time::Duration;

/// The version of the protocol between Gaggle's nodes. Nodes of different versions work together
/// as far as each knows the other's requests.
pub const PROTOCOL: u32 = 2;

/// One run of a node's program: a restart has another number. The same node under two addresses
/// has one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instance {
    /// When it started, in milliseconds of Unix time by its own clock: orders the runs of the same
    /// name. 0 if that is unknown.
    pub started: u64,
    /// A random number.
    pub id: u64,
}

/// The description that a node sends when it checks whether another one is alive, and in answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hello {
    /// This run of the node.
    pub instance: Instance,
    /// The cluster that it belongs to. Nodes of two clusters do not work together.
    pub cluster: Arc<str>,
    /// Its name in the ring; empty while that is unknown.
    pub name: Arc<str>,
    /// The base URL at which it wants to be reached; empty while that is unknown.
    pub address: Arc<str>,
    /// Whether it is a member of the ring, and so owns keys.
    pub member: bool,
    /// The digest of its ring.
    pub ring: Arc<str>,
    /// The number of members of that ring.
    pub members: u32,
    /// Its placement rule, such as `gaggle`.
    pub profile: Arc<str>,
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// Its groups, in order.
    pub groups: Vec<Arc<str>>,
}

/// The answer of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Greeting {
    /// A node of Gaggle, with its description.
    Node(Hello),
    /// A server that answers like a node without a description: golang/groupcache's, or an older
    /// Gaggle.
    Nameless,
    /// Another server, with its answer.
    Stranger(Arc<str>),
}

/// A node's announcement that it leaves, or that it stays.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Word {
    /// The node's name in the ring.
    pub node: Arc<str>,
    /// The run that announces it. The default is that of a node that does not know.
    pub instance: Instance,
    /// The sequence number of the announcement within that run: an earlier one that arrives later
    /// is ignored.
    pub number: u64,
    /// It leaves within this time at most; `None`: it stays.
    pub gone_within: Option<Duration>,
}

impl Word {
    /// An announcement whose order is unknown.
    pub fn new(node: impl Into<Arc<str>>, gone_within: Option<Duration>) -> Self {
        Self {
            node: node.into(),
            instance: Instance::default(),
            number: 0,
            gone_within,
        }
    }

    /// Sets the run and the sequence number.
    #[must_use]
    pub fn of(self, instance: Instance, number: u64) -> Self {
        Self {
            instance,
            number,
            ..self
        }
    }
}
