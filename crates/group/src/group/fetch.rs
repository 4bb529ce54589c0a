//! A fetch from the owner of a key, in a flight.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::future::{Either, select};
use gaggle_singleflight::Ticket;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, warn};

use super::flight::{LoadTimer, Outcome, PolledBy, Printable};
use super::{Inner, spans};
use crate::stats::LoadEnd;
use crate::tiers::Tier;
use crate::{
    Answer, BatchMember, Candidate, Error, Fetch, Fetched, Key, OriginError, Overload, Peer,
    PeerError, Route, Source, Verdict,
};

/// The share of the load timeout that the first request to an owner may take. The rest is for a
/// load in its place, if the owner does not answer at all, and for a second request, if it answers
/// that it is still loading.
const FIRST_TRY: f64 = 0.6;

/// With less time left a second request does not help.
const TOO_LATE: Duration = Duration::from_millis(20);

/// A running request.
type Answering<'a> = Pin<Box<dyn Future<Output = Result<Fetched, PeerError>> + Send + 'a>>;

/// The result of asking a peer.
enum Brought {
    /// The answer of the peer, or of the node that stands in for it.
    Theirs(Result<Fetched, PeerError>),
    /// This node stood in for a slow peer, and has loaded.
    Here(Answer),
}

impl Inner {
    pub(super) async fn fetch(
        self: &Arc<Self>,
        key: &Key,
        peer: &Arc<dyn Peer>,
        ticket: &Ticket<Key, Outcome>,
        member: Option<BatchMember>,
        copied: bool,
    ) -> Outcome {
        let settings = self.settings();
        let limits = &settings.limits;
        // The clock is read once for all that begins here.
        let began = Instant::now();
        let mut timer = LoadTimer::since(&self.counters.peer, began);
        debug!(node = %self.me(), group = %self.name, key = %Printable(key), peer = peer.name(), "picked peer");
        // Removals that are noted later detach this flight.
        let carried = self.log().fences(key, self.clock.now());
        let until = began + limits.longest_wait();
        let first_try = if peer.says_when_late() {
            limits.load_timeout.mul_f64(FIRST_TRY)
        } else {
            limits.load_timeout
        };
        let mut fetch = Fetch::new(&self.name, key, limits.max_value, first_try)
            .with(member.as_ref())
            .after(&carried.ids)
            .within(Some(&self.in_flight))
            .traced(self.outgoing());
        timer.traced(fetch.trace);
        let mut brought = self.ask(peer, fetch, began).await;
        if let Brought::Theirs(Err(PeerError::Verdict { verdict, .. })) = &brought
            && matches!(verdict, Verdict::Deadline { .. })
        {
            let now = Instant::now();
            let left = until.saturating_duration_since(now);
            if left > TOO_LATE {
                // It is alive, and its origin is slow: the load continues there, and this request
                // joins it.
                (fetch.batch, fetch.deadline) = (None, left);
                brought = self.ask(peer, fetch, now).await;
            }
        }
        // A peer that failed at once must not make the others wait while this node loads in its
        // place.
        drop(member);
        let failure = match brought {
            Brought::Theirs(Ok(fetched)) => {
                self.check_entry(&fetched.entry)?;
                timer.end(if fetched.entry.value.is_some() {
                    LoadEnd::Ok
                } else {
                    LoadEnd::NotFound
                });
                self.failures.over(key);
                self.keep_copy(key, ticket, &fetched, copied, carried.incomplete);
                return Ok(Answer::new(fetched.entry, Source::Peer));
            }
            Brought::Here(answer) => {
                timer.end(if answer.value.is_some() {
                    LoadEnd::Ok
                } else {
                    LoadEnd::NotFound
                });
                return Ok(answer);
            }
            Brought::Theirs(Err(failure)) => failure,
        };
        spans::peer_failed(&failure);
        drop(timer);
        match failure {
            PeerError::Verdict { peer, verdict } => {
                let failure = self.verdict(key, peer, verdict);
                if copied && failure.is_failure() {
                    self.failures.failed(key, self.clock.now());
                }
                Err(failure)
            }
            PeerError::Unavailable { .. } | PeerError::Refused { .. } => {
                warn!(group = %self.name, error = %failure, "a peer failed; loading in its place");
                if until.saturating_duration_since(Instant::now()) < TOO_LATE {
                    // The caller has timed out: the value of a load would be discarded.
                    return Err(self.deadline(limits.longest_wait()));
                }
                // Through the table of loads: a request that a peer forwards to us may be loading
                // the same key.
                let mut load = self.join_load(key, None, copied, PolledBy::Task);
                spans::link(&mut load).await;
                match timeout_at(until, load).await {
                    Ok(loaded) => self.landed(loaded),
                    Err(_) => Err(self.deadline(limits.longest_wait())),
                }
            }
        }
    }

