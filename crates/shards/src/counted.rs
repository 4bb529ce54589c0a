use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::Stats;

/// The content of a shard behind its lock, with the counts of lookups.
///
/// It has a cache line of its own: two, as processors fetch pairs. The counts are beside the lock,
/// whose line a lookup has to write in any case, and the content begins in that line too: the
/// fields are laid out in the order in which they are declared here.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub struct Counted<T> {
    hits: AtomicU64,
    misses: AtomicU64,
    inner: RwLock<T>,
}

impl<T> Counted<T> {
    /// With no lookups counted.
    pub fn new(inner: T) -> Self {
        Self {
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            inner: RwLock::new(inner),
        }
    }

    /// For changes.
    ///
    /// A panic under the lock does not poison it. A holder therefore runs user code, whose panic
    /// may unwind, only while the content is consistent.
    #[inline]
    pub fn lock(&self) -> RwLockWriteGuard<'_, T> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// For lookups, which do not wait for each other. For panics, see [`lock`](Self::lock).
    #[inline]
    pub fn share(&self) -> RwLockReadGuard<'_, T> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a lookup that found a value.
    #[inline]
    pub fn count_hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a lookup that did not.
    #[inline]
    pub fn count_miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    /// The counters: those that `of` reads from the content, and the lookups.
    pub fn stats(&self, of: impl FnOnce(&T) -> Stats) -> Stats {
        let mut stats = of(&self.share());
        stats.hits = self.hits.load(Ordering::Relaxed);
        stats.misses = self.misses.load(Ordering::Relaxed);
        stats
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn lookups_are_counted_beside_what_is_held() {
        let held = Stats {
            insertions: 7,
            ..Stats::default()
        };
        let shard = Counted::new(held);
        shard.count_hit();
        shard.count_hit();
        shard.count_miss();
        let stats = shard.stats(|held| *held);
        assert_eq!((stats.hits, stats.misses, stats.insertions), (2, 1, 7));
    }

    #[test]
    fn a_panic_under_the_lock_leaves_it_usable() {
        let shard = Counted::new(1);
        let panic = catch_unwind(AssertUnwindSafe(|| {
            let _held = shard.lock();
            panic!("of a caller");
        }));
        assert!(panic.is_err());
        *shard.lock() += 1;
        assert_eq!(*shard.share(), 2);
    }

    #[test]
    fn no_two_shards_share_a_cache_line() {
        assert_eq!(align_of::<Counted<u8>>(), 128);
    }
}
