//! Dropped datagrams: counted, and logged at most once a second for each reason.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The shortest time between two log lines of one reason: a frequent reason does not hide another.
const EVERY: Duration = Duration::from_secs(1);

/// Why a datagram had no effect, or was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Malformed,
    OtherCluster,
    Signature,
    Replayed,
    NoToken,
    TooManyNodes,
    TooLarge,
    Network,
}

const REASONS: usize = 8;

impl Reason {
    fn what(self) -> &'static str {
        match self {
            Self::Malformed => "received bytes that are no message",
            Self::OtherCluster => "received a message of another cluster",
            Self::Signature => "received a message without a valid signature",
            Self::Replayed => "received a message for the second time, or one for another node",
            Self::NoToken => "there is no token to sign a message with",
            Self::TooManyNodes => "received news of more nodes than are taken",
            Self::TooLarge => "a message is too large for a datagram",
            Self::Network => "the network failed",
        }
    }
}

/// How many datagrams had no effect since the start, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// Malformed: not of this protocol.
    pub malformed: u64,
    /// From a cluster with another name.
    pub other_cluster: u64,
    /// Without a signature, with one of an unknown token, or signed although no token is set.
    pub signature: u64,
    /// Seen before, or meant for another node or an earlier start of this one.
    pub replayed: u64,
    /// Not sent, since there was no token to sign with.
    pub no_token: u64,
    /// Nodes left out, since [`MAX_NODES`](crate::MAX_NODES) are known.
    pub too_many_nodes: u64,
    /// Not sent, since it did not fit in a datagram.
    pub too_large: u64,
    /// Failures of the network on this host.
    pub network: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    counts: [AtomicU64; REASONS],
    told: Mutex<[Option<Instant>; REASONS]>,
}

impl Counters {
    /// Counts, and logs unless it has just done so.
    pub(crate) fn count(&self, reason: Reason, peer: Option<SocketAddr>, detail: &str) {
        self.counts[reason as usize].fetch_add(1, Relaxed);
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let last = &mut told[reason as usize];
        if last.is_some_and(|last| now.duration_since(last) < EVERY) {
            return;
        }
        *last = Some(now);
        drop(told);
        let peer = peer.map(tracing::field::display);
        let dropped = self.snapshot();
        tracing::warn!(peer, detail, ?dropped, "gossip: {}", reason.what());
    }

    pub(crate) fn snapshot(&self) -> Dropped {
        let of = |reason: Reason| self.counts[reason as usize].load(Relaxed);
        Dropped {
            malformed: of(Reason::Malformed),
            other_cluster: of(Reason::OtherCluster),
            signature: of(Reason::Signature),
            replayed: of(Reason::Replayed),
            no_token: of(Reason::NoToken),
            too_many_nodes: of(Reason::TooManyNodes),
            too_large: of(Reason::TooLarge),
            network: of(Reason::Network),
        }
    }
}
