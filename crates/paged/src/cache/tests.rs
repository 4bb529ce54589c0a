use std::collections::HashMap;

use super::*;

mod capacity;
mod foreign;
mod lives;
mod pages;
mod policy;
mod scan;
mod shorten;

fn options(capacity: u64, shards: usize) -> Options {
    Options {
        capacity,
        shards: Some(shards),
        ..Options::default()
    }
}

fn cache(capacity: u64, shards: usize) -> PagedCache {
    PagedCache::new(options(capacity, shards))
}

fn key(n: usize) -> Vec<u8> {
    format!("key-{n:05}").into_bytes()
}

/// Of its key, so that none can be taken for another's.
fn value(n: usize, len: usize) -> Bytes {
    n.to_le_bytes().into_iter().cycle().take(len).collect()
}

impl<S: BuildHasher> PagedCache<S> {
    /// Every account agrees with what is there.
    fn audit(&self) {
        let shards = || self.shards.iter().map(Counted::lock);
        let sum = shards().map(|log| log.audit()).sum::<u64>();
        assert_eq!(self.bytes(), sum);
        let all = sum + self.shared.policy().bytes();
        assert_eq!(self.shared.budget().used(), all);
        let small = shards().map(|log| log.small()).sum::<u64>();
        assert_eq!(self.shared.small_bytes(), small);
        assert!(sum <= self.capacity(), "{sum} > {}", self.capacity());
        let stats = self.stats();
        let gone = stats.overwrites + stats.removals + stats.evictions.total();
        assert_eq!(stats.insertions, self.len() as u64 + gone);
    }
}

#[test]
fn is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<PagedCache>();
}

#[test]
fn what_was_stored_comes_back() {
    let cache = cache(8 << 20, 4);
    let lens = [0, 1, 7, 8, 100, 900, 1015, 1016, 1017, 5_000, 200_000];
    for (n, len) in lens.into_iter().enumerate() {
        assert_eq!(cache.insert(&key(n), value(n, len)), Insertion::Added);
    }
    // Keys of these lengths too, beside their values.
    for len in [0, 1, 1000, 1016, 1017, 70_000] {
        assert!(cache.insert(&vec![b'k'; len], value(len, 3)).is_stored());
    }
    for _ in 0..2 {
        for (n, len) in lens.into_iter().enumerate() {
            assert_eq!(cache.get(&key(n)), Some(value(n, len)), "{len} bytes");
            assert_eq!(cache.get_with(&key(n), <[u8]>::len), Some(len));
        }
        for len in [0, 1, 1000, 1016, 1017, 70_000] {
            assert_eq!(cache.get(&vec![b'k'; len]), Some(value(len, 3)));
        }
        // And once more from pages that are closed.
        for n in 100..400 {
            cache.insert(&key(n), value(n, 100));
        }
    }
    assert_eq!(cache.get(b"nobody"), None);
    cache.audit();
}

#[test]
fn a_hit_saves_an_entry_and_a_peek_does_not() {
    let cache = cache(1 << 18, 1);
    let mut stored = 0;
    while cache.stats().evictions.capacity == 0 {
        cache.insert(&key(stored), value(stored, 100));
        // All the time.
        assert_eq!(cache.get(&key(0)), Some(value(0, 100)));
        assert!(cache.contains(&key(1)) == cache.peek(&key(1)).is_some());
        stored += 1;
    }
    assert!(stored > 1_000, "150 bytes each: {stored}");
    assert!(cache.contains(&key(0)));
    assert!((1..stored).any(|n| !cache.contains(&key(n))));
    let hits = cache.stats().hits;
    assert_eq!((hits, cache.stats().misses), (stored as u64, 0));
    for n in stored..3 * stored {
        cache.insert(&key(n), value(n, 100));
        cache.get(&key(0));
    }
    assert_eq!(cache.get(&key(0)), Some(value(0, 100)));
    cache.audit();
}

