//! Settings, and other ones for a group that serves.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use gaggle_limiter::{BreakerOptions, Limit, Options};
use tracing::warn;

use super::{Group, Inner};
use crate::{FreshnessPolicy, HotCopies, Limits, ReconfigureError, Settings};

impl Group {
    /// The bounds that it keeps, as of now.
    pub fn limits(&self) -> Limits {
        self.inner.settings().limits.clone()
    }

    /// How long it serves what it loads, as of now.
    pub fn freshness(&self) -> FreshnessPolicy {
        self.inner.settings().freshness.clone()
    }

    /// All that [`reconfigure`](Self::reconfigure) can change, as of now.
    pub fn settings(&self) -> Settings {
        Settings::clone(&self.inner.settings())
    }

    /// Makes other settings hold from now on, with a warm cache. The next get and the next load go
    /// by them; a load that is under way goes on with the deadline that it began with.
    ///
    /// - **Freshness.** Where a time becomes longer, what is cached keeps its own expiry. Where
    ///   one becomes shorter, what is cached ends no later than if it had been loaded now: whoever
    ///   shortens a ttl in an emergency knows that, one new ttl later, nothing from before is
    ///   fresh. (It may then be served stale, for the windows of the policy. With
    ///   [`ttl_jitter`](FreshnessPolicy::ttl_jitter), the ends are spread over the last three
    ///   quarters of the ttl.) Only the times that become shorter are lowered, but those of all
    ///   entries: nobody knows any more for which of them an origin had given a longer one. Where
    ///   `negative_ttl` is taken away, absences are dropped.
    /// - **Limits.** With more loads allowed at the origin, those that wait start at once. With
    ///   fewer, those that run go on, and none starts until there is room.
    /// - **Capacity.** A higher one holds at once. For a lower one, what is worth least is evicted
    ///   before this returns, a page at a time; it is then at most that. The caches keep the
    ///   number of locks that they were made with.
    ///
    /// Synchronous, one call after the other. It waits for no load, but shrinking takes a few
    /// seconds for each GiB of small values, and shortening looks at each entry (some 50 to 100 ms
    /// for each million): on an executor, call it in `spawn_blocking`. Gets and loads go on
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// If a group cannot have these settings, or if its stores are others' and of a fixed size.
    /// Nothing has changed then.
    pub fn reconfigure(&self, settings: Settings) -> Result<(), ReconfigureError> {
        self.inner.reconfigure(settings)
    }

    /// Makes another rule decide on hot copies from now on. Copies that are kept stay.
    pub fn set_hot_copies(&self, policy: Arc<dyn HotCopies>) {
        *self
            .inner
            .hot_copies
            .write()
            .unwrap_or_else(PoisonError::into_inner) = policy;
    }
}

impl Inner {
    fn reconfigure(&self, settings: Settings) -> Result<(), ReconfigureError> {
        settings.check(&self.name)?;
        let settings = Arc::new(settings.bounded());
        let _alone = self
            .reconfiguring
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = self.settings();
        let resized = settings.capacity != before.capacity;
        if resized && let Some(store) = self.tiers.fixed() {
            return Err(ReconfigureError::Fixed {
                group: self.name.to_string(),
                field: "capacity",
                store,
            });
        }
        // From here on nothing can fail.
        *self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::clone(&settings);
        let options = |limits| limiter_options(&self.name, limits, self.origin.max_batch());
        let limiter = options(&settings.limits);
        if limiter != options(&before.limits) {
            self.origin_limiter.set_options(&limiter);
        }
        if resized {
            self.tiers.set_capacity(settings.capacity);
        }
        // Last: what a load has just brought by the settings before is either seen here, or
        // committed again by these (see `settle`).
        self.shorten(&settings.freshness, &before.freshness);
        Ok(())
    }

    fn shorten(&self, now: &FreshnessPolicy, before: &FreshnessPolicy) {
        let has_jitter = now.ttl_jitter > 0.0;
        // They are many, and all of them begin now: as widely as loads of one moment at most.
        let draw = |ttl: Duration| {
            if has_jitter {
                ttl.mul_f64(0.25 + 0.75 * fastrand::f64())
            } else {
                ttl
            }
        };
        if let Some(store) = self.tiers.shorten(&now.shortened(before), draw) {
            warn!(
                group = %self.name,
                store,
                "this store cannot shorten lives: it serves what it has for as long as before"
            );
        }
    }

    /// Whether these settings still hold.
    pub(super) fn are_current(&self, settings: &Arc<Settings>) -> bool {
        // The address is no other's while somebody has it.
        Arc::ptr_eq(settings, &self.settings())
    }
}

/// How many loads ask the origin, and when.
pub(super) fn limiter_options(name: &str, limits: &Limits, max_batch: usize) -> Options {
    let most = limits.max_origin_loads;
    Options {
        name: name.into(),
        limit: if limits.adapt_origin_loads {
            Limit::Auto { most }
        } else {
            Limit::Fixed(most)
        },
        max_wait: limits.wait_for_origin(),
        // Flights are counted already.
        max_queue: limits.max_loads,
        per_slot: max_batch,
        grace: limits.grace(),
        breaker: limits.circuit_breaker.then(BreakerOptions::default),
    }
}
