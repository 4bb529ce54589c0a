//! Gets that miss, or find a stale value.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use gaggle_singleflight::{FlightError, Waiter};
use tokio::time::timeout;

use super::flight::{Outcome, PolledBy};
use super::many::Together;
use super::{Group, Hop, Inner, spans};
use crate::{Answer, BatchHandle, Error, Route, Terms};

impl Group {
    /// Boxed, so that the future of a hit does not contain the state of a miss.
    pub(super) fn begin_miss<'a>(
        &'a self,
        key: &'a [u8],
    ) -> Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send + 'a>> {
        self.begin_miss_on(key, Terms::default())
    }

    pub(super) fn begin_miss_on<'a>(
        &'a self,
        key: &'a [u8],
        terms: Terms,
    ) -> Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send + 'a>> {
        let most = self.inner.settings().limits.longest_wait();
        let wait = terms.within.map_or(most, |within| within.min(most));
        Box::pin(self.miss_as(key, Hop::First, wait, None, !terms.uncounted))
    }

    pub(super) async fn miss(
        &self,
        key: &[u8],
        hop: Hop,
        wait: Duration,
        batch: Option<&BatchHandle>,
    ) -> Result<Answer, Error> {
        self.miss_as(key, hop, wait, batch, true).await
    }

    async fn miss_as(
        &self,
        key: &[u8],
        hop: Hop,
        wait: Duration,
        batch: Option<&BatchHandle>,
        counted: bool,
    ) -> Result<Answer, Error> {
        let inner = &self.inner;
        if counted {
            inner.count_miss(key);
        }
        if let Some(stale) = inner.stale_for_now(key) {
            return Ok(stale);
        }
        let route = || match hop {
            Hop::First => inner.router().route(key),
            Hop::Forwarded => Route::Mine,
        };
        let together = batch.map_or(Together::Alone, Together::Request);
        let waiter = inner.join(key, route, together)?;
        if counted && !waiter.led() {
            inner.counters.collapsed.fetch_add(1, Relaxed);
        }
        let answer = inner.wait(waiter, wait).await;
        inner.or_stale(key, answer)
    }
}

impl Inner {
    /// Whether the origin takes several keys in one request.
    pub(super) fn loads_together(&self) -> bool {
        self.origin.max_batch() > 1
    }

    /// Counts a get that misses, or finds a stale value. A key that is too long cannot be hot.
    pub(super) fn count_miss(&self, key: &[u8]) {
        self.counters.misses.fetch_add(1, Relaxed);
        self.popular.asked(key);
    }

    /// Joins or starts the flight of a key that is not in memory. The caller counts the miss.
    pub(super) fn join(
        self: &Arc<Self>,
        key: &[u8],
        route: impl FnOnce() -> Route,
        together: Together<'_>,
    ) -> Result<Waiter<Outcome>, Error> {
        self.check_key(key)?;
        Ok(match route() {
            Route::Theirs(peer) => {
                self.hot_copies().asked(key);
                match together {
                    Together::Call(batches) => {
                        let batch = batches.of(&peer);
                        self.join_fetch(key, peer, Some(batch), false, PolledBy::Task)
                    }
                    Together::Alone | Together::Request(_) => {
                        self.join_fetch(key, peer, None, false, PolledBy::Caller)
                    }
                }
            }
            Route::Mine | Route::Standby => {
                let by = match together {
                    // Its loads run concurrently, and it awaits one after the other.
                    Together::Call(_) => PolledBy::Task,
                    Together::Alone | Together::Request(_) => PolledBy::Caller,
                };
                let batch = match together {
                    // A batch gains nothing if each key is a request of its own.
                    _ if !self.loads_together() => None,
                    Together::Alone => None,
                    Together::Call(batches) => Some(batches.loads()),
                    Together::Request(batch) => Some(batch),
                };
                self.join_load(key, batch, false, by)
            }
        })
    }

    /// Waits for a flight, within this caller's deadline; the flight continues regardless.
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

    /// A flight's result for one of its waiters.
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

    /// Loads a value again that may still be served. There is one flight for a key in the whole
    /// cluster: if another node owns it, that node is asked for its value, and decides by itself
    /// when to load.
    #[cold]
    pub(super) fn refresh(self: &Arc<Self>, key: &[u8], stale: bool) {
        if stale {
            self.counters.stale_revalidating.fetch_add(1, Relaxed);
        }
        if self.failures.must_wait(key, || self.clock.now()) {
            return;
        }
        // The flight continues without a waiter.
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

    /// A stale value to serve without a load, because the last load failed a short while ago.
    pub(super) fn stale_for_now(&self, key: &[u8]) -> Option<Answer> {
        if !self.failures.must_wait(key, || self.clock.now()) {
            return None;
        }
        self.stale(key)
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

    /// The result of a flight, with the flight's own failures converted to the group's errors.
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
