use std::mem::needs_drop;

use gaggle_shards::Deadline;

/// A key, its value, and the cache's own data about them.
pub(crate) struct Entry<K, V> {
    pub(crate) key: K,
    pub(crate) value: V,
    /// In bytes, as charged to the budget: stored, since weighing again might give another result.
    pub(crate) weight: u64,
    pub(crate) deadline: Deadline,
    /// When it was stored or last used, in the time of [`Ages`](gaggle_shards::Ages).
    pub(crate) used: u32,
}

impl<K, V> Entry<K, V> {
    /// See [`Cache::ENTRY_OVERHEAD`](crate::Cache::ENTRY_OVERHEAD).
    pub(crate) const OVERHEAD: u64 = {
        // An `lru` node: the hash, the entry and two links, in a block of its own. Allocators add
        // a header or round up; eight bytes and a granularity of sixteen is what glibc does.
        let node = size_of::<(u64, Self, usize, usize)>();
        let block = (node + 8).next_multiple_of(16);
        // A slot of the table: two pointers and a control byte. A table that has just grown is
        // 7/16 full, at worst.
        let slot = ((2 * size_of::<usize>() + 1) * 16).div_ceil(7);
        // A type that needs to be dropped usually owns a block: the same header and rounding,
        // sixteen bytes on average.
        let owned = 16 * (needs_drop::<K>() as usize + needs_drop::<V>() as usize);
        // Lossless: `From` is not const.
        (block + slot + owned) as u64
    };
}

/// An entry that [`Cache::evict_one`](crate::Cache::evict_one) took out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evicted<K, V> {
    /// Its key.
    pub key: K,
    /// Its value, which may have expired.
    pub value: V,
    /// Its weight, in bytes with the overhead.
    pub weight: u64,
}
