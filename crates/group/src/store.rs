//! The stores of values: the trait for another store, and the two that are part of the crate.

use std::time::Duration;

use bytes::Bytes;
use gaggle_shards::{Cursor, Stats};

use crate::{Freshness, Key, Metadata};

mod lru;
mod paged;
#[cfg(test)]
mod tests;

pub use self::lru::LruStore;
pub use self::paged::PagedStore;

/// A byte-budgeted cache. A group has two, main and hot, and keeps their sum within its capacity
/// with [`evict_one`](Self::evict_one).
///
/// All methods are synchronous and called on the hit path: no I/O, and no wait that is longer than
/// a short lock.
pub trait Store: Send + Sync + 'static {
    /// The entry of `key` if it may be served without a load: fresh, or stale within its window of
    /// revalidation. Counted as a hit or a miss.
    fn get(&self, key: &[u8]) -> Option<Cached>;

    /// The entry of `key`, even if it may only be served after a failed load; neither counted nor
    /// a use.
    fn peek(&self, key: &[u8]) -> Option<Cached>;

    /// Keeps a value, evicting others if it must. One that is [over](Freshness::is_over) is not
    /// kept. `refresh_ahead` before the end of its ttl, hits start to report it as
    /// [due](Cached::due).
    fn insert(&self, key: &[u8], cached: Cached, refresh_ahead: Duration) -> Inserted;

    /// Drops a key; returns whether it was there.
    fn remove(&self, key: &[u8]) -> bool;

    /// Drops all keys.
    fn clear(&self);

    /// Evicts the least valuable entry, or a few that are stored together. False if there is none.
    fn evict_one(&self) -> bool;

    /// The bytes held: keys, values and the bookkeeping of both.
    fn bytes(&self) -> u64;

    /// The number of entries held.
    fn len(&self) -> usize;

    /// Whether nothing is held.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How often it stored a value that it had evicted recently, since it was made: with a little
    /// more room it would still have had that value. The stores of a group share its capacity by
    /// this number. Zero, the default, if it is unknown: the store then counts as one that gains
    /// nothing from more room.
    fn recalls(&self) -> u64 {
        0
    }

    /// The next fresh entries, to be handed over to other nodes, and the cursor to continue with;
    /// no cursor means that the scan has ended. A scan begins with [`Cursor::default`]. It is
    /// neither counted nor a use.
    ///
    /// A batch has up to `most_entries` (zero is taken as one), whose keys, values and metadata
    /// have up to `most_bytes` together, or a single entry that has more. It may have fewer
    /// entries, or none, although there is more to come.
    ///
    /// A store returns first the entries that it would evict last, as far as it knows. An entry
    /// that is not moved during the whole scan is seen exactly once; one that is stored, moved or
    /// removed meanwhile may be missed or seen twice. A call takes about a millisecond at most and
    /// holds no lock for longer than other calls do. A scan ends however much is stored meanwhile.
    ///
    /// The default returns nothing: the new owners of a key then load it again.
    fn scan(
        &self,
        from: Cursor,
        most_entries: usize,
        most_bytes: u64,
    ) -> (Vec<(Key, Cached)>, Option<Cursor>) {
        let _ = (from, most_entries, most_bytes);
        (Vec::new(), None)
    }

    /// Changes the bytes that it may hold. False, the default, if it cannot; a store that
    /// can returns true each time, even if the capacity is unchanged.
    ///
    /// A lower capacity is reached when this returns, by evicting the least valuable entries. Not
    /// called on the hit path: it may take seconds, but no other call waits for it for longer than
    /// for an insertion.
    fn set_capacity(&self, bytes: u64) -> bool {
        let _ = bytes;
        false
    }

    /// Lowers the lifetime of all entries to `longest`, counted from now, and makes them due at
    /// most `refresh_ahead` before the end of their ttl. If a ttl is lowered, `ttl` is called with
    /// that of `longest` and returns the new one, so that not all end together; one result may be
    /// used for a few entries that are stored together. False, the default, if it cannot:
    /// lifetimes are unchanged then. It may take as long as [`set_capacity`](Self::set_capacity).
    fn shorten(
        &self,
        longest: Freshness,
        refresh_ahead: Duration,
        ttl: &mut dyn FnMut(Duration) -> Duration,
    ) -> bool {
        let _ = (longest, refresh_ahead, ttl);
        false
    }

    /// Counters since the store was made.
    fn stats(&self) -> StoreStats;
}

/// A value in a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cached {
    /// The value, shared.
    pub value: Bytes,
    /// How much longer it may be served.
    pub freshness: Freshness,
    /// The origin's metadata of it.
    pub metadata: Metadata,
    /// Whether it has to be loaded again, though it may be served: it is stale, or near the end of
    /// its ttl.
    pub due: bool,
}

impl Cached {
    /// A value with that freshness.
    pub fn new(value: impl Into<Bytes>, freshness: Freshness) -> Self {
        Self {
            value: value.into(),
            freshness,
            ..Self::default()
        }
    }

    /// Sets the origin's metadata.
    #[must_use]
    pub fn with_metadata(self, metadata: Metadata) -> Self {
        Self { metadata, ..self }
    }
}

/// The result of an insertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It is kept.
    Kept,
    /// It can never fit, or is over, and nothing was evicted for it. An older value of the key is
    /// dropped.
    Refused,
}

/// A store's counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStats {
    /// Gets that found a servable entry.
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

impl From<Stats> for StoreStats {
    fn from(stats: Stats) -> Self {
        Self {
            hits: stats.hits,
            misses: stats.misses,
            evicted_capacity: stats.evictions.capacity,
            evicted_expired: stats.evictions.expired,
            evicted_collision: stats.evictions.collision,
            refused: stats.refusals,
        }
    }
}
