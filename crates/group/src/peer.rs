//! Another node, as the read path sees it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use gaggle_limiter::ByteBudget;

use crate::{
    BatchMember, Entry, Error, Greeting, Hello, Inspect, Inspected, Key, Known, News, Notice,
    OriginFault, RemovalId, TraceParent, Word,
};

/// A node that can be asked for the keys it owns. A transport implements it.
///
/// Every request through this trait is a forward, and is marked as one on the wire if the protocol
/// can: the receiver answers it itself and never forwards it again.
#[async_trait]
pub trait Peer: Send + Sync + 'static {
    /// The peer's name in the ring: the base URL that the cluster knows it by.
    fn name(&self) -> &str;

    /// Asks for a key: a value, or an absence that the owner's origin has reported. Must end by
    /// itself at about `fetch.deadline`.
    async fn fetch(&self, fetch: Fetch<'_>) -> Result<Fetched, PeerError>;

    /// Notifies the peer of a removal. `Ok` only if the peer is known to have dropped what it
    /// names.
    async fn remove(&self, group: &str, notice: &Notice) -> Result<(), PeerError>;

    /// Like [`remove`](Self::remove), for a removal that may belong to a trace. A transport
    /// propagates the trace if its protocol can, and a peer that stands for another one passes it
    /// on. Default: the trace is dropped.
    async fn remove_traced(
        &self,
        group: &str,
        notice: &Notice,
        trace: Option<TraceParent>,
    ) -> Result<(), PeerError> {
        let _ = trace;
        self.remove(group, notice).await
    }

    /// Makes the peer keep a value as the key's owner. `Ok` only if it is known to do so.
    async fn put(&self, put: Put<'_>) -> Result<(), PeerError> {
        let _ = put;
        Err(self.has_no_such_thing())
    }

    /// Asks for the removals that the peer knows and this node does not. `follower` is this node's
    /// name, which the peer uses to notify it of removals. `None`: this kind of peer does not
    /// support it.
    async fn news(
        &self,
        group: &str,
        known: &Known,
        follower: &str,
    ) -> Result<Option<News>, PeerError> {
        let _ = (group, known, follower);
        Ok(None)
    }

    /// Gives the peer this node's entries of keys that the peer has to keep from now on: this node
    /// leaves, or the ring has changed. `Ok` returns how many the peer keeps; it need not keep
    /// any. `Refused` if this kind of peer does not support it.
    async fn hand_over(&self, hand_over: HandOver<'_>) -> Result<u64, PeerError> {
        let _ = hand_over;
        Err(self.has_no_such_thing())
    }

    /// Announces to the peer that this node leaves the cluster, or that it has started and stays.
    async fn leaving(&self, word: &Word) -> Result<(), PeerError> {
        let _ = word;
        Err(self.has_no_such_thing())
    }

    /// Asks the peer for its state, or for its entry of a key, for an operator. It must end by
    /// itself within a few seconds. `Refused` if this kind of peer does not support it.
    async fn inspect(&self, question: Inspect<'_>) -> Result<Inspected, PeerError> {
        let _ = question;
        Err(self.has_no_such_thing())
    }

    /// Asks the peer for its identity, and sends this node's own. `Err` if there is no answer.
    async fn hello(&self, from: &Hello) -> Result<Greeting, PeerError> {
        let _ = from;
        self.ping().await.map(|()| Greeting::Nameless)
    }

    /// Whether the peer reports in time that it is still loading ([`Verdict::Deadline`]). One that
    /// cannot gets the whole deadline: its silence is no reason to load in its place.
    fn says_when_late(&self) -> bool {
        true
    }

    /// The delay after which a second node is asked as well (hedging); `None` if there is no
    /// reason to. Each answer adds to the budget of hedged requests.
    fn hedge_after(&self) -> Option<Duration> {
        None
    }

    /// Whether a second node may be asked now, because an answer is late: takes from the peer's
    /// budget of hedged requests.
    fn may_hedge(&self) -> bool {
        false
    }

    /// The answer of this kind of peer to a request that it does not support.
    fn has_no_such_thing(&self) -> PeerError {
        PeerError::Refused {
            peer: self.name().into(),
            reason: "it knows no such request".into(),
        }
    }

    /// Whether the peer is assumed to be up, without asking it.
    fn is_up(&self) -> bool {
        true
    }

    /// Checks whether the peer is alive, outside of the read path. Any answer is enough; it must
    /// not depend on an origin.
    async fn ping(&self) -> Result<(), PeerError>;
}

