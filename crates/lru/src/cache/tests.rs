use std::hash::Hasher;

use bytes::Bytes;

use super::*;
use crate::byte_len;

mod foreign;
mod order;

const OVERHEAD: u64 = Cache::<String, Vec<u8>>::ENTRY_OVERHEAD;

/// Room for `entries` entries of `payload` bytes in one shard.
fn small(entries: u64, payload: u64) -> Cache<String, Vec<u8>> {
    let capacity = entries * (OVERHEAD + payload);
    Cache::new(
        Options {
            capacity,
            shards: Some(1),
            ..Options::default()
        },
        byte_len,
    )
}

fn key(i: u64) -> String {
    format!("{i:04}")
}

impl<K: Eq + Hash, V: Clone, S: BuildHasher> Cache<K, V, S> {
    /// All accounts agree with the entries.
    fn audit(&self) {
        let mut sum = 0;
        for shard in &self.shards {
            let (kept, counted) = shard.lock().audit();
            assert_eq!(kept, counted);
            sum += counted;
        }
        assert_eq!(self.bytes(), sum);
        assert!(sum <= self.capacity(), "{sum} > {}", self.capacity());
        let stats = self.stats();
        let gone = stats.overwrites + stats.removals + stats.evictions.total();
        assert_eq!(stats.insertions, self.len() as u64 + gone);
    }
}

#[test]
fn is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Cache<Bytes, Bytes>>();
    // Lookups do not run concurrently in a shard, so values need not be `Sync`.
    shared::<Cache<Bytes, std::cell::Cell<u8>>>();
}

#[test]
fn keys_are_found_by_their_borrowed_form() {
    let cache: Cache<Bytes, Bytes> = Cache::new(Options::default(), byte_len);
    cache.insert(Bytes::from_static(b"Tom"), Bytes::from_static(b"630"));
    assert_eq!(
        cache.get(b"Tom".as_slice()),
        Some(Bytes::from_static(b"630"))
    );
    let boxed: Cache<Box<[u8]>, u32> = Cache::new(Options::default(), |_, _| 3);
    boxed.insert(b"Tom".as_slice().into(), 630);
    assert_eq!(boxed.remove(b"Tom".as_slice()), Some(630));
}

#[test]
#[cfg(target_pointer_width = "64")]
fn the_overhead_is_known() {
    // Node 8 + 88 + 16 in a block of 128, a slot of 39, and twice 16 for the blocks of key and
    // value.
    assert_eq!(Cache::<Bytes, Bytes>::ENTRY_OVERHEAD, 199);
    // Numbers own no blocks: node 8 + 40 + 16 in a block of 80.
    assert_eq!(Cache::<u64, u64>::ENTRY_OVERHEAD, 119);
}

#[test]
fn what_a_reader_leaves_is_a_miss_and_stays() {
    let clock = Clock::manual();
    let options = Options {
        clock: clock.clone(),
        ..Options::default()
    };
    let cache: Cache<u64, u64> = Cache::new(options, |_, _| 0);
    cache.insert_with_ttl(1, 7, Some(Duration::from_secs(9)));
    clock.advance(Duration::from_secs(2));
    assert_eq!(cache.get_if(&1, |_| None::<()>), None);
    assert_eq!((cache.stats().hits, cache.stats().misses), (0, 1));
    let seven = cache.get_if(&1, |hit| Some((*hit.value, hit.ttl)));
    assert_eq!(seven, Some((7, Some(Duration::from_secs(7)))));
    assert_eq!((cache.stats().hits, cache.stats().misses), (1, 1));
}

#[test]
fn overwriting_is_charged_once() {
    let cache = small(4, 100);
    for len in [90, 10, 50, 96] {
        cache.insert(key(0), vec![0; len]);
        assert_eq!(cache.bytes(), OVERHEAD + 4 + len as u64);
        assert_eq!(cache.len(), 1);
    }
    assert_eq!((cache.stats().insertions, cache.stats().overwrites), (4, 3));
    cache.remove("0000");
    assert_eq!(cache.bytes(), 0);
    cache.audit();
}

#[test]
fn overwriting_with_a_larger_value_evicts_others() {
    let cache = small(4, 100);
    for i in 0..4 {
        cache.insert(key(i), vec![0; 96]);
    }
    assert_eq!(cache.insert(key(0), vec![0; 97]), Insertion::Overwrote);
    assert!(cache.contains("0000") && !cache.contains("0001"));
    cache.audit();
}

