use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gaggle_lru::{Cache, Hit, Options};
use gaggle_shards::Clock;

use super::{Cached, Inserted, Store, StoreStats};
use crate::{Freshness, Key, Metadata};

/// A store that evicts by the entry, in LRU order: [`gaggle_lru::Cache`].
///
/// Compared with [`PagedStore`](super::PagedStore), which evicts small values by the page, it
/// needs several times the bookkeeping for each entry, and hits of one shard wait for each other.
/// It cannot be scanned, so it hands over no entries to the next owners of its keys, and it does
/// not shorten the lifetimes of its entries.
#[derive(Debug)]
pub struct LruStore {
    cache: Cache<Key, Kept>,
    clock: Clock,
}

/// The entry of a key. It expires in the cache when all of its windows are over.
#[derive(Debug, Clone)]
struct Kept {
    value: Bytes,
    /// Most values have none.
    extras: Option<Arc<Extras>>,
}

#[derive(Debug)]
struct Extras {
    /// How long after the ttl the value is useful.
    windows: Freshness,
    refresh_ahead: Duration,
    /// With the age at the time it was stored.
    metadata: Metadata,
    /// The time at which it was stored.
    stored: Duration,
}

impl LruStore {
    /// A longer value is kept as it arrived. A shorter one is copied, as it may be a slice of a
    /// large buffer, which it would otherwise keep alive.
    const MAX_COPIED: usize = 1 << 10;

    /// A store of at most `capacity` bytes whose entries age by `clock`.
    pub fn new(capacity: u64, clock: Clock) -> Self {
        let options = Options {
            capacity,
            clock: clock.clone(),
            ..Default::default()
        };
        Self {
            cache: Cache::new(options, weigh),
            clock,
        }
    }

    fn extras(&self, cached: &Cached, refresh_ahead: Duration) -> Option<Arc<Extras>> {
        // Without an end, neither the windows nor the refresh before the end have an effect.
        let endless = cached.freshness.ttl.is_none();
        let windows = Freshness::default()
            .stale_while_revalidate(cached.freshness.revalidate_window())
            .stale_if_error(cached.freshness.error_window());
        let has_terms = !refresh_ahead.is_zero() || windows != Freshness::default();
        let is_plain = cached.metadata.is_empty() && (endless || !has_terms);
        (!is_plain).then(|| {
            Arc::new(Extras {
                windows,
                refresh_ahead,
                metadata: cached.metadata.clone(),
                stored: self.clock.now(),
            })
        })
    }

    /// The rest of an entry that becomes useless after that time.
    #[inline]
    fn cached(&self, kept: &Kept, left: Option<Duration>) -> Cached {
        match &kept.extras {
            None => Cached {
                value: kept.value.clone(),
                freshness: Freshness::until(left),
                ..Cached::default()
            },
            Some(extras) => {
                let (freshness, due) = extras.freshness(left);
                Cached {
                    value: kept.value.clone(),
                    freshness,
                    metadata: self.aged(extras),
                    due,
                }
            }
        }
    }

    fn aged(&self, extras: &Extras) -> Metadata {
        let metadata = extras.metadata.clone();
        match metadata.age() {
            Some(age) => {
                let since = self.clock.now().saturating_sub(extras.stored);
                metadata.with_age(age.saturating_add(since))
            }
            None => metadata,
        }
    }
}

impl Extras {
    /// How long an entry may be served that becomes useless after that time, and whether it is
    /// due.
    fn freshness(&self, left: Option<Duration>) -> (Freshness, bool) {
        let Some(left) = left else {
            return (Freshness::default(), false);
        };
        let (revalidate, error) = (
            self.windows.revalidate_window(),
            self.windows.error_window(),
        );
        let window = revalidate.max(error);
        let ttl = left.saturating_sub(window);
        let past = window.saturating_sub(left);
        let freshness = Freshness::for_ttl(ttl)
            .stale_while_revalidate(revalidate.saturating_sub(past))
            .stale_if_error(error.saturating_sub(past));
        (freshness, ttl.is_zero() || ttl <= self.refresh_ahead)
    }
}

/// How long an entry is useful.
fn whole_life(freshness: &Freshness) -> Option<Duration> {
    let window = freshness.revalidate_window().max(freshness.error_window());
    freshness.ttl.map(|ttl| ttl.saturating_add(window))
}

fn weigh(key: &Key, kept: &Kept) -> u64 {
    // Two counters come before what an `Arc` shares, and its block is rounded up.
    let block = |size: usize| (size + 2 * size_of::<usize>()).next_multiple_of(16);
    let extras = kept.extras.as_ref().map_or(0, |extras| {
        block(size_of::<Extras>()) + extras.metadata.footprint()
    });
    (key.len() as u64)
        .saturating_add(kept.value.len() as u64)
        .saturating_add(extras as u64)
}

impl Store for LruStore {
    fn get(&self, key: &[u8]) -> Option<Cached> {
        self.cache.get_if(key, |Hit { value, ttl }| {
            let cached = self.cached(value, ttl);
            cached.freshness.is_servable().then_some(cached)
        })
    }

    fn peek(&self, key: &[u8]) -> Option<Cached> {
        let Hit { value, ttl } = self.cache.peek(key)?;
        Some(self.cached(&value, ttl))
    }

    fn insert(&self, key: &[u8], cached: Cached, refresh_ahead: Duration) -> Inserted {
        let extras = self.extras(&cached, refresh_ahead);
        let Cached {
            value, freshness, ..
        } = cached;
        let value = if value.len() <= Self::MAX_COPIED {
            Bytes::copy_from_slice(&value)
        } else {
            value
        };
        let inserted = self.cache.insert_with_ttl(
            Key::copy_from_slice(key),
            Kept { value, extras },
            whole_life(&freshness),
        );
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
        self.cache.evict_one().is_some()
    }

    fn bytes(&self) -> u64 {
        self.cache.bytes()
    }

    fn len(&self) -> usize {
        self.cache.len()
    }

    fn set_capacity(&self, bytes: u64) -> bool {
        self.cache.set_capacity(bytes);
        true
    }

    fn stats(&self) -> StoreStats {
        self.cache.stats().into()
    }
}
