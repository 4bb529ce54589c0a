//! What holds the values: the seam for another store, and the two that come with the crate.

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

/// A byte-budgeted cache. A group has two, main and hot, and keeps their sum within its capacity with
/// [`evict_one`](Self::evict_one).
///
/// All methods are synchronous and called on the hit path: no I/O, no wait that is longer than a short lock.
pub trait Store: Send + Sync + 'static {
    /// What there is of `key` if it may be served without a load: fresh, or stale within its window of revalidation.
    /// Counted as a hit or a miss.
    fn get(&self, key: &[u8]) -> Option<Cached>;

    /// What there is of `key`, also where it is only of use if a load fails; neither counted nor taken as a use.
    fn peek(&self, key: &[u8]) -> Option<Cached>;

    /// Keeps a value, evicting others if it must. One that is [of no use](Freshness::is_over) is not kept. So long before the
    /// end of its ttl a hit is told that it is [due](Cached::due).
    fn insert(&self, key: &[u8], cached: Cached, refresh_ahead: Duration) -> Inserted;

    /// Drops a key; says whether it was there.
    fn remove(&self, key: &[u8]) -> bool;

    /// Drops all keys.
    fn clear(&self);

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

    /// How often it was given a value that it had evicted not long before, since it was made: with a little more room it would
    /// have had that still. By this the stores of a group share its capacity. Zero, the default, where it does not know: then a
    /// store counts as one that gains nothing by more room.
    fn recalls(&self) -> u64 {
        0
    }

    /// The next fresh entries, to be handed to other nodes, and the cursor to go on with; no
    /// cursor means that the scan has ended. A scan begins with [`Cursor::default`]. It is neither
    /// counted nor taken as a use.
    ///
    /// A batch has up to `most_entries` (zero is taken as one), whose keys, values and metadata
    /// have up to `most_bytes` together, or a single entry that has more. It may have fewer
    /// entries, or none, although there is more to come.
    ///
    /// A store gives first what it would evict last, as far as it can tell. An entry that stays
    /// put during the whole scan is seen exactly once; one that is stored, moved or removed
    /// meanwhile may be missed or seen twice. A call takes about a millisecond at most and holds
    /// no lock for longer than other calls do. A scan ends however much is stored meanwhile.
    ///
    /// The default brings nothing: the new owners of a key then load it again.
    fn scan(
        &self,
        from: Cursor,
        most_entries: usize,
        most_bytes: u64,
    ) -> (Vec<(Key, Cached)>, Option<Cursor>) {
        let _ = (from, most_entries, most_bytes);
        (Vec::new(), None)
    }

    /// Changes the bytes that it may hold. False, the default, if it cannot; one that can says so
    /// each time, also for what it has already.
    ///
    /// A lower capacity is reached when this returns, and what is worth least is evicted for it.
    /// Not called on the hit path: it may take seconds, but no other call waits for it for longer
    /// than for an insertion.
    fn set_capacity(&self, bytes: u64) -> bool {
        let _ = bytes;
        false
    }

    /// Lowers the life of all that it keeps to `longest`, counted from now, and to be due for
    /// `refresh_ahead` at most before the end of its ttl. Where a ttl is lowered, `ttl` is given
    /// that of `longest` and says what it is to be, so that not all ends together; one answer may
    /// be for a few entries that lie together. False, the default, if it cannot: then all keeps
    /// its life. Called as [`set_capacity`](Self::set_capacity) is.
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
    /// What the origin said of it.
    pub metadata: Metadata,
    /// Whether it is due to be loaded again, though it may be served: it is stale, or near the end of its ttl.
    pub due: bool,
}

impl Cached {
    /// A value that may be served for so long.
    pub fn new(value: impl Into<Bytes>, freshness: Freshness) -> Self {
        Self {
            value: value.into(),
            freshness,
            ..Self::default()
        }
    }

    /// The same with what the origin said of it.
    #[must_use]
    pub fn with_metadata(self, metadata: Metadata) -> Self {
        Self { metadata, ..self }
    }
}

/// What became of an insertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It is kept.
    Kept,
    /// It can never fit, or is of no use, and nothing was evicted for it. An older value of the key is gone.
    Refused,
}

/// A store's counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStats {
    /// Gets that found what could be served.
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
