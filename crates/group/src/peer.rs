//! Another node, as the read path sees it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use gaggle_limiter::ByteBudget;

use crate::{
    Entry, Error, Greeting, Guest, Hello, Key, Known, News, Notice, OriginFault, RemovalId,
    TraceParent, Word,
};

/// A node that can be asked for the keys it owns. A transport implements it.
///
/// Every request that goes through here is a forward, and says so on the wire where the protocol can: the receiver
/// answers it itself and never forwards it again.
#[async_trait]
pub trait Peer: Send + Sync + 'static {
    /// The peer's name in the ring: the base URL that the cluster knows it by.
    fn name(&self) -> &str;

    /// Asks what there is of a key: a value, or an absence that the owner has been told of by its origin. Must end by
    /// itself at about `fetch.deadline`.
    async fn fetch(&self, fetch: Fetch<'_>) -> Result<Fetched, PeerError>;

    /// Tells the peer of a removal. `Ok` only if the peer is known to have dropped what it names.
    async fn remove(&self, group: &str, notice: &Notice) -> Result<(), PeerError>;

    /// Has the peer keep a value as the key's owner. `Ok` only if it is known to do so.
    async fn put(&self, put: Put<'_>) -> Result<(), PeerError> {
        let _ = put;
        Err(self.has_no_such_thing())
    }

    /// Asks for the removals that the peer knows and this node does not. `follower` is this node's name, by which the peer
    /// can tell it of removals. `None` says that this kind of peer has no such thing.
    async fn news(
        &self,
        group: &str,
        known: &Known,
        follower: &str,
    ) -> Result<Option<News>, PeerError> {
        let _ = (group, known, follower);
        Ok(None)
    }

    /// Gives the peer what this node holds of keys that are the peer's to keep from now on: this node leaves, or the ring has
    /// changed. `Ok` says how many the peer keeps; it need not keep any. `Refused` where this kind of peer has no such thing.
    async fn hand_over(&self, hand_over: HandOver<'_>) -> Result<u64, PeerError> {
        let _ = hand_over;
        Err(self.has_no_such_thing())
    }

    /// Tells the peer that this node leaves the cluster, or that it is here to stay: it has started.
    async fn leaving(&self, word: &Word) -> Result<(), PeerError> {
        let _ = word;
        Err(self.has_no_such_thing())
    }

    /// Asks the peer who it is, and tells it who asks. `Err` where nothing answers.
    async fn hello(&self, from: &Hello) -> Result<Greeting, PeerError> {
        let _ = from;
        self.ping().await.map(|()| Greeting::Nameless)
    }

    /// Whether the peer says in time that it is still loading ([`Verdict::Deadline`]). One that cannot is given all of the time:
    /// its silence is no reason to load in its place.
    fn says_when_late(&self) -> bool {
        true
    }

    /// How long a fetch may take before a second node is asked beside this one; `None` where there is no reason to. Each
    /// answer is leave to ask one.
    fn hedge_after(&self) -> Option<Duration> {
        None
    }

    /// Whether a second node may be asked now, since an answer is late: takes from what the peer's hedges may cost.
    fn may_hedge(&self) -> bool {
        false
    }

    /// What a peer of this kind says to a request that it does not know.
    fn has_no_such_thing(&self) -> PeerError {
        PeerError::Refused {
            peer: self.name().into(),
            reason: "it knows no such request".into(),
        }
    }

    /// Whether the peer is thought to be up, without asking it.
    fn is_up(&self) -> bool {
        true
    }

    /// Asks for a sign of life, from outside the read path. Any answer will do; it must not depend on an origin.
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
    /// The most bytes of value to read, inclusive. A peer that sends more is [`PeerError::Refused`].
    pub max_value: u64,
    /// How long the answer is of use, from now on. Sent along, so that the owner does not work for nobody.
    pub deadline: Duration,
    /// Its place among the fetches that the same call makes of this peer, for a transport that can send them together.
    /// Any other may pass it over.
    pub party: Option<&'a Guest>,
    /// Removals of the key that this node knows: the peer applies those that it does not know before it answers
    /// ([`Serve::removals`](crate::Serve)). A transport must pass them on where its protocol can.
    pub removals: &'a [RemovalId],
    /// Only what the peer has in memory is of use: it answers [`Verdict::NotKept`] rather than load.
    pub kept_only: bool,
    /// What bodies under way draw on: a transport reserves what it is about to read, and is
    /// [shed](Verdict::Shed) where there is no room in time.
    pub budget: Option<&'a ByteBudget>,
    /// The trace that the request belongs to. A transport passes it on where its protocol can
    /// ([`Serve::trace`](crate::Serve)).
    pub trace: Option<TraceParent>,
}

impl<'a> Fetch<'a> {
    /// A request that goes by itself, by an asker that knows of no removals.
    #[must_use]
    pub fn new(group: &'a str, key: &'a Key, max_value: u64, deadline: Duration) -> Self {
        Self {
            group,
            key,
            max_value,
            deadline,
            party: None,
            removals: &[],
            kept_only: false,
            budget: None,
            trace: None,
        }
    }

    /// The same as one of a party.
    #[must_use]
    pub fn with(self, party: Option<&'a Guest>) -> Self {
        Self { party, ..self }
    }

