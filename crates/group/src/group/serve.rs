//! Requests of peers.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tracing::Instrument;

use super::{Group, spans};
use crate::{Answer, BatchHandle, Error, RemovalId, Source, TraceParent};

/// Whether a get may be forwarded to the key's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hop {
    /// It is from a program: it may be forwarded once.
    First,
    /// A node has forwarded it: it is answered here, whichever node owns the key. Otherwise two
    /// nodes that disagree about the ring would wait for each other.
    Forwarded,
}

/// A request from another node, or from a program through the peers' port.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Serve<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Whether it may be forwarded.
    pub hop: Hop,
    /// How long the requester waits; at most the load timeout.
    pub wait: Option<Duration>,
    /// Removals of the key that the requester knows ([`Fetch::removals`](crate::Fetch)): they are
    /// applied before the answer.
    pub removals: &'a [RemovalId],
    /// Only an entry in memory is useful ([`Fetch::kept_only`](crate::Fetch)): otherwise the
    /// answer is [`Error::NotKept`].
    pub kept_only: bool,
    /// The other gets of the same request, with which a load may ask the origin.
    pub batch: Option<&'a BatchHandle>,
    /// The trace that the request belongs to. A miss continues it, if the group has a
    /// [`Propagation`](crate::Propagation).
    pub trace: Option<TraceParent>,
}

impl<'a> Serve<'a> {
    /// A request that waits for at most the load timeout.
    #[must_use]
    pub fn new(key: &'a [u8], hop: Hop) -> Self {
        Self {
            key,
            hop,
            wait: None,
            removals: &[],
            kept_only: false,
            batch: None,
            trace: None,
        }
    }

    /// Adds it to the batch of a request that asks for several keys. The batch must stay open
    /// until each of them has been polled once. Only useful if the group [loads
    /// together](Group::loads_together).
    #[must_use]
    pub fn with(self, batch: Option<&'a BatchHandle>) -> Self {
        Self { batch, ..self }
    }

    /// Sets whether only an entry in memory is useful.
    #[must_use]
    pub fn kept_only(self, kept_only: bool) -> Self {
        Self { kept_only, ..self }
    }

    /// Sets how long it waits.
    #[must_use]
    pub fn within(self, wait: Option<Duration>) -> Self {
        Self { wait, ..self }
    }

    /// Adds the removals that the requester knows.
    #[must_use]
    pub fn after(self, removals: &'a [RemovalId]) -> Self {
        Self { removals, ..self }
    }

    /// Adds the trace.
    #[must_use]
    pub fn traced(self, trace: Option<TraceParent>) -> Self {
        Self { trace, ..self }
    }
}

/// A node's answer to a peer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Served {
    /// The value or its absence, and its source.
    pub answer: Answer,
    /// How many fetches of the key per minute this node answers for its peers, this one included
    /// ([`Candidate`](crate::Candidate)). A transport sends it if its protocol can. `None` unless
    /// a node has forwarded the request, this node owns the key, and there is a value.
    pub minute_qps: Option<f64>,
}

impl Group {
    /// Whether the group's origin takes several keys in one request
    /// ([`Origin::max_batch`](crate::Origin::max_batch)).
    pub fn loads_together(&self) -> bool {
        self.inner.loads_together()
    }

    /// Answers a peer's request. Called by a transport's server. It waits at most as long as the
    /// request says, and never longer than the load timeout.
    ///
    /// # Errors
    ///
    /// As for [`find`](Self::find).
    pub async fn serve(&self, request: Serve<'_>) -> Result<Served, Error> {
        let key = request.key;
        self.inner.apply_to(key, request.removals);
        if request.kept_only {
            let answer = self.serve_kept(key)?;
            return Ok(Served {
                answer,
                minute_qps: None,
            });
        }
        self.inner.counters.server_requests.fetch_add(1, Relaxed);
        let answer = match self.cached(key) {
            Some(hit) => {
                self.inner.counters.server_hits.fetch_add(1, Relaxed);
                hit
            }
            None => {
                let most = self.inner.settings().limits.longest_wait();
                let wait = request.wait.map_or(most, |wait| wait.min(most));
                let span = spans::serve(&self.inner, key, request.trace.as_ref());
                let miss = self.miss(key, request.hop, wait, request.batch);
                Box::pin(miss.instrument(span)).await?
            }
        };
        let minute_qps = self.count_fetch(&request, &answer);
        Ok(Served { answer, minute_qps })
    }

    /// Counts a peer's fetch of a value from this node as the key's owner, and returns the key's
    /// rate.
    fn count_fetch(&self, request: &Serve<'_>, answer: &Answer) -> Option<f64> {
        let as_owner = || match answer.source {
            // Keys that this node owns; to ask the router would cost as much again as the hit.
            Source::Main => true,
            Source::Hot => false,
            Source::Peer | Source::Origin => self.inner.router().is_mine(request.key),
        };
        let counts = request.hop == Hop::Forwarded && answer.value.is_some() && as_owner();
        counts.then(|| self.inner.rates.count(request.key))
    }

    /// A value that is fresh and in memory. Not a use of it: the requester owns it from now on.
    fn serve_kept(&self, key: &[u8]) -> Result<Answer, Error> {
        let vouched = self.inner.is_in_contact();
        let kept = self.inner.tiers.peek(key).map(|kept| kept.answer);
        kept.filter(|_| vouched)
            .filter(|kept| kept.value.is_some() && !kept.is_stale())
            .ok_or_else(|| Error::NotKept {
                group: self.inner.name.clone(),
            })
    }
}
