//! The result of a get.

use bytes::Bytes;

use crate::{Entry, Freshness, Metadata};

/// The answer to a get: the value or its absence, and how it was obtained.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The value, shared and not copied; `None` if the origin has no such key.
    pub value: Option<Bytes>,
    /// How much longer it may be served. [Stale](Freshness::is_stale) if it was served past its
    /// ttl.
    pub freshness: Freshness,
    /// The origin's metadata of the value.
    pub metadata: Metadata,
    /// Its source.
    pub source: Source,
    /// Whether this caller waited on a load that another caller had started.
    pub collapsed: bool,
    /// Whether the value is served because loading it again failed.
    pub failed_over: bool,
}

impl Answer {
    /// An entry from that source.
    pub(crate) fn new(entry: Entry, source: Source) -> Self {
        Self {
            value: entry.value,
            freshness: entry.freshness,
            metadata: entry.metadata,
            source,
            collapsed: false,
            failed_over: false,
        }
    }

    /// Whether the value, or the absence, is past its ttl.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.freshness.is_stale()
    }

    /// The entry, without how it was obtained.
    #[must_use]
    pub fn into_entry(self) -> Entry {
        Entry {
            value: self.value,
            freshness: self.freshness,
            metadata: self.metadata,
        }
    }
}

/// The source of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// This node's main cache: this node owns the key.
    Main,
    /// This node's hot cache: a copy of a value that another node owns.
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
