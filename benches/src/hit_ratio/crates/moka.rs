use moka::sync::Cache;

use super::FixedHasher;
use crate::hit_ratio::{Access, Policy};

/// `moka`, whose values are their own sizes. It reads the clock to decide when to evict: its
/// figures may differ by some hundredths of a point between runs.
pub(crate) struct Moka(Cache<u64, u32, FixedHasher>);

impl Moka {
    pub(crate) fn of_entries(entries: usize) -> Self {
        let builder = Cache::builder().max_capacity(entries as u64);
        Self(builder.build_with_hasher(FixedHasher::default()))
    }

    pub(crate) fn of_bytes(capacity: u64) -> Self {
        let builder = Cache::builder()
            .max_capacity(capacity)
            .weigher(|_, &size| size);
        Self(builder.build_with_hasher(FixedHasher::default()))
    }
}

impl Policy for Moka {
    fn access(&mut self, access: Access) -> bool {
        let hit = self.0.get(&access.key).is_some();
        if !hit {
            self.0.insert(access.key, access.size);
        }
        hit
    }
}
