//! The handle that callers hold, and the synchronous half of the read path.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use gaggle_limiter::{ByteBudget, Limiter};
use gaggle_singleflight::{Flights, Options as FlightOptions};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use self::flight::Outcome;
use self::gather::Gathering;
use self::reconfigure::limiter_options;
use crate::builder::Parts;
use crate::failures::Failures;
use crate::freshness::Expiries;
use crate::popular::Popular;
use crate::rate::Rates;
use crate::removal::log::Log;
use crate::stats::Counters;
use crate::tiers::Remembered;
use crate::{
    Answer, Clock, Error, GroupBuilder, HotCopies, HotKeys, Key, Propagation, Router, Settings,
    Terms,
};

mod fetch;
mod flight;
mod follow;
mod gather;
mod hand_over;
mod load;
mod many;
mod miss;
mod reconfigure;
mod removal;
mod serve;
mod snapshot;
mod spans;
mod warm;

pub use follow::Contact;
pub use hand_over::HandedOver;
pub use removal::{Missed, Removal};
pub use serve::{Hop, Serve, Served};

/// A named set of keys with one origin behind it. A cheap-clone handle; all clones are one group.
///
/// Gets that miss need a tokio runtime with its timer enabled: a load becomes a task of its own
/// when its caller is dropped.
#[derive(Clone)]
pub struct Group {
    inner: Arc<Inner>,
}

/// Concurrent requests to previous owners.
const HAND_OVER_SLOTS: usize = 64;

struct Inner {
    name: Arc<str>,
    /// Read on misses only, and never across an await.
    settings: RwLock<Arc<Settings>>,
    /// Held while they change.
    reconfiguring: Mutex<()>,
    clock: Clock,
    expiries: Expiries,
    failures: Failures,
    tiers: crate::tiers::Tiers,
    origin: Arc<dyn crate::Origin>,
    hot_copies: RwLock<Arc<dyn HotCopies>>,
    /// The rates of the keys that peers fetch from this node as their owner.
    rates: Rates,
    /// The keys that are requested most.
    popular: Popular,
    /// Read on misses only, and never across an await.
    router: RwLock<Arc<dyn Router>>,
    counters: Counters,
    /// The follower of the changes of the origin's source.
    follower: Mutex<Option<snapshot::AskFollower>>,
    /// Limits the loads that ask the origin: how many run, which wait, and which are shed.
    origin_limiter: Limiter,
    /// Loads that wait to ask the origin, if it takes several keys per request.
    gathering: Gathering,
    /// Requests to previous owners.
    hand_over_slots: Semaphore,
    /// The byte budget of running transfers and of answers that are being written. Shared by the
    /// groups of a process.
    in_flight: ByteBudget,
    propagation: Option<Arc<dyn Propagation>>,
    /// Loads from the origin. At most one runs for a key, whatever started it.
    loads: Flights<Key, Outcome>,
    /// Fetches from the owners of keys. Separate from `loads`, so that a request which a peer has
    /// forwarded to us never waits for a fetch of ours, which may be waiting for that same peer.
    fetches: Flights<Key, Outcome>,
    /// Removals known to this node.
    log: Mutex<Log>,
    /// When each of the other nodes last reported its removals.
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
                origin_limiter: Limiter::new(limiter_options(
                    &parts.name,
                    &parts.settings.limits,
                    parts.origin.max_batch(),
                )),
                gathering: Gathering::default(),
                hand_over_slots: Semaphore::new(HAND_OVER_SLOTS),
                in_flight: parts.in_flight,
                propagation: parts.propagation,
                name: parts.name,
                settings: RwLock::new(Arc::new(parts.settings)),
                reconfiguring: Mutex::default(),
                rates: Rates::new(parts.tiers.capacity(), parts.clock.clone()),
                popular: Popular::new(parts.clock.clone()),
                clock: parts.clock,
                expiries: Expiries::default(),
                failures: Failures::default(),
                tiers: parts.tiers,
                origin: parts.origin,
                hot_copies: RwLock::new(parts.hot_copies),
                router: RwLock::new(parts.router),
                counters: Counters::default(),
                follower: Mutex::default(),
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

    /// The byte budget of running transfers and of answers that are being written.
    pub fn in_flight(&self) -> &ByteBudget {
        &self.inner.in_flight
    }

    /// The current router, which knows the owner of each key.
    pub fn router(&self) -> Arc<dyn Router> {
        self.inner.router()
    }

