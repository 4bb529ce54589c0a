use foyer_memory::{Cache, CacheBuilder, S3FifoConfig};

use super::FixedHasher;
use crate::hit_ratio::{Access, Policy};

/// `foyer-memory` with S3-FIFO as it sets that up, and its eight shards. Values are their own
/// sizes.
pub(crate) struct Foyer(Cache<u64, u32, FixedHasher>);

impl Foyer {
    pub(crate) fn of_entries(entries: usize) -> Self {
        Self::new(entries, |_, _| 1)
    }

    pub(crate) fn of_bytes(capacity: u64) -> Self {
        let capacity = usize::try_from(capacity).unwrap_or(usize::MAX);
        Self::new(capacity, |_, &size| size as usize)
    }

    fn new(capacity: usize, weigh: fn(&u64, &u32) -> usize) -> Self {
        let builder = CacheBuilder::new(capacity)
            .with_eviction_config(S3FifoConfig::default())
            .with_hash_builder(FixedHasher::default())
            .with_weighter(weigh);
        Self(builder.build())
    }
}

impl Policy for Foyer {
    fn access(&mut self, access: Access) -> bool {
        let hit = self.0.get(&access.key).is_some();
        if !hit {
            self.0.insert(access.key, access.size);
        }
        hit
    }
}
