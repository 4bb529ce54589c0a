use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::time::Duration;

use gaggle_shards::{
    Budget, Deadline, Dropped, bounded_capacity, evict_oldest, make_room, resize, shard_of,
};

use crate::entry::Entry;
use crate::shard::Shard;
use crate::{Clock, Evicted, Hit, Insertion, Options, Stats, Xxh3State};

/// A concurrent cache with a budget in bytes, in LRU order. Share it by reference or in an `Arc`.
///
/// A method waits only for the lock of a shard, held for one step of a lookup or of an eviction.
/// `Eq` of the keys, `Clone` of the values and the closure of [`get_with`](Self::get_with) run
/// under that lock, and other lookups in the shard wait for them: they must not use the same
/// cache, and should be fast (`Bytes` and `Arc` are).
pub struct Cache<K, V, S = Xxh3State> {
    shards: Box<[Shard<K, V>]>,
    budget: Budget,
    hasher: S,
    clock: Clock,
    weigh: Box<Weigher<K, V>>,
}

type Weigher<K, V> = dyn Fn(&K, &V) -> u64 + Send + Sync;

impl<K, V> Cache<K, V> {
    /// What each entry weighs in addition to its payload, in bytes: the handles of key and value,
    /// expiry, links, hash, a slot in the table (at its emptiest after growing), and what an
    /// allocator such as glibc's adds to the blocks of the entry, of its key and of its value. For
    /// `Bytes` keys and values it is 199 on 64-bit machines.
    pub const ENTRY_OVERHEAD: u64 = Entry::<K, V>::OVERHEAD;
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    /// A cache with a randomly seeded xxh3. `weigh` gives the payload of an entry in bytes: what
    /// key and value hold on the heap, not the handles themselves. It is called once for each
    /// insertion, outside all locks. [`byte_len`](crate::byte_len) fits most.
    pub fn new(options: Options, weigh: impl Fn(&K, &V) -> u64 + Send + Sync + 'static) -> Self {
        Self::with_hasher(options, weigh, Xxh3State::default())
    }
}

impl<K: Eq + Hash, V: Clone, S: BuildHasher> Cache<K, V, S> {
    /// A cache with a hasher of your own. It must be good in all bits: they choose shard and slot
    /// directly.
    pub fn with_hasher(
        options: Options,
        weigh: impl Fn(&K, &V) -> u64 + Send + Sync + 'static,
        hasher: S,
    ) -> Self {
        let shards = options.effective_shards();
        Self {
            shards: (0..shards).map(Shard::new).collect(),
            budget: Budget::new(options.effective_capacity(), shards),
            hasher,
            clock: options.clock,
            weigh: Box::new(weigh),
        }
    }

