use gaggle_lru::{Cache, Options, Xxh3State};

use super::default_shards;
use crate::hit_ratio::{Access, Policy};

/// `gaggle_lru::Cache`.
pub struct GaggleLru(Cache<u64, u32>);

impl GaggleLru {
    /// Room for so many entries, whatever their size, and as many shards as it gives itself on two
    /// cores.
    #[must_use]
    pub fn of_entries(entries: usize) -> Self {
        let capacity = Cache::<u64, u32>::ENTRY_OVERHEAD * entries as u64;
        Self::with_shards(entries, default_shards(capacity))
    }

    /// Room for so many entries in so many shards.
    #[must_use]
    pub fn with_shards(entries: usize, shards: usize) -> Self {
        let options = Options {
            capacity: Cache::<u64, u32>::ENTRY_OVERHEAD * entries as u64,
            shards: Some(shards),
            ..Options::default()
        };
        Self(Cache::with_hasher(
            options,
            |_, _| 0,
            Xxh3State::with_seed(SEED),
        ))
    }
}

const SEED: u64 = 1;

impl Policy for GaggleLru {
    fn access(&mut self, access: Access) -> bool {
        let hit = self.0.get_with(&access.key, |_| ()).is_some();
        if !hit {
            self.0.insert(access.key, access.size);
        }
        hit
    }
}
