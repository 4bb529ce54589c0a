//! The code inside a flight, and a load from the origin.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use gaggle_singleflight::{Flights, Ticket, Waiter};
use tokio::time::Instant;
use tracing::Instrument;

use super::{Inner, spans};
use crate::stats::{Counters, LoadCounters, LoadEnd};
use crate::tiers::Tier;
use crate::{
    Answer, Batch, BatchHandle, Cached, Entry, Error, Freshness, Key, Overload, Peer, TraceParent,
};

/// The result of a flight for every waiter.
pub(super) type Outcome = Result<Answer, Error>;

/// Which code polls the load of a flight that starts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PolledBy {
    /// A task of its own.
    Task,
    /// The caller that starts it, as long as it awaits it and is the only waiter.
    Caller,
}

impl Inner {
    /// Joins the load of `key` from the origin, or starts it as one of that batch. With `newer`, a
    /// value that is due to be loaded again is not enough.
    pub(super) fn join_load(
        self: &Arc<Self>,
        key: &[u8],
        batch: Option<&BatchHandle>,
        newer: bool,
        by: PolledBy,
    ) -> Waiter<Outcome> {
        join(&self.loads, by, key, |ticket| {
            let (inner, key) = (Arc::clone(self), Key::copy_from_slice(key));
            let running = InFlight::enter(self);
            let member = batch.map(BatchHandle::member);
            let span = spans::load(self, &key, newer);
            spans::tell(&span, &ticket);
            let load = async move {
                let _running = running?;
                match inner.look_again(&key, newer) {
                    Ok(found) => Ok(found),
                    Err(old) => inner.load(&key, &ticket, old, newer, member).await,
                }
            };
            load.instrument(span)
        })
    }

    /// Joins the fetch of `key` from its owner, or starts it as one of that batch.
    pub(super) fn join_fetch(
        self: &Arc<Self>,
        key: &[u8],
        peer: Arc<dyn Peer>,
        batch: Option<&Batch>,
        newer: bool,
        by: PolledBy,
    ) -> Waiter<Outcome> {
        join(&self.fetches, by, key, |ticket| {
            let (inner, key) = (Arc::clone(self), Key::copy_from_slice(key));
            let running = InFlight::enter(self);
            let member = batch.map(Batch::member);
            let span = spans::fetch(self, &key, &*peer, newer);
            spans::tell(&span, &ticket);
            let fetch = async move {
                let _running = running?;
                match inner.look_again(&key, newer) {
                    Ok(found) => Ok(found),
                    Err(old) => {
                        let copied = old.is_some();
                        inner.fetch(&key, &peer, &ticket, member, copied).await
                    }
                }
            };
            fetch.instrument(span)
        })
    }

    /// Checks the cache again before a flight loads. Without this a key could be loaded twice: A
    /// misses; B's flight, which began before, fills the cache and frees its slot; A then finds no
    /// flight to join and starts one. `Err` has the entry that is too old.
    fn look_again(&self, key: &[u8], newer: bool) -> Result<Answer, Option<Box<Answer>>> {
        let Some(found) = self.tiers.peek(key) else {
            return Err(None);
        };
        if found.answer.freshness.is_servable() && !(newer && found.due) {
            Ok(found.answer)
        } else {
            // Boxed, as it is rare: the state of a flight is allocated with each.
            Err(Some(Box::new(found.answer)))
        }
    }

    /// Puts a value or an absence into a cache, unless the key has been removed since this flight
    /// began. The test and the insertion are one step under the flight table's lock. A removal
    /// detaches the flight first and then empties the caches, so either this insertion happens
    /// before and is removed, or it does not happen.
    pub(super) fn keep(
        &self,
        ticket: &Ticket<Key, Outcome>,
        tier: Tier,
        key: &Key,
        entry: &Entry,
        freshness: Freshness,
    ) {
        let value = entry.value.clone();
        let absent = value.is_none();
        // An entry that is over still ends the previous one in any case: that one is older.
        let cached =
            Cached::new(value.unwrap_or_default(), freshness).with_metadata(entry.metadata.clone());
        let ahead = self.settings().freshness.ahead(freshness.ttl);
        ticket.if_current(|| {
            if absent {
                self.tiers.insert_absence(key, cached);
            } else {
                self.tiers.insert(tier, key, cached, ahead);
            }
        });
    }

