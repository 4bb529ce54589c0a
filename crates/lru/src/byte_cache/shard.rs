use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::blocks::Layout;
use super::log::Log;
use crate::Stats;

/// A shard in a cache line of its own, with the counts of lookups beside the lock, as in `Cache`.
#[repr(align(128))]
pub(super) struct Shard {
    log: RwLock<Log>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Shard {
    pub(super) fn new(number: usize, layout: Layout) -> Self {
        Self {
            log: RwLock::new(Log::new(number, layout)),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// For changes. A panic under the lock is that of a reader's closure, before anything has changed, so a poisoned lock
    /// is as good as any.
    pub(super) fn lock(&self) -> RwLockWriteGuard<'_, Log> {
        self.log.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// For lookups, which do not wait for each other.
    pub(super) fn share(&self) -> RwLockReadGuard<'_, Log> {
        self.log.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count_hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> Stats {
        let mut stats = self.share().stats;
        stats.hits = self.hits.load(Ordering::Relaxed);
        stats.misses = self.misses.load(Ordering::Relaxed);
        stats
    }
}
