//! Which entries stay and which are evicted.

use super::*;
use crate::queue::Queue;
use crate::{Xxh3Hasher, Xxh3State};

mod model;

/// Puts no key into the sample of the policy, so that its setting stays as it is.
#[derive(Clone, Copy)]
struct Unsampled;

struct UnsampledHasher(Xxh3Hasher);

impl BuildHasher for Unsampled {
    type Hasher = UnsampledHasher;

    fn build_hasher(&self) -> UnsampledHasher {
        UnsampledHasher(Xxh3State::with_seed(14).build_hasher())
    }
}

impl Hasher for UnsampledHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    fn finish(&self) -> u64 {
        self.0.finish() | 1 << Tag::BITS
    }
}

/// A cache with a fixed setting.
fn following(options: Options, setting: usize, mean: u32) -> PagedCache<Unsampled> {
    let cache = PagedCache::with_hasher(options, Unsampled);
    let setting = u8::try_from(setting).unwrap();
    cache.shared.policy().force(setting, mean);
    cache
}

/// This many entries of [`LARGE`] fit.
fn of_large(entries: u64, setting: usize) -> PagedCache<Unsampled> {
    following(options(entries * 2_200, 1), setting, 0)
}

/// Too large for a page: each entry is examined by itself.
const LARGE: usize = 2_000;
/// Settings: a small queue of 10 %, from which two uses pass, and none, which is CLOCK.
const TEN_PERCENT: usize = 1;
const CLOCK: usize = 3;

fn insert_large<S: BuildHasher>(cache: &PagedCache<S>, keys: impl IntoIterator<Item = usize>) {
    for n in keys {
        cache.insert(&key(n), value(n, LARGE));
    }
}

fn is_in<S: BuildHasher>(cache: &PagedCache<S>, queue: Queue, n: usize) -> bool {
    let order = cache.shards[0].share().order(queue);
    order.iter().any(|(held, _)| *held == key(n))
}

#[test]
fn two_uses_pass_from_the_small_queue_and_one_use_does_not() {
    let cache = of_large(40, TEN_PERCENT);
    insert_large(&cache, 0..100);
    insert_large(&cache, [1_001, 1_002]);
    for n in [1_001, 1_002, 1_002] {
        assert!(is_in(&cache, Queue::Small, n) && cache.get(&key(n)).is_some());
    }
    insert_large(&cache, 100..110);
    assert!(!cache.contains(&key(1_001)));
    assert!(is_in(&cache, Queue::Main, 1_002));
    cache.audit();
}

#[test]
fn a_key_that_comes_back_goes_to_the_main_queue_and_outlives_a_scan() {
    let cache = of_large(40, TEN_PERCENT);
    insert_large(&cache, 0..100);
    assert!(!cache.contains(&key(90)) && cache.recalls() == 0);
    insert_large(&cache, [90, 1_000]);
    assert!(is_in(&cache, Queue::Main, 90) && is_in(&cache, Queue::Small, 1_000));
    insert_large(&cache, 2_000..2_400);
    assert!(cache.contains(&key(90)) && !cache.contains(&key(1_000)));
    cache.audit();
}

#[test]
fn a_return_is_counted_once_for_each_time_that_the_key_had_left() {
    let cache = of_large(40, TEN_PERCENT);
    insert_large(&cache, 0..100);
    let left = (80..100).filter(|n| !cache.contains(&key(*n)));
    let left: Vec<usize> = left.take(3).collect();
    insert_large(&cache, left.clone());
    assert_eq!(cache.recalls(), 3);
    // It exists, it has been removed, or it never existed.
    insert_large(&cache, left.clone());
    cache.remove(&key(left[0]));
    insert_large(&cache, [left[0], 1_000]);
    assert_eq!(cache.recalls(), 3);
}

