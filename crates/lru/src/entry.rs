use std::mem::needs_drop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use crate::Life;
use crate::ages::Placed;
use crate::clock::Deadline;

/// A key, its value, and what the cache has to know about them.
pub(crate) struct Entry<K, V> {
    pub(crate) key: K,
    pub(crate) value: V,
    pub(crate) weight: Weight,
    pub(crate) deadline: Deadline,
    /// Since when it is where it is in the order.
    pub(crate) placed: Placed,
}

/// What an entry weighs, as charged to the budget: kept, since weighing again might give another result. And how often
/// it was used since the evictor last came by, up to [`MAX_USES`](Self::MAX_USES).
///
/// Both in one word: the uses take the bits that no weight needs, as nothing heavier than 2^48 is ever stored, and so
/// cost no memory.
#[derive(Debug)]
pub(crate) struct Weight(AtomicU64);

impl Weight {
    /// With one, a key asked for a thousand times goes as soon as a key asked for once. Two is better on nearly all
    /// traces; with three, the evictor passes an entry once more, for no gain on most.
    const MAX_USES: u64 = 2;
    const USE: u64 = 1 << 62;

    pub(crate) fn new(bytes: u64) -> Self {
        debug_assert!(bytes < Self::USE, "above what a budget may be");
        Self(AtomicU64::new(bytes))
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed) & (Self::USE - 1)
    }

    /// Notes a use. Writes only if that is news: the cache line of an entry hit all the time stays with all readers.
    ///
    /// No read-modify-write, which is many times dearer: of two hits at the same instant one may be lost, as both load n
    /// and both store n + 1. The bytes are the same in both.
    pub(crate) fn note_use(&self) {
        let word = self.0.load(Ordering::Relaxed);
        if word < Self::MAX_USES * Self::USE {
            self.0.store(word + Self::USE, Ordering::Relaxed);
        }
    }

    /// Makes the uses noted here the same as there.
    pub(crate) fn inherit_uses(&self, other: &Self) {
        let uses = other.0.load(Ordering::Relaxed) & !(Self::USE - 1);
        self.0.store(self.bytes() | uses, Ordering::Relaxed);
    }

    /// Takes one noted use away; whether there was one.
    pub(crate) fn spend_use(&self) -> bool {
        let word = self.0.load(Ordering::Relaxed);
        let used = word >= Self::USE;
        if used {
            self.0.store(word - Self::USE, Ordering::Relaxed);
        }
        used
    }
}

impl<K, V> Entry<K, V> {
    /// See [`Cache::ENTRY_OVERHEAD`](crate::Cache::ENTRY_OVERHEAD).
    pub(crate) const OVERHEAD: u64 = {
        // An `lru` node: the hash, the entry and two links, in a block of its own. Allocators add a header or round up;
        // eight bytes and a granularity of sixteen is what glibc does.
        let node = size_of::<(u64, Self, usize, usize)>();
        let block = (node + 8).next_multiple_of(16);
        // A slot of the table: two pointers and a control byte. A table that has just grown is 7/16 full, at worst.
        let slot = ((2 * size_of::<usize>() + 1) * 16).div_ceil(7);
        // What needs to be dropped owns a block, as a rule: the same header and rounding, sixteen bytes on average.
        let owned = 16 * (needs_drop::<K>() as usize + needs_drop::<V>() as usize);
        // Lossless: `From` is not const.
        (block + slot + owned) as u64
    };
}

/// A value found, with the time it has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit<V> {
    /// The value, cloned.
    pub value: V,
    /// How much longer it is fresh; `None` where it does not expire. Zero only where a
    /// [`ByteCache`](crate::ByteCache) serves it [stale](crate::Life::serve_stale).
    pub ttl: Option<Duration>,
}

/// All that a [`ByteCache`](crate::ByteCache) has of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Held {
    /// The value.
    pub value: Bytes,
    /// What was stored with it; empty if nothing was.
    pub note: Bytes,
    /// What is left of its life. `ttl`: the time left, zero where it is stale. `serve_stale` and `keep_stale`: counted from
    /// the end of the `ttl`, or from now where it is stale. `refresh_ahead`: as stored.
    pub life: Life,
    /// Whether it is fresh, but no longer than the `refresh_ahead` of its life.
    pub due: bool,
}

/// What became of an insertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Insertion {
    /// Stored; the key was not there.
    Added,
    /// Stored in place of the key's older value.
    Overwrote,
    /// Not stored, as it is heavier than the whole capacity, or has a [note that is too long](crate::ByteCache::MAX_NOTE).
    /// Nothing was evicted for it, but an older value of its key, which would now be stale, was removed.
    Refused {
        /// What it would have weighed, in bytes with the overhead.
        weight: u64,
        /// What the cache may hold, in bytes.
        capacity: u64,
    },
    /// Not stored, as its life was over as it came: a `ttl` of zero, and no time to serve or keep it stale. Nothing was
    /// evicted for it, but an older value of its key was removed.
    Expired,
}

impl Insertion {
    /// Whether the value was stored.
    #[must_use]
    pub fn is_stored(self) -> bool {
        matches!(self, Self::Added | Self::Overwrote)
    }
}

/// An entry that [`Cache::evict_one`](crate::Cache::evict_one) took out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evicted<K, V> {
    /// Its key.
    pub key: K,
    /// Its value, which may have expired.
    pub value: V,
    /// What it weighed, in bytes with the overhead.
    pub weight: u64,
}

/// The weigher for keys and values that are bytes or text: the sum of their lengths.
pub fn byte_len<K: AsRef<[u8]> + ?Sized, V: AsRef<[u8]> + ?Sized>(key: &K, value: &V) -> u64 {
    (key.as_ref().len() as u64).saturating_add(value.as_ref().len() as u64)
}
