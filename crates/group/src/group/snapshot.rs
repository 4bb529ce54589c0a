//! The counters, as one sees them from outside.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

use gaggle_limiter::BreakerState;

use super::{Group, Inner};
use crate::{CacheStats, FollowStats, OriginQueue, Stats, Store};

/// Asks something that follows the group's source how it is doing.
pub(super) type AskFollower = Arc<dyn Fn() -> FollowStats + Send + Sync>;

impl Group {
    /// Has [`stats`](Self::stats) ask something that follows the changes of the group's source how it is doing. It must answer
    /// at once.
    pub fn set_follow_stats(&self, ask: impl Fn() -> FollowStats + Send + Sync + 'static) {
        let follower = &self.inner.follower;
        *follower.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(ask));
    }

    /// How large a value is, by those that are in memory: the mean of key, value and bookkeeping, in bytes. `None` while there are
    /// fewer than 16.
    pub fn mean_entry(&self) -> Option<u64> {
        let tiers = &self.inner.tiers;
        let entries = tiers.main.len() + tiers.hot.len();
        let bytes = tiers.main.bytes() + tiers.hot.bytes();
        (entries >= 16).then(|| bytes / entries as u64)
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
            limit_bytes: inner.tiers.capacity(),
            origin_batches: counters.origin_batches.load(Relaxed),
            origin_batched: counters.origin_batched.load(Relaxed),
            warm: counters.warm.snapshot(),
            follow: inner.follow_stats(),
        }
    }
}

impl Inner {
    fn follow_stats(&self) -> Option<FollowStats> {
        let ask = self
            .follower
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        ask.map(|ask| ask())
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
