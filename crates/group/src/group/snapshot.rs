//! The counters, as one sees them from outside.

use std::sync::atomic::Ordering::Relaxed;

use gaggle_limiter::BreakerState;

use super::Group;
use crate::{CacheStats, OriginQueue, Stats, Store};

impl Group {
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
            limit_bytes: inner.tiers.capacity(),
        }
    }
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