    pub(super) fn check_entry(&self, entry: &Entry) -> Result<(), Error> {
        let len = entry.value.as_ref().map_or(0, |value| value.len() as u64);
        let limit = self.settings().limits.max_value;
        if len > limit {
            return Err(Error::ValueTooLarge {
                group: self.name.clone(),
                len: Some(len),
                limit,
            });
        }
        Ok(())
    }
}

fn join<F>(
    flights: &Flights<Key, Outcome>,
    by: PolledBy,
    key: &[u8],
    load: impl FnOnce(Ticket<Key, Outcome>) -> F,
) -> Waiter<Outcome>
where
    F: Future<Output = Outcome> + Send + 'static,
{
    match by {
        PolledBy::Task => flights.join(key, load),
        PolledBy::Caller => flights.join_polling(key, load),
    }
}

/// A value that holds no more memory than its length: a slice of a larger buffer, or one with
/// spare capacity, is copied. (Small values are copied by the store in any case.)
pub(super) fn exactly(value: Bytes) -> Bytes {
    const SMALL: usize = 1 << 10;
    let len = value.len();
    if len <= SMALL {
        return value;
    }
    match value.try_into_mut() {
        Ok(mut whole) => {
            let slack = len / 8;
            // Spare capacity after the value, or before it.
            let wasteful = whole.capacity() > len + slack || {
                let behind = whole.capacity() - len;
                whole.try_reclaim(behind + slack + 1)
            };
            if wasteful {
                Bytes::copy_from_slice(&whole)
            } else {
                whole.freeze()
            }
        }
        // Another holder shares it, or shares more of it.
        Err(shared) => Bytes::copy_from_slice(&shared),
    }
}

/// Counts a flight as long as it lives, however it ends.
struct InFlight {
    inner: Arc<Inner>,
}

impl InFlight {
    fn enter(inner: &Arc<Inner>) -> Result<Self, Error> {
        let counters: &Counters = &inner.counters;
        let running = counters.in_flight.fetch_add(1, Relaxed);
        let this = Self {
            inner: Arc::clone(inner),
        };
        let limit = inner.settings().limits.max_loads;
        if running >= limit {
            counters.shed.fetch_add(1, Relaxed);
            let retry_after: Duration = inner.settings().limits.retry_after;
            return Err(Error::Shed {
                group: inner.name.clone(),
                why: Overload::Loads { limit },
                retry_after,
            });
        }
        Ok(this)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.inner.counters.in_flight.fetch_sub(1, Relaxed);
    }
}

/// Times one load. Dropped without [`end`](Self::end), by an early return, a panic or a cancelled
/// task, it counts as an error.
pub(super) struct LoadTimer<'a> {
    counters: &'a LoadCounters,
    started: Instant,
    end: LoadEnd,
    trace: Option<TraceParent>,
}

impl<'a> LoadTimer<'a> {
    pub(super) fn start(counters: &'a LoadCounters) -> Self {
        Self::since(counters, Instant::now())
    }

    pub(super) fn since(counters: &'a LoadCounters, started: Instant) -> Self {
        Self {
            counters,
            started,
            end: LoadEnd::Error,
            trace: None,
        }
    }

    /// Sets the trace that the load belongs to.
    pub(super) fn traced(&mut self, trace: Option<TraceParent>) {
        self.trace = trace;
    }

    pub(super) fn end(mut self, end: LoadEnd) {
        self.end = end;
    }
}

impl Drop for LoadTimer<'_> {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        self.counters.observe(self.end, took, self.trace);
    }
}

/// A key in a log line at `debug`: text unchanged, the rest escaped. Formatted only if the line is
/// written.
pub(super) struct Printable<'a>(pub(super) &'a [u8]);

impl std::fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match std::str::from_utf8(self.0) {
            Ok(text) => write!(f, "{}", text.escape_debug()),
            Err(_) => write!(f, "{}", self.0.escape_ascii()),
        }
    }
}
