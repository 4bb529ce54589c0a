//! How a group is made.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gaggle_limiter::ByteBudget;
use gaggle_lru::Clock;

use crate::tiers::Tiers;
use crate::{
    FreshnessPolicy, Group, HotCopies, Loaded, LocalOnly, LruStore, Origin, OriginFn, Router,
    Sampled, Store,
};

/// The bounds that a group keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The longest key, in bytes. Default 1 KiB.
    pub max_key: usize,
    /// The largest value, in bytes. Default 8 MiB.
    pub max_value: u64,
    /// How long a load may take once it asks the origin. A caller waits for so long and for `max_wait`. Default 5 s.
    pub load_timeout: Duration,
    /// The most loads that ask the origin at one time; others wait their turn, for `max_wait`. Loads that took too long count
    /// until the origin has answered, or is believed to have given up, too (`origin_grace`). Default 256.
    pub max_origin_loads: usize,
    /// Whether to find out by itself how many loads at a time the origin bears, up to `max_origin_loads`. Default false.
    pub adapt_origin_loads: bool,
    /// How long a load may wait before it asks the origin; then it is shed. Under overload it is shed sooner. Default, with
    /// `None`: a fifth of `load_timeout`.
    pub max_wait: Option<Duration>,
    /// For how long after `load_timeout` an origin that has not answered is taken to be at work on the load. Default, with
    /// `None`: one and a half times `load_timeout`, but between one second and five.
    pub origin_grace: Option<Duration>,
    /// Whether an origin that fails again and again is left alone for a moment, half a second to four. Default true.
    pub circuit_breaker: bool,
    /// The most loads under way, from the origin and from peers; a get beyond them is shed. Default 65,536.
    pub max_loads: usize,
    /// What a caller that is shed is told to wait. Default 1 s.
    pub retry_after: Duration,
    /// How long a value may be served that this node loaded in place of an owner that could not be asked. Such values
    /// are kept with the hot copies. Zero keeps none. Default 1 minute, as copies live.
    pub stand_in_ttl: Duration,
    /// How long a load waits for the node that kept the key before the ring changed, before it asks the origin. Default 250 ms.
    pub hand_over_timeout: Duration,
    /// How long a removal, or a value given to the owner of a key, waits for each of the other nodes, all at once. Default
    /// 1 s.
    pub removal_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_key: 1 << 10,
            max_value: 8 << 20,
            load_timeout: Duration::from_secs(5),
            max_origin_loads: 256,
            adapt_origin_loads: false,
            max_wait: None,
            origin_grace: None,
            circuit_breaker: true,
            max_loads: 1 << 16,
            retry_after: Duration::from_secs(1),
            stand_in_ttl: Duration::from_secs(60),
            hand_over_timeout: Duration::from_millis(250),
            removal_timeout: Duration::from_secs(1),
        }
    }
}

/// Longer spans are taken for this one: sums of times stay within what a clock can tell.
pub(crate) const AGES: Duration = Duration::from_secs(60 * 60 * 24 * 365);

impl Limits {
    fn bounded(self) -> Self {
        Self {
            load_timeout: self.load_timeout.min(AGES),
            max_wait: self.max_wait.map(|wait| wait.min(AGES)),
            origin_grace: self.origin_grace.map(|grace| grace.min(AGES)),
            hand_over_timeout: self.hand_over_timeout.min(AGES),
            removal_timeout: self.removal_timeout.min(AGES),
            ..self
        }
    }

    /// How long a load may wait before it asks the origin.
    #[must_use]
    pub fn wait_for_origin(&self) -> Duration {
        self.max_wait.unwrap_or(self.load_timeout / 5)
    }

    /// How long a caller waits for an answer.
    #[must_use]
    pub fn longest_wait(&self) -> Duration {
        self.load_timeout.saturating_add(self.wait_for_origin())
    }

    /// For how long after `load_timeout` a load counts as under way at the origin.
    pub(crate) fn grace(&self) -> Duration {
        let grace = self.load_timeout.saturating_mul(3) / 2;
        let bounded = grace.clamp(Duration::from_secs(1), Duration::from_secs(5));
        self.origin_grace.unwrap_or(bounded)
    }
}

/// Why a group cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A group without an origin could answer nothing.
    #[error("group {group}: no origin was given")]
    NoOrigin {
        /// The group's name.
        group: String,
    },
    /// The name cannot be part of a URL path.
    #[error(
        "{name:?} is no name for a group: it takes 1 to 128 bytes without '/' or control characters, and is neither '.' nor '..'"
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// A share is not between 0 and 1.
    #[error("group {group}: {field} is a share, from 0 to 1")]
    NoShare {
        /// The group's name.
        group: String,
        /// The field of [`FreshnessPolicy`].
        field: &'static str,
    },
    /// A bound is zero that cannot be.
    #[error("group {group}: {field} must be more than zero")]
    Zero {
        /// The group's name.
        group: String,
        /// The field of [`Limits`] or of the builder.
        field: &'static str,
    },
}

/// Collects what a group needs; [`Group::builder`] starts it.
#[must_use]
pub struct GroupBuilder {
    name: String,
    capacity: u64,
    limits: Limits,
    freshness: FreshnessPolicy,
    clock: Clock,
    origin: Option<Arc<dyn Origin>>,
    router: Arc<dyn Router>,
    hot_copies: Arc<dyn HotCopies>,
    stores: Option<(Arc<dyn Store>, Arc<dyn Store>)>,
    in_flight: Option<ByteBudget>,
}