/// One request to a peer.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Fetch<'a> {
    /// The group's name.
    pub group: &'a str,
    /// The key.
    pub key: &'a Key,
    /// The most bytes of value to read, inclusive. A peer that sends more is
    /// [`PeerError::Refused`].
    pub max_value: u64,
    /// How long the answer is useful, from now on. Sent along, so that the owner does not work
    /// after the requester has timed out.
    pub deadline: Duration,
    /// Its place among the fetches that the same call makes of this peer, for a transport that
    /// supports batches. Others may ignore it.
    pub batch: Option<&'a BatchMember>,
    /// Removals of the key that this node knows: the peer applies those that it does not know
    /// before it answers ([`Serve::removals`](crate::Serve)). A transport must send them if its
    /// protocol can.
    pub removals: &'a [RemovalId],
    /// Only an entry in the peer's memory is useful: it answers [`Verdict::NotKept`] rather than
    /// load.
    pub kept_only: bool,
    /// The byte budget of bodies in transfer: a transport reserves the bytes before it reads them,
    /// and is [shed](Verdict::Shed) if there is no room in time.
    pub budget: Option<&'a ByteBudget>,
    /// The trace that the request belongs to. A transport propagates it if its protocol can
    /// ([`Serve::trace`](crate::Serve)).
    pub trace: Option<TraceParent>,
}

impl<'a> Fetch<'a> {
    /// A request that is in no batch, from a node that knows no removals.
    #[must_use]
    pub fn new(group: &'a str, key: &'a Key, max_value: u64, deadline: Duration) -> Self {
        Self {
            group,
            key,
            max_value,
            deadline,
            batch: None,
            removals: &[],
            kept_only: false,
            budget: None,
            trace: None,
        }
    }

    /// Adds it to a batch.
    #[must_use]
    pub fn with(self, batch: Option<&'a BatchMember>) -> Self {
        Self { batch, ..self }
    }

    /// Adds the removals that the requester knows.
    #[must_use]
    pub fn after(self, removals: &'a [RemovalId]) -> Self {
        Self { removals, ..self }
    }

    /// Limits it to the peer's memory.
    #[must_use]
    pub fn kept_only(self) -> Self {
        Self {
            kept_only: true,
            ..self
        }
    }

    /// Adds the budget for the value's bytes.
    #[must_use]
    pub fn within(self, budget: Option<&'a ByteBudget>) -> Self {
        Self { budget, ..self }
    }

    /// Adds the trace.
    #[must_use]
    pub fn traced(self, trace: Option<TraceParent>) -> Self {
        Self { trace, ..self }
    }
}

/// A peer's answer to a [`Fetch`].
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Fetched {
    /// The entry of the key.
    pub entry: Entry,
    /// The number of fetches of the key per minute that the peer answers as the key's owner
    /// ([`Candidate`](crate::Candidate)); `None` if it does not report it. Finite, and from 0 to
    /// [`MAX_MINUTE_QPS`](Self::MAX_MINUTE_QPS).
    pub minute_qps: Option<f64>,
}

impl Fetched {
    /// A higher rate is reduced to this one. It is 17 million fetches a second.
    pub const MAX_MINUTE_QPS: f64 = 1e9;

    /// Adds the rate that the peer reports. A number that is negative or not finite is ignored.
    #[must_use]
    pub fn asked_for(self, minute_qps: Option<f64>) -> Self {
        let minute_qps = minute_qps.filter(|rate| rate.is_finite() && *rate >= 0.0);
        Self {
            minute_qps: minute_qps.map(|rate| rate.min(Self::MAX_MINUTE_QPS)),
            ..self
        }
    }
}

impl From<Entry> for Fetched {
    /// The entry without a rate.
    fn from(entry: Entry) -> Self {
        Self {
            entry,
            minute_qps: None,
        }
    }
}

/// Entries that a node hands over to another one.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct HandOver<'a> {
    /// The group's name.
    pub group: &'a str,
    /// The entry of each key. The caller bounds their number and their bytes.
    pub entries: &'a [(Key, Entry)],
    /// The removals that this node had applied before it read the entries: the receiver ignores an
    /// entry if it knows a later removal of its key.
    pub known: &'a Known,
}

impl<'a> HandOver<'a> {
    /// Entries, read after these removals had been applied.
    #[must_use]
    pub fn new(group: &'a str, entries: &'a [(Key, Entry)], known: &'a Known) -> Self {
        Self {
            group,
            entries,
            known,
        }
    }
}

/// A value for the owner of a key to keep.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Put<'a> {
    /// The group's name.
    pub group: &'a str,
    /// The key.
    pub key: &'a Key,
    /// The value.
    pub entry: &'a Entry,
    /// The removal that belongs to it: the previous value is dropped, and loads that began before
    /// do not bring it back.
    pub removal: RemovalId,
    /// The trace that the request belongs to. A transport propagates it if its protocol can.
    pub trace: Option<TraceParent>,
}

impl<'a> Put<'a> {
    /// A value that takes the place of the previous one by this removal.
    #[must_use]
    pub fn new(group: &'a str, key: &'a Key, entry: &'a Entry, removal: RemovalId) -> Self {
        Self {
            group,
            key,
            entry,
            removal,
            trace: None,
        }
    }

    /// Adds the trace.
    #[must_use]
    pub fn traced(self, trace: Option<TraceParent>) -> Self {
        Self { trace, ..self }
    }
}

