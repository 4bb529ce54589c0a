use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use gaggle_paged::{Held, Options, PagedCache};
use gaggle_shards::{Clock, Cursor, Life};

use super::{Cached, Inserted, Store, StoreStats};
use crate::{Freshness, Key, Metadata};

/// The default store of a group: [`gaggle_paged::PagedCache`].
#[derive(Debug)]
pub struct PagedStore {
    cache: PagedCache,
    clock: Clock,
}

impl PagedStore {
    /// A store of at most `capacity` bytes whose entries age by `clock`.
    pub fn new(capacity: u64, clock: Clock) -> Self {
        let options = Options {
            capacity,
            clock: clock.clone(),
            ..Default::default()
        };
        Self {
            cache: PagedCache::new(options),
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

    /// When the value was made, by the clock in nanoseconds, and the fields. A value may be older
    /// than the clock: the time is shifted by half of the range of eight bytes.
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

impl Store for PagedStore {
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

    fn recalls(&self) -> u64 {
        self.cache.recalls()
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
        self.cache.stats().into()
    }
}
