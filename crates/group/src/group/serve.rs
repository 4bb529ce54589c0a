//! What peers ask for.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tracing::Instrument;

use super::{Group, spans};
use crate::{Answer, Error, Invitation, RemovalId, Source, TraceParent};

/// Whether a get may be passed on to the key's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hop {
    /// It comes from a program: it may be forwarded once.
    First,
    /// A node has forwarded it: it is answered here, whoever owns the key. Otherwise two nodes
    /// that disagree about the ring would wait for each other.
    Forwarded,
}

/// A request that another node, or a program by way of the peers' port, has sent.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Serve<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Whether it may be passed on.
    pub hop: Hop,
    /// How long the asker waits; at most the load timeout.
    pub wait: Option<Duration>,
    /// Removals of the key that the asker knows ([`Fetch::removals`](crate::Fetch)): they are
    /// applied before the answer.
    pub removals: &'a [RemovalId],
    /// Only what is in memory is of use ([`Fetch::kept_only`](crate::Fetch)): otherwise the answer
    /// is [`Error::NotKept`].
    pub kept_only: bool,
    /// The other gets of the same request, with which a load may ask the origin.
    pub party: Option<&'a Invitation>,
    /// The trace that the request belongs to. A miss goes on with it, where the group has a
    /// [`Propagation`](crate::Propagation).
    pub trace: Option<TraceParent>,
}

impl<'a> Serve<'a> {
    /// A request that waits for as long as a load may take.
    #[must_use]
    pub fn new(key: &'a [u8], hop: Hop) -> Self {
        Self {
            key,
            hop,
            wait: None,
            removals: &[],
            kept_only: false,
            party: None,
            trace: None,
        }
    }

    /// The same as one of the gets of a request that asks for several keys. The party must stay
    /// open until each of them has been polled once. Only of use where the group
    /// [loads together](Group::loads_together).
    #[must_use]
    pub fn with(self, party: Option<&'a Invitation>) -> Self {
        Self { party, ..self }
    }

    /// The same for what is in memory alone, if so.
    #[must_use]
    pub fn kept_only(self, kept_only: bool) -> Self {
        Self { kept_only, ..self }
    }

    /// The same, waiting for so long.
    #[must_use]
    pub fn within(self, wait: Option<Duration>) -> Self {
        Self { wait, ..self }
    }

    /// The same from an asker that knows of these removals.
    #[must_use]
    pub fn after(self, removals: &'a [RemovalId]) -> Self {
        Self { removals, ..self }
    }

    /// The same as part of a trace.
    #[must_use]
    pub fn traced(self, trace: Option<TraceParent>) -> Self {
        Self { trace, ..self }
    }
}

/// What a node answers to a peer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Served {
    /// What there is of the key.
    pub answer: Answer,
    /// How many fetches of the key per minute this node answers for its peers, this one included
    /// ([`Candidate`](crate::Candidate)). A transport passes it on where its protocol can. `None` unless a node has forwarded
    /// the request, this node owns the key, and there is a value.
    pub minute_qps: Option<f64>,
}

impl Group {
    /// Whether the group's origin takes several keys in one request
    /// ([`Origin::max_batch`](crate::Origin::max_batch)).
    pub fn loads_together(&self) -> bool {
        self.inner.loads_together()
    }

    /// Answers a request that a peer has sent: what a transport's server calls. It waits at most
    /// as long as the request says, and never longer than the load timeout.
    ///
    /// # Errors
    ///
    /// As [`find`](Self::find).
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
            Some(hit) => hit,
            None => {
                let most = self.inner.settings().limits.longest_wait();
                let wait = request.wait.map_or(most, |wait| wait.min(most));
                let span = spans::serve(&self.inner, key, request.trace.as_ref());
                let miss = self.miss(key, request.hop, wait, request.party);
                Box::pin(miss.instrument(span)).await?
            }
        };
        let minute_qps = self.count_fetch(&request, &answer);
        Ok(Served { answer, minute_qps })
    }

    /// Counts the fetch of a value by a peer from this node as the key's owner, and returns the key's rate.
    fn count_fetch(&self, request: &Serve<'_>, answer: &Answer) -> Option<f64> {
        let as_owner = || match answer.source {
            // What this node owns; to ask the router would cost as much again as the hit.
            Source::Main => true,
            Source::Hot => false,
            Source::Peer | Source::Origin => self.inner.router().is_mine(request.key),
        };
        let counts = request.hop == Hop::Forwarded && answer.value.is_some() && as_owner();
        counts.then(|| self.inner.rates.count(request.key))
    }

    /// A value that is fresh and in memory. No use of it: it is the asker's from now on.
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