/// Entries that were all used: an eviction is not stuck, and does not go round all of them for one
/// victim.
#[test]
fn an_eviction_passes_a_bounded_number_of_entries() {
    for len in [100, 2_000] {
        let cache = cache(16 << 20, 1);
        for n in 0..2_000 {
            cache.insert(&key(n), value(n, len));
            for _ in 0..3 {
                cache.get(&key(n));
            }
        }
        let evicted = cache.evict();
        assert!((1..=64).contains(&evicted), "{evicted}");
        let gone = (0..2_000).filter(|n| !cache.contains(&key(*n)));
        assert_eq!(gone.count(), evicted);
        cache.audit();
    }
}

#[test]
fn what_cannot_fit_is_refused_and_evicts_nothing() {
    let cache = cache(64 << 10, 1);
    for n in 0..3 {
        cache.insert(&key(n), value(n, 100));
        cache.insert(&key(10 + n), value(n, 5_000));
    }
    let refused = cache.insert(&key(9), value(9, 64 << 10));
    assert!(matches!(refused, Insertion::Refused { weight, capacity }
        if weight > capacity && capacity == 64 << 10));
    assert_eq!((cache.len(), cache.stats().evictions.total()), (6, 0));

    // The key's older value would be stale.
    cache.insert(&key(1), value(1, 64 << 10));
    cache.insert(&key(11), value(1, 64 << 10));
    assert!(!cache.contains(&key(1)) && !cache.contains(&key(11)));
    assert_eq!((cache.len(), cache.stats().refusals), (4, 3));
    cache.audit();
}

#[test]
fn a_value_of_all_that_there_is_fits_alone() {
    let cache = cache(1 << 20, 16);
    for n in 0..5_000 {
        cache.insert(&key(n), value(n, 100));
    }
    let overhead = weight::single(key(0).len(), 0) + weight::ENTRY;
    // A multiple of what lengths of this size are rounded to.
    let len = usize::try_from((1 << 20) - overhead).unwrap() & !((1 << 16) - 1);
    assert_eq!(cache.insert(&key(9), value(9, len)), Insertion::Overwrote);
    assert!(cache.bytes() > 15 << 16);
    assert_eq!(cache.get(&key(9)), Some(value(9, len)));
    cache.audit();

    // 100 KiB of newer values fit beside a large one.
    cache.insert(&key(9), value(9, 1 << 19));
    for n in 10_000..10_500 {
        cache.insert(&key(n), value(n, 100));
    }
    assert!(cache.contains(&key(9)));
    cache.audit();
}

#[test]
fn budgets_of_a_few_kib_and_less_work() {
    for capacity in (0..1_000).step_by(50).chain((1_000..12_000).step_by(700)) {
        for shards in [1, 4, 64] {
            let cache = cache(capacity, shards);
            for n in 0..300 {
                let len = n * 7 % 120;
                let insertion = cache.insert(&key(n % 100), value(n, len));
                assert!(cache.bytes() <= capacity);
                let stored = insertion.is_stored();
                assert_eq!(cache.get(&key(n % 100)), stored.then(|| value(n, len)));
            }
            assert!(capacity < 1_000 || cache.len() > 1);
            cache.audit();
            while cache.evict() > 0 {}
            assert_eq!((cache.len(), cache.bytes()), (0, 0));
        }
    }
}

#[test]
fn an_entry_expires_and_frees_its_bytes() {
    for len in [100, 5_000] {
        let clock = Clock::manual();
        let cache = PagedCache::new(Options {
            clock: clock.clone(),
            ..options(1 << 20, 1)
        });
        cache.insert_with_ttl(&key(0), value(0, len), Some(Duration::from_secs(10)));
        clock.advance(Duration::from_secs(4));
        let left = cache.get_entry(&key(0)).and_then(|hit| hit.ttl);
        assert_eq!(left, Some(Duration::from_secs(6)));
        clock.advance(Duration::from_secs(6));
        assert!(!cache.contains(&key(0)) && cache.peek(&key(0)).is_none());
        assert_eq!(cache.len(), 1, "only a lookup that counts removes");
        assert_eq!(cache.get(&key(0)), None);
        assert_eq!((cache.len(), cache.bytes()), (0, 0));
        assert_eq!(
            (cache.stats().evictions.expired, cache.stats().misses),
            (1, 1)
        );

        cache.insert_with_ttl(&key(1), value(1, len), Some(Duration::from_secs(1)));
        clock.advance(Duration::from_secs(1));
        assert_eq!(cache.remove(&key(1)), None);
        assert_eq!(cache.stats().removals, 0);
        cache.insert(&key(1), value(1, len));
        assert_eq!(cache.get_entry(&key(1)).map(|hit| hit.ttl), Some(None));
        assert_eq!(cache.remove(&key(1)), Some(value(1, len)));
        assert_eq!(cache.remove(&key(1)), None);
        cache.audit();
    }
}

