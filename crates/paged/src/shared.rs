//! The state that the shards of a cache share: the budget, the ages of both queues, the policy.

use std::sync::atomic::{AtomicU64, Ordering};

use gaggle_shards::{Ages, Budget, Oldest};

use crate::policy::{Charge, Policy, Rules};
use crate::queue::Queue;

/// State that is the same for all shards, or the sum over them.
pub(crate) struct Shared {
    /// With the ages of the main queue.
    budget: Budget,
    small: SmallQueue,
    policy: Policy,
    /// The tolerance by which the small queue may be too large, and the main queue too small,
    /// without any action: the bytes of the shards' open pages vary.
    slack: u64,
}

/// It has a cache line of its own (two, as processors fetch pairs), like [`Budget`].
#[repr(align(128))]
struct SmallQueue {
    ages: Ages,
    /// The bytes of its entries, over all shards.
    bytes: AtomicU64,
    /// The limit of the cache: its capacity, or its size when a caller asked for an eviction, if
    /// that was less.
    limit: AtomicU64,
    /// The bytes of the policy.
    statistics: AtomicU64,
    /// The bytes of the main queue, its oldest, that are obsolete since a shift.
    obsolete: AtomicU64,
    /// How many keys were inserted again soon after they had been evicted.
    recalls: AtomicU64,
}

/// The parts from which an eviction may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub(crate) queue: Queue,
    pub(crate) shard: usize,
}

impl Shared {
    pub(crate) fn new(capacity: u64, shards: usize, page: usize) -> Self {
        Self {
            budget: Budget::new(capacity, shards),
            small: SmallQueue {
                ages: Ages::new(shards),
                bytes: AtomicU64::new(0),
                limit: AtomicU64::new(capacity),
                statistics: AtomicU64::new(0),
                obsolete: AtomicU64::new(0),
                recalls: AtomicU64::new(0),
            },
            policy: Policy::new(capacity),
            slack: 2 * (page * shards) as u64,
        }
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(crate) fn ages(&self, queue: Queue) -> &Ages {
        match queue {
            Queue::Small => &self.small.ages,
            Queue::Main => self.budget.ages(),
        }
    }

    // Relaxed, as in `Budget`.

    /// The bytes that both queues may hold together.
    pub(crate) fn limit(&self) -> u64 {
        self.small.limit.load(Ordering::Relaxed)
    }

    /// Keeps the cache within that from now on, or within its capacity once it holds more.
    pub(crate) fn set_limit(&self, limit: u64) {
        if self.limit() != limit {
            self.small.limit.store(limit, Ordering::Relaxed);
        }
    }

    /// Records changed bytes of the cache, and of the small queue.
    pub(crate) fn exchange(&self, all: Charge, small: Charge) {
        self.budget.exchange(all.freed, all.charged);
        let bytes = &self.small.bytes;
        if small.charged > small.freed {
            bytes.fetch_add(small.charged - small.freed, Ordering::Relaxed);
        } else if small.freed > small.charged {
            bytes.fetch_sub(small.freed - small.charged, Ordering::Relaxed);
        }
        let used = self.budget.used().min(self.budget.capacity());
        if used > self.limit() {
            self.set_limit(used);
        }
    }

    /// Sets a shard's oldest block of each queue.
    pub(crate) fn tell(&self, shard: usize, oldest: impl Fn(Queue) -> Oldest) {
        for queue in Queue::BOTH {
            self.ages(queue).tell(shard, oldest(queue));
        }
    }

    /// Whether the small queue holds more than its part.
    pub(crate) fn is_small_full(&self, rules: Rules) -> bool {
        self.small.bytes.load(Ordering::Relaxed) > rules.small_of(self.limit())
    }

    /// The unused part of the main queue. While there is some, entries move to it whether they
    /// were used or not: an empty place gains nothing, and neither does an obsolete entry.
    pub(crate) fn room_in_main(&self, rules: Rules) -> u64 {
        let limit = self.limit();
        let part = limit - rules.small_of(limit) + self.small.obsolete.load(Ordering::Relaxed);
        part.saturating_sub(self.main_bytes().saturating_add(self.slack))
    }

    fn main_bytes(&self) -> u64 {
        let small = self.small.bytes.load(Ordering::Relaxed);
        self.budget.used().saturating_sub(small)
    }

    /// After a shift of the requested keys: gives up what is in the main queue. It is evicted
    /// first, by the price of [`Rules::PRICE_OF_OBSOLETE`]. The bytes include bookkeeping, so that
    /// the oldest few blocks after it are treated like it.
    pub(crate) fn give_up_main(&self) {
        let main = self.main_bytes();
        self.small.obsolete.store(main, Ordering::Relaxed);
    }

    /// The oldest block of the main queue, of that content, is examined: whether it is obsolete.
    pub(crate) fn take_obsolete(&self, content: u64) -> bool {
        let take = |bytes: u64| (bytes > 0).then(|| bytes.saturating_sub(content));
        let obsolete = &self.small.obsolete;
        obsolete
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }

    /// The queue that has to evict.
    pub(crate) fn queue_due(&self) -> Queue {
        let has_closed = |queue| self.ages(queue).has_closed();
        let small_is_due = if has_closed(Queue::Small) {
            self.is_small_full(self.policy.rules()) || !has_closed(Queue::Main)
        } else {
            // Open pages of the main queue are evicted last.
            !has_closed(Queue::Main) && !self.ages(Queue::Small).is_empty()
        };
        if small_is_due {
            Queue::Small
        } else {
            Queue::Main
        }
    }

    /// What has to be evicted for an insertion into the shard `home`, or in general.
    pub(crate) fn due(&self, home: Option<usize>) -> Due {
        let queue = self.queue_due();
        let ages = self.ages(queue);
        Due {
            queue,
            shard: home.map_or_else(|| ages.oldest(), |home| ages.due(home)),
        }
    }

    /// Records changed bytes of the policy's statistics.
    pub(crate) fn charge_statistics(&self, charge: Charge) {
        if charge.freed != charge.charged {
            self.budget.exchange(charge.freed, charge.charged);
            let change = charge.charged.wrapping_sub(charge.freed);
            self.small.statistics.fetch_add(change, Ordering::Relaxed);
        }
    }

    /// Forgets the policy's statistics, and frees their bytes.
    pub(crate) fn forget_statistics(&self) {
        self.small.obsolete.store(0, Ordering::Relaxed);
        self.charge_statistics(self.policy.clear());
    }

    /// Counts a key that was inserted again soon after it had been evicted.
    pub(crate) fn count_recall(&self) {
        self.small.recalls.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn recalls(&self) -> u64 {
        self.small.recalls.load(Ordering::Relaxed)
    }

    /// The bytes of the entries, without the statistics.
    pub(crate) fn bytes(&self) -> u64 {
        let statistics = self.small.statistics.load(Ordering::Relaxed);
        self.budget.used().saturating_sub(statistics)
    }

    /// Whether all shards but that one are empty.
    pub(crate) fn is_alone(&self, shard: usize) -> bool {
        Queue::BOTH
            .iter()
            .all(|queue| self.ages(*queue).is_alone(shard))
    }

    #[cfg(test)]
    pub(crate) fn small_bytes(&self) -> u64 {
        self.small.bytes.load(Ordering::Relaxed)
    }
}
