//! The snapshot of the counters.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

use gaggle_limiter::BreakerState;

use super::{Group, Inner};
use crate::{CacheStats, FollowStats, GetStats, OriginQueue, Stats, Store};

/// Returns the state of a follower of the group's source.
pub(super) type AskFollower = Arc<dyn Fn() -> FollowStats + Send + Sync>;

impl Group {
    /// Sets how [`stats`](Self::stats) gets the state of a follower of the group's source. It must
    /// return immediately.
    pub fn set_follow_stats(&self, ask: impl Fn() -> FollowStats + Send + Sync + 'static) {
        let follower = &self.inner.follower;
        *follower.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(ask));
    }

    /// The mean size of the values in memory: key, value and bookkeeping, in bytes. `None` while
    /// there are fewer than 16.
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
        let hits = main.store.hits + hot.store.hits + absent.store.hits;
        let misses = counters.misses.load(Relaxed);
        let gets = hits + misses;
        // After the totals: see `Told`.
        let peers = GetStats {
            hits: counters.server_hits.load(Relaxed),
            gets: counters.server_requests.load(Relaxed),
        };
        Stats {
            gets,
            clients: counters
                .told_clients
                .clients(GetStats { gets, hits }, peers),
            peers,
            misses,
            stale_revalidating: counters.stale_revalidating.load(Relaxed),
            stale_failed_over: counters.stale_failed_over.load(Relaxed),
            refreshes: counters.refreshes.load(Relaxed),
            not_modified: counters.not_modified.load(Relaxed),
            removals: counters.removals.load(Relaxed),
            group_removals: counters.group_removals.load(Relaxed),
            issued: counters.issued.snapshot(),
            taken_over: counters.taken_over.load(Relaxed),
            hedges: counters.hedges.load(Relaxed),
            unvouched_drops: counters.unvouched_drops.load(Relaxed),
            absent,
            collapsed: counters.collapsed.load(Relaxed),
            server_requests: peers.gets,
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
            origin_key_faults: counters.origin_key_faults.load(Relaxed),
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