#[test]
fn what_cannot_fit_is_refused_and_evicts_nothing() {
    let cache = small(3, 100);
    for i in 0..3 {
        cache.insert(key(i), vec![0; 96]);
    }
    let limit = usize::try_from(cache.capacity() - OVERHEAD - 4).unwrap();
    let refused = cache.insert(key(9), vec![0; limit + 1]);
    let weight = cache.capacity() + 1;
    assert_eq!(
        refused,
        Insertion::Refused {
            weight,
            capacity: cache.capacity()
        }
    );
    assert!(!refused.is_stored());
    assert_eq!((cache.len(), cache.stats().evictions.total()), (3, 0));

    // The key's older value would be stale.
    cache.insert(key(1), vec![0; limit + 1]);
    assert!(!cache.contains("0001"));
    assert_eq!((cache.len(), cache.stats().refusals), (2, 2));

    // Exactly the capacity fits, alone.
    assert_eq!(cache.insert(key(9), vec![0; limit]), Insertion::Added);
    assert_eq!((cache.len(), cache.bytes()), (1, cache.capacity()));
    cache.audit();
}

#[test]
fn no_capacity_refuses_all() {
    let cache: Cache<u64, u64> = Cache::new(
        Options {
            capacity: 0,
            ..Options::default()
        },
        |_, _| 0,
    );
    assert!(!cache.insert(1, 1).is_stored());
    assert_eq!(cache.get(&1), None);
    assert_eq!(cache.evict_one(), None);
}

#[test]
fn a_weight_that_overflows_is_refused() {
    let cache: Cache<u64, u64> = Cache::new(
        Options {
            capacity: u64::MAX,
            ..Options::default()
        },
        |_, value| *value,
    );
    assert!(!cache.insert(1, u64::MAX).is_stored());
    assert!(cache.insert(1, 1).is_stored());
    cache.audit();
}

#[test]
fn an_entry_expires_and_frees_its_bytes() {
    let clock = Clock::manual();
    let cache: Cache<String, Vec<u8>> = Cache::new(
        Options {
            clock: clock.clone(),
            ..Options::default()
        },
        byte_len,
    );
    cache.insert_with_ttl(key(0), vec![0; 100], Some(Duration::from_secs(10)));
    cache.insert(key(1), Vec::new());
    clock.advance(Duration::from_secs(4));
    assert_eq!(
        cache.get_entry("0000").and_then(|hit| hit.ttl),
        Some(Duration::from_secs(6))
    );
    assert_eq!(cache.get_entry("0001").map(|hit| hit.ttl), Some(None));
    clock.advance(Duration::from_secs(6));

    assert!(!cache.contains("0000"));
    assert_eq!(cache.len(), 2, "only a lookup that counts removes");
    assert_eq!(cache.get("0000"), None);
    assert_eq!((cache.len(), cache.bytes()), (1, OVERHEAD + 4));
    assert_eq!(
        (cache.stats().evictions.expired, cache.stats().misses),
        (1, 1)
    );
    cache.audit();
}

#[test]
fn expired_entries_are_neither_removed_nor_revived() {
    let clock = Clock::manual();
    let cache: Cache<u64, u64> = Cache::new(
        Options {
            clock: clock.clone(),
            ..Options::default()
        },
        |_, _| 0,
    );
    cache.insert_with_ttl(1, 1, Some(Duration::from_secs(1)));
    clock.advance(Duration::from_secs(1));
    assert_eq!(cache.remove(&1), None);
    assert_eq!(cache.stats().removals, 0);
    cache.insert_with_ttl(1, 1, Some(Duration::MAX));
    assert!(cache.get_entry(&1).is_some_and(|hit| hit.ttl.is_some()));
    cache.audit();
}

#[test]
fn a_ttl_of_zero_is_not_stored_and_removes_the_older_value() {
    let cache = small(2, 10);
    cache.insert(key(0), vec![0]);
    cache.insert(key(1), vec![0]);
    let insertion = cache.insert_with_ttl(key(0), vec![0; 1_000], Some(Duration::ZERO));
    assert_eq!(
        (insertion, insertion.is_stored()),
        (Insertion::Expired, false)
    );
    cache.insert_with_ttl(key(2), vec![0], Some(Duration::ZERO));
    assert!(!cache.contains("0000") && cache.contains("0001") && !cache.contains("0002"));
    let stats = cache.stats();
    assert_eq!((stats.insertions, stats.removals), (2, 1));
    assert_eq!((stats.refusals, stats.evictions.total()), (0, 0));
    cache.audit();
}

