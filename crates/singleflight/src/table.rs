//! The flight of each key: hash maps behind locks, sharded by the key's hash.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::Ordering;

use crate::flight::{Flight, Idle, Kind};
use crate::sync::{Arc, Mutex, lock};

/// Locks are taken in one order: a shard's, then a flight's.
pub(crate) struct Table<K, V> {
    /// A power of two of shards.
    shards: Box<[Shard<K, V>]>,
    /// Whether a watch runs over the loads that their leaders poll.
    #[cfg(not(gaggle_loom))]
    pub(crate) watched: std::sync::atomic::AtomicBool,
}

/// On a cache line of its own: two locks in one line contend like one lock.
#[repr(align(64))]
struct Shard<K, V>(Mutex<Map<K, V>>);

/// Keyed by the hash, which is computed once per call; keys whose hashes are equal in all 64 bits
/// share a bucket.
type Map<K, V> = HashMap<u64, Bucket<K, V>, BuildHasherDefault<Prehashed>>;

struct Bucket<K, V> {
    first: Slot<K, V>,
    /// Allocates nothing until two hashes collide.
    rest: Vec<Slot<K, V>>,
}

struct Slot<K, V> {
    key: K,
    flight: Arc<Flight<V>>,
}

#[derive(Default)]
struct Prehashed(u64);

pub(crate) enum Joined<V> {
    /// The key has a flight, which now counts this waiter.
    Running(Arc<Flight<V>>),
    /// The key had none and now has this one: the caller must bring it to its end.
    Started(Arc<Flight<V>>),
}

impl<K, V> Table<K, V> {
    pub(crate) fn new(shards: usize) -> Self {
        let shards = shards.clamp(1, 1 << 16).next_power_of_two();
        let shard = || Shard(Mutex::new(Map::default()));
        Self {
            shards: (0..shards).map(|_| shard()).collect(),
            #[cfg(not(gaggle_loom))]
            watched: Default::default(),
        }
    }

    /// Chooses by the middle bits: the maps use the lowest for their buckets and the highest for
    /// their tags.
    fn shard(&self, hash: u64) -> &Mutex<Map<K, V>> {
        let index = (hash >> 32) as usize & (self.shards.len() - 1);
        &self.shards[index].0
    }

    pub(crate) fn join<Q>(&self, hash: u64, key: &Q, kind: Kind) -> Joined<V>
    where
        K: Borrow<Q> + From<Q::Owned>,
        Q: Eq + ToOwned + ?Sized,
    {
        let mut map = lock(self.shard(hash));
        match map.entry(hash) {
            Entry::Occupied(mut bucket) => {
                if let Some(slot) = bucket.get().slots().find(|slot| slot.key.borrow() == key) {
                    slot.flight.join();
                    return Joined::Running(Arc::clone(&slot.flight));
                }
                let (slot, flight) = Slot::new(key, kind);
                bucket.get_mut().rest.push(slot);
                Joined::Started(flight)
            }
            Entry::Vacant(bucket) => {
                let (first, flight) = Slot::new(key, kind);
                bucket.insert(Bucket {
                    first,
                    rest: Vec::new(),
                });
                Joined::Started(flight)
            }
        }
    }

    /// Frees the slot of `key`, whichever flight has it; false if none has.
    pub(crate) fn forget<Q>(&self, hash: u64, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let slot = take(&mut lock(self.shard(hash)), hash, |slot| {
            slot.key.borrow() == key
        });
        let Some(slot) = slot else {
            return false;
        };
        // The watch no longer finds it.
        slot.flight.hand_over();
        true
    }

    /// Frees all slots, a shard at a time, and returns how many there were.
    pub(crate) fn forget_all(&self) -> usize {
        let mut forgotten = 0;
        for shard in &self.shards {
            let taken = {
                let mut map = lock(&shard.0);
                for slot in map.values().flat_map(Bucket::slots) {
                    slot.flight.current.store(false, Ordering::Relaxed);
                    forgotten += 1;
                }
                // The memory is dropped as well: to keep it would mean to drop the keys under the
                // lock.
                std::mem::take(&mut *map)
            };
            for slot in taken.values().flat_map(Bucket::slots) {
                slot.flight.hand_over();
            }
            drop(taken);
        }
        forgotten
    }

