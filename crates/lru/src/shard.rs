use std::borrow::Borrow;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use lru::LruCache;

use crate::ages::Oldest;
use crate::budget::Budget;
use crate::clock::Now;
use crate::entry::Entry;
use crate::hash::IdentityState;
use crate::{Clock, Stats};

/// A shard in a cache line of its own: two, as processors fetch pairs. The counts of lookups lie beside the lock, whose
/// line a lookup has to write in any case.
#[repr(align(128))]
pub(crate) struct Shard<K, V> {
    entries: RwLock<Entries<K, V>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl<K, V> Shard<K, V> {
    pub(crate) fn new(number: usize) -> Self {
        Self {
            entries: RwLock::new(Entries {
                number,
                order: LruCache::unbounded_with_hasher(IdentityState),
                bytes: 0,
                stats: Stats::default(),
            }),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// For changes.
    ///
    /// A panic of foreign code under the lock (`Eq`, `Clone`, a reader's closure) happens where the entries and the
    /// accounts agree: see [`Entries`]. So a poisoned lock is as good as any.
    pub(crate) fn lock(&self) -> RwLockWriteGuard<'_, Entries<K, V>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// For lookups, which do not wait for each other.
    pub(crate) fn share(&self) -> RwLockReadGuard<'_, Entries<K, V>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks up, counts, and notes the use.
    ///
    /// Returns the expired entry that it has come upon and taken out as well. For that it needs the lock anew, and
    /// between the two another thread may do what it likes: store a fresh value under the key (which stays: the deadline
    /// is looked at again), or take the expired one out (and counts it). The lookup is a miss in any case, as it was
    /// when it looked.
    pub(crate) fn get<Q, R>(
        &self,
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
        {
            let entries = self.share();
            let Some(entry) = entries.find(hash, key) else {
                self.misses.fetch_add(1, Ordering::Relaxed);
                return (None, None);
            };
            if let Ok(ttl) = entry.deadline.left(clock) {
                entry.weight.note_use();
                self.hits.fetch_add(1, Ordering::Relaxed);
                return (Some(read(&entry.value, ttl)), None);
            }
            self.misses.fetch_add(1, Ordering::Relaxed);
        }
        (None, self.lock().remove_expired(hash, key, clock, budget))
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.share().stats;
        stats.hits = self.hits.load(Ordering::Relaxed);
        stats.misses = self.misses.load(Ordering::Relaxed);
        stats
    }
}

/// The entries of a shard by the hash of their key, with their accounts, in the order of CLOCK (F. J. Corbató, "A Paging
/// Experiment with the Multics System", MIT Project MAC, 1968), which is also called second chance: new ones come last, uses
/// are noted in the entry, and the evictor sends an entry that was used to the end once for each note.
///
/// Each method calls foreign code, if at all, before its first change of the entries or after its last, and hands the
/// entries it takes out to the caller, to be dropped after unlocking.
pub(crate) struct Entries<K, V> {
    /// Which of the shards this is.
    number: usize,
    order: LruCache<u64, Entry<K, V>, IdentityState>,
    /// The sum of the weights here; always a part of the budget's total.
    bytes: u64,
    /// But for the hits and misses, which lookups count beside the lock.
    pub(crate) stats: Stats,
}

/// What a lookup found, and the expired entry it took out.
pub(crate) type Found<R, K, V> = (Option<R>, Option<Entry<K, V>>);

impl<K, V> Entries<K, V> {
    /// How many entries an eviction sends to the end at most, before it takes the next one whatever its notes. Where
    /// many were hit since the evictor came by last, it would otherwise go round all of them, with the lock held. Less
    /// than 64 costs hits where nearly all entries are hit in turn, as in a loop.
    const MAX_PASSED: usize = 64;

    pub(crate) fn len(&self) -> usize {
        self.order.len()
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
        let entry = self.find(hash, key)?;
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
        let weight = entry.weight.bytes();
        let mut same_key = false;
        // The key of the new entry comes in with it: an old key may be a slice that keeps a large buffer alive.
        let old = if let Some(kept) = self.order.peek_mut(&hash) {
            same_key = kept.key == entry.key;
            // A use like a hit: that spares the writing to the entry's two neighbours.
            entry.weight.inherit_uses(&kept.weight);
            entry.weight.note_use();
            entry.placed.copy(&kept.placed);
            Some(mem::replace(kept, entry))
        } else {
            entry.placed.set(budget.ages().next());
            self.order.put(hash, entry)
        };
        let freed = old.as_ref().map_or(0, |old| old.weight.bytes());
        self.bytes = self.bytes - freed + weight;
        budget.exchange(freed, weight);
        self.tell_age(budget);
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
        let expired = self.find(hash, key)?.deadline.left(clock).is_err();
        let entry = self.take(hash, budget)?;
        if expired {
            self.stats.evictions.expired += 1;
        } else {
            self.stats.removals += 1;
        }
        Some((entry, expired))
    }

    /// Takes out a key if it has expired.
    fn remove_expired<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        clock: &Clock,
        budget: &Budget,
    ) -> Option<Entry<K, V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.find(hash, key)?.deadline.left(clock).err()?;
        let entry = self.take(hash, budget)?;
        self.stats.evictions.expired += 1;
        Some(entry)
    }

    /// Takes out the first entry that has no hits left or has expired, but not the spared one, which goes to the end.
    pub(crate) fn evict(
        &mut self,
        spare: Option<u64>,
        clock: &Clock,
        budget: &Budget,
    ) -> Option<Entry<K, V>> {
        let mut now = Now::of(clock);
        let mut passes = Self::MAX_PASSED;
        loop {
            let (&hash, entry) = self.order.peek_lru()?;
            let spared = Some(hash) == spare;
            if spared && self.len() == 1 {
                return None;
            }
            let expired = !spared && entry.deadline.expired(&mut now).is_some();
            if expired || (!spared && (passes == 0 || !entry.weight.spend_use())) {
                let (_, entry) = self.order.pop_lru()?;
                self.settle(&entry, budget);
                if expired {
                    self.stats.evictions.expired += 1;
                } else {
                    self.stats.evictions.capacity += 1;
                }
                return Some(entry);
            }
            // Ends, as two spared ones never follow each other.
            passes = passes.saturating_sub(1);
            entry.placed.set(budget.ages().now());
            self.order.promote(&hash);
        }
    }

    /// Takes out everything, the table with its slots too.
    pub(crate) fn clear(&mut self, budget: &Budget) -> LruCache<u64, Entry<K, V>, IdentityState> {
        let empty = LruCache::unbounded_with_hasher(IdentityState);
        let all = mem::replace(&mut self.order, empty);
        budget.refund(mem::take(&mut self.bytes));
        self.tell_age(budget);
        self.stats.removals += all.len() as u64;
        all
    }

    fn find<Q>(&self, hash: u64, key: &Q) -> Option<&Entry<K, V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.order
            .peek(&hash)
            .filter(|entry| entry.key.borrow() == key)
    }

