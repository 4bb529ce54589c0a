use std::borrow::Borrow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;

use crate::entry::Entry;
use crate::hash::IdentityState;
use crate::{Clock, Stats};

/// What all shards together may hold, and hold.
///
/// A line of its own (two, as processors fetch pairs): each insertion writes the total, and would otherwise take the
/// hasher's seed and the rest away from the readers.
#[repr(align(128))]
pub(crate) struct Budget {
    used: AtomicU64,
    pub(crate) capacity: u64,
}

impl Budget {
    pub(crate) fn new(capacity: u64) -> Self {
        Self {
            used: AtomicU64::new(0),
            capacity,
        }
    }

    // Relaxed suffices: the total is changed only under the lock of the shard whose entries it counts, and whoever finds
    // it too high locks the shards to look for entries.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.used() > self.capacity
    }

    /// The difference in one step: an overwrite must not look, for a moment, as if it held both values.
    fn exchange(&self, freed: u64, charged: u64) {
        if charged >= freed {
            self.used.fetch_add(charged - freed, Ordering::Relaxed);
        } else {
            self.refund(freed - charged);
        }
    }

    fn refund(&self, weight: u64) {
        self.used.fetch_sub(weight, Ordering::Relaxed);
    }
}

/// A shard in a cache line of its own.
#[repr(align(128))]
pub(crate) struct Shard<K, V>(Mutex<Entries<K, V>>);

impl<K, V> Shard<K, V> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Entries {
            order: LruCache::unbounded_with_hasher(IdentityState),
            bytes: 0,
            stats: Stats::default(),
        }))
    }

    /// A panic of foreign code under the lock (`Eq`, `Clone`, a reader's closure) happens where the entries and the
    /// accounts agree: see [`Entries`]. So a poisoned lock is as good as any.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Entries<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entries of a shard by the hash of their key, in the order of use, with their accounts.
///
/// Each method calls foreign code, if at all, before its first change of the entries or after its last, and hands the
/// entries it takes out to the caller, to be dropped after unlocking.
pub(crate) struct Entries<K, V> {
    order: LruCache<u64, Entry<K, V>, IdentityState>,
    /// The sum of the weights here; always a part of the budget's total.
    bytes: u64,
    pub(crate) stats: Stats,
}

/// What a lookup found, and the expired entry it took out.
pub(crate) type Found<R, K, V> = (Option<R>, Option<Entry<K, V>>);

impl<K, V> Entries<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Looks up, counts and promotes.
    pub(crate) fn get<Q, R>(
        &mut self,
        hash: u64,
        key: &Q,
        clock: &Clock,
        budget: &Budget,
        read: impl FnOnce(&V, Option<Duration>) -> R,
    ) -> Found<R, K, V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        // Promoting before the key is compared spares a second search; that a collision promotes the wrong entry does
        // no harm.
        let Some(entry) = self
            .order
            .get(&hash)
            .filter(|entry| entry.key.borrow() == key)
        else {
            self.stats.misses += 1;
            return (None, None);
        };
        if let Ok(ttl) = entry.deadline.left(clock) {
            self.stats.hits += 1;
            return (Some(read(&entry.value, ttl)), None);
        }
        self.stats.misses += 1;
        self.stats.evictions.expired += 1;
        (None, self.take(hash, budget))
    }

    /// Looks up, and changes nothing.
    pub(crate) fn peek<Q, R>(
        &self,
        hash: u64,
        key: &Q,
        clock: &Clock,
        read: impl FnOnce(&V, Option<Duration>) -> R,
    ) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let entry = self
            .order
            .peek(&hash)
            .filter(|entry| entry.key.borrow() == key)?;
        let ttl = entry.deadline.left(clock).ok()?;
        Some(read(&entry.value, ttl))
    }

    /// Stores; returns the entry displaced, and whether it had the same key.
    pub(crate) fn insert(
        &mut self,
        hash: u64,
        entry: Entry<K, V>,
        budget: &Budget,
    ) -> (Option<Entry<K, V>>, bool)
    where
        K: Eq,
    {
        let same_key = self
            .order
            .peek(&hash)
            .is_some_and(|old| old.key == entry.key);

        let weight = entry.weight;
        // The key of the new entry comes in with it: an old key may be a slice that keeps a large buffer alive.
        let old = self.order.put(hash, entry);
        let freed = old.as_ref().map_or(0, |old| old.weight);
        self.bytes = self.bytes - freed + weight;
        budget.exchange(freed, weight);
        self.stats.insertions += 1;
        if old.is_some() {
            if same_key {
                self.stats.overwrites += 1;
            } else {
                self.stats.evictions.collision += 1;
            }
        }
        (old, same_key)
    }

    /// Takes out a key; whether it had expired is in the second place.
    pub(crate) fn remove<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        clock: &Clock,
        budget: &Budget,
    ) -> Option<(Entry<K, V>, bool)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let entry = self
            .order
            .peek(&hash)
            .filter(|entry| entry.key.borrow() == key)?;
        let expired = entry.deadline.left(clock).is_err();
        let entry = self.take(hash, budget)?;
        if expired {
            self.stats.evictions.expired += 1;
        } else {
            self.stats.removals += 1;
        }
        Some((entry, expired))
    }

    /// Takes out the least recently used entry, or the one before it if that is the spared one.
    pub(crate) fn evict(&mut self, spare: Option<u64>, budget: &Budget) -> Option<Entry<K, V>> {
        let hash = self
            .order
            .iter()
            .rev()
            .map(|(hash, _)| *hash)
            .find(|hash| Some(*hash) != spare)?;
        let entry = self.take(hash, budget)?;
        self.stats.evictions.capacity += 1;
        Some(entry)
    }

    /// Takes out everything, the table with its slots too.
    pub(crate) fn clear(&mut self, budget: &Budget) -> LruCache<u64, Entry<K, V>, IdentityState> {
        let empty = LruCache::unbounded_with_hasher(IdentityState);
        let all = std::mem::replace(&mut self.order, empty);
        budget.refund(std::mem::take(&mut self.bytes));
        self.stats.removals += all.len() as u64;
        all
    }

    fn take(&mut self, hash: u64, budget: &Budget) -> Option<Entry<K, V>> {
        let entry = self.order.pop(&hash)?;
        self.bytes -= entry.weight;
        budget.refund(entry.weight);
        Some(entry)
    }

    /// The accounts of the shard as kept, and as they should be.
    #[cfg(test)]
    pub(crate) fn audit(&self) -> (u64, u64) {
        (
            self.bytes,
            self.order.iter().map(|(_, entry)| entry.weight).sum(),
        )
    }
}

/// The place in the shards for a hash; `mask` is their number, a power of two up to 1024, less one.
///
/// High bits, but not the seven highest: the shard's own table tells apart the entries of a group of slots by those, and
/// they must not be the same throughout a shard. The low bits choose the group.
pub(crate) fn shard_of(hash: u64, mask: usize) -> usize {
    (hash >> (64 - 7 - 10)) as usize & mask
}