/// Half of the capacity is used repeatedly, and then only keys arrive that are never used again.
#[test]
fn a_scan_of_ten_times_the_capacity_leaves_the_hot_set_in_place() {
    for shards in [1, 8] {
        let cache = PagedCache::with_hasher(options(1 << 20, shards), Xxh3State::with_seed(14));
        for n in (0..4).flat_map(|_| 0..3_500) {
            if cache.get(&key(n)).is_none() {
                cache.insert(&key(n), value(n, 100));
            }
        }
        assert_eq!(cache.len(), 3_500);
        for n in 10_000..80_000 {
            cache.insert(&key(n), value(n, 100));
        }
        let kept = (0..3_500).filter(|n| cache.contains(&key(*n))).count();
        // Not all: an insertion lets 256 stay, and the first marks of keys that left need some
        // pages at once.
        assert!(kept > 3_150, "{shards} shards: {kept}");
        cache.audit();
    }
}

/// Uses of keys of which some are more popular, with a scan between them.
fn play<S: BuildHasher>(cache: &PagedCache<S>) {
    let mut state = 1_u64;
    for round in 0..30_000 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let draw = usize::try_from(state >> 33).unwrap();
        let n = if round % 4 == 0 {
            100_000 + round
        } else {
            draw % (1 << (draw % 13))
        };
        if cache.get(&key(n)).is_none() {
            cache.insert(&key(n), value(n, 50 + n % 100));
        }
    }
}

#[test]
fn the_same_keys_and_the_same_seed_leave_the_same_entries() {
    for shards in [1, 8] {
        let of_seed = |seed| {
            let options = options(200 << 10, shards);
            let cache = PagedCache::with_hasher(options, Xxh3State::with_seed(seed));
            play(&cache);
            let keys = (0..1 << 13).chain(100_000..130_000);
            let held: Vec<usize> = keys.filter(|n| cache.contains(&key(*n))).collect();
            assert_eq!(held.len(), cache.len());
            (held, cache.stats(), cache.recalls(), cache.bytes())
        };
        let first = of_seed(1);
        assert!(first.1.evictions.capacity > 0 && first.2 > 0);
        assert_eq!(of_seed(1), first);
        assert_ne!(of_seed(2), first, "another sample");
    }
}

#[test]
fn what_a_shift_makes_obsolete_leaves_before_new_entries() {
    let cache = of_large(20, CLOCK);
    insert_large(&cache, 0..30);
    let held: Vec<usize> = (0..30).filter(|n| cache.contains(&key(*n))).collect();
    for n in held.iter().chain(&held).chain(&held[3..4]) {
        assert!(cache.get(&key(*n)).is_some());
    }
    cache.shared.give_up_main();
    insert_large(&cache, 100..99 + held.len());
    // They were used twice, which would have been enough for two rounds; one was used more.
    let stays = |n: &usize| cache.contains(&key(*n)) == (*n == held[3]);
    assert!(held.iter().all(stays));
    assert!((100..99 + held.len()).all(|n| cache.contains(&key(n))));
    cache.audit();
}

#[test]
fn an_entry_past_its_ttl_gets_no_further_round() {
    let clock = Clock::manual();
    let options = Options {
        clock: clock.clone(),
        ..options(40 * 2_200, 1)
    };
    let cache = following(options, CLOCK, 0);
    let life = Life {
        ttl: Some(Duration::from_secs(10)),
        keep_stale: Duration::from_secs(60),
        ..Life::default()
    };
    for n in [0, 1] {
        // Stale later on, and gone.
        let life = if n == 0 {
            life
        } else {
            Life {
                keep_stale: Duration::ZERO,
                ..life
            }
        };
        cache.insert_entry(&key(n), value(n, LARGE), &life, &[]);
    }
    insert_large(&cache, [2]);
    for n in (0..3).flat_map(|_| 0..3) {
        assert!(cache.get(&key(n)).is_some());
    }
    clock.advance(Duration::from_secs(10));
    assert_eq!((cache.evict(), cache.evict()), (1, 1));
    assert_eq!(cache.hold_any(&key(0)), None);
    assert!(cache.len() == 1 && cache.contains(&key(2)), "used as often");
    let evictions = cache.stats().evictions;
    assert_eq!((evictions.capacity, evictions.expired), (1, 1));
    cache.audit();
}
