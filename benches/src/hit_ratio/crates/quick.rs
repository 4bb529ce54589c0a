use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, UnitWeighter, Weighter};

use super::{CORES, FixedHasher};
use crate::hit_ratio::{Access, Policy};

/// `quick_cache`, whose values are their own sizes.
pub(crate) struct Quick<W>(Cache<u64, u32, W, FixedHasher>);

#[derive(Clone)]
pub(crate) struct BySize;

impl Weighter<u64, u32> for BySize {
    fn weight(&self, _: &u64, &size: &u32) -> u64 {
        u64::from(size)
    }
}

impl Quick<UnitWeighter> {
    pub(crate) fn of_entries(entries: usize) -> Self {
        Self::new(entries, entries as u64, UnitWeighter)
    }
}

impl Quick<BySize> {
    /// It is told how many entries to expect.
    pub(crate) fn of_bytes(capacity: u64, entries: usize) -> Self {
        Self::new(entries, capacity, BySize)
    }
}

impl<W: Weighter<u64, u32> + Clone> Quick<W> {
    #[expect(clippy::expect_used, reason = "both capacities are given")]
    fn new(entries: usize, capacity: u64, weighter: W) -> Self {
        let options = OptionsBuilder::new()
            .estimated_items_capacity(entries)
            .weight_capacity(capacity)
            .shards(CORES * 4) // its default
            .build()
            .expect("the options are complete");
        let (hasher, lifecycle) = (FixedHasher::default(), DefaultLifecycle::default());
        Self(Cache::with_options(options, weighter, hasher, lifecycle))
    }
}

impl<W: Weighter<u64, u32> + Clone> Policy for Quick<W> {
    fn access(&mut self, access: Access) -> bool {
        let hit = self.0.get(&access.key).is_some();
        if !hit {
            self.0.insert(access.key, access.size);
        }
        hit
    }
}
