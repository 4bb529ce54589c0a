use std::ops::AddAssign;

/// Counts since the cache was made. They are kept in the shards, under the lock or beside it. A
/// snapshot adds them up, one shard after the other, so it is not of one instant while other
/// threads are at work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Gets that found a value.
    pub hits: u64,
    /// Gets that found no value, or an expired one.
    pub misses: u64,
    /// Values stored, overwriting or not.
    pub insertions: u64,
    /// The insertions that replaced the value of an equal key, expired or not.
    pub overwrites: u64,
    /// Values that can never fit, and were not stored.
    pub refusals: u64,
    /// Entries removed explicitly: by `remove`, by `clear`, or because the new value of their key
    /// was not stored.
    pub removals: u64,
    /// Entries that the cache evicted by itself.
    pub evictions: Evictions,
}

/// The evictions by their reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evictions {
    /// To make room, whether for an insertion or by `evict_one`. In a store of pages this includes
    /// entries past their `ttl` that were still kept.
    pub capacity: u64,
    /// Found expired: by a lookup, a removal or an eviction, or as a page was swept.
    pub expired: u64,
    /// Displaced by another key with the same 64-bit hash.
    pub collision: u64,
}

impl Evictions {
    /// The sum over all reasons.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.capacity + self.expired + self.collision
    }
}

impl AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        // Destructured, so that a new counter cannot be forgotten here.
        let Self {
            hits,
            misses,
            insertions,
            overwrites,
            refusals,
            removals,
            evictions,
        } = other;
        self.hits += hits;
        self.misses += misses;
        self.insertions += insertions;
        self.overwrites += overwrites;
        self.refusals += refusals;
        self.removals += removals;
        self.evictions += evictions;
    }
}

impl AddAssign for Evictions {
    fn add_assign(&mut self, other: Self) {
        let Self {
            capacity,
            expired,
            collision,
        } = other;
        self.capacity += capacity;
        self.expired += expired;
        self.collision += collision;
    }
}