    /// Keeps a copy of the owner's answer, if it is worth it.
    fn keep_copy(
        &self,
        key: &Key,
        ticket: &Ticket<Key, Outcome>,
        fetched: &Fetched,
        copied: bool,
        incomplete: bool,
    ) {
        let entry = &fetched.entry;
        // If a ring change has made the key ours meanwhile, the main cache may have a newer value.
        let theirs = !self.router().is_mine(key);
        let worth = copied || self.is_worth_a_copy(key, fetched);
        let over = entry.value.is_none() || entry.freshness.is_over();
        if theirs && copied && over && entry.freshness.is_stale() {
            // The owner answers that there is no value, or that it must not be kept: the older
            // copy must not outlive that.
            ticket.if_current(|| self.tiers.remove(key));
        } else if theirs
            && worth
            && !entry.freshness.is_stale()
            // Otherwise the peer may not know all removals that this node has applied.
            && !incomplete
        {
            let freshness = entry.freshness.at_most(self.settings().freshness.hot_ttl);
            self.keep(ticket, Tier::Hot, key, entry, freshness);
        }
    }

    /// Whether the owner's answer is worth a copy, if there is none yet. Absences have a store of
    /// their own.
    fn is_worth_a_copy(&self, key: &Key, fetched: &Fetched) -> bool {
        fetched.entry.value.as_ref().is_none_or(|value| {
            let copy = Candidate::new(key, value.len())
                .asked_for(fetched.minute_qps)
                .with_room(self.tiers.has_room(key.len() + value.len()));
            self.hot_copies().keep(&copy)
        })
    }

    /// Asks a peer, with the time counted from `now`. If its answer is late and its hedging budget
    /// allows it, asks the node that stands in for it, too.
    async fn ask(
        self: &Arc<Self>,
        peer: &Arc<dyn Peer>,
        fetch: Fetch<'_>,
        now: Instant,
    ) -> Brought {
        let until = now + fetch.deadline;
        let mut first = peer.fetch(fetch);
        if let Some(after) = peer.hedge_after() {
            if let Ok(answer) = timeout(after.min(fetch.deadline), &mut first).await {
                return Brought::Theirs(answer);
            }
            if peer.may_hedge() {
                // On the heap: state that few fetches need is not part of each.
                return Box::pin(self.hedge(peer, fetch, first, until)).await;
            }
        }
        Brought::Theirs(in_time(peer, fetch.deadline, until, first).await)
    }

    /// Hedges: asks a second node as well. The first useful answer is used.
    async fn hedge(
        self: &Arc<Self>,
        peer: &Arc<dyn Peer>,
        fetch: Fetch<'_>,
        first: Answering<'_>,
        until: Instant,
    ) -> Brought {
        self.counters.hedges.fetch_add(1, Relaxed);
        let mut first = std::pin::pin!(in_time(peer, fetch.deadline, until, first));
        match self.router().stand_in(fetch.key) {
            Route::Theirs(second) if second.name() != peer.name() => {
                let alone = Fetch {
                    batch: None,
                    ..fetch
                };
                let mut other = second.fetch(alone);
                match select(&mut first, &mut other).await {
                    Either::Left((Err(failure), _)) if !failure.is_verdict() => {
                        Brought::Theirs(in_time(&second, fetch.deadline, until, other).await)
                    }
                    Either::Left((answer, _)) | Either::Right((answer @ Ok(_), _)) => {
                        Brought::Theirs(answer)
                    }
                    Either::Right((Err(_), _)) => Brought::Theirs(first.await),
                }
            }
            Route::Theirs(_) => Brought::Theirs(first.await),
            Route::Mine | Route::Standby => {
                let mut load = self.join_load(fetch.key, None, false, PolledBy::Task);
                spans::link(&mut load).await;
                match select(&mut first, load).await {
                    Either::Left((answer, _)) => Brought::Theirs(answer),
                    Either::Right((loaded, _)) => match self.landed(loaded) {
                        Ok(answer) => Brought::Here(answer),
                        Err(_) => Brought::Theirs(first.await),
                    },
                }
            }
        }
    }

    fn verdict(&self, key: &Key, peer: Arc<str>, verdict: Verdict) -> Error {
        let group = self.name.clone();
        match verdict {
            Verdict::OriginFailed { message } => Error::Origin {
                group,
                peer: Some(peer),
                source: {
                    let fault = message.parse().unwrap_or_default();
                    OriginError::failed(message).known_as(fault)
                },
            },
            Verdict::ValueTooLarge { len, limit } => Error::ValueTooLarge { group, len, limit },
            Verdict::KeyTooLong { limit } => Error::KeyTooLong {
                group,
                len: key.len(),
                limit,
            },
            Verdict::Deadline { after } => Error::Deadline { group, after },
            // No fetch of a flight requests this.
            Verdict::NotKept => Error::NotKept { group },
            Verdict::Shed { limit, retry_after } => Error::Shed {
                group,
                why: Overload::Owner { limit },
                retry_after,
            },
        }
    }
}

/// The answer, if it arrives by the deadline, which is after that time.
async fn in_time(
    peer: &Arc<dyn Peer>,
    after: Duration,
    until: Instant,
    answer: Answering<'_>,
) -> Result<Fetched, PeerError> {
    timeout_at(until, answer).await.unwrap_or_else(|_| {
        Err(PeerError::Unavailable {
            peer: peer.name().into(),
            reason: format!("no answer within {after:?}").into(),
        })
    })
}