    /// Frees the slot of `flight` only: after a [`forget`](Self::forget) the key may have a newer
    /// flight.
    pub(crate) fn release(
        &self,
        hash: u64,
        flight: &Arc<Flight<V>>,
    ) -> Option<impl Sized + use<K, V>> {
        take(&mut lock(self.shard(hash)), hash, |slot| {
            Arc::ptr_eq(&slot.flight, flight)
        })
    }

    /// Frees the slot of `flight` if no caller has joined since `idle` began. Joins happen under
    /// the same lock, so either the join is seen here or it finds the slot free.
    pub(crate) fn abandon(&self, hash: u64, flight: &Arc<Flight<V>>, idle: Idle) -> bool {
        let slot;
        {
            let mut map = lock(self.shard(hash));
            if !flight.is_in(idle) {
                return false;
            }
            slot = take(&mut map, hash, |slot| Arc::ptr_eq(&slot.flight, flight));
        }
        drop(slot);
        true
    }

    /// Makes tasks of the loads that have waited for their leaders to poll them since the last
    /// round or longer. Returns how many are left that their leaders poll.
    pub(crate) fn hand_over_idle(&self) -> usize {
        let mut left = 0;
        for shard in &self.shards {
            let mut idle = Vec::new();
            for slot in lock(&shard.0).values().flat_map(Bucket::slots) {
                match slot.flight.see_led() {
                    Some(true) => idle.push(Arc::clone(&slot.flight)),
                    Some(false) => left += 1,
                    None => {}
                }
            }
            for flight in idle {
                flight.hand_over();
            }
        }
        left
    }

    /// Runs `then` under the shard's lock, if the slot still belongs to `flight`.
    pub(crate) fn if_current<R>(
        &self,
        hash: u64,
        flight: &Flight<V>,
        then: impl FnOnce() -> R,
    ) -> Option<R> {
        let _map = lock(self.shard(hash));
        flight.current.load(Ordering::Relaxed).then(then)
    }

    pub(crate) fn len(&self) -> usize {
        let len = |shard: &Shard<K, V>| lock(&shard.0).values().map(Bucket::len).sum::<usize>();
        self.shards.iter().map(len).sum()
    }
}

/// Takes the slot out of the map, and marks its flight as not current. The caller holds the
/// shard's lock, and drops the slot without it: a key's drop is user code.
fn take<K, V>(
    map: &mut Map<K, V>,
    hash: u64,
    wanted: impl Fn(&Slot<K, V>) -> bool,
) -> Option<Slot<K, V>> {
    let Entry::Occupied(mut entry) = map.entry(hash) else {
        return None;
    };
    let bucket = entry.get_mut();
    let slot = if wanted(&bucket.first) {
        match bucket.rest.pop() {
            Some(next) => std::mem::replace(&mut bucket.first, next),
            None => entry.remove().first,
        }
    } else {
        let index = bucket.rest.iter().position(wanted)?;
        bucket.rest.swap_remove(index)
    };
    slot.flight.current.store(false, Ordering::Relaxed);
    Some(slot)
}

impl<K, V> Bucket<K, V> {
    fn slots(&self) -> impl Iterator<Item = &Slot<K, V>> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    fn len(&self) -> usize {
        1 + self.rest.len()
    }
}

impl<K, V> Slot<K, V> {
    fn new<Q>(key: &Q, kind: Kind) -> (Self, Arc<Flight<V>>)
    where
        K: From<Q::Owned>,
        Q: ToOwned + ?Sized,
    {
        let flight = Flight::new(kind);
        (
            Self {
                key: K::from(key.to_owned()),
                flight: Arc::clone(&flight),
            },
            flight,
        )
    }
}

impl Hasher for Prehashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    /// Never called: `u64` hashes itself by `write_u64`.
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }
}