    /// Uses another router from now on: the group joins a cluster. Running loads are not affected.
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
    /// [`Error::NotFound`] if the origin has no such key; otherwise the reason for the failure.
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

    /// The value of `key`, or `None` if the origin has no such key.
    ///
    /// # Errors
    ///
    /// The reason why there is no answer.
    pub async fn find(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, Error> {
        Ok(self.lookup(key).await?.value)
    }

    /// The value of `key` or its absence, how long it may be served, and its source.
    ///
    /// # Errors
    ///
    /// As for [`find`](Self::find).
    pub async fn lookup(&self, key: impl AsRef<[u8]>) -> Result<Answer, Error> {
        let key = key.as_ref();
        match self.cached(key) {
            Some(hit) => Ok(hit),
            None => self.begin_miss(key).await,
        }
    }

    /// Looks up a `key` for which [`cached`](Self::cached) has just returned nothing:
    /// [`lookup`](Self::lookup) without its first check of the memory. For callers that handle
    /// each miss, for example by opening a span around it.
    ///
    /// # Errors
    ///
    /// As for [`find`](Self::find).
    pub async fn lookup_missed(&self, key: impl AsRef<[u8]>) -> Result<Answer, Error> {
        self.begin_miss(key.as_ref()).await
    }

    /// Like [`lookup_missed`](Self::lookup_missed), on these terms.
    ///
    /// # Errors
    ///
    /// As for [`find`](Self::find); [`Error::Deadline`] also if the terms end the wait.
    pub async fn lookup_missed_on(
        &self,
        key: impl AsRef<[u8]>,
        terms: Terms,
    ) -> Result<Answer, Error> {
        self.begin_miss_on(key.as_ref(), terms).await
    }

    /// The answer that [`cached`](Self::cached) would give, for a caller that does not need the
    /// value: counted neither as a get nor as a use of the entry.
    pub fn peek(&self, key: impl AsRef<[u8]>) -> Option<Answer> {
        let key = key.as_ref();
        let Remembered { answer, due } = self.inner.tiers.peek(key)?;
        if !answer.freshness.is_servable() {
            return None;
        }
        if due {
            // No get was served a stale value, so none is counted.
            self.inner.refresh(key, false);
        }
        Some(answer)
    }

    /// The answer for `key` if it is in memory and may be served: synchronous, without I/O or
    /// waiting. Counts as a get only if it hits. A stale or due value is loaded again in the
    /// background, which needs a tokio runtime.
    #[inline]
    pub fn cached(&self, key: impl AsRef<[u8]>) -> Option<Answer> {
        let key = key.as_ref();
        let Remembered { answer, due } = self.inner.tiers.get(key)?;
        self.inner.popular.asked(key);
        if due {
            self.inner.refresh(key, answer.is_stale());
        }
        Some(answer)
    }

    /// The keys that this node's callers and peers request most, over the last minutes: at most
    /// `most`, the hottest first. They come from a bounded sketch of one get in 64 and of keys of
    /// up to 1 KiB. Keys are for operators only: they do not belong in any metric or log.
    pub fn hot_keys(&self, most: usize) -> HotKeys {
        self.inner.popular.hottest(most)
    }

    /// The entry of `key` in memory, even if it may only be served after a failed load.
    pub(crate) fn peeked(&self, key: &[u8]) -> Option<Answer> {
        self.inner.tiers.peek(key).map(|kept| kept.answer)
    }

    /// Whether `key` is in memory. Neither counted nor a use.
    pub fn holds(&self, key: impl AsRef<[u8]>) -> bool {
        self.inner.tiers.peek(key.as_ref()).is_some()
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

    /// This node's name, for a log line; read only if the line is written.
    fn me(&self) -> Arc<str> {
        let members = self.router().members();
        members
            .into_iter()
            .find(|member| member.is_self)
            .map_or_else(|| "?".into(), |me| me.name)
    }

    fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn hot_copies(&self) -> Arc<dyn HotCopies> {
        Arc::clone(
            &self
                .hot_copies
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    fn check_key(&self, key: &[u8]) -> Result<(), Error> {
        let limit = self.settings().limits.max_key;
        if key.len() > limit {
            return Err(Error::KeyTooLong {
                group: self.name.clone(),
                len: key.len(),
                limit,
            });
        }
        Ok(())
    }
}
