use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::Budget;

/// The consecutive rounds over all shards in which nothing could be evicted although the total is
/// too high.
const MAX_DRY_ROUNDS: usize = 64;

/// Evicts until the total is within the budget, for an entry just stored in the shard `home`.
/// `evict` takes the entry that is due out of a shard, except that new entry, unlocks the shard
/// and drops the entry; it returns whether there was one.
///
/// Each step evicts from the shard that is due by age, see [`Ages`](crate::Ages): room for a large
/// value costs all of them their oldest entries. Only one lock is held at a time, so the order of
/// locks does not matter.
///
/// The new entry is spared as long as it fits: the others are over the budget. Those may just be
/// arriving: A and B both store a value of nearly the whole capacity; A evicts before B's entry is
/// there, or B's thread evicts A's entry. A thread that sees the total above the capacity
/// continues, so the last of the threads leaves it within, and a round without a victim happens
/// only if another thread has changed something meanwhile. That cannot last; it would if the
/// accounts were ever wrong, so it is bounded.
pub fn make_room(budget: &Budget, home: usize, mut evict: impl FnMut(usize) -> bool) {
    let ages = budget.ages();
    let mut dry = 0;
    while budget.is_over() && dry < MAX_DRY_ROUNDS * ages.shards() {
        // If the shard that is due had nothing to evict, the others in sequence.
        let at = (ages.due(home) + dry) % ages.shards();
        dry = if evict(at) { 0 } else { dry + 1 };
    }
}

/// Like [`make_room`], for a store that has more than one order: `evict` takes out what is due
/// anywhere. Its argument is the number of consecutive calls that found nothing, so that it can
/// search the other shards in sequence.
pub fn make_room_from(budget: &Budget, mut evict: impl FnMut(usize) -> bool) {
    let mut dry = 0;
    while budget.is_over() && dry < MAX_DRY_ROUNDS * budget.ages().shards() {
        dry = if evict(dry) { 0 } else { dry + 1 };
    }
}

/// Changes the capacity, and evicts the oldest until the total is within it, a step at a time.
/// `evict` is as in [`make_room`], but spares nothing.
///
/// If another thread sets another capacity meanwhile, both move towards the one that was set last.
pub fn resize(budget: &Budget, capacity: u64, mut evict: impl FnMut(usize) -> bool) {
    resize_with(budget, capacity, || {
        make_room(budget, budget.ages().oldest(), &mut evict);
    });
}

/// Like [`resize`], with a `make_room` that evicts until the total is within the budget.
pub fn resize_with(budget: &Budget, capacity: u64, mut make_room: impl FnMut()) {
    budget.aim(capacity);
    loop {
        let more = budget.step();
        // Also after the last step, which may have been another thread's.
        make_room();
        if !more {
            return;
        }
    }
}

/// The result of `evict` for the shard that is due by age, or for the next one that has any.
pub fn evict_oldest<T>(budget: &Budget, mut evict: impl FnMut(usize) -> Option<T>) -> Option<T> {
    let ages = budget.ages();
    let due = ages.oldest();
    (0..ages.shards()).find_map(|i| evict((due + i) % ages.shards()))
}

/// Drops entries whose `Drop` may panic: the first panic is resumed once all are dropped, so that
/// it neither leaves the cache above its budget nor, meeting a second one, aborts the process.
#[derive(Debug, Default)]
#[must_use = "a panic goes on only when this is finished"]
pub struct Dropped {
    panic: Option<Box<dyn Any + Send>>,
}

impl Dropped {
    /// Drops a value.
    pub fn take<T>(&mut self, value: Option<T>) {
        let Some(value) = value else { return };
        // Unwind safe: the value no longer exists afterwards, whatever its state.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
            self.panic.get_or_insert(panic);
        }
    }

    /// Drops values, one after the other.
    pub fn take_all<T>(&mut self, values: impl IntoIterator<Item = T>) {
        for value in values {
            self.take(Some(value));
        }
    }

    /// Resumes the first panic, if there was one.
    pub fn finish(self) {
        if let Some(panic) = self.panic {
            resume_unwind(panic);
        }
    }
}