    fn take(&mut self, hash: u64, budget: &Budget) -> Option<Entry<K, V>> {
        let entry = self.order.pop(&hash)?;
        self.settle(&entry, budget);
        Some(entry)
    }

    /// The accounts after an entry has been taken out.
    fn settle(&mut self, entry: &Entry<K, V>, budget: &Budget) {
        let weight = entry.weight.bytes();
        self.bytes -= weight;
        budget.refund(weight);
        self.tell_age(budget);
    }

    /// What each change of the order ends with.
    fn tell_age(&self, budget: &Budget) {
        let oldest = self.order.peek_lru();
        budget.ages().tell(
            self.number,
            oldest.map_or(Oldest::Nothing, |(_, entry)| entry.placed.get().into()),
        );
    }

    /// The accounts of the shard as kept, and as they should be.
    #[cfg(test)]
    pub(crate) fn audit(&self) -> (u64, u64) {
        let weights = self.order.iter().map(|(_, entry)| entry.weight.bytes());
        (self.bytes, weights.sum())
    }
}

/// The place in the shards for a hash; `mask` is their number, a power of two up to 1024, less one.
///
/// High bits, but not the seven highest: the shard's own table tells apart the entries of a group of slots by those, and
/// they must not be the same throughout a shard. The low bits choose the group.
pub(crate) fn shard_of(hash: u64, mask: usize) -> usize {
    (hash >> (64 - 7 - 10)) as usize & mask
}