#[cfg(all(test, not(gaggle_loom)))]
mod tests {
    use super::*;

    const HASH: u64 = 7;

    fn start(table: &Table<String, u8>, key: &str) -> Arc<Flight<u8>> {
        let joined = table.join(HASH, key, Kind::default());
        assert!(matches!(joined, Joined::Started(_)), "{key} has a flight");
        let (Joined::Started(flight) | Joined::Running(flight)) = joined;
        flight
    }

    fn is_running(table: &Table<String, u8>, key: &str, flight: &Arc<Flight<u8>>) -> bool {
        matches!(table.join(HASH, key, Kind::default()), Joined::Running(found) if Arc::ptr_eq(&found, flight))
    }

    #[test]
    fn keys_of_equal_hash_keep_flights_of_their_own() {
        let table = Table::new(1);
        let [a, b, c] = ["a", "b", "c"].map(|key| start(&table, key));
        assert_eq!(table.len(), 3);
        assert!(is_running(&table, "a", &a) && is_running(&table, "c", &c));

        assert!(table.release(HASH, &a).is_some());
        assert!(is_running(&table, "b", &b) && is_running(&table, "c", &c));
        assert!(table.forget(HASH, "b"));
        assert!(!table.forget(HASH, "b"));
        assert!(is_running(&table, "c", &c));
        assert!(table.release(HASH, &c).is_some());
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn all_are_forgotten_in_every_shard_and_bucket() {
        let table = Table::new(4);
        assert_eq!(table.forget_all(), 0);
        let mut flights: Vec<_> = ["a", "b", "c"].map(|key| (HASH, start(&table, key))).into();
        for shard in 0..8_u64 {
            let joined = table.join(shard << 32, "a", Kind::default());
            assert!(matches!(joined, Joined::Started(_)));
            let (Joined::Started(flight) | Joined::Running(flight)) = joined;
            flights.push((shard << 32, flight));
        }
        assert_eq!((table.forget_all(), table.len()), (11, 0));
        for (hash, flight) in &flights {
            assert_eq!(table.if_current(*hash, flight, || ()), None);
            assert!(table.release(*hash, flight).is_none());
        }
        let new = start(&table, "a");
        assert!(is_running(&table, "a", &new));
        assert_eq!(table.forget_all(), 1);
    }

    #[test]
    fn keys_that_are_forgotten_are_dropped_without_the_lock() {
        type Shared = Arc<Table<Key, u8>>;

        struct Key(String, Option<Shared>);

        impl From<String> for Key {
            fn from(key: String) -> Self {
                Self(key, TABLE.with(|table| table.borrow().clone()))
            }
        }

        impl Borrow<str> for Key {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Drop for Key {
            fn drop(&mut self) {
                // Would deadlock under the lock.
                if let Some(table) = &self.1 {
                    table.forget(HASH, "nobody");
                }
            }
        }

        thread_local! {
            static TABLE: std::cell::RefCell<Option<Shared>> = const { std::cell::RefCell::new(None) };
        }

        let table = Shared::new(Table::new(1));
        TABLE.set(Some(Shared::clone(&table)));
        for key in ["a", "b"] {
            assert!(matches!(
                table.join(HASH, key, Kind::default()),
                Joined::Started(_)
            ));
        }
        TABLE.set(None);
        assert_eq!(table.forget_all(), 2);
        assert_eq!(Shared::strong_count(&table), 1);
    }

    #[test]
    fn a_flight_releases_its_own_slot_only() {
        let table = Table::new(1);
        let old = start(&table, "a");
        assert!(table.forget(HASH, "a"));
        let new = start(&table, "a");
        assert!(table.release(HASH, &old).is_none());
        assert!(is_running(&table, "a", &new));
        assert_eq!(table.if_current(HASH, &old, || ()), None);
        assert_eq!(table.if_current(HASH, &new, || ()), Some(()));
        assert!(table.release(HASH, &new).is_some());
        assert_eq!(table.if_current(HASH, &new, || ()), None);
    }
}