/// What a group is made of, checked.
pub(crate) struct Parts {
    pub(crate) name: Arc<str>,
    pub(crate) limits: Limits,
    pub(crate) freshness: FreshnessPolicy,
    pub(crate) clock: Clock,
    pub(crate) tiers: Tiers,
    pub(crate) origin: Arc<dyn Origin>,
    pub(crate) router: Arc<dyn Router>,
    pub(crate) hot_copies: Arc<dyn HotCopies>,
    pub(crate) in_flight: ByteBudget,
}

impl GroupBuilder {
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            capacity: 64 << 20,
            limits: Limits::default(),
            freshness: FreshnessPolicy::default(),
            clock: Clock::monotonic(),
            origin: None,
            router: Arc::new(LocalOnly::default()),
            hot_copies: Arc::new(Sampled::default()),
            stores: None,
            in_flight: None,
        }
    }

    /// The bytes that the caches may hold: keys, values and the bookkeeping of both, main and hot copies together.
    /// Default 64 MiB.
    pub fn capacity(mut self, bytes: u64) -> Self {
        self.capacity = bytes;
        self
    }

    /// Where values come from.
    pub fn origin(mut self, origin: impl Origin) -> Self {
        self.origin = Some(Arc::new(origin));
        self
    }

    /// The same, already shared.
    pub fn origin_arc(mut self, origin: Arc<dyn Origin>) -> Self {
        self.origin = Some(origin);
        self
    }

    /// Values from an async closure: `Ok(Some(value))`, `Ok(None)` for "no such key", or an error.
    pub fn origin_fn<F, Fut, V, E>(self, load: F) -> Self
    where
        F: Fn(Bytes) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Option<V>, E>> + Send + 'static,
        V: Into<Loaded> + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        self.origin(OriginFn::new(load))
    }

    /// Who owns which key. Default: this node owns all. [`Group::set_router`] can say so later.
    pub fn router(mut self, router: Arc<dyn Router>) -> Self {
        self.router = router;
        self
    }

    /// Which values of other nodes to keep. Default [`Sampled`], one in ten.
    pub fn hot_copies(mut self, policy: impl HotCopies) -> Self {
        self.hot_copies = Arc::new(policy);
        self
    }

    /// How long a value may be served after its load, where the origin does not say. Default: for ever, as groupcache.
    pub fn ttl(mut self, ttl: Option<Duration>) -> Self {
        self.freshness.ttl = ttl;
        self
    }

    /// Everything about how long values may be served, the [ttl](Self::ttl) included.
    pub fn freshness(mut self, policy: FreshnessPolicy) -> Self {
        self.freshness = policy;
        self
    }

    /// Every other bound.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The clock that values age by. Default: the operating system's monotonic one.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Other stores than the LRU. Each must by itself stay within the group's capacity.
    pub fn stores(mut self, main: Arc<dyn Store>, hot: Arc<dyn Store>) -> Self {
        self.stores = Some((main, hot));
        self
    }

    /// What bodies under way and answers that are being written draw on; one for all groups of a process. Default: one of the
    /// group's own without a limit.
    pub fn in_flight(mut self, budget: ByteBudget) -> Self {
        self.in_flight = Some(budget);
        self
    }

    /// The group.
    ///
    /// # Errors
    ///
    /// If there is no origin, the name cannot be part of a URL, or a bound is zero.
    pub fn build(self) -> Result<Group, BuildError> {
        let bad_name = self.name.is_empty()
            || self.name.len() > 128
            || self.name.chars().any(|c| c == '/' || c.is_control())
            || self.name == "."
            || self.name == "..";
        if bad_name {
            return Err(BuildError::BadName { name: self.name });
        }
        let bounds = [
            ("capacity", self.capacity == 0),
            ("max_value", self.limits.max_value == 0),
            ("load_timeout", self.limits.load_timeout.is_zero()),
            ("max_origin_loads", self.limits.max_origin_loads == 0),
            ("max_loads", self.limits.max_loads == 0),
            ("ttl", self.freshness.ttl.is_some_and(|ttl| ttl.is_zero())),
        ];
        if let Some((field, _)) = bounds.into_iter().find(|(_, zero)| *zero) {
            return Err(BuildError::Zero {
                group: self.name,
                field,
            });
        }
        let shares = [
            ("ttl_jitter", self.freshness.ttl_jitter),
            ("refresh_ahead", self.freshness.refresh_ahead),
        ];
        if let Some((field, _)) = shares.into_iter().find(|(_, s)| !(0.0..=1.0).contains(s)) {
            return Err(BuildError::NoShare {
                group: self.name,
                field,
            });
        }
        let Some(origin) = self.origin else {
            return Err(BuildError::NoOrigin { group: self.name });
        };
        let capacity = self.capacity;
        let (main, hot) = self.stores.unwrap_or_else(|| {
            let store =
                || -> Arc<dyn Store> { Arc::new(LruStore::new(capacity, self.clock.clone())) };
            (store(), store())
        });
        Ok(Group::from_parts(Parts {
            name: self.name.into(),
            limits: self.limits.bounded(),
            freshness: self.freshness,
            tiers: Tiers {
                main,
                hot,
                absent: LruStore::new(capacity / Tiers::ABSENT_ONE_IN, self.clock.clone()),
                capacity,
            },
            clock: self.clock,
            origin,
            router: self.router,
            hot_copies: self.hot_copies,
            in_flight: self.in_flight.unwrap_or_else(ByteBudget::unlimited),
        }))
    }
}
