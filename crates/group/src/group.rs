//! The handle that callers hold, and the synchronous half of the read path.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use gaggle_limiter::{BreakerOptions, BreakerState, ByteBudget, Limit, Limiter};
use gaggle_singleflight::{FlightError, Flights, Options as FlightOptions, Waiter};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use self::flight::Outcome;
use self::many::Parties;
use crate::builder::Parts;
use crate::failures::Failures;
use crate::freshness::Expiries;
use crate::removal::log::Log;
use crate::stats::Counters;
use crate::tiers::Remembered;
use crate::{
    Answer, CacheStats, Clock, Error, FreshnessPolicy, GroupBuilder, Key, Limits, OriginQueue,
    RemovalId, Route, Router, Stats, Store,
};

mod fetch;
mod flight;
mod follow;
mod hand_over;
mod load;
mod many;
mod removal;

pub use follow::Contact;
pub use hand_over::HandedOver;
pub use removal::{Missed, Removal};

/// A named set of keys with one origin behind it. A cheap-clone handle; all clones are one group.
///
/// Gets that miss need a tokio runtime: a load runs as a task of its own.
#[derive(Clone)]
pub struct Group {
    inner: Arc<Inner>,
}

fn origin_queue(limiter: &gaggle_limiter::Stats) -> OriginQueue {
    OriginQueue {
        limit: limiter.limit,
        running: limiter.in_use,
        given_up: limiter.given_up,
        waiting: limiter.queued,
        breaker_open: limiter.breaker != BreakerState::Closed,
        breaker_opened: limiter.opened,
    }
}

fn origin_limiter(name: &str, limits: &Limits) -> Limiter {
    let most = limits.max_origin_loads;
    Limiter::new(gaggle_limiter::Options {
        name: name.into(),
        limit: if limits.adapt_origin_loads {
            Limit::Auto { most }
        } else {
            Limit::Fixed(most)
        },
        max_wait: limits.wait_for_origin(),
        // Flights are counted already.
        max_queue: limits.max_loads,
        grace: limits.grace(),
        breaker: limits.circuit_breaker.then(BreakerOptions::default),
    })
}

/// Requests to previous owners at one time.
const HAND_OVER_SLOTS: usize = 64;

/// Whether a get may be passed on to the key's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hop {
    /// It comes from a program: it may be forwarded once.
    First,
    /// A node has forwarded it: it is answered here, whoever owns the key. Otherwise two nodes that disagree about the ring
    /// would wait for each other.
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
    /// Removals of the key that the asker knows ([`Fetch::removals`](crate::Fetch)): they are applied before the answer.
    pub removals: &'a [RemovalId],
    /// Only what is in memory is of use ([`Fetch::kept_only`](crate::Fetch)): otherwise the answer is [`Error::NotKept`].
    pub kept_only: bool,
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
        }
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
}

struct Inner {
    name: Arc<str>,
    limits: Limits,
    freshness: FreshnessPolicy,
    clock: Clock,
    expiries: Expiries,
    failures: Failures,
    tiers: crate::tiers::Tiers,
    origin: Arc<dyn crate::Origin>,
    hot_copies: Arc<dyn crate::HotCopies>,
    /// Read on misses only, and never across an await.
    router: RwLock<Arc<dyn Router>>,
    counters: Counters,
    /// How many loads ask the origin, who waits for that, and who is shed.
    origin_limiter: Limiter,
    /// Requests to previous owners.
    hand_over_slots: Semaphore,
    /// What bodies under way, and answers that are being written, draw on. Shared by the groups of a process.
    in_flight: ByteBudget,
    /// Loads from the origin. Whatever path leads there, at most one runs for a key.
    loads: Flights<Key, Outcome>,
    /// Fetches from the owners of keys. Apart from `loads`, so that a request which a peer has forwarded to us never
    /// waits for a fetch of ours, which may be waiting for that very peer.
    fetches: Flights<Key, Outcome>,
    /// Removals known here.
    log: Mutex<Log>,
    /// When each of the other nodes last told its removals.
    heard: Mutex<BTreeMap<Arc<str>, Option<Instant>>>,
    /// Whether all of them have been asked once.
    has_followed: AtomicBool,
}

