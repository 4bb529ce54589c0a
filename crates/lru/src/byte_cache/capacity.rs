//! How much the cache may hold, changing that, and what goes for it.

use std::hash::BuildHasher;
use std::num::NonZeroUsize;

use super::ByteCache;
use super::log::Spare;
use crate::evict::{Dropped, evict_oldest, make_room, resize};
use crate::options::bounded_capacity;

impl<S: BuildHasher> ByteCache<S> {
    /// The most that [`bytes`](Self::bytes) may be. While [`set_capacity`](Self::set_capacity)
    /// lowers it, that is what it has come to.
    pub fn capacity(&self) -> u64 {
        self.budget.capacity()
    }

    /// Changes the capacity, bounded as in [`Options`](crate::Options). What still fits stays.
    ///
    /// A higher one holds at once. A lower one is reached when this returns: the oldest entries
    /// are evicted as insertions evict them, a page or a large entry at a time, each under the
    /// lock of one shard. So lookups beside it wait no longer than beside insertions, and an
    /// insertion evicts 64 KiB more than it needs, at most. The caller is kept for about a quarter
    /// of a microsecond for each entry that goes, three times that where all were used: some two
    /// to six seconds for each GiB of values of 100 bytes, a quarter of a second with values of 10
    /// KB. Do not call it on a thread that must not block. Where two threads set different
    /// capacities at once, the later one holds.
    ///
    /// What was chosen when the cache was made stays: the number of shards, and the size of pages.
    /// A cache made for a few MiB has fewer locks than one made as large as it becomes. In one
    /// made with many shards and lowered far, the open pages, two of up to 8 KiB in each shard,
    /// are more of the whole; below the size of one, nothing small is stored any more. The list of
    /// blocks keeps the slots of its fullest time, up to three hundredths of the former capacity,
    /// until [`clear`](Self::clear).
    pub fn set_capacity(&self, capacity: u64) {
        let mut dropped = Dropped::default();
        resize(&self.budget, bounded_capacity(capacity), |at| {
            self.evict_at(at, Spare::Nothing, &mut dropped)
        });
        dropped.finish();
    }

    /// Evicts what is due: the entries of the oldest page that were not used since or are past their ttl, or a large one.
    /// Returns how many, none if the cache is empty, and counts them as made for capacity, or as expired if they were gone.
    ///
    /// Where the entries are so few that all are in one page still written to, the one stored last is spared: it would
    /// otherwise go with the older ones.
    pub fn evict(&self) -> usize {
        let mut blocks = Vec::new();
        let mut from = 0;
        let evicted = evict_oldest(&self.budget, |at| {
            from = at;
            let spare = if self.budget.ages().is_alone(at) {
                Spare::Youngest
            } else {
                Spare::Nothing
            };
            self.shards[at]
                .lock()
                .evict(spare, &mut self.now(), &self.budget, &mut blocks)
        });
        let mut dropped = Dropped::default();
        dropped.take_all(blocks);
        // Entries that were used may have needed a page.
        self.make_room(from, Spare::Nothing, 0, &mut dropped);
        dropped.finish();
        evicted.map_or(0, NonZeroUsize::get)
    }

    /// Evicts until the total is within the budget, in `home` if that is due, where an entry of
    /// that weight may be spared.
    pub(super) fn make_room(
        &self,
        home: usize,
        spare: Spare<'_>,
        weight: u64,
        dropped: &mut Dropped,
    ) {
        make_room(&self.budget, home, |at| {
            // The capacity may have been lowered since the entry was found to fit.
            let spare = if at == home && weight <= self.budget.capacity() {
                spare
            } else {
                Spare::Nothing
            };
            self.evict_at(at, spare, dropped)
        });
    }

    /// Evicts what is due in a shard; whether there was anything.
    fn evict_at(&self, at: usize, spare: Spare<'_>, dropped: &mut Dropped) -> bool {
        let mut blocks = Vec::new();
        let evicted =
            self.shards[at]
                .lock()
                .evict(spare, &mut self.now(), &self.budget, &mut blocks);
        dropped.take_all(blocks);
        evicted.is_some()
    }
}
