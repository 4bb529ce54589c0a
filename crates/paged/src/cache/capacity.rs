//! The capacity of the cache, changes of it, and evictions for it.

use std::hash::BuildHasher;

use gaggle_shards::{Dropped, bounded_capacity, make_room_from, resize_with};

use super::PagedCache;
use crate::log::{Passes, Spare};
use crate::policy::Policy;
use crate::queue::Queue;

impl<S: BuildHasher> PagedCache<S> {
    /// The most that [`bytes`](Self::bytes) may be. While [`set_capacity`](Self::set_capacity)
    /// lowers it, the current intermediate value.
    pub fn capacity(&self) -> u64 {
        self.shared.budget().capacity()
    }

    /// Changes the capacity, bounded as in [`Options`](crate::Options). Entries that still fit
    /// stay.
    ///
    /// A higher capacity applies immediately. A lower one is reached when this returns: the oldest
    /// entries are evicted as insertions evict them, a page or a large entry at a time, each under
    /// the lock of one shard. Concurrent lookups therefore wait no longer than during insertions,
    /// and an insertion evicts at most 64 KiB more than it needs. The caller waits for about a
    /// quarter of a microsecond for each evicted entry, three times that if all were used: some
    /// two to six seconds for each GiB of values of 100 bytes, a quarter of a second with values
    /// of 10 KB. Do not call it on a thread that must not block. If two threads set different
    /// capacities concurrently, the later one wins.
    ///
    /// The choices that were made with the cache stay: the number of shards, and the size of
    /// pages. A cache made for a few MiB has fewer locks than one made as large as it becomes. In
    /// one made with many shards and lowered a lot, the open pages, two of up to 8 KiB in each
    /// shard, are a larger part of the whole; below the size of one, no small entry is stored any
    /// more. The list of blocks keeps the slots of its fullest time, up to three hundredths of the
    /// former capacity, until [`clear`](Self::clear).
    pub fn set_capacity(&self, capacity: u64) {
        let capacity = bounded_capacity(capacity);
        let mut dropped = Dropped::default();
        self.shared.set_limit(capacity);
        if self.shared.budget().used() > capacity || capacity < Policy::LEAST {
            // Before any entry: the statistics are collected again.
            self.shared.forget_statistics();
        }
        // No caller waits for this: used entries stay, for as many rounds as their uses are worth.
        let mut passes = Passes::for_all_of(self.len());
        resize_with(self.shared.budget(), capacity, || {
            self.evict_until_within(None, Spare::Nothing, &mut passes, &mut dropped);
        });
        // Another thread may have set another capacity meanwhile.
        self.shared.set_limit(self.shared.budget().capacity());
        dropped.finish();
    }

    /// Evicts the least valuable entries: those of the oldest page, except for those that have
    /// earned a further round, or a large one. Returns how many, none if the cache is empty, and
    /// counts them as evicted for capacity, or as expired if they were gone.
    ///
    /// From then on the cache takes its current size as its limit, until it holds more: a caller
    /// that asks for evictions has a limit of its own.
    ///
    /// If the entries are so few that all are in one page still written to, the one stored last is
    /// spared: it would otherwise be evicted with the older ones.
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
    /// that weight may be spared. Returns how many entries were evicted.
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

    /// Makes room for a page that was needed to move entries. Returns how many entries were
    /// evicted.
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
                // Only the spared entry is left: the statistics occupy the room it needs.
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

    /// Evicts what is due in a shard; returns how many entries, or `None` if there was nothing.
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
