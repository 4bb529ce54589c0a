use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::entry::Entry;
use crate::shard::{Budget, Shard};

/// Rounds of all shards in sequence in which nothing could be evicted though the total is too high.
const MAX_DRY_ROUNDS: usize = 64;

/// Evicts until the total is within the budget, for the entry `fresh` just stored in the shard `home`, which has given one
/// entry already.
///
/// One entry from each of the other shards in turn, and round again with its own: room for a large value costs every shard
/// its oldest, not one shard everything. Only one lock is held at a time, so the order of locks is no matter.
///
/// The fresh entry is spared, for it fits: what is over the budget are others. Those may just be arriving: A and B both
/// store a value of nearly the whole capacity; A goes round before B's entry is there, or B's thread evicts A's entry.
/// Whoever sees the total above the capacity goes on, so the last of the threads leaves it within, and a round without a
/// victim happens only where another thread has changed something meanwhile. That cannot go on for long; should the
/// accounts ever be wrong, it would, so it has a bound.
pub(crate) fn make_room<K, V>(
    shards: &[Shard<K, V>],
    budget: &Budget,
    home: usize,
    fresh: u64,
    dropped: &mut Dropped,
) {
    let next = |at: usize| (at + 1) & (shards.len() - 1);
    let mut at = next(home);
    let mut dry = 0;
    while budget.is_over() && dry < MAX_DRY_ROUNDS * shards.len() {
        let spare = (at == home).then_some(fresh);
        // The lock ends with this line, before the entry does.
        let victim = shards[at].lock().evict(spare, budget);
        dry = if victim.is_some() { 0 } else { dry + 1 };
        dropped.take(victim);
        at = next(at);
    }
}

/// Evicts one entry: the one due in the first shard, counting from `start`, that has two or more. Where all
/// have one at most it is one of those, but the one stored last only if it is alone in the cache.
///
/// So with few entries in many shards, the value just inserted does not go before older ones.
pub(crate) fn evict_one<K, V>(
    shards: &[Shard<K, V>],
    budget: &Budget,
    start: usize,
    newest: u64,
) -> Option<Entry<K, V>> {
    let from_start =
        || (0..shards.len()).map(|i| shards[start.wrapping_add(i) & (shards.len() - 1)].lock());
    from_start()
        .find_map(|mut shard| {
            if shard.len() > 1 {
                shard.evict(None, budget)
            } else {
                None
            }
        })
        .or_else(|| from_start().find_map(|mut shard| shard.evict(Some(newest), budget)))
        .or_else(|| from_start().find_map(|mut shard| shard.evict(None, budget)))
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

    pub(crate) fn finish(self) {
        if let Some(panic) = self.panic {
            resume_unwind(panic);
        }
    }
}