#[test]
fn clear_leaves_nothing() {
    let cache = cache(1 << 20, 8);
    for n in 0..1_000 {
        cache.insert(&key(n), value(n, n));
    }
    let held = cache.len() as u64;
    cache.clear();
    assert_eq!(
        (cache.len(), cache.bytes(), cache.stats().removals),
        (0, 0, held)
    );
    cache.insert(&key(1), value(1, 1));
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
fn colliding_keys_lie_side_by_side_and_never_answer_for_each_other() {
    let cache = PagedCache::with_hasher(options(32 << 10, 2), Colliding);
    for n in 0..600 {
        assert_eq!(cache.get(&key(n)), None);
        let len = if n % 7 == 0 { 2_000 } else { n % 100 };
        assert_eq!(cache.insert(&key(n), value(n, len)), Insertion::Added);
        assert_eq!(cache.get(&key(n)), Some(value(n, len)));
    }
    assert!(cache.len() > 20 && cache.stats().evictions.capacity > 0);
    cache.audit();
    while cache.evict() > 0 {}
    assert!(cache.is_empty());
}

#[test]
fn eviction_by_request_spares_the_newest_of_a_few() {
    for round in 0..50 {
        let cache = cache(8 << 20, 64);
        for n in 0..5 {
            cache.insert(&key(n), value(round, 100));
        }
        while cache.len() > 1 {
            assert!(cache.evict() > 0);
            assert!(cache.contains(&key(4)));
        }
        assert_eq!((cache.evict(), cache.evict()), (1, 0));
        cache.audit();
    }
}

#[test]
fn a_flood_stays_within_bounds() {
    let cache = cache(1 << 20, 8);
    for n in 0..100_000 {
        cache.insert(&key(n), value(n, n % 300));
        assert!(cache.bytes() <= cache.capacity());
    }
    // Nor is it merely empty: room for a page of each shard, at most.
    assert!(cache.bytes() > cache.capacity() - 8 * 5_000);
    assert!(cache.len() > 4_000, "{}", cache.len());
    cache.audit();
}

#[test]
fn a_wild_mixture_keeps_the_accounts() {
    let cache = cache(200 << 10, 2);
    let mut given: HashMap<usize, Bytes> = HashMap::new();
    let mut state = 1_u64;
    for round in 0..30_000 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let draw = usize::try_from(state >> 33).unwrap();
        let n = draw % 800;
        match draw / 800 % 8 {
            0..4 => {
                if let Some(found) = cache.get(&key(n)) {
                    assert_eq!(Some(&found), given.get(&n));
                }
            }
            4..7 => {
                let len = if draw % 13 == 0 {
                    draw % 6_000
                } else {
                    draw % 150
                };
                let value = value(round, len);
                assert!(cache.insert(&key(n), value.clone()).is_stored());
                given.insert(n, value);
            }
            _ => {
                let removed = cache.remove(&key(n));
                assert!(removed.is_none() || removed.as_ref() == given.get(&n));
            }
        }
        if round % 1_000 == 0 {
            cache.audit();
        }
    }
    cache.audit();
}

#[test]
fn debug_output_keeps_keys_to_itself() {
    let cache = cache(1 << 20, 1);
    cache.insert(b"secret", Bytes::new());
    let shown = format!("{cache:?}");
    assert!(
        shown.contains("capacity") && !shown.contains("secret"),
        "{shown}"
    );
}
