//! What runs inside a flight: a load from the origin, or a fetch from the key's owner.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use gaggle_singleflight::{Ticket, Waiter};
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

use super::Inner;
use crate::stats::{Counters, LoadCounters, LoadEnd};
use crate::tiers::Tier;
use crate::{
    Answer, Cached, Content, Entry, Error, Fetch, Freshness, Guest, Key, Load, Loaded, OriginError,
    Party, Peer, PeerError, Route, Source, Verdict,
};

/// What a flight brings to everyone who waits for it.
pub(super) type Outcome = Result<Answer, Error>;

impl Inner {
    /// Joins the load of `key` from the origin, or starts it. With `newer`, a value that is due to be loaded again does not
    /// do.
    pub(super) fn join_load(self: &Arc<Self>, key: &[u8], newer: bool) -> Waiter<Outcome> {
        self.loads.join(key, |ticket| {
            let (inner, key) = (Arc::clone(self), Key::copy_from_slice(key));
            let running = InFlight::enter(self);
            async move {
                let _running = running?;
                match inner.look_again(&key, newer) {
                    Ok(found) => Ok(found),
                    Err(old) => inner.load(&key, &ticket, old, newer).await,
                }
            }
        })
    }

    /// Joins the fetch of `key` from its owner, or starts it; then it is one of that party.
    pub(super) fn join_fetch(
        self: &Arc<Self>,
        key: &[u8],
        peer: Arc<dyn Peer>,
        party: Option<&Party>,
        newer: bool,
    ) -> Waiter<Outcome> {
        self.fetches.join(key, |ticket| {
            let (inner, key) = (Arc::clone(self), Key::copy_from_slice(key));
            let running = InFlight::enter(self);
            let guest = party.map(Party::invite);
            async move {
                let _running = running?;
                match inner.look_again(&key, newer) {
                    Ok(found) => Ok(found),
                    Err(old) => {
                        let copied = old.is_some();
                        inner.fetch(&key, &*peer, &ticket, guest, copied).await
                    }
                }
            }
        })
    }

    /// Looks at the cache again before a flight loads. Without this a key could be loaded twice: A misses; B's flight,
    /// which began before, fills the cache and frees its slot; A then finds no flight to join and starts one. `Err` has what
    /// is too old.
    fn look_again(&self, key: &[u8], newer: bool) -> Result<Answer, Option<Box<Answer>>> {
        let Some(found) = self.tiers.peek(key) else {
            return Err(None);
        };
        if found.answer.freshness.is_servable() && !(newer && found.due) {
            Ok(found.answer)
        } else {
            // Boxed, as it is rare: what a flight carries along is allocated with each.
            Err(Some(Box::new(found.answer)))
        }
    }

    async fn load(
        &self,
        key: &Key,
        ticket: &Ticket<Key, Outcome>,
        old: Option<Box<Answer>>,
        refresh: bool,
    ) -> Outcome {
        if refresh {
            self.counters.refreshes.fetch_add(1, Relaxed);
        }
        // Only where a stale value can be served meanwhile: other keys are asked for again with each get.
        let failed = old.is_some().then(|| FailedUnless::new(self, key));
        let entry = self.ask_origin(key, old).await;
        if let Some(failed) = failed {
            failed.unless(!entry.as_ref().is_err_and(Error::is_failure));
        }
        let entry = entry?;
        // Also where there was no old value any more: the next failure is a first one again.
        self.failures.over(key);
        self.commit(key, ticket, &entry);
        Ok(Answer::new(entry, Source::Origin))
    }

