//! Reads and changes the settings of a group that serves.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use gaggle_limiter::{BreakerOptions, Limit, Options};
use tracing::warn;

use super::{Group, Inner};
use crate::{FreshnessPolicy, HotCopies, Limits, ReconfigureError, Settings};

impl Group {
    /// The current bounds.
    pub fn limits(&self) -> Limits {
        self.inner.settings().limits.clone()
    }

    /// The current freshness policy.
    pub fn freshness(&self) -> FreshnessPolicy {
        self.inner.settings().freshness.clone()
    }

    /// The current settings, all of which [`reconfigure`](Self::reconfigure) can change.
    pub fn settings(&self) -> Settings {
        Settings::clone(&self.inner.settings())
    }

    /// Changes the settings of a group that serves, with a warm cache. They apply to the next get
    /// and the next load; a running load keeps the deadline that it began with.
    ///
    /// - **Freshness.** If a time becomes longer, cached entries keep their own expiry. If one
    ///   becomes shorter, cached entries end no later than if they had been loaded now: after
    ///   shortening a ttl in an emergency, nothing from before is fresh once the new ttl has
    ///   passed. (It may then be served stale, for the windows of the policy. With
    ///   [`ttl_jitter`](FreshnessPolicy::ttl_jitter), the ends are spread over the last three
    ///   quarters of the ttl.) Only the times that become shorter are lowered, but those of all
    ///   entries: for which of them an origin had given a longer one is no longer known. If
    ///   `negative_ttl` is removed, absences are dropped.
    /// - **Limits.** With more loads allowed at the origin, waiting ones start immediately. With
    ///   fewer, running ones continue, and none starts until there is room.
    /// - **Capacity.** A higher one applies immediately. For a lower one, the least valuable
    ///   entries are evicted before this returns, a page at a time; the size is then at most that.
    ///   The caches keep the number of locks that they were made with.
    ///
    /// Synchronous, one call after the other. It waits for no load, but shrinking takes a few
    /// seconds for each GiB of small values, and shortening examines each entry (some 50 to 100 ms
    /// for each million): on an executor, call it in `spawn_blocking`. Gets and loads continue
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// If a group cannot have these settings, or if its stores are custom ones of a fixed size.
    /// Nothing has changed then.
    pub fn reconfigure(&self, settings: Settings) -> Result<(), ReconfigureError> {
        self.inner.reconfigure(settings)
    }

    /// Sets another policy for hot copies. Copies that are kept stay.
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
        // Last: an entry just loaded under the previous settings is either seen here, or committed
        // again under these (see `settle`).
        self.shorten(&settings.freshness, &before.freshness);
        Ok(())
    }

    fn shorten(&self, now: &FreshnessPolicy, before: &FreshnessPolicy) {
        let has_jitter = now.ttl_jitter > 0.0;
        // They are many, and all of them begin now: spread at most as widely as loads of one
        // moment.
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

    /// Whether these settings are still current.
    pub(super) fn are_current(&self, settings: &Arc<Settings>) -> bool {
        // The address is not reused while there is a holder.
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
