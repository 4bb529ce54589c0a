//! Gets of what is not in memory, or is stale.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use gaggle_singleflight::{FlightError, Waiter};
use tokio::time::timeout;

use super::flight::{Outcome, PolledBy};
use super::many::Together;
use super::{Group, Hop, Inner, spans};
use crate::{Answer, Error, Invitation, Route};

impl Group {
    /// Boxed, so that a hit does not carry the room that a miss needs.
    pub(super) fn begin_miss<'a>(
        &'a self,
        key: &'a [u8],
    ) -> Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send + 'a>> {
        let wait = self.inner.settings().limits.longest_wait();
        Box::pin(self.miss(key, Hop::First, wait, None))
    }

    pub(super) async fn miss(
        &self,
        key: &[u8],
        hop: Hop,
        wait: Duration,
        party: Option<&Invitation>,
    ) -> Result<Answer, Error> {
        let inner = &self.inner;
        if let Some(stale) = inner.stale_for_now(key) {
            return Ok(stale);
        }
        let route = || match hop {
            Hop::First => inner.router().route(key),
            Hop::Forwarded => Route::Mine,
        };
        let waiter = inner.join(key, route, party.map_or(Together::Alone, Together::Request))?;
        let answer = inner.wait(waiter, wait).await;
        inner.or_stale(key, answer)
    }
}

impl Inner {
    /// Whether the origin takes several keys in one request.
    pub(super) fn loads_together(&self) -> bool {
        self.origin.max_batch() > 1
    }

    /// Joins the flight of a key that is not in memory, or starts it.
    pub(super) fn join(
        self: &Arc<Self>,
        key: &[u8],
        route: impl FnOnce() -> Route,
        together: Together<'_>,
    ) -> Result<Waiter<Outcome>, Error> {
        self.counters.misses.fetch_add(1, Relaxed);
        self.check_key(key)?;
        let waiter = match route() {
            Route::Theirs(peer) => {
                self.hot_copies().asked(key);
                match together {
                    Together::Call(parties) => {
                        let party = parties.of(&peer);
                        self.join_fetch(key, peer, Some(party), false, PolledBy::Task)
                    }
                    Together::Alone | Together::Request(_) => {
                        self.join_fetch(key, peer, None, false, PolledBy::Caller)
                    }
                }
            }
            Route::Mine | Route::Standby => {
                let by = match together {
                    // Its loads run side by side, and it awaits one after the other.
                    Together::Call(_) => PolledBy::Task,
                    Together::Alone | Together::Request(_) => PolledBy::Caller,
                };
                let party = match together {
                    // Nothing is gained where each key is a request of its own.
                    _ if !self.loads_together() => None,
                    Together::Alone => None,
                    Together::Call(parties) => Some(parties.loads()),
                    Together::Request(party) => Some(party),
                };
                self.join_load(key, party, false, by)
            }
        };
        if !waiter.led() {
            self.counters.collapsed.fetch_add(1, Relaxed);
        }
        Ok(waiter)
    }

    /// Waits for a flight, for as long as this caller cares to; the flight goes on regardless.
    pub(super) async fn wait(
        &self,
        mut waiter: Waiter<Outcome>,
        wait: Duration,
    ) -> Result<Answer, Error> {
        let collapsed = !waiter.led();
        let outcome = async {
            if collapsed {
                spans::link(&mut waiter).await;
            }
            waiter.await
        };
        match timeout(wait, outcome).await {
            Ok(outcome) => self.answer(outcome, collapsed),
            Err(_) => Err(self.deadline(wait)),
        }
    }

    /// What a flight brings to one of those who wait for it.
    pub(super) fn answer(
        &self,
        outcome: Result<Outcome, FlightError>,
        collapsed: bool,
    ) -> Result<Answer, Error> {
        self.landed(outcome).map(|answer| Answer {
            collapsed,
            ..answer
        })
    }

    /// Has a value loaded again that may still be served. One flight for a key, in the whole
    /// cluster: where another node owns it, that node is asked for what it has, and decides by
    /// itself when to load.
    #[cold]
    pub(super) fn refresh(self: &Arc<Self>, key: &[u8], stale: bool) {
        if stale {
            self.counters.stale_revalidating.fetch_add(1, Relaxed);
        }
        if self.failures.must_wait(key, || self.clock.now()) {
            return;
        }
        // The flight goes on without a waiter.
        drop(match self.router().route(key) {
            Route::Theirs(peer) => self.join_fetch(key, peer, None, true, PolledBy::Task),
            Route::Mine | Route::Standby => self.join_load(key, None, true, PolledBy::Task),
        });
    }

    /// A stale value to serve in place of a load that has just failed.
    pub(super) fn or_stale(
        &self,
        key: &[u8],
        answer: Result<Answer, Error>,
    ) -> Result<Answer, Error> {
        match answer {
            Err(failure) if failure.is_failure() => self.stale(key).ok_or(failure),
            answer => answer,
        }
    }

    /// A stale value to serve without a load, as the last one failed a short while ago.
    pub(super) fn stale_for_now(&self, key: &[u8]) -> Option<Answer> {
        if !self.failures.must_wait(key, || self.clock.now()) {
            return None;
        }
        let stale = self.stale(key)?;
        self.counters.misses.fetch_add(1, Relaxed);
        Some(stale)
    }

    pub(super) fn stale(&self, key: &[u8]) -> Option<Answer> {
        let mut answer = self.tiers.peek(key)?.answer;
        let good = answer.value.is_some()
            && (!answer.is_stale() || !answer.freshness.error_window().is_zero());
        answer.failed_over = answer.is_stale();
        if good && answer.failed_over {
            self.counters.stale_failed_over.fetch_add(1, Relaxed);
        }
        good.then_some(answer)
    }

    /// What a flight came to, with the flight's own failures told in the group's terms.
    pub(super) fn landed(&self, outcome: Result<Outcome, FlightError>) -> Outcome {
        outcome.unwrap_or_else(|failure| Err(self.flight_failed(failure)))
    }

    pub(super) fn flight_failed(&self, failure: FlightError) -> Error {
        let group = self.name.clone();
        match failure {
            FlightError::Panicked { message } => Error::Panicked { group, message },
            _ => Error::Cancelled { group },
        }
    }

    pub(super) fn deadline(&self, after: Duration) -> Error {
        Error::Deadline {
            group: self.name.clone(),
            after,
        }
    }
}