    async fn ask_origin(&self, key: &Key, old: Option<Box<Answer>>) -> Result<Entry, Error> {
        let limits = &self.limits;
        let timer = LoadTimer::start(&self.counters.origin);
        let stale = old.as_ref().map(|old| &old.metadata);
        let stale = stale.filter(|metadata| metadata.has_validators());
        let mut load = Load::new(key, limits.max_value);
        load.stale = stale;
        let may_be_unchanged = stale.is_some();
        let asked = timeout(limits.load_timeout, async {
            // Err would mean that the semaphore is closed, which nobody does.
            let _slot = self.origin_slots.acquire().await;
            debug!(node = %self.me(), group = %self.name, key = %Printable(key), "asking the origin");
            self.origin.load(load).await
        })
        .await;
        let Loaded {
            content,
            freshness,
            metadata,
        } = match asked {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(failure)) => return Err(self.origin_failed(failure)),
            Err(_) => {
                warn!(group = %self.name, after = ?limits.load_timeout, "the origin did not answer in time");
                return Err(self.deadline(limits.load_timeout));
            }
        };
        let (value, metadata) = match content {
            Content::Value(value) => (Some(value), metadata),
            Content::Absent => (None, metadata),
            Content::NotModified => {
                let known = old.and_then(|old| Some((old.value?, old.metadata)));
                let Some((value, known)) = known.filter(|_| may_be_unchanged) else {
                    let failure = "it says that nothing has changed, and there is nothing here";
                    return Err(self.origin_failed(OriginError::failed(failure)));
                };
                self.counters.not_modified.fetch_add(1, Relaxed);
                let metadata = if metadata.is_empty() { known } else { metadata };
                (Some(value), metadata)
            }
        };
        let mut freshness = self.freshness.of(value.is_none(), freshness);
        if let Some(ttl) = freshness.ttl {
            let jitter = self.freshness.ttl_jitter;
            freshness.ttl = Some(self.expiries.draw(ttl, jitter, self.clock.now()));
        }
        let entry = Entry {
            value: value.map(exactly),
            freshness,
            metadata,
        };
        self.check_entry(&entry)?;
        timer.end(if entry.value.is_some() {
            LoadEnd::Ok
        } else {
            LoadEnd::NotFound
        });
        Ok(entry)
    }

    /// Keeps what this node has loaded.
    fn commit(&self, key: &Key, ticket: &Ticket<Key, Outcome>, entry: &Entry) {
        // Asked now and not when the load began: the ring may have changed meanwhile.
        match self.router().route(key) {
            Route::Mine => self.keep(ticket, Tier::Main, key, entry, entry.freshness),
            // Loaded in place of the owner. It must not enter the main cache, which is for what this node owns; but
            // while the owner is away a short-lived copy spares the origin one load for each get.
            Route::Theirs(_) | Route::Standby => {
                let freshness = entry.freshness.at_most(self.limits.stand_in_ttl);
                self.keep(ticket, Tier::Hot, key, entry, freshness);
            }
        }
    }

    async fn fetch(
        self: &Arc<Self>,
        key: &Key,
        peer: &dyn Peer,
        ticket: &Ticket<Key, Outcome>,
        guest: Option<Guest>,
        copied: bool,
    ) -> Outcome {
        let limits = &self.limits;
        let timer = LoadTimer::start(&self.counters.peer);
        debug!(node = %self.me(), group = %self.name, key = %Printable(key), peer = peer.name(), "picked peer");
        // Those that are noted later detach this flight.
        let carried = self.log().fences(key, self.clock.now());
        let fetch = Fetch {
            group: &self.name,
            key,
            max_value: limits.max_value,
            deadline: limits.load_timeout,
            party: guest.as_ref(),
            removals: &carried.ids,
        };
        let fetched = timeout(limits.load_timeout, peer.fetch(fetch)).await;
        // A peer that failed at once must not keep the others waiting while this node loads in its place.
        drop(guest);
        let failure = match fetched {
            Ok(Ok(entry)) => {
                self.check_entry(&entry)?;
                timer.end(if entry.value.is_some() {
                    LoadEnd::Ok
                } else {
                    LoadEnd::NotFound
                });
                self.failures.over(key);
                // Where the ring has made the key ours meanwhile, the main cache may have a newer value.
                let theirs = matches!(self.router().route(key), Route::Theirs(_));
                let worth = entry.value.is_none() || copied || self.hot_copies.keep(key);
                let over = entry.value.is_none() || entry.freshness.is_over();
                if theirs && copied && over && entry.freshness.is_stale() {
                    // The owner says that there is nothing, or nothing to keep: the older copy must not outlive that.
                    ticket.if_current(|| self.tiers.remove(key));
                } else if theirs
                    && worth
                    && !entry.freshness.is_stale()
                    // Otherwise the peer may not know of all removals that this node has applied.
                    && !carried.incomplete
                {
                    let freshness = entry.freshness.at_most(self.freshness.hot_ttl);
                    self.keep(ticket, Tier::Hot, key, &entry, freshness);
                }
                return Ok(Answer::new(entry, Source::Peer));
            }
            Ok(Err(failure)) => failure,
            Err(_) => PeerError::Unavailable {
                peer: peer.name().into(),
                reason: format!("no answer within {:?}", limits.load_timeout).into(),
            },
        };
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
                // Through the table of loads: a request that a peer forwards to us may be loading the same key.
                self.landed(self.join_load(key, copied).await)
            }
        }
    }

    /// Puts a value or an absence into a cache, unless the key has been removed since this flight began. The test and the
    /// insertion are one step under the flight table's lock. A removal detaches the flight first and then empties the
    /// caches, so either this insertion comes before and is removed, or it does not happen.
    fn keep(
        &self,
        ticket: &Ticket<Key, Outcome>,
        tier: Tier,
        key: &Key,
        entry: &Entry,
        freshness: Freshness,
    ) {
        let value = entry.value.clone();
        let absent = value.is_none();
        // What is of no use ends what was here before, in any case: it is older.
        let cached =
            Cached::new(value.unwrap_or_default(), freshness).with_metadata(entry.metadata.clone());
        let ahead = self.freshness.ahead(freshness.ttl);
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
        let limit = self.limits.max_value;
        if len > limit {
            return Err(Error::ValueTooLarge {
                group: self.name.clone(),
                len: Some(len),
                limit,
            });
        }
        Ok(())
    }

    fn origin_failed(&self, failure: OriginError) -> Error {
        let group = self.name.clone();
        match failure {
            OriginError::TooLarge { len, limit } => Error::ValueTooLarge { group, len, limit },
            source @ OriginError::Failed(_) => {
                warn!(group = %self.name, error = %source, "the origin failed");
                Error::Origin {
                    group,
                    peer: None,
                    source,
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
                source: OriginError::failed(message),
            },
            Verdict::ValueTooLarge { len, limit } => Error::ValueTooLarge { group, len, limit },
            Verdict::KeyTooLong { limit } => Error::KeyTooLong {
                group,
                len: key.len(),
                limit,
            },
            Verdict::Deadline { after } => Error::Deadline { group, after },
            Verdict::Shed { limit, retry_after } => Error::Shed {
                group,
                limit,
                retry_after,
            },
        }
    }
}

