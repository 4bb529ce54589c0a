//! The caches, each as its documentation makes one, behind the two operations that all of them
//! have.

#![allow(
    clippy::borrowed_box,
    reason = "weighers are given a reference to the key as it is kept"
)]

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use foyer_memory::{CacheBuilder, LruConfig};
use gaggle_lru::{Cache, Options, byte_len};
use gaggle_paged::PagedCache;

/// A cache with room for a number of entries that all weigh the same.
pub(crate) trait Contender: Sync + Sized {
    const NAME: &'static str;
    fn with_room_for(entries: usize, payload: usize) -> Self;
    fn get(&self, key: &[u8]) -> Option<Bytes>;
    /// The key as it comes from a request: who keeps it in a box makes the box.
    fn insert(&self, key: &[u8], value: Bytes);
}

/// The store of a group.
pub(crate) struct Gaggle(PagedCache);

impl Contender for Gaggle {
    const NAME: &'static str = "gaggle-paged";

    fn with_room_for(entries: usize, payload: usize) -> Self {
        Self(PagedCache::new(Options {
            capacity: room_in_pages(entries, payload),
            ..Options::default()
        }))
    }

    #[inline]
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.0.get(key)
    }

    #[inline]
    fn insert(&self, key: &[u8], value: Bytes) {
        self.0.insert(key, value);
    }
}

/// What that many entries of a payload take: asked of a cache that holds them.
fn room_in_pages(entries: usize, payload: usize) -> u64 {
    let cache = PagedCache::new(Options {
        capacity: (entries * (payload + 1024)) as u64,
        ..Options::default()
    });
    for n in 0..entries {
        let key = format!("key-{n:06}");
        let value = vec![0; payload - key.len()];
        cache.insert(key.as_bytes(), value.into());
    }
    cache.bytes()
}

/// The one for any keys and values, with those of the others.
pub(crate) struct Generic(Cache<Box<[u8]>, Bytes>);

impl Contender for Generic {
    const NAME: &'static str = "Cache";

    fn with_room_for(entries: usize, payload: usize) -> Self {
        let weight = Cache::<Box<[u8]>, Bytes>::ENTRY_OVERHEAD + payload as u64;
        let options = Options {
            capacity: weight * entries as u64,
            ..Options::default()
        };
        Self(Cache::new(options, byte_len))
    }

    #[inline]
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.0.get(key)
    }

    #[inline]
    fn insert(&self, key: &[u8], value: Bytes) {
        self.0.insert(key.into(), value);
    }
}

/// Weighs as [`byte_len`] does, so that all sides call a weigher.
#[derive(Clone)]
pub(crate) struct Lengths;

impl quick_cache::Weighter<Box<[u8]>, Bytes> for Lengths {
    fn weight(&self, key: &Box<[u8]>, value: &Bytes) -> u64 {
        byte_len(key, value)
    }
}

pub(crate) struct Quick(quick_cache::sync::Cache<Box<[u8]>, Bytes, Lengths>);

impl Contender for Quick {
    const NAME: &'static str = "quick_cache";

    fn with_room_for(entries: usize, payload: usize) -> Self {
        let weight = (entries * payload) as u64;
        Self(quick_cache::sync::Cache::with_weighter(
            entries, weight, Lengths,
        ))
    }

    #[inline]
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.0.get(key)
    }

    #[inline]
    fn insert(&self, key: &[u8], value: Bytes) {
        self.0.insert(key.into(), value);
    }
}

pub(crate) struct Moka(moka::sync::Cache<Box<[u8]>, Bytes>);

impl Contender for Moka {
    const NAME: &'static str = "moka";

    fn with_room_for(entries: usize, payload: usize) -> Self {
        let cache = moka::sync::Cache::builder()
            .max_capacity((entries * payload) as u64)
            .weigher(|key: &Box<[u8]>, value: &Bytes| {
                u32::try_from(byte_len(key, value)).unwrap_or(u32::MAX)
            })
            .build();
        Self(cache)
    }

    #[inline]
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.0.get(key)
    }

    #[inline]
    fn insert(&self, key: &[u8], value: Bytes) {
        self.0.insert(key.into(), value);
    }
}

pub(crate) struct Foyer(foyer_memory::Cache<Box<[u8]>, Bytes>);

impl Contender for Foyer {
    const NAME: &'static str = "foyer (LRU)";

    fn with_room_for(entries: usize, payload: usize) -> Self {
        let cache = CacheBuilder::new(entries * payload)
            .with_shards(8)
            .with_eviction_config(LruConfig::default())
            .with_weighter(|key: &Box<[u8]>, value: &Bytes| key.len() + value.len())
            .build();
        Self(cache)
    }

    #[inline]
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.0.get(key).map(|entry| entry.value().clone())
    }

    #[inline]
    fn insert(&self, key: &[u8], value: Bytes) {
        self.0.insert(key.into(), value);
    }
}

pub(crate) struct Locked(Mutex<lru::LruCache<Box<[u8]>, Bytes>>);

impl Contender for Locked {
    const NAME: &'static str = "Mutex<lru>";

    fn with_room_for(entries: usize, _: usize) -> Self {
        let entries = NonZeroUsize::new(entries).unwrap_or(NonZeroUsize::MIN);
        Self(Mutex::new(lru::LruCache::new(entries)))
    }

    #[inline]
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(key).cloned()
    }

    #[inline]
    fn insert(&self, key: &[u8], value: Bytes) {
        // What it displaces is dropped after unlocking, as on the other sides.
        let _displaced = {
            let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            cache.push(key.into(), value)
        };
    }
}
