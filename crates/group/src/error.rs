//! Why a get returned no value.

use std::sync::Arc;
use std::time::Duration;

use gaggle_limiter::OverBudget;

use crate::{OriginFailure, OriginFault, PeerError};

/// Why a get returned no value. Cheap to clone: every waiter of a load gets the same one.
///
/// Its text is for this node's log: it may contain an origin's message and address. The text for
/// clients and other nodes is [`public`](Self::public).
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The origin has no such key. This is an answer, not a failure: a retry returns the same.
    #[error("group {group}: not found")]
    NotFound {
        /// The group asked.
        group: Arc<str>,
    },
    /// The key is longer than the group allows.
    #[error("group {group}: a key of {len} bytes is over the limit of {limit}")]
    KeyTooLong {
        /// The group asked.
        group: Arc<str>,
        /// The key's length in bytes.
        len: usize,
        /// The most that the group allows, in bytes.
        limit: usize,
    },
    /// The value is larger than the group allows. Nothing was cached and nothing evicted.
    #[error("group {group}: a value of {} is over the limit of {limit} bytes", Len(*.len))]
    ValueTooLarge {
        /// The group asked.
        group: Arc<str>,
        /// The value's length in bytes, if it is known; a reader may stop at the limit.
        len: Option<u64>,
        /// The most that the group allows, in bytes.
        limit: u64,
    },
    /// The origin failed, here or at the node that owns the key. A retry may help.
    #[error("group {group}: the origin failed{}: {source}", At(.peer.as_deref()))]
    Origin {
        /// The group asked.
        group: Arc<str>,
        /// The node whose origin failed; `None` for this one.
        peer: Option<Arc<str>>,
        /// The origin's error.
        source: OriginError,
    },
    /// The load panicked. Its slot is free: a retry starts a new load.
    #[error("group {group}: the load panicked: {message}")]
    Panicked {
        /// The group asked.
        group: Arc<str>,
        /// The panic's message.
        message: Arc<str>,
    },
    /// The load was cancelled from outside, for example because the runtime shut down.
    #[error("group {group}: the load was cancelled")]
    Cancelled {
        /// The group asked.
        group: Arc<str>,
    },
    /// Timeout: no value within the time allowed. The load may still finish and fill the cache.
    #[error("group {group}: no answer within {after:?}")]
    Deadline {
        /// The group asked.
        group: Arc<str>,
        /// The timeout.
        after: Duration,
    },
    /// The node that owns the key could not be given a value. The previous value has been removed.
    #[error("group {group}: {source}")]
    Owner {
        /// The group asked.
        group: Arc<str>,
        /// The result of the request.
        source: PeerError,
    },
    /// The key is not in memory, and no load was requested ([`Serve::kept_only`](crate::Serve)).
    #[error("group {group}: nothing of the key is in memory")]
    NotKept {
        /// The group asked.
        group: Arc<str>,
    },
    /// There is no room for another load, or for its value; a retry after a pause may help.
    #[error("group {group}: {why}")]
    Shed {
        /// The group asked.
        group: Arc<str>,
        /// The resource that is exhausted.
        why: Overload,
        /// When to retry.
        retry_after: Duration,
    },
}

/// The resource of a node that is exhausted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Overload {
    /// The maximum number of loads is running, from the origin and from peers.
    #[error("{limit} loads are under way, which is the limit")]
    Loads {
        /// The most concurrent loads.
        limit: usize,
    },
    /// The maximum number of loads asks the origin, and the load would wait longer than it may.
    #[error("the queue for the origin is full, at a limit of {limit} loads at a time")]
    Queue {
        /// The current maximum of loads that ask the origin concurrently.
        limit: usize,
    },
    /// The circuit breaker is open: the origin has failed too often and is not asked for a short
    /// time.
    #[error("the origin is failing and is not asked at the moment")]
    OriginDown,
    /// The maximum number of bytes is in flight.
    #[error("{limit} bytes are in flight, which is the limit")]
    Bytes {
        /// The maximum number of bytes in flight.
        limit: u64,
    },
    /// The owner of the key, or this node's connections to it, are overloaded.
    #[error("the key's owner has no room, or its origin is failing")]
    Owner {
        /// The owner's limit of loads, if too many loads are the reason; 0 otherwise.
        limit: usize,
    },
}

impl Overload {
    /// The limit in loads, for protocols that report it; 0 if it is no limit of loads.
    #[must_use]
    pub fn loads(&self) -> usize {
        match *self {
            Self::Loads { limit } | Self::Queue { limit } | Self::Owner { limit } => limit,
            Self::OriginDown | Self::Bytes { .. } => 0,
        }
    }
}

impl Error {
    /// Whether the origin answered that there is no such key.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// The text for clients and other nodes: what failed, and for which group. It has no address
    /// of an origin or a peer, no path or query, and no text of an origin, a peer or a panic.
    pub fn public(&self) -> Public<'_> {
        Public(self)
    }

    /// Whether the same request may succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NotFound { .. }
            | Self::NotKept { .. }
            | Self::KeyTooLong { .. }
            | Self::ValueTooLarge { .. } => false,
            Self::Origin { .. }
            | Self::Panicked { .. }
            | Self::Cancelled { .. }
            | Self::Deadline { .. }
            | Self::Owner { .. }
            | Self::Shed { .. } => true,
        }
    }

    /// Whether a load failed that might have succeeded: a stale value may be served instead (RFC
    /// 5861, `stale-if-error`).
    pub(crate) fn is_failure(&self) -> bool {
        self.is_transient()
    }
}