/// A value that holds no more memory than it says: a part of a larger buffer, or one with room to spare, is copied. (Small
/// values are copied by the store in any case.)
pub(super) fn exactly(value: Bytes) -> Bytes {
    const SMALL: usize = 1 << 10;
    let len = value.len();
    if len <= SMALL {
        return value;
    }
    match value.try_into_mut() {
        Ok(mut whole) => {
            let slack = len / 8;
            // Room behind the value, or before it.
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
        // Somebody else has it too, or has more of it.
        Err(shared) => Bytes::copy_from_slice(&shared),
    }
}

/// Notes a failed load of a key, also one that panics or is cancelled.
struct FailedUnless<'a> {
    inner: &'a Inner,
    key: &'a Key,
    answered: bool,
}

impl<'a> FailedUnless<'a> {
    fn new(inner: &'a Inner, key: &'a Key) -> Self {
        Self {
            inner,
            key,
            answered: false,
        }
    }

    fn unless(mut self, answered: bool) {
        self.answered = answered;
    }
}

impl Drop for FailedUnless<'_> {
    fn drop(&mut self) {
        if self.answered {
            self.inner.failures.over(self.key);
        } else {
            self.inner.failures.failed(self.key, self.inner.clock.now());
        }
    }
}

/// Counts a flight for as long as it lives, however it ends.
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
        let limit = inner.limits.max_loads;
        if running >= limit {
            counters.shed.fetch_add(1, Relaxed);
            let retry_after: Duration = inner.limits.retry_after;
            return Err(Error::Shed {
                group: inner.name.clone(),
                limit,
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

/// Times one load. Dropped without [`end`](Self::end), by an early return, a panic or a cancelled task, it counts as an
/// error.
struct LoadTimer<'a> {
    counters: &'a LoadCounters,
    started: Instant,
    end: LoadEnd,
}

impl<'a> LoadTimer<'a> {
    fn start(counters: &'a LoadCounters) -> Self {
        Self {
            counters,
            started: Instant::now(),
            end: LoadEnd::Error,
        }
    }

    fn end(mut self, end: LoadEnd) {
        self.end = end;
    }
}

impl Drop for LoadTimer<'_> {
    fn drop(&mut self) {
        self.counters.observe(self.end, self.started.elapsed());
    }
}

/// A key in a log line at `debug`: text as it is, the rest escaped. Formatted only if the line is written.
struct Printable<'a>(&'a [u8]);

impl std::fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match std::str::from_utf8(self.0) {
            Ok(text) => write!(f, "{}", text.escape_debug()),
            Err(_) => write!(f, "{}", self.0.escape_ascii()),
        }
    }
}
