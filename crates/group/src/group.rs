//! The handle that callers hold, and the synchronous half of the read path.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use gaggle_singleflight::{FlightError, Flights, Waiter};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::flight::{Arrived, Outcome};
use self::many::Parties;
use crate::builder::Parts;
use crate::stats::Counters;
use crate::{Answer, CacheStats, Error, GroupBuilder, Key, Limits, Route, Router, Stats, Store};

mod flight;
mod many;
mod removal;

pub use removal::{Missed, Removal};

/// A named set of keys with one origin behind it. A cheap-clone handle; all clones are one group.
///
/// Gets that miss need a tokio runtime: a load runs as a task of its own.
#[derive(Clone)]
pub struct Group {
    inner: Arc<Inner>,
}

/// Whether a get may be passed on to the key's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hop {
    /// It comes from a program: it may be forwarded once.
    First,
    /// A node has forwarded it: it is answered here, whoever owns the key. Two nodes that disagree about the ring would
    /// else wait for each other.
    Forwarded,
}

struct Inner {
    name: Arc<str>,
    limits: Limits,
    ttl: Option<Duration>,
    tiers: crate::tiers::Tiers,
    origin: Arc<dyn crate::Origin>,
    hot_copies: Arc<dyn crate::HotCopies>,
    /// Read on misses only, and never across an await.
    router: RwLock<Arc<dyn Router>>,
    counters: Counters,
    origin_slots: Semaphore,
    /// Loads from the origin. Whatever path leads there, at most one runs for a key.
    loads: Flights<Key, Outcome>,
    /// Fetches from the owners of keys. Apart from `loads`, so that a request which a peer has forwarded to us never
    /// waits for a fetch of ours, which may be waiting for that very peer.
    fetches: Flights<Key, Outcome>,
}

impl Group {
    /// Starts a group of that name.
    pub fn builder(name: impl Into<String>) -> GroupBuilder {
        GroupBuilder::new(name.into())
    }

    pub(crate) fn from_parts(parts: Parts) -> Self {
        Self {
            inner: Arc::new(Inner {
                origin_slots: Semaphore::new(
                    parts.limits.max_origin_loads.min(Semaphore::MAX_PERMITS),
                ),
                name: parts.name,
                limits: parts.limits,
                ttl: parts.ttl,
                tiers: parts.tiers,
                origin: parts.origin,
                hot_copies: parts.hot_copies,
                router: RwLock::new(parts.router),
                counters: Counters::default(),
                loads: Flights::default(),
                fetches: Flights::default(),
            }),
        }
    }

    /// The group's name.
    pub fn name(&self) -> &Arc<str> {
        &self.inner.name
    }

    /// The bounds that it keeps.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// Who owns which key, as of now.
    pub fn router(&self) -> Arc<dyn Router> {
        self.inner.router()
    }

    /// Makes another router answer from now on: the group joins a cluster. Loads under way end as they began.
    pub fn set_router(&self, router: Arc<dyn Router>) {
        *self
            .inner
            .router
            .write()
            .unwrap_or_else(PoisonError::into_inner) = router;
    }

