//! What runs inside a flight: a load from the origin, or a fetch from the key's owner.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use gaggle_singleflight::{Ticket, Waiter};
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

use super::Inner;
use crate::stats::{Counters, LoadCounters, LoadEnd};
use crate::tiers::Tier;
use crate::{
    Error, Fetch, Fetched, Guest, Key, Loaded, OriginError, Party, Peer, PeerError, Route, Source,
    Verdict,
};

/// What a flight brings to everyone who waits for it; `Ok(None)` is "not found".
pub(super) type Outcome = Result<Option<Arrived>, Error>;

#[derive(Debug, Clone)]
pub(super) struct Arrived {
    pub(super) loaded: Loaded,
    pub(super) source: Source,
}

impl Inner {
    /// Joins the load of `key` from the origin, or starts it.
    pub(super) fn join_load(self: &Arc<Self>, key: &[u8]) -> Waiter<Outcome> {
        self.loads.join(key, |ticket| {
            let (inner, key) = (Arc::clone(self), Key::copy_from_slice(key));
            let running = InFlight::enter(self);
            async move {
                let _running = running?;
                match inner.found_after_all(&key) {
                    Some(arrived) => Ok(Some(arrived)),
                    None => inner.load(&key, &ticket).await,
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
    ) -> Waiter<Outcome> {
        self.fetches.join(key, |ticket| {
            let (inner, key) = (Arc::clone(self), Key::copy_from_slice(key));
            let running = InFlight::enter(self);
            let guest = party.map(Party::invite);
            async move {
                let _running = running?;
                match inner.found_after_all(&key) {
                    Some(arrived) => Ok(Some(arrived)),
                    None => inner.fetch(&key, &*peer, &ticket, guest).await,
                }
            }
        })
    }

    /// Looks at the cache again before a flight loads. Without this a key could be loaded twice: A misses; B's flight,
    /// which began before, fills the cache and frees its slot; A then finds no flight to join and starts one.
    fn found_after_all(&self, key: &[u8]) -> Option<Arrived> {
        let (source, cached) = self.tiers.peek(key)?;
        let loaded = Loaded {
            value: cached.value,
            ttl: cached.ttl,
        };
        Some(Arrived { loaded, source })
    }

    async fn load(&self, key: &Key, ticket: &Ticket<Key, Outcome>) -> Outcome {
        let limits = &self.limits;
        let timer = LoadTimer::start(&self.counters.origin);
        let asked = timeout(limits.load_timeout, async {
            // Err would mean that the semaphore is closed, which nobody does.
            let _slot = self.origin_slots.acquire().await;
            debug!(node = %self.me(), group = %self.name, key = %Printable(key), "asking the origin");
            self.origin.load(key, limits.max_value).await
        })
        .await;
        let found = match asked {
            Ok(Ok(found)) => found,
            Ok(Err(failure)) => return Err(self.origin_failed(failure)),
            Err(_) => {
                warn!(group = %self.name, after = ?limits.load_timeout, "the origin did not answer in time");
                return Err(self.deadline(limits.load_timeout));
            }
        };
        let Some(mut loaded) = found else {
            timer.end(LoadEnd::NotFound);
            return Ok(None);
        };
        self.check_value(&loaded)?;
        timer.end(LoadEnd::Ok);
        loaded.ttl = loaded.ttl.or(self.ttl);
        // Asked now and not when the load began: the ring may have changed meanwhile.
        match self.router().route(key) {
            Route::Mine => self.keep(ticket, Tier::Main, key, &loaded),
            // Loaded in place of the owner. It must not enter the main cache, which is for what this node owns; but
            // while the owner is away a short-lived copy spares the origin one load for each get.
            Route::Theirs(_) | Route::Standby if !limits.stand_in_ttl.is_zero() => {
                let ttl = loaded
                    .ttl
                    .map_or(limits.stand_in_ttl, |ttl| ttl.min(limits.stand_in_ttl));
                loaded.ttl = Some(ttl);
                self.keep(ticket, Tier::Hot, key, &loaded);
            }
            Route::Theirs(_) | Route::Standby => {}
        }
        Ok(Some(Arrived {
            loaded,
            source: Source::Origin,
        }))
    }

    async fn fetch(
        self: &Arc<Self>,
        key: &Key,
        peer: &dyn Peer,
        ticket: &Ticket<Key, Outcome>,
        guest: Option<Guest>,
    ) -> Outcome {
        let limits = &self.limits;
        let timer = LoadTimer::start(&self.counters.peer);
        debug!(node = %self.me(), group = %self.name, key = %Printable(key), peer = peer.name(), "picked peer");
        let fetch = Fetch {
            group: &self.name,
            key,
            max_value: limits.max_value,
            deadline: limits.load_timeout,
            party: guest.as_ref(),
        };
        let fetched = timeout(limits.load_timeout, peer.fetch(fetch)).await;
        // A peer that failed at once must not keep the others waiting while this node loads in its place.
        drop(guest);
        let failure = match fetched {
            Ok(Ok(Fetched::Found(loaded))) => {
                self.check_value(&loaded)?;
                timer.end(LoadEnd::Ok);
                let loaded = Loaded {
                    ttl: loaded.ttl.or(self.ttl),
                    ..loaded
                };
                if self.hot_copies.keep(key) {
                    self.keep(ticket, Tier::Hot, key, &loaded);
                }
                return Ok(Some(Arrived {
                    loaded,
                    source: Source::Peer,
                }));
            }
            Ok(Ok(Fetched::NotFound)) => {
                timer.end(LoadEnd::NotFound);
                return Ok(None);
            }
            Ok(Err(failure)) => failure,
            Err(_) => PeerError::Unavailable {
                peer: peer.name().into(),
                reason: format!("no answer within {:?}", limits.load_timeout).into(),
            },
        };
        drop(timer);
        match failure {
            PeerError::Verdict { peer, verdict } => Err(self.verdict(key, peer, verdict)),
            PeerError::Unavailable { .. } | PeerError::Refused { .. } => {
                warn!(group = %self.name, error = %failure, "a peer failed; loading in its place");
                // Through the table of loads: a request that a peer forwards to us may be loading the same key.
                self.landed(self.join_load(key).await)
            }
        }
    }

    /// Puts a value into a cache, unless the key has been removed since this flight began. The test and the insertion
    /// are one step under the flight table's lock. A removal detaches the flight first and then empties the caches, so
    /// either this insertion comes before and is removed, or it does not happen.
    fn keep(&self, ticket: &Ticket<Key, Outcome>, tier: Tier, key: &Key, loaded: &Loaded) {
        ticket.if_current(|| {
            self.tiers
                .insert(tier, key, loaded.value.clone(), loaded.ttl)
        });
    }

    fn check_value(&self, loaded: &Loaded) -> Result<(), Error> {
        let (len, limit) = (loaded.value.len() as u64, self.limits.max_value);
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
