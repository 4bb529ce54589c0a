//! What holds the values: the seam for another store, and the one that comes with the crate.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use gaggle_lru::{Clock, Cursor, Held, Life};

use crate::{Freshness, Key, Metadata};

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

/// The store that a group uses unless told otherwise: [`gaggle_lru::ByteCache`].
#[derive(Debug)]
pub struct LruStore {
    cache: gaggle_lru::ByteCache,
    clock: Clock,
}

impl LruStore {
    /// A store of at most `capacity` bytes whose entries age by `clock`.
    pub fn new(capacity: u64, clock: Clock) -> Self {
        let options = gaggle_lru::Options {
            capacity,
            clock: clock.clone(),
            ..Default::default()
        };
        Self {
            cache: gaggle_lru::ByteCache::new(options),
            clock,
        }
    }

    #[inline(never)]
    fn cached(&self, held: Held) -> Cached {
        let Held {
            value,
            note,
            life,
            due,
            ..
        } = held;
        Cached {
            value,
            freshness: Freshness::until(life.ttl)
                .stale_while_revalidate(life.serve_stale)
                .stale_if_error(life.keep_stale),
            metadata: self.read_note(note),
            due: due || life.ttl.is_some_and(|ttl| ttl.is_zero()),
        }
    }

    /// When the value was made, by the clock in nanoseconds, and the fields. A value may be older than the clock: the time is
    /// shifted by half of what eight bytes can say.
    fn write_note(&self, metadata: &Metadata) -> BytesMut {
        let mut note = BytesMut::new();
        if !metadata.is_empty() {
            let made = metadata.age().map_or(u64::MAX, |age| {
                let age = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX).min(EPOCH);
                (EPOCH - age).saturating_add(self.now())
            });
            note.put_u64(made);
            note.put_slice(metadata.as_bytes());
        }
        note
    }

    fn read_note(&self, mut note: Bytes) -> Metadata {
        if note.len() < size_of::<u64>() {
            return Metadata::default();
        }
        let made = note.split_to(size_of::<u64>());
        let made = made
            .first_chunk()
            .map_or(u64::MAX, |made| u64::from_be_bytes(*made));
        let metadata = Metadata::from_bytes(note).unwrap_or_default();
        if made == u64::MAX {
            return metadata;
        }
        let age = EPOCH.saturating_add(self.now()).saturating_sub(made);
        metadata.with_age(Duration::from_nanos(age))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.clock.now().as_nanos()).unwrap_or(u64::MAX)
    }
}

const EPOCH: u64 = 1 << 63;

fn life(freshness: Freshness, refresh_ahead: Duration) -> Life {
    Life {
        ttl: freshness.ttl,
        serve_stale: freshness.revalidate_window(),
        keep_stale: freshness.error_window(),
        refresh_ahead,
    }
}

impl Store for LruStore {
    fn get(&self, key: &[u8]) -> Option<Cached> {
        self.cache.hold_with(key, |holding| {
            if holding.is_plain() {
                Cached {
                    value: holding.value(),
                    freshness: Freshness::until(holding.ttl()),
                    ..Cached::default()
                }
            } else {
                self.cached(holding.to_held())
            }
        })
    }

    fn peek(&self, key: &[u8]) -> Option<Cached> {
        self.cache.hold_any(key).map(|held| self.cached(held))
    }

    fn insert(&self, key: &[u8], cached: Cached, refresh_ahead: Duration) -> Inserted {
        let life = life(cached.freshness, refresh_ahead);
        let note = self.write_note(&cached.metadata);
        let inserted = self.cache.insert_entry(key, cached.value, &life, &note);
        if inserted.is_stored() {
            Inserted::Kept
        } else {
            Inserted::Refused
        }
    }

    fn remove(&self, key: &[u8]) -> bool {
        self.cache.remove(key).is_some()
    }

    fn clear(&self) {
        self.cache.clear();
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

    fn scan(
        &self,
        from: Cursor,
        most_entries: usize,
        most_bytes: u64,
    ) -> (Vec<(Key, Cached)>, Option<Cursor>) {
        let (batch, next) = self.cache.scan(from, most_entries, most_bytes);
        let batch = batch
            .into_iter()
            .map(|(key, held)| (key, self.cached(held)))
            .collect();
        (batch, next)
    }

    fn set_capacity(&self, bytes: u64) -> bool {
        self.cache.set_capacity(bytes);
        true
    }

    fn shorten(
        &self,
        longest: Freshness,
        refresh_ahead: Duration,
        ttl: &mut dyn FnMut(Duration) -> Duration,
    ) -> bool {
        self.cache.shorten(&life(longest, refresh_ahead), ttl);
        true
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Field;

    #[test]
    fn metadata_comes_back_and_grows_older() {
        let clock = Clock::manual();
        let store = LruStore::new(1 << 20, clock.clone());
        let metadata = Metadata::default()
            .with(Field::ContentType, "text/plain")
            .with_age(Duration::from_secs(7));
        let cached = Cached::new("v", Freshness::default()).with_metadata(metadata);
        store.insert(b"k", cached, Duration::ZERO);
        clock.advance(Duration::from_secs(3));
        let found = store.get(b"k").unwrap().metadata;
        assert_eq!(found.get(Field::ContentType), Some(&b"text/plain"[..]));
        assert_eq!(found.age(), Some(Duration::from_secs(10)));
        let plain = Cached::new("v", Freshness::default());
        store.insert(b"plain", plain, Duration::ZERO);
        assert!(store.get(b"plain").unwrap().metadata.is_empty());
    }

    #[test]
    fn a_scan_brings_what_peek_finds_and_is_fresh() {
        let clock = Clock::manual();
        let store = LruStore::new(64 << 20, clock.clone());
        let second = Duration::from_secs(1);
        for n in 0..3_000_u32 {
            let freshness = Freshness::for_ttl(second * (1 + n % 3)).stale_if_error(second * 60);
            let mut cached = Cached::new(vec![0; n as usize % 2_000], freshness);
            if n % 2 == 0 {
                let metadata = Metadata::default().with(Field::ContentType, "text/plain");
                cached = cached.with_metadata(metadata.with_age(second * n));
            }
            store.insert(&n.to_be_bytes(), cached, second);
        }
        clock.advance(second * 3 / 2);
        let (before, mut seen) = (store.stats(), vec![0; 3_000]);
        let mut next = Some(Cursor::default());
        while let Some(from) = next {
            let (batch, then) = store.scan(from, 100, 50_000);
            assert!(batch.len() <= 100);
            for (key, cached) in batch {
                assert!(cached.freshness.ttl > Some(Duration::ZERO));
                assert_eq!(Some(cached), store.peek(&key));
                seen[u32::from_be_bytes(key[..].try_into().unwrap()) as usize] += 1;
            }
            next = then;
        }
        for (n, times) in seen.into_iter().enumerate() {
            assert_eq!(times, i32::from(n % 3 != 0), "{n}");
        }
        assert_eq!(store.stats(), before);
    }
}
