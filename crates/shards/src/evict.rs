use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::Budget;

/// Rounds of all shards in sequence in which nothing could be evicted though the total is too high.
const MAX_DRY_ROUNDS: usize = 64;

/// Evicts until the total is within the budget, for an entry just stored in the shard `home`.
/// `evict` takes out what is due in a shard, but not that entry, unlocks and drops it; it says
/// whether there was anything.
///
/// Each turn goes to the shard that is due by age, see [`Ages`](crate::Ages): room for a
/// large value costs all of them their oldest. Only one lock is held at a time, so the order of
/// locks is no matter.
///
/// The fresh entry is spared as long as it fits: what is over the budget are others. Those may
/// just be arriving: A and B both store a value of nearly the whole capacity; A evicts before B's
/// entry is there, or B's thread evicts A's entry. Whoever sees the total above the capacity goes
/// on, so the last of the threads leaves it within, and a round without a victim happens only
/// where another thread has changed something meanwhile. That cannot go on for long; should the
/// accounts ever be wrong, it would, so it has a bound.
pub fn make_room(budget: &Budget, home: usize, mut evict: impl FnMut(usize) -> bool) {
    let ages = budget.ages();
    let mut dry = 0;
    while budget.is_over() && dry < MAX_DRY_ROUNDS * ages.shards() {
        // Where the one that is due had nothing to give, the others in sequence.
        let at = (ages.due(home) + dry) % ages.shards();
        dry = if evict(at) { 0 } else { dry + 1 };
    }
}

/// As [`make_room`], for a store that has more than one order: `evict` takes out what is due anywhere. It is told how many
/// calls in a row there was nothing to take, so that it can look in the other shards in sequence.
pub fn make_room_from(budget: &Budget, mut evict: impl FnMut(usize) -> bool) {
    let mut dry = 0;
    while budget.is_over() && dry < MAX_DRY_ROUNDS * budget.ages().shards() {
        dry = if evict(dry) { 0 } else { dry + 1 };
    }
}

/// Changes the capacity, and evicts the oldest until the total is within it, a step at a time.
/// `evict` is as in [`make_room`], but spares nothing.
///
/// Where another thread asks for another capacity meanwhile, both go towards the one that was
/// asked for last.
pub fn resize(budget: &Budget, capacity: u64, mut evict: impl FnMut(usize) -> bool) {
    resize_with(budget, capacity, || {
        make_room(budget, budget.ages().oldest(), &mut evict);
    });
}

/// As [`resize`], where `make_room` evicts until the total is within the budget.
pub fn resize_with(budget: &Budget, capacity: u64, mut make_room: impl FnMut()) {
    budget.aim(capacity);
    loop {
        let more = budget.step();
        // After the last step, too, which may have been another thread's.
        make_room();
        if !more {
            return;
        }
    }
}

/// What `evict` takes out of the shard that is due by age, or of the next one that has anything.
pub fn evict_oldest<T>(budget: &Budget, mut evict: impl FnMut(usize) -> Option<T>) -> Option<T> {
    let ages = budget.ages();
    let due = ages.oldest();
    (0..ages.shards()).find_map(|i| evict((due + i) % ages.shards()))
}

/// Drops entries where their `Drop` may panic: the first panic goes on once all are dropped, so that it neither leaves
/// the cache above its budget nor, meeting a second one, aborts the process.
#[derive(Debug, Default)]
#[must_use = "a panic goes on only when this is finished"]
pub struct Dropped {
    panic: Option<Box<dyn Any + Send>>,
}

impl Dropped {
    /// Drops a value.
    pub fn take<T>(&mut self, value: Option<T>) {
        let Some(value) = value else { return };
        // Unwind safe: the value is gone afterwards, whatever its state.
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

    /// Goes on with the first panic, if there was one.
    pub fn finish(self) {
        if let Some(panic) = self.panic {
            resume_unwind(panic);
        }
    }
}