/// An origin failed to answer whether it has a key. Cheap to clone.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// The origin could not be reached, or failed; the text is its own, and for the log only.
    #[error(transparent)]
    Failed(OriginFailure),
    /// The origin's value is over the size limit of the load.
    #[error("a value of {} is over the limit of {limit} bytes", Len(*.len))]
    TooLarge {
        /// The value's length in bytes, if it is known.
        len: Option<u64>,
        /// The limit in bytes.
        limit: u64,
    },
    /// There was no room for the value's bytes ([`Load::budget`](crate::Load)). Says nothing about
    /// the origin.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
}

impl OriginError {
    /// A failure with the error that caused it, or with a text. An error that is an `OriginError`
    /// already is kept as it is.
    pub fn failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        match source.into().downcast() {
            Ok(known) => *known,
            Err(source) => Self::Failed(OriginFailure::new(source)),
        }
    }

    /// The same failure with its public description. Any other error is unchanged: all of it is
    /// public.
    #[must_use]
    pub fn known_as(self, fault: OriginFault) -> Self {
        match self {
            Self::Failed(failure) => Self::Failed(failure.known_as(fault)),
            other => other,
        }
    }

    /// Its public description.
    #[must_use]
    pub fn fault(&self) -> OriginFault {
        match self {
            Self::Failed(failure) => failure.fault(),
            Self::TooLarge { .. } | Self::OverBudget(_) => OriginFault::Other,
        }
    }
}

/// An error's text for clients and others outside of the node; [`Error::public`] returns it.
#[derive(Debug, Clone, Copy)]
pub struct Public<'a>(&'a Error);

impl std::fmt::Display for Public<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Error::Origin { group, source, .. } if source.fault() == OriginFault::Key => {
                write!(f, "group {group}: the origin takes no such key")
            }
            Error::Origin { group, source, .. } => {
                write!(f, "group {group}: the origin failed: {}", source.fault())
            }
            Error::Panicked { group, .. } => {
                write!(f, "group {group}: {}", OriginFault::Panicked)
            }
            Error::Owner { group, source } => {
                let how = source.public();
                write!(f, "group {group}: the node that owns the key {how}")
            }
            // Only names of groups, and numbers.
            Error::NotFound { .. }
            | Error::KeyTooLong { .. }
            | Error::ValueTooLarge { .. }
            | Error::Cancelled { .. }
            | Error::Deadline { .. }
            | Error::NotKept { .. }
            | Error::Shed { .. } => self.0.fmt(f),
        }
    }
}

/// `N bytes`, or `unknown length`.
struct Len(Option<u64>);

impl std::fmt::Display for Len {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(len) => write!(f, "{len} bytes"),
            None => f.write_str("unknown length"),
        }
    }
}

/// ` at PEER`, or nothing.
struct At<'a>(Option<&'a str>);

impl std::fmt::Display for At<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(peer) => write!(f, " at {peer}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Verdict;

    const SECRET: &str = "http://db.internal/?token=hunter2";

    #[test]
    fn the_public_text_says_what_failed_and_not_where() {
        let group: Arc<str> = "scores".into();
        let peer: Arc<str> = SECRET.into();
        let origin = |fault| Error::Origin {
            group: group.clone(),
            peer: Some(peer.clone()),
            source: OriginError::failed(SECRET).known_as(fault),
        };
        let owner = |source| Error::Owner {
            group: group.clone(),
            source,
        };
        let verdict = |verdict| {
            let peer = peer.clone();
            owner(PeerError::Verdict { peer, verdict })
        };
        let panicked = Error::Panicked {
            group: group.clone(),
            message: SECRET.into(),
        };
        let (reason, message) = (peer.clone(), SECRET.to_owned());
        for (error, text) in [
            (
                origin(OriginFault::Status(500)),
                "the origin failed: answered 500",
            ),
            (
                origin(OriginFault::Other),
                "the origin failed: the reason is in the log of the node that asked it",
            ),
            (panicked, "the load panicked"),
            (
                owner(PeerError::Unavailable {
                    peer: peer.clone(),
                    reason: reason.clone(),
                }),
                "the node that owns the key cannot be reached",
            ),
            (
                owner(PeerError::Refused {
                    peer: peer.clone(),
                    reason,
                }),
                "the node that owns the key refused what it was asked",
            ),
            (
                verdict(Verdict::OriginFailed { message }),
                "the node that owns the key failed: its origin failed",
            ),
            (
                verdict(Verdict::KeyTooLong { limit: 3 }),
                "the node that owns the key failed: the key is over the limit of 3 bytes",
            ),
        ] {
            let public = error.public().to_string();
            assert_eq!(public, format!("group scores: {text}"));
            // And so it is for other nodes.
            let told = Verdict::of(&error).unwrap().to_string();
            assert!(!told.contains("db.internal"), "{told}");
        }
    }
}