    /// The value of `key`.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if the origin has no such key; else why it could not be had.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Bytes, Error> {
        Ok(self.lookup(key.as_ref()).await?.value)
    }

    /// The value of `key`, and where it came from.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn lookup(&self, key: &[u8]) -> Result<Answer, Error> {
        match self.cached(key) {
            Some(hit) => Ok(hit),
            // Boxed, so that a hit does not carry the room that a miss needs.
            None => {
                let wait = self.inner.limits.load_timeout;
                Box::pin(self.miss(key, Hop::First, wait)).await
            }
        }
    }

    /// The value of `key` if it is in memory: synchronous, without I/O or waiting. Counts as a get only where it hits.
    pub fn cached(&self, key: &[u8]) -> Option<Answer> {
        let (source, cached) = self.inner.tiers.get(key)?;
        Some(Answer {
            value: cached.value,
            source,
            collapsed: false,
            ttl: cached.ttl,
        })
    }

    /// Answers a request that a peer has sent: what a transport's server calls. It waits at most `wait`, and never
    /// longer than the load timeout.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn serve(
        &self,
        key: &[u8],
        hop: Hop,
        wait: Option<Duration>,
    ) -> Result<Answer, Error> {
        self.inner.counters.server_requests.fetch_add(1, Relaxed);
        match self.cached(key) {
            Some(hit) => Ok(hit),
            None => {
                let most = self.inner.limits.load_timeout;
                let wait = wait.map_or(most, |wait| wait.min(most));
                Box::pin(self.miss(key, hop, wait)).await
            }
        }
    }

    async fn miss(&self, key: &[u8], hop: Hop, wait: Duration) -> Result<Answer, Error> {
        let inner = &self.inner;
        let route = || match hop {
            Hop::First => inner.router().route(key),
            Hop::Forwarded => Route::Mine,
        };
        let waiter = inner.join(key, route, None)?;
        inner.wait(waiter, wait).await
    }

    /// A snapshot of the counters.
    pub fn stats(&self) -> Stats {
        let inner = &self.inner;
        let counters = &inner.counters;
        let cache = |store: &dyn Store| CacheStats {
            bytes: store.bytes(),
            entries: store.len(),
            store: store.stats(),
        };
        let main = cache(&*inner.tiers.main);
        let hot = cache(&*inner.tiers.hot);
        let misses = counters.misses.load(Relaxed);
        Stats {
            gets: main.store.hits + hot.store.hits + misses,
            misses,
            collapsed: counters.collapsed.load(Relaxed),
            server_requests: counters.server_requests.load(Relaxed),
            shed: counters.shed.load(Relaxed),
            loads_in_flight: counters.in_flight.load(Relaxed),
            origin: counters.origin.snapshot(),
            peer: counters.peer.snapshot(),
            main,
            hot,
            limit_bytes: inner.tiers.capacity,
        }
    }
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group")
            .field("name", &self.inner.name)
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn router(&self) -> Arc<dyn Router> {
        Arc::clone(&self.router.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// This node's name, for a log line; asked for only if the line is written.
    fn me(&self) -> Arc<str> {
        let members = self.router().members();
        members
            .into_iter()
            .find(|member| member.is_self)
            .map_or_else(|| "?".into(), |me| me.name)
    }

    fn check_key(&self, key: &[u8]) -> Result<(), Error> {
        let limit = self.limits.max_key;
        if key.len() > limit {
            return Err(Error::KeyTooLong {
                group: self.name.clone(),
                len: key.len(),
                limit,
            });
        }
        Ok(())
    }

    /// Joins the flight of a key that is not in memory, or starts it.
    fn join(
        self: &Arc<Self>,
        key: &[u8],
        route: impl FnOnce() -> Route,
        parties: Option<&mut Parties>,
    ) -> Result<Waiter<Outcome>, Error> {
        self.counters.misses.fetch_add(1, Relaxed);
        self.check_key(key)?;
        let waiter = match route() {
            Route::Theirs(peer) => {
                self.hot_copies.asked(key);
                let party = parties.map(|parties| parties.of(&peer));
                self.join_fetch(key, peer, party)
            }
            Route::Mine | Route::Standby => self.join_load(key),
        };
        if !waiter.led() {
            self.counters.collapsed.fetch_add(1, Relaxed);
        }
        Ok(waiter)
    }

    /// Waits for a flight, for as long as this caller cares to; the flight goes on regardless.
    async fn wait(&self, waiter: Waiter<Outcome>, wait: Duration) -> Result<Answer, Error> {
        let collapsed = !waiter.led();
        match timeout(wait, waiter).await {
            Ok(outcome) => self.answer(outcome, collapsed),
            Err(_) => Err(self.deadline(wait)),
        }
    }

    /// What a flight brings to one of those who wait for it.
    fn answer(
        &self,
        outcome: Result<Outcome, FlightError>,
        collapsed: bool,
    ) -> Result<Answer, Error> {
        match self.landed(outcome)? {
            Some(Arrived { loaded, source }) => Ok(Answer {
                value: loaded.value,
                source,
                collapsed,
                ttl: loaded.ttl,
            }),
            None => Err(Error::NotFound {
                group: self.name.clone(),
            }),
        }
    }

    /// What a flight came to, with the flight's own failures told in the group's terms.
    fn landed(&self, outcome: Result<Outcome, FlightError>) -> Outcome {
        outcome.unwrap_or_else(|failure| {
            let group = self.name.clone();
            Err(match failure {
                FlightError::Panicked { message } => Error::Panicked { group, message },
                _ => Error::Cancelled { group },
            })
        })
    }

    fn deadline(&self, after: Duration) -> Error {
        Error::Deadline {
            group: self.name.clone(),
            after,
        }
    }
}