/// Why a peer returned no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The peer could not be reached, or disconnected, or timed out. Counts against the peer's
    /// health.
    #[error("peer {peer}: {reason}")]
    Unavailable {
        /// The peer's name.
        peer: Arc<str>,
        /// The reason.
        reason: Arc<str>,
    },
    /// The peer is alive, but its answer is unusable: another protocol, an unknown group, a bad
    /// body, a failure without an explanation (golang/groupcache's 500). The value may be
    /// available elsewhere.
    #[error("peer {peer}: {reason}")]
    Refused {
        /// The peer's name.
        peer: Arc<str>,
        /// The reason.
        reason: Arc<str>,
    },
    /// The peer did what the requester would have done and reports the outcome: asking the origin
    /// again does not help.
    #[error("peer {peer}: {verdict}")]
    Verdict {
        /// The peer's name.
        peer: Arc<str>,
        /// The outcome.
        verdict: Verdict,
    },
}

impl PeerError {
    /// Whether the peer did what the requester would have done, so that it does not help to ask
    /// elsewhere.
    pub fn is_verdict(&self) -> bool {
        matches!(self, Self::Verdict { .. })
    }

    /// The text for clients and others outside of the cluster, to follow the description of the
    /// peer: it has neither the peer's address nor any text of the peer.
    pub(crate) fn public(&self) -> String {
        match self {
            Self::Unavailable { .. } => "cannot be reached".to_owned(),
            Self::Refused { .. } => "refused what it was asked".to_owned(),
            Self::Verdict {
                verdict: Verdict::OriginFailed { .. },
                ..
            } => "failed: its origin failed".to_owned(),
            // Contains only numbers.
            Self::Verdict { verdict, .. } => format!("failed: {verdict}"),
        }
    }

    /// The peer's name.
    pub fn peer(&self) -> &Arc<str> {
        match self {
            Self::Unavailable { peer, .. }
            | Self::Refused { peer, .. }
            | Self::Verdict { peer, .. } => peer,
        }
    }
}

/// A failure that the owner of a key reports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Verdict {
    /// The owner's origin failed (or its load panicked).
    #[error("its origin failed: {message}")]
    OriginFailed {
        /// The owner's description of it. A node of this release sends the text of an
        /// [`OriginFault`]; one of another kind may send any text, which never leaves this node.
        message: String,
    },
    /// The value is over a limit, the owner's or the requester's.
    #[error("the value is over the limit of {limit} bytes")]
    ValueTooLarge {
        /// The value's length in bytes, if it is known.
        len: Option<u64>,
        /// The limit in bytes.
        limit: u64,
    },
    /// The key is longer than the owner allows.
    #[error("the key is over the limit of {limit} bytes")]
    KeyTooLong {
        /// The owner's limit, in bytes.
        limit: usize,
    },
    /// Timeout: the owner had no value by its deadline.
    #[error("no answer within {after:?}")]
    Deadline {
        /// How long the owner waited.
        after: Duration,
    },
    /// The key is not in the peer's memory, and no load was requested.
    #[error("it keeps nothing of the key")]
    NotKept,
    /// The owner has too many loads under way, or its origin is failing.
    #[error("shed: at most {limit} loads")]
    Shed {
        /// The owner's limit.
        limit: usize,
        /// When to retry.
        retry_after: Duration,
    },
}

impl Verdict {
    /// The verdict of a node that answers a peer, made from its own failure; `None` for
    /// [`Error::NotFound`], which is an answer. Every transport reports failures this way, so that
    /// the two ends of a hop agree. It contains no text of the failure's own log: no address, and
    /// nothing from an origin or a panic.
    pub fn of(failure: &Error) -> Option<Self> {
        Some(match failure {
            Error::NotFound { .. } => return None,
            Error::NotKept { .. } => Self::NotKept,
            Error::KeyTooLong { limit, .. } => Self::KeyTooLong { limit: *limit },
            Error::ValueTooLarge { len, limit, .. } => Self::ValueTooLarge {
                len: *len,
                limit: *limit,
            },
            Error::Origin { source, .. } => Self::OriginFailed {
                message: source.fault().to_string(),
            },
            Error::Panicked { .. } => Self::OriginFailed {
                message: OriginFault::Panicked.to_string(),
            },
            Error::Cancelled { .. } | Error::Owner { .. } => Self::OriginFailed {
                message: failure.public().to_string(),
            },
            Error::Deadline { after, .. } => Self::Deadline { after: *after },
            Error::Shed {
                why, retry_after, ..
            } => Self::Shed {
                limit: why.loads(),
                retry_after: *retry_after,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_cannot_be_is_none() {
        let told = |rate| {
            Fetched::from(Entry::value("630"))
                .asked_for(Some(rate))
                .minute_qps
        };
        for rate in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
            assert_eq!(told(rate), None, "{rate}");
        }
        for (rate, taken) in [(0.0, 0.0), (1.5, 1.5), (f64::MAX, Fetched::MAX_MINUTE_QPS)] {
            assert_eq!(told(rate), Some(taken), "{rate}");
        }
    }
}
