use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::shard::Budget;

/// Rounds of all shards in sequence in which nothing could be evicted though the total is too high.
const MAX_DRY_ROUNDS: usize = 64;

/// What evictions by request go by, in a place apart from what a hit reads, as it is written often.
#[repr(align(128))]
#[derive(Default)]
pub(crate) struct Recent {
    /// The hash of the entry stored last.
    newest: AtomicU64,
    /// The shard where the next one begins.
    turn: AtomicUsize,
}

impl Recent {
    pub(crate) fn stored(&self, hash: u64) {
        self.newest.store(hash, Ordering::Relaxed);
    }

    /// Where an eviction begins, counted on and on, and the hash of the entry stored last.
    pub(crate) fn next_turn(&self) -> (usize, u64) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        (turn, self.newest.load(Ordering::Relaxed))
    }
}

/// Evicts until the total is within the budget, for an entry just stored in the shard `home`, which has given something
/// already. `evict` takes out what is due in a shard, but not that entry, unlocks and drops it; it says whether there was
/// anything.
///
/// A turn for each of the other shards, and round again with its own: room for a large value costs every shard
/// its oldest, not one shard everything. Only one lock is held at a time, so the order of locks is no matter.
///
/// The fresh entry is spared, for it fits: what is over the budget are others. Those may just be arriving: A and B both
/// store a value of nearly the whole capacity; A goes round before B's entry is there, or B's thread evicts A's entry.
/// Whoever sees the total above the capacity goes on, so the last of the threads leaves it within, and a round without a
/// victim happens only where another thread has changed something meanwhile. That cannot go on for long; should the
/// accounts ever be wrong, it would, so it has a bound.
pub(crate) fn make_room(
    shards: usize,
    budget: &Budget,
    home: usize,
    mut evict: impl FnMut(usize) -> bool,
) {
    let next = |at: usize| (at + 1) & (shards - 1);
    let mut at = next(home);
    let mut dry = 0;
    while budget.is_over() && dry < MAX_DRY_ROUNDS * shards {
        dry = if evict(at) { 0 } else { dry + 1 };
        at = next(at);
    }
}

/// The shards from one on, each once. Their number is a power of two.
pub(crate) fn in_turn<S>(shards: &[S], start: usize) -> impl Iterator<Item = &S> {
    (0..shards.len()).map(move |i| &shards[start.wrapping_add(i) & (shards.len() - 1)])
}

/// Drops entries where their `Drop` may panic: the first panic goes on once all are dropped, so that it neither leaves
/// the cache above its budget nor, meeting a second one, aborts the process.
#[derive(Default)]
pub(crate) struct Dropped {
    panic: Option<Box<dyn Any + Send>>,
}

impl Dropped {
    pub(crate) fn take<T>(&mut self, value: Option<T>) {
        let Some(value) = value else { return };
        // Unwind safe: the value is gone afterwards, whatever its state.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
            self.panic.get_or_insert(panic);
        }
    }

    pub(crate) fn take_all<T>(&mut self, values: impl IntoIterator<Item = T>) {
        for value in values {
            self.take(Some(value));
        }
    }

    pub(crate) fn finish(self) {
        if let Some(panic) = self.panic {
            resume_unwind(panic);
        }
    }
}