    /// The same from an asker that knows of these removals.
    #[must_use]
    pub fn after(self, removals: &'a [RemovalId]) -> Self {
        Self { removals, ..self }
    }

    /// The same for what is in the peer's memory alone.
    #[must_use]
    pub fn kept_only(self) -> Self {
        Self {
            kept_only: true,
            ..self
        }
    }

    /// The same, with a budget for the bytes that come.
    #[must_use]
    pub fn within(self, budget: Option<&'a ByteBudget>) -> Self {
        Self { budget, ..self }
    }

    /// The same as part of a trace.
    #[must_use]
    pub fn traced(self, trace: Option<TraceParent>) -> Self {
        Self { trace, ..self }
    }
}

/// What a peer answers to a [`Fetch`].
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Fetched {
    /// What there is of the key.
    pub entry: Entry,
    /// How many fetches of the key per minute the peer answers as the key's owner ([`Candidate`](crate::Candidate)); `None`
    /// where it does not say so. Finite, and from 0 to [`MAX_MINUTE_QPS`](Self::MAX_MINUTE_QPS).
    pub minute_qps: Option<f64>,
}

impl Fetched {
    /// A higher rate is taken as this one. It is 17 million fetches a second.
    pub const MAX_MINUTE_QPS: f64 = 1e9;

    /// The same with the rate that the peer says. A number that is negative or not finite says nothing.
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

/// What a node gives to another that is to keep it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct HandOver<'a> {
    /// The group's name.
    pub group: &'a str,
    /// What there is of each key. The caller bounds their number and their bytes.
    pub entries: &'a [(Key, Entry)],
    /// The removals that this node had applied before it looked at the entries: the receiver takes none of a key of which it
    /// knows a further one.
    pub known: &'a Known,
}

impl<'a> HandOver<'a> {
    /// Entries, as they were when these removals had been applied.
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
pub struct Put<'a> {
    /// The group's name.
    pub group: &'a str,
    /// The key.
    pub key: &'a Key,
    /// The value.
    pub entry: &'a Entry,
    /// The removal that goes with it: what was there before is gone, and loads that began before do not bring it back.
    pub removal: RemovalId,
}

/// Why a peer brought no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The peer could not be reached, or broke off, or did not answer in time. Speaks against the peer's health.
    #[error("peer {peer}: {reason}")]
    Unavailable {
        /// The peer's name.
        peer: Arc<str>,
        /// What happened.
        reason: Arc<str>,
    },
    /// The peer is alive, but its answer is of no use: another protocol, an unknown group, a bad body, a failure that
    /// it does not explain (golang/groupcache's 500). The value may be had elsewhere.
    #[error("peer {peer}: {reason}")]
    Refused {
        /// The peer's name.
        peer: Arc<str>,
        /// What it said.
        reason: Arc<str>,
    },
    /// The peer did what the asker would have done and says how it ended: asking the origin again is of no use.
    #[error("peer {peer}: {verdict}")]
    Verdict {
        /// The peer's name.
        peer: Arc<str>,
        /// How it ended.
        verdict: Verdict,
    },
}

impl PeerError {
    /// Whether the peer did what the asker would have done, so that there is no use in asking elsewhere.
    pub fn is_verdict(&self) -> bool {
        matches!(self, Self::Verdict { .. })
    }

    /// The text for those outside of the cluster, to stand behind the name of what the peer is: it has neither the peer's
    /// address nor anything that it said.
    pub(crate) fn public(&self) -> String {
        match self {
            Self::Unavailable { .. } => "cannot be reached".to_owned(),
            Self::Refused { .. } => "refused what it was asked".to_owned(),
            Self::Verdict {
                verdict: Verdict::OriginFailed { .. },
                ..
            } => "failed: its origin failed".to_owned(),
            // Numbers.
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

/// A failure that the owner of a key stands for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Verdict {
    /// The owner's origin failed (or its load panicked).
    #[error("its origin failed: {message}")]
    OriginFailed {
        /// The owner's account of it. A node of this release gives the text of an
        /// [`OriginFault`]; one of another kind may tell anything, which leaves this node no more.
        message: String,
    },
    /// The value is over a limit, the owner's or the asker's.
    #[error("the value is over the limit of {limit} bytes")]
    ValueTooLarge {
        /// The value's length in bytes, where it is known.
        len: Option<u64>,
        /// The limit it is over, in bytes.
        limit: u64,
    },
    /// The key is longer than the owner allows.
    #[error("the key is over the limit of {limit} bytes")]
    KeyTooLong {
        /// The owner's limit, in bytes.
        limit: usize,
    },
    /// The owner had no value by its deadline.
    #[error("no answer within {after:?}")]
    Deadline {
        /// How long the owner waited.
        after: Duration,
    },
    /// The peer has nothing of the key in memory, and was asked for no more than that.
    #[error("it keeps nothing of the key")]
    NotKept,
    /// The owner has too many loads under way, or its origin is failing.
    #[error("shed: at most {limit} loads")]
    Shed {
        /// The owner's limit.
        limit: usize,
        /// When to try again.
        retry_after: Duration,
    },
}

impl Verdict {
    /// What a node that answers for a peer makes of its own failure; `None` for [`Error::NotFound`], which is an answer.
    /// Every transport tells failures by this, so that the two ends of a hop agree. It holds no text that the failure's own log
    /// has: no place, and nothing that an origin or a panic said.
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
