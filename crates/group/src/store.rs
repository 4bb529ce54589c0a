//! What holds the values: the seam for another store, and the LRU that comes with the box.

use std::time::Duration;

use bytes::Bytes;
use gaggle_lru::Clock;

/// A byte-budgeted cache. A group has two, main and hot, and keeps their sum within its capacity with
/// [`evict_one`](Self::evict_one).
///
/// All methods are synchronous and called on the hit path: no I/O, no wait that is longer than a short lock.
pub trait Store: Send + Sync + 'static {
    /// The fresh value of `key`, counted as a hit or a miss.
    fn get(&self, key: &[u8]) -> Option<Cached>;

    /// The same, but neither counted nor taken as a use.
    fn peek(&self, key: &[u8]) -> Option<Cached>;

    /// Keeps a value, evicting others if it must.
    fn insert(&self, key: &[u8], value: Bytes, ttl: Option<Duration>) -> Inserted;

    /// Drops a key; says whether it was there.
    fn remove(&self, key: &[u8]) -> bool;

    /// Evicts the entry that is worth least, or a few that lie together. False if there is none.
    fn evict_one(&self) -> bool;

    /// The bytes held: keys, values and the bookkeeping of both.
    fn bytes(&self) -> u64;

    /// The number of entries held.
    fn len(&self) -> usize;

    /// Whether nothing is held.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Counters since the store was made.
    fn stats(&self) -> StoreStats;
}

/// A value in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cached {
    /// The value, shared.
    pub value: Bytes,
    /// How much longer it is fresh; `None` where it does not expire.
    pub ttl: Option<Duration>,
}

/// What became of an insertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It is kept.
    Kept,
    /// It can never fit, and nothing was evicted for it. An older value of the key is gone.
    Refused,
}

/// A store's counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Gets that found a fresh value.
    pub hits: u64,
    /// Gets that did not.
    pub misses: u64,
    /// Entries evicted for room.
    pub evicted_capacity: u64,
    /// Entries dropped because their time to live was over.
    pub evicted_expired: u64,
    /// Entries displaced by a key with the same hash.
    pub evicted_collision: u64,
    /// Values that could never fit.
    pub refused: u64,
}

/// The store that a group uses unless told otherwise: [`gaggle_lru::ByteCache`].
#[derive(Debug)]
pub struct LruStore {
    cache: gaggle_lru::ByteCache,
}

impl LruStore {
    /// A store of at most `capacity` bytes whose entries age by `clock`.
    pub fn new(capacity: u64, clock: Clock) -> Self {
        let options = gaggle_lru::Options {
            capacity,
            clock,
            ..Default::default()
        };
        Self {
            cache: gaggle_lru::ByteCache::new(options),
        }
    }
}

impl From<gaggle_lru::Hit<Bytes>> for Cached {
    fn from(hit: gaggle_lru::Hit<Bytes>) -> Self {
        Self {
            value: hit.value,
            ttl: hit.ttl,
        }
    }
}

impl Store for LruStore {
    fn get(&self, key: &[u8]) -> Option<Cached> {
        self.cache.get_entry(key).map(Into::into)
    }

    fn peek(&self, key: &[u8]) -> Option<Cached> {
        self.cache.peek(key).map(Into::into)
    }

    fn insert(&self, key: &[u8], value: Bytes, ttl: Option<Duration>) -> Inserted {
        match self.cache.insert_with_ttl(key, value, ttl) {
            gaggle_lru::Insertion::Refused { .. } => Inserted::Refused,
            _ => Inserted::Kept,
        }
    }

    fn remove(&self, key: &[u8]) -> bool {
        self.cache.remove(key).is_some()
    }

    fn evict_one(&self) -> bool {
        self.cache.evict() > 0
    }

    fn bytes(&self) -> u64 {
        self.cache.bytes()
    }

    fn len(&self) -> usize {
        self.cache.len()
    }

    fn stats(&self) -> StoreStats {
        let stats = self.cache.stats();
        StoreStats {
            hits: stats.hits,
            misses: stats.misses,
            evicted_capacity: stats.evictions.capacity,
            evicted_expired: stats.evictions.expired,
            evicted_collision: stats.evictions.collision,
            refused: stats.refusals,
        }
    }
}
