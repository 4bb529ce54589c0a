use std::borrow::Borrow;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gaggle_shards::{Budget, IdentityState, Oldest};
use lru::LruCache;

use crate::entry::Entry;
use crate::{Clock, Stats};

/// The entries of a shard behind its lock. A hit changes their order, so there is no shared lock.
///
/// It has a cache line of its own: two, as processors fetch pairs.
#[repr(align(128))]
pub(crate) struct Shard<K, V>(Mutex<Entries<K, V>>);

/// The entries of a shard by the hash of their key, with their accounts, the most recently used
/// first.
///
/// Each method calls user code, if at all, before its first change of the entries or after its
/// last, and returns the entries it takes out to the caller, to be dropped after unlocking. A
/// panic of that code therefore leaves entries and accounts consistent, and the lock usable.
pub(crate) struct Entries<K, V> {
    /// Which of the shards this is.
    number: usize,
    order: LruCache<u64, Entry<K, V>, IdentityState>,
    /// The sum of the weights here; always a part of the budget's total.
    bytes: u64,
    pub(crate) stats: Stats,
}

/// The result of a lookup, and the expired entry it took out.
pub(crate) type Found<R, K, V> = (Option<R>, Option<Entry<K, V>>);

impl<K, V> Shard<K, V> {
    pub(crate) fn new(number: usize) -> Self {
        Self(Mutex::new(Entries {
            number,
            order: LruCache::unbounded_with_hasher(IdentityState),
            bytes: 0,
            stats: Stats::default(),
        }))
    }

    /// A panic under the lock does not poison it, see [`Entries`].
    pub(crate) fn lock(&self) -> MutexGuard<'_, Entries<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V> Entries<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Looks up, counts, and moves the entry that it finds to the front. If `read` returns `None`,
    /// it is a miss, and the entry stays in its place. An expired entry is a miss, and is taken
    /// out.
    pub(crate) fn get<Q, R>(
        &mut self,
        hash: u64,
        key: &Q,
        clock: &Clock,
        budget: &Budget,
        read: impl FnOnce(&V, Option<Duration>) -> Option<R>,
    ) -> Found<R, K, V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let Some(entry) = self.find(hash, key) else {
            self.stats.misses += 1;
            return (None, None);
        };
        let Ok(ttl) = entry.deadline.left(clock) else {
            self.stats.misses += 1;
            self.stats.evictions.expired += 1;
            return (None, self.take(hash, budget));
        };
        let answer = read(&entry.value, ttl);
        if answer.is_some() {
            self.stats.hits += 1;
            self.promote(hash, budget);
        } else {
            self.stats.misses += 1;
        }
        (answer, None)
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

    /// Stores at the front; returns the entry displaced, and whether it had the same key.
    pub(crate) fn insert(
        &mut self,
        hash: u64,
        mut entry: Entry<K, V>,
        budget: &Budget,
    ) -> (Option<Entry<K, V>>, bool)
    where
        K: Eq,
    {
        let weight = entry.weight;
        let kept = self.order.peek(&hash);
        let same_key = kept.is_some_and(|kept| kept.key == entry.key);
        let ages = budget.ages();
        entry.used = if kept.is_some() {
            ages.now()
        } else {
            ages.next()
        };
        // The key of the new entry is stored with it: an old key may be a slice that keeps a large
        // buffer alive.
        let old = self.order.put(hash, entry);
        let freed = old.as_ref().map_or(0, |old| old.weight);
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

    /// Takes out a key; the second value is whether it had expired.
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

    /// Takes out the entry that was used least recently, but not the spared one, which is moved to
    /// the front.
    pub(crate) fn evict(
        &mut self,
        spare: Option<u64>,
        clock: &Clock,
        budget: &Budget,
    ) -> Option<Entry<K, V>> {
        let (&last, _) = self.order.peek_lru()?;
        if Some(last) == spare {
            if self.len() == 1 {
                return None;
            }
            self.promote(last, budget);
        }
        let expired = self.order.peek_lru()?.1.deadline.left(clock).is_err();
        let (_, entry) = self.order.pop_lru()?;
        self.settle(&entry, budget);
        if expired {
            self.stats.evictions.expired += 1;
        } else {
            self.stats.evictions.capacity += 1;
        }
        Some(entry)
    }

    /// Takes out everything, including the table with its slots.
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

    /// Moves an entry to the front.
    ///
    /// It takes the time of the shards, but does not advance that: all shards would write its
    /// cache line on each hit. Only the order between shards depends on it, where entries used
    /// between the same two insertions count as equally old.
    fn promote(&mut self, hash: u64, budget: &Budget) {
        if let Some(entry) = self.order.get_mut(&hash) {
            entry.used = budget.ages().now();
            self.tell_age(budget);
        }
    }

    fn take(&mut self, hash: u64, budget: &Budget) -> Option<Entry<K, V>> {
        let entry = self.order.pop(&hash)?;
        self.settle(&entry, budget);
        Some(entry)
    }

    /// Updates the accounts after an entry has been taken out.
    fn settle(&mut self, entry: &Entry<K, V>, budget: &Budget) {
        self.bytes -= entry.weight;
        budget.refund(entry.weight);
        self.tell_age(budget);
    }

    /// The last step of each change of the order.
    fn tell_age(&self, budget: &Budget) {
        let oldest = self.order.peek_lru();
        budget.ages().tell(
            self.number,
            oldest.map_or(Oldest::Nothing, |(_, entry)| Oldest::Since(entry.used)),
        );
    }

    /// The accounts of the shard as kept, and as recomputed.
    #[cfg(test)]
    pub(crate) fn audit(&self) -> (u64, u64) {
        let weights = self.order.iter().map(|(_, entry)| entry.weight);
        (self.bytes, weights.sum())
    }
}
