//! How much the cache may hold, changing that, and what goes for it.

use std::hash::BuildHasher;

use gaggle_shards::{Dropped, bounded_capacity, make_room_from, resize_with};

use super::PagedCache;
use crate::log::{Passes, Spare};
use crate::policy::Policy;
use crate::queue::Queue;

impl<S: BuildHasher> PagedCache<S> {
    /// The most that [`bytes`](Self::bytes) may be. While [`set_capacity`](Self::set_capacity)
    /// lowers it, that is what it has come to.
    pub fn capacity(&self) -> u64 {
        self.shared.budget().capacity()
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
        let capacity = bounded_capacity(capacity);
        let mut dropped = Dropped::default();
        self.shared.set_limit(capacity);
        if self.shared.budget().used() > capacity || capacity < Policy::LEAST {
            // Before any entry: they come again.
            self.shared.forget_statistics();
        }
        // Nobody waits for this: what was used stays, for as many rounds as its uses are worth.
        let mut passes = Passes::for_all_of(self.len());
        resize_with(self.shared.budget(), capacity, || {
            self.evict_until_within(None, Spare::Nothing, &mut passes, &mut dropped);
        });
        // Another thread may have asked for another one meanwhile.
        self.shared.set_limit(self.shared.budget().capacity());
        dropped.finish();
    }

    /// Evicts what is worth least: the entries of the oldest page, but for those that have earned a further round, or a large
    /// one. Returns how many, none if the cache is empty, and counts them as made for capacity, or as expired if they were gone.
    ///
    /// From then on the cache takes what it holds for what it may hold, until it comes to hold more: whoever asks for evictions
    /// has a bound of its own.
    ///
    /// Where the entries are so few that all are in one page still written to, the one stored last is spared: it would
    /// otherwise go with the older ones.
    pub fn evict(&self) -> usize {
        let budget = self.shared.budget();
        self.shared.set_limit(budget.used().min(budget.capacity()));
        let mut dropped = Dropped::default();
        let mut passes = Passes::default();
        let (mut dry, mut evicted) = (0, 0);
        let mut from = 0;
        while evicted == 0 && dry < self.shards.len() {
            let due = self.shared.due(None);
            from = (due.shard + dry) % self.shards.len();
            let spare = if self.shared.is_alone(from) {
                Spare::Youngest
            } else {
                Spare::Nothing
            };
            match self.evict_at(from, due.queue, spare, &mut passes, &mut dropped) {
                Some(count) => (dry, evicted) = (0, count),
                None => dry += 1,
            }
        }
        // Entries that were used may have needed a page.
        evicted += self.tidy_up(from, &mut dropped);
        dropped.finish();
        evicted
    }

    /// Evicts until the total is within the budget, in `home` if that is due, where an entry of
    /// that weight may be spared. Says how many entries went.
    pub(super) fn make_room(
        &self,
        home: usize,
        spare: Spare<'_>,
        weight: u64,
        passes: Passes,
        dropped: &mut Dropped,
    ) -> usize {
        // The capacity may have been lowered since the entry was found to fit.
        let spare = if weight <= self.shared.budget().capacity() {
            spare
        } else {
            Spare::Nothing
        };
        let mut passes = passes;
        self.evict_until_within(Some(home), spare, &mut passes, dropped)
    }

    /// Makes room for a page that was needed to move entries. Says how many entries went.
    pub(super) fn tidy_up(&self, home: usize, dropped: &mut Dropped) -> usize {
        self.make_room(home, Spare::Nothing, 0, Passes::default(), dropped)
    }

    fn evict_until_within(
        &self,
        home: Option<usize>,
        spare: Spare<'_>,
        passes: &mut Passes,
        dropped: &mut Dropped,
    ) -> usize {
        let mut evicted = 0;
        make_room_from(self.shared.budget(), |dry| {
            if dry == self.shards.len() {
                // There is nothing but what is spared: the statistics take what it needs.
                self.shared.forget_statistics();
            }
            let due = self.shared.due(home);
            let at = (due.shard + dry) % self.shards.len();
            let spare = if Some(at) == home {
                spare
            } else {
                Spare::Nothing
            };
            let count = self.evict_at(at, due.queue, spare, passes, dropped);
            evicted += count.unwrap_or_default();
            count.is_some()
        });
        evicted
    }

    /// Evicts what is due in a shard; how many entries, or `None` if there was nothing.
    fn evict_at(
        &self,
        at: usize,
        queue: Queue,
        spare: Spare<'_>,
        passes: &mut Passes,
        dropped: &mut Dropped,
    ) -> Option<usize> {
        let mut blocks = Vec::new();
        let evicted = {
            let mut log = self.shards[at].lock();
            log.evict(
                queue,
                spare,
                passes,
                &mut self.now(),
                &self.shared,
                &mut blocks,
            )
        };
        dropped.take_all(blocks);
        evicted
    }
}
