//! The builder of a group.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gaggle_limiter::ByteBudget;
use gaggle_shards::Clock;

use crate::tiers::Tiers;
use crate::{
    ByWorth, FreshnessPolicy, Group, HotCopies, Limits, Loaded, LocalOnly, Origin, OriginFn,
    PagedStore, Propagation, Router, Settings, Store,
};

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
    /// A bound is zero that must not be.
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
    settings: Settings,
    clock: Clock,
    origin: Option<Arc<dyn Origin>>,
    router: Arc<dyn Router>,
    hot_copies: Arc<dyn HotCopies>,
    stores: Option<(Arc<dyn Store>, Arc<dyn Store>)>,
    in_flight: Option<ByteBudget>,
    propagation: Option<Arc<dyn Propagation>>,
}

/// What a group is made of, checked.
pub(crate) struct Parts {
    pub(crate) name: Arc<str>,
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) tiers: Tiers,
    pub(crate) origin: Arc<dyn Origin>,
    pub(crate) router: Arc<dyn Router>,
    pub(crate) hot_copies: Arc<dyn HotCopies>,
    pub(crate) in_flight: ByteBudget,
    pub(crate) propagation: Option<Arc<dyn Propagation>>,
}

impl GroupBuilder {
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            settings: Settings::default(),
            clock: Clock::monotonic(),
            origin: None,
            router: Arc::new(LocalOnly::default()),
            hot_copies: Arc::new(ByWorth::default()),
            stores: None,
            in_flight: None,
            propagation: None,
        }
    }

    /// The bytes that the caches may hold: keys, values and the bookkeeping of both, main and hot
    /// copies together. Default 64 MiB.
    pub fn capacity(mut self, bytes: u64) -> Self {
        self.settings.capacity = bytes;
        self
    }

    /// Where values come from.
    pub fn origin(mut self, origin: impl Origin) -> Self {
        self.origin = Some(Arc::new(origin));
        self
    }

    /// Like [`origin`](Self::origin), already shared.
    pub fn origin_arc(mut self, origin: Arc<dyn Origin>) -> Self {
        self.origin = Some(origin);
        self
    }

    /// Loads values with an async closure: `Ok(Some(value))`, `Ok(None)` for "no such key", or an
    /// error.
    pub fn origin_fn<F, Fut, V, E>(self, load: F) -> Self
    where
        F: Fn(Bytes) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Option<V>, E>> + Send + 'static,
        V: Into<Loaded> + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        self.origin(OriginFn::new(load))
    }

    /// The router, which knows the owner of each key. Default: this node owns all.
    /// [`Group::set_router`] can set it later.
    pub fn router(mut self, router: Arc<dyn Router>) -> Self {
        self.router = router;
        self
    }

    /// Which values of other nodes to keep. Default [`ByWorth`]; [`Sampled`](crate::Sampled) is
    /// golang/groupcache's rule.
    pub fn hot_copies(mut self, policy: impl HotCopies) -> Self {
        self.hot_copies = Arc::new(policy);
        self
    }

    /// How long a value may be served after its load, if the origin does not say. Default:
    /// forever, as in groupcache.
    pub fn ttl(mut self, ttl: Option<Duration>) -> Self {
        self.settings.freshness.ttl = ttl;
        self
    }

    /// The whole freshness policy, including the [ttl](Self::ttl).
    pub fn freshness(mut self, policy: FreshnessPolicy) -> Self {
        self.settings.freshness = policy;
        self
    }

    /// All other bounds.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// The clock of expiry. Default: the operating system's monotonic one.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Other stores than those of pages. Each must by itself stay within the group's capacity.
    pub fn stores(mut self, main: Arc<dyn Store>, hot: Arc<dyn Store>) -> Self {
        self.stores = Some((main, hot));
        self
    }

    /// The byte budget of running transfers and of answers that are being written; one for all
    /// groups of a process. Default: one of the group's own without a limit.
    pub fn in_flight(mut self, budget: ByteBudget) -> Self {
        self.in_flight = Some(budget);
        self
    }

    /// Propagates traces to the peers that are asked, and from those that ask. Default: no
    /// propagation; each node has traces of its own.
    pub fn propagation(mut self, propagation: Arc<dyn Propagation>) -> Self {
        self.propagation = Some(propagation);
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
        self.settings.check(&self.name)?;
        let Some(origin) = self.origin else {
            return Err(BuildError::NoOrigin { group: self.name });
        };
        let capacity = self.settings.capacity;
        let (main, hot) = self.stores.unwrap_or_else(|| {
            let store =
                || -> Arc<dyn Store> { Arc::new(PagedStore::new(capacity, self.clock.clone())) };
            (store(), store())
        });
        Ok(Group::from_parts(Parts {
            name: self.name.into(),
            settings: self.settings.bounded(),
            tiers: Tiers::new(main, hot, capacity, self.clock.clone()),
            clock: self.clock,
            origin,
            router: self.router,
            hot_copies: self.hot_copies,
            in_flight: self.in_flight.unwrap_or_else(ByteBudget::unlimited),
            propagation: self.propagation,
        }))
    }
}