    /// The value of a key, cloned. A hit makes the entry the most recently used of its shard.
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.read(key, |value, _| Some(value.clone()))
    }

    /// The result of `read` for a key's value, which is not cloned. Counts, and is a use, like
    /// [`get`](Self::get).
    ///
    /// `read` runs under the shard's lock: using the same cache in it may deadlock.
    pub fn get_with<Q, R>(&self, key: &Q, read: impl FnOnce(&V) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.read(key, |value, _| Some(read(value)))
    }

    /// The value of a key with the time it has left. Counts, and is a use, like
    /// [`get`](Self::get).
    pub fn get_entry<Q>(&self, key: &Q) -> Option<Hit<V>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.read(key, |value, ttl| {
            let value = value.clone();
            Some(Hit { value, ttl })
        })
    }

    /// The result of `read` for a key's value and the time it has left, if it is `Some`. Counts,
    /// and is a use, like [`get`](Self::get); if `read` returns `None`, the lookup is a miss and
    /// no use, and the value stays.
    ///
    /// `read` runs under the shard's lock: using the same cache in it may deadlock.
    pub fn get_if<Q, R>(&self, key: &Q, read: impl FnOnce(Hit<&V>) -> Option<R>) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.read(key, |value, ttl| read(Hit { value, ttl }))
    }

    /// Like [`get_entry`](Self::get_entry), but neither counted nor a use; an expired entry stays.
    pub fn peek<Q>(&self, key: &Q) -> Option<Hit<V>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.look(key, |value, ttl| Hit {
            value: value.clone(),
            ttl,
        })
    }

    /// Whether there is a fresh value; neither counted nor a use.
    pub fn contains<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.look(key, |_, _| ()).is_some()
    }

    /// Stores a value that does not expire; see [`insert_with_ttl`](Self::insert_with_ttl).
    pub fn insert(&self, key: K, value: V) -> Insertion {
        self.insert_with_ttl(key, value, None)
    }

    /// Stores a value as the newest of its shard, even if it replaces the key's older value, and
    /// evicts others until the total fits. It expires after `ttl`, counted from now.
    ///
    /// With a `ttl` of zero it is not stored, and an older value of its key is removed.
    ///
    /// A value heavier than the capacity is refused, and evicts nothing; but an older value of its
    /// key is removed, as it would be stale.
    pub fn insert_with_ttl(&self, key: K, value: V, ttl: Option<Duration>) -> Insertion {
        if ttl == Some(Duration::ZERO) {
            self.remove(&key);
            return Insertion::Expired;
        }
        let weight = self.weigh(&key, &value);
        let (hash, home) = self.locate(&key);
        if weight > self.budget.capacity() {
            return self.refuse(&key, hash, home, weight);
        }
        let deadline = Deadline::after(ttl, &self.clock);
        let entry = Entry {
            key,
            value,
            weight,
            deadline,
            used: 0, // until its place in the order is known
        };

        let (old, same_key, victim) = {
            let mut shard = self.shards[home].lock();
            let (old, same_key) = shard.insert(hash, entry, &self.budget);
            // Usually this is all that `make_room` would do, without locking again.
            let victim = if self.budget.is_over() && self.budget.ages().is_due(home) {
                shard.evict(Some(hash), &self.clock, &self.budget)
            } else {
                None
            };
            (old, same_key, victim)
        };

        let mut dropped = Dropped::default();
        dropped.take(old);
        dropped.take(victim);
        make_room(&self.budget, home, |at| {
            // The capacity may have been lowered since the entry was found to fit.
            let spare = (at == home && weight <= self.budget.capacity()).then_some(hash);
            self.evict_at(at, spare, &mut dropped)
        });
        dropped.finish();
        if same_key {
            Insertion::Overwrote
        } else {
            Insertion::Added
        }
    }

    /// Takes a key out and returns its value, unless that had expired (which counts as an
    /// eviction).
    pub fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let (hash, home) = self.locate(key);
        let removed = self.shards[home]
            .lock()
            .remove(hash, key, &self.clock, &self.budget);
        removed.and_then(|(entry, expired)| (!expired).then_some(entry.value))
    }

    /// Evicts the entry that was used least recently, over all shards as far as their order is
    /// comparable, and counts it as evicted for capacity, or as expired if it was. `None` if the
    /// cache is empty.
    pub fn evict_one(&self) -> Option<Evicted<K, V>> {
        let Entry {
            key, value, weight, ..
        } = evict_oldest(&self.budget, |at| {
            self.shards[at]
                .lock()
                .evict(None, &self.clock, &self.budget)
        })?;
        Some(Evicted { key, value, weight })
    }

    /// Removes every entry that exists when its shard is cleared, and frees the tables.
    pub fn clear(&self) {
        let mut dropped = Dropped::default();
        for shard in &self.shards {
            let mut entries = shard.lock().clear(&self.budget);
            while let Some((_, entry)) = entries.pop_lru() {
                dropped.take(Some(entry));
            }
        }
        dropped.finish();
    }

    /// What an entry of this key and value weighs: the weigher's result and
    /// [`ENTRY_OVERHEAD`](Cache::ENTRY_OVERHEAD).
    pub fn weigh(&self, key: &K, value: &V) -> u64 {
        (self.weigh)(key, value).saturating_add(Entry::<K, V>::OVERHEAD)
    }

    /// The number of entries, including expired ones that have not been found. Takes each lock in
    /// turn.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sum of the weights of the entries. Takes no lock.
    pub fn bytes(&self) -> u64 {
        self.budget.used()
    }

    /// The most that [`bytes`](Self::bytes) may be. While [`set_capacity`](Self::set_capacity)
    /// lowers it, the current intermediate value.
    pub fn capacity(&self) -> u64 {
        self.budget.capacity()
    }

    /// Changes the capacity, bounded as in [`Options`]. Entries that still fit stay.
    ///
    /// A higher capacity applies immediately. A lower one is reached when this returns: entries
    /// are evicted as insertions evict them, one at a time, each under the lock of one shard.
    /// Concurrent lookups therefore wait no longer than during insertions, and an insertion evicts
    /// at most 64 KiB more than it needs. The caller waits for about a microsecond for each
    /// evicted entry. If two threads set different capacities concurrently, the later one wins.
    ///
    /// The number of shards stays unchanged.
    pub fn set_capacity(&self, capacity: u64) {
        let mut dropped = Dropped::default();
        resize(&self.budget, bounded_capacity(capacity), |at| {
            self.evict_at(at, None, &mut dropped)
        });
        dropped.finish();
    }

    /// The number of shards.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The counters, summed over the shards. Takes each lock in turn.
    pub fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        for shard in &self.shards {
            sum += shard.lock().stats;
        }
        sum
    }

    /// The only hash of an operation, and the shard that it chooses.
    fn locate<Q: Hash + ?Sized>(&self, key: &Q) -> (u64, usize) {
        let hash = self.hasher.hash_one(key);
        (hash, shard_of(hash, self.shards.len() - 1))
    }

    fn read<Q, R>(&self, key: &Q, read: impl FnOnce(&V, Option<Duration>) -> Option<R>) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let (hash, home) = self.locate(key);
        // The expired entry is dropped here, with no lock held.
        let (found, expired) =
            self.shards[home]
                .lock()
                .get(hash, key, &self.clock, &self.budget, read);
        drop(expired);
        found
    }

    fn look<Q, R>(&self, key: &Q, read: impl FnOnce(&V, Option<Duration>) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let (hash, home) = self.locate(key);
        self.shards[home].lock().peek(hash, key, &self.clock, read)
    }

    /// Evicts the entry that is due in a shard, but not the one of the hash `spare`; returns
    /// whether there was one.
    fn evict_at(&self, at: usize, spare: Option<u64>, dropped: &mut Dropped) -> bool {
        // The lock ends with this line, before the entry does.
        let victim = self.shards[at]
            .lock()
            .evict(spare, &self.clock, &self.budget);
        let any = victim.is_some();
        dropped.take(victim);
        any
    }

    fn refuse(&self, key: &K, hash: u64, home: usize, weight: u64) -> Insertion {
        let stale = {
            let mut shard = self.shards[home].lock();
            shard.stats.refusals += 1;
            shard.remove(hash, key, &self.clock, &self.budget)
        };
        drop(stale);
        Insertion::Refused {
            weight,
            capacity: self.budget.capacity(),
        }
    }
}

impl<K, V, S> fmt::Debug for Cache<K, V, S> {
    /// The sizes; not the entries, whose keys may be confidential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("bytes", &self.budget.used())
            .field("capacity", &self.budget.capacity())
            .field("shards", &self.shards.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
