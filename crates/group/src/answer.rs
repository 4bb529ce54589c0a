//! What travels on the read path: keys, values, and where an answer came from.

use std::time::Duration;

use bytes::Bytes;

/// A key: any bytes, at most [`Limits::max_key`](crate::Limits::max_key) of them.
pub type Key = Bytes;

/// A value as an origin or a peer hands it over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The value.
    pub value: Bytes,
    /// How long it may be served from now on; `None` leaves that to the group's own time to live.
    pub ttl: Option<Duration>,
}

impl Loaded {
    /// A value that lives for `ttl`, whatever the group's default is.
    pub fn with_ttl(value: impl Into<Bytes>, ttl: Duration) -> Self {
        Self {
            value: value.into(),
            ttl: Some(ttl),
        }
    }
}

impl<T: Into<Bytes>> From<T> for Loaded {
    fn from(value: T) -> Self {
        Self {
            value: value.into(),
            ttl: None,
        }
    }
}

/// The answer to a get: the value, and how it was come by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The value, shared and not copied.
    pub value: Bytes,
    /// Where it came from.
    pub source: Source,
    /// Whether this caller waited on a load that another caller had started.
    pub collapsed: bool,
    /// How much longer it is fresh; `None` where it does not expire.
    pub ttl: Option<Duration>,
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// This node's main cache: the node owns the key.
    Main,
    /// This node's hot cache: a copy of what another node owns.
    Hot,
    /// The node that owns the key, or stands in for it.
    Peer,
    /// The origin, asked by this node.
    Origin,
}

impl Source {
    /// `main`, `hot`, `peer` or `origin`, as in `Cache-Status` and the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Hot => "hot",
            Self::Peer => "peer",
            Self::Origin => "origin",
        }
    }

    /// Whether the answer came from this node's memory.
    pub fn is_hit(self) -> bool {
        matches!(self, Self::Main | Self::Hot)
    }
}