#[test]
fn clear_leaves_nothing() {
    let cache: Cache<u64, u64> = Cache::new(
        Options {
            shards: Some(8),
            ..Options::default()
        },
        |_, _| 10,
    );
    for i in 0..100 {
        cache.insert(i, i);
    }
    cache.clear();
    assert_eq!(
        (cache.len(), cache.bytes(), cache.stats().removals),
        (0, 0, 100)
    );
    assert!(cache.is_empty());
    cache.insert(1, 1);
    cache.audit();
}

/// All keys have one hash.
#[derive(Clone, Default)]
struct Colliding;

impl BuildHasher for Colliding {
    type Hasher = Self;
    fn build_hasher(&self) -> Self {
        Self
    }
}

impl Hasher for Colliding {
    fn write(&mut self, _: &[u8]) {}
    fn finish(&self) -> u64 {
        0x0123_4567_89ab_cdef
    }
}

#[test]
fn colliding_keys_displace_each_other_and_never_answer_for_each_other() {
    let cache: Cache<&str, u32, Colliding> =
        Cache::with_hasher(Options::default(), |_, _| 1, Colliding);
    cache.insert("Tom", 630);
    assert_eq!((cache.get("Jack"), cache.contains("Jack")), (None, false));
    assert_eq!(cache.remove("Jack"), None);
    assert_eq!(cache.insert("Jack", 589), Insertion::Added);
    assert_eq!((cache.get("Tom"), cache.get("Jack")), (None, Some(589)));
    assert_eq!((cache.len(), cache.stats().evictions.collision), (1, 1));
    assert_eq!(cache.stats().overwrites, 0);
    cache.audit();
}

#[test]
fn a_large_value_takes_room_from_all_shards() {
    const SHARDS: u64 = 64;
    let cache: Cache<u64, Bytes> = Cache::new(
        Options {
            capacity: 1 << 20,
            shards: Some(64),
            ..Options::default()
        },
        |_, value: &Bytes| value.len() as u64,
    );
    for i in 0..4 * SHARDS {
        cache.insert(i, Bytes::from(vec![0; 3000]));
    }
    cache.audit();

    // Half of the budget is 32 times a shard's part.
    assert!(
        cache
            .insert(1_000_000, Bytes::from(vec![1; 1 << 19]))
            .is_stored()
    );
    assert!(cache.len() > 100);
    cache.audit();

    let nearly_all = usize::try_from((1 << 20) - Cache::<u64, Bytes>::ENTRY_OVERHEAD).unwrap();
    assert!(
        cache
            .insert(2_000_000, Bytes::from(vec![2; nearly_all]))
            .is_stored()
    );
    assert_eq!(cache.get_with(&2_000_000, Bytes::len), Some(nearly_all));
    assert_eq!(cache.len(), 1);
    cache.audit();
}

#[test]
fn a_large_value_survives_the_next_insertions() {
    let cache: Cache<u64, u64> = Cache::new(
        Options {
            capacity: 1 << 20,
            shards: Some(16),
            ..Options::default()
        },
        |_, weight| *weight,
    );
    for i in 0..10_000 {
        cache.insert(i, 1000);
    }
    cache.insert(1_000_000, 1 << 19);
    for i in 20_000..20_100 {
        cache.insert(i, 1000);
    }
    assert!(
        cache.contains(&1_000_000),
        "100 KiB of newer values fit beside it"
    );
}

#[test]
fn a_flood_stays_within_bounds() {
    let cache: Cache<u64, u64> = Cache::new(
        Options {
            capacity: 1 << 18,
            shards: Some(8),
            ..Options::default()
        },
        |_, weight| *weight,
    );
    let most = cache.capacity() / Cache::<u64, u64>::ENTRY_OVERHEAD;
    for i in 0..100_000 {
        cache.insert(i, i % 100);
        assert!(cache.bytes() <= cache.capacity());
    }
    assert!(cache.len() as u64 <= most);
    // It is not merely empty either: at most one entry's room is left.
    assert!(cache.bytes() > cache.capacity() - Cache::<u64, u64>::ENTRY_OVERHEAD - 100);
    cache.audit();
}

#[test]
fn debug_output_keeps_keys_to_itself() {
    let cache = small(2, 10);
    cache.insert("secret".to_owned(), Vec::new());
    let shown = format!("{cache:?}");
    assert!(
        shown.contains("capacity") && !shown.contains("secret"),
        "{shown}"
    );
}