impl Group {
    /// Starts a group of that name.
    pub fn builder(name: impl Into<String>) -> GroupBuilder {
        GroupBuilder::new(name.into())
    }

    pub(crate) fn from_parts(parts: Parts) -> Self {
        Self {
            inner: Arc::new(Inner {
                origin_limiter: origin_limiter(&parts.name, &parts.limits),
                hand_over_slots: Semaphore::new(HAND_OVER_SLOTS),
                in_flight: parts.in_flight,
                name: parts.name,
                limits: parts.limits,
                freshness: parts.freshness,
                clock: parts.clock,
                expiries: Expiries::default(),
                failures: Failures::default(),
                tiers: parts.tiers,
                origin: parts.origin,
                hot_copies: parts.hot_copies,
                router: RwLock::new(parts.router),
                counters: Counters::default(),
                loads: Flights::with_options(FlightOptions {
                    count_waiters: true,
                    ..FlightOptions::default()
                }),
                fetches: Flights::default(),
                log: removal::new_log(),
                heard: Mutex::default(),
                has_followed: AtomicBool::new(false),
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

    /// What bodies under way, and answers that are being written, draw on.
    pub fn in_flight(&self) -> &ByteBudget {
        &self.inner.in_flight
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

    /// How long it serves what it loads.
    pub fn freshness(&self) -> &FreshnessPolicy {
        &self.inner.freshness
    }

    /// The value of `key`.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if the origin has no such key; otherwise why there is no answer.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Bytes, Error> {
        let key = key.as_ref();
        let answer = match self.cached(key) {
            Some(hit) => hit,
            None => self.begin_miss(key).await?,
        };
        answer.value.ok_or_else(|| Error::NotFound {
            group: self.inner.name.clone(),
        })
    }

    /// Boxed, so that a hit does not carry the room that a miss needs.
    fn begin_miss<'a>(
        &'a self,
        key: &'a [u8],
    ) -> Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send + 'a>> {
        let wait = self.inner.limits.longest_wait();
        Box::pin(self.miss(key, Hop::First, wait))
    }

    /// The value of `key`, or `None` if the origin has no such key.
    ///
    /// # Errors
    ///
    /// Why there is no answer.
    pub async fn find(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, Error> {
        Ok(self.lookup(key).await?.value)
    }

    /// What there is of `key`, how long it may be served, and where it came from.
    ///
    /// # Errors
    ///
    /// As [`find`](Self::find).
    pub async fn lookup(&self, key: impl AsRef<[u8]>) -> Result<Answer, Error> {
        let key = key.as_ref();
        match self.cached(key) {
            Some(hit) => Ok(hit),
            None => self.begin_miss(key).await,
        }
    }

    /// What there is of `key` if it is in memory and may be served: synchronous, without I/O or waiting. Counts as a get only
    /// where it hits. What is stale or due is loaded again in the background, which needs a tokio runtime.
    #[inline]
    pub fn cached(&self, key: impl AsRef<[u8]>) -> Option<Answer> {
        let key = key.as_ref();
        let Remembered { answer, due } = self.inner.tiers.get(key)?;
        if due {
            self.inner.refresh(key, answer.is_stale());
        }
        Some(answer)
    }

    /// Whether what there is of `key` is in memory. Neither counted nor taken as a use.
    pub fn holds(&self, key: impl AsRef<[u8]>) -> bool {
        self.inner.tiers.peek(key.as_ref()).is_some()
    }

    /// Answers a request that a peer has sent: what a transport's server calls. It waits at most as long as the request says,
    /// and never longer than the load timeout.
    ///
    /// # Errors
    ///
    /// As [`find`](Self::find).
    pub async fn serve(&self, request: Serve<'_>) -> Result<Answer, Error> {
        let key = request.key;
        self.inner.apply_to(key, request.removals);
        if request.kept_only {
            return self.serve_kept(key);
        }
        self.inner.counters.server_requests.fetch_add(1, Relaxed);
        match self.cached(key) {
            Some(hit) => Ok(hit),
            None => {
                let most = self.inner.limits.longest_wait();
                let wait = request.wait.map_or(most, |wait| wait.min(most));
                Box::pin(self.miss(key, request.hop, wait)).await
            }
        }
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

    async fn miss(&self, key: &[u8], hop: Hop, wait: Duration) -> Result<Answer, Error> {
        let inner = &self.inner;
        if let Some(stale) = inner.stale_for_now(key) {
            return Ok(stale);
        }
        let route = || match hop {
            Hop::First => inner.router().route(key),
            Hop::Forwarded => Route::Mine,
        };
        let waiter = inner.join(key, route, None)?;
        let answer = inner.wait(waiter, wait).await;
        inner.or_stale(key, answer)
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
        let absent = cache(&inner.tiers.absent);
        let misses = counters.misses.load(Relaxed);
        Stats {
            gets: main.store.hits + hot.store.hits + absent.store.hits + misses,
            misses,
            stale_revalidating: counters.stale_revalidating.load(Relaxed),
            stale_failed_over: counters.stale_failed_over.load(Relaxed),
            refreshes: counters.refreshes.load(Relaxed),
            not_modified: counters.not_modified.load(Relaxed),
            removals: counters.removals.load(Relaxed),
            taken_over: counters.taken_over.load(Relaxed),
            hedges: counters.hedges.load(Relaxed),
            unvouched_drops: counters.unvouched_drops.load(Relaxed),
            absent,
            collapsed: counters.collapsed.load(Relaxed),
            server_requests: counters.server_requests.load(Relaxed),
            shed: counters.shed.load(Relaxed),
            loads_in_flight: counters.in_flight.load(Relaxed),
            origin: counters.origin.snapshot(),
            origin_queue: origin_queue(&inner.origin_limiter.stats()),
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
                self.join_fetch(key, peer, party, false)
            }
            Route::Mine | Route::Standby => self.join_load(key, false),
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
        self.landed(outcome).map(|answer| Answer {
            collapsed,
            ..answer
        })
    }

    /// Has a value loaded again that may still be served. One flight for a key, in the whole cluster: where another node owns
    /// it, that node is asked for what it has, and decides by itself when to load.
    #[cold]
    fn refresh(self: &Arc<Self>, key: &[u8], stale: bool) {
        if stale {
            self.counters.stale_revalidating.fetch_add(1, Relaxed);
        }
        if self.failures.must_wait(key, || self.clock.now()) {
            return;
        }
        // The flight goes on without a waiter.
        drop(match self.router().route(key) {
            Route::Theirs(peer) => self.join_fetch(key, peer, None, true),
            Route::Mine | Route::Standby => self.join_load(key, true),
        });
    }

    /// A stale value to serve in place of a load that has just failed.
    fn or_stale(&self, key: &[u8], answer: Result<Answer, Error>) -> Result<Answer, Error> {
        match answer {
            Err(failure) if failure.is_failure() => self.stale(key).ok_or(failure),
            answer => answer,
        }
    }

    /// A stale value to serve without a load, as the last one failed a short while ago.
    fn stale_for_now(&self, key: &[u8]) -> Option<Answer> {
        if !self.failures.must_wait(key, || self.clock.now()) {
            return None;
        }
        let stale = self.stale(key)?;
        self.counters.misses.fetch_add(1, Relaxed);
        Some(stale)
    }

    fn stale(&self, key: &[u8]) -> Option<Answer> {
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
