//! Many threads at once: no value mistaken, no byte lost.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use gaggle_lru::{Cache, Clock, Options};

const THREADS: u64 = 8;
const ROUNDS: u64 = 20_000;

/// The key, a version, and what it weighs.
type Value = (u64, u64, u64);

/// A generator without a dependency: the tests need variety, no quality.
fn next(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

fn storm(shards: usize, capacity: u64, heaviest: u64) {
    let clock = Clock::manual();
    let options = Options {
        capacity,
        shards: Some(shards),
        clock: clock.clone(),
    };
    let cache: Cache<u64, Value> = Cache::new(options, |_, value: &Value| value.2);
    let lookups = AtomicU64::new(0);
    let insertions = AtomicU64::new(0);
    let refusals = AtomicU64::new(0);
    let start = Barrier::new(usize::try_from(THREADS).unwrap());

    thread::scope(|scope| {
        for id in 0..THREADS {
            let (cache, clock, start) = (&cache, &clock, &start);
            let (lookups, insertions, refusals) = (&lookups, &insertions, &refusals);
            scope.spawn(move || {
                let mut random = id + 1;
                start.wait();
                for round in 0..ROUNDS {
                    let key = next(&mut random) % 500;
                    match next(&mut random) % 20 {
                        0..10 => {
                            lookups.fetch_add(1, Ordering::Relaxed);
                            let right = cache.get_with(&key, |value| value.0 == key);
                            assert_ne!(right, Some(false), "a value of another key");
                        }
                        10..17 => {
                            let weight = next(&mut random) % heaviest;
                            let ttl =
                                (weight.is_multiple_of(3)).then_some(Duration::from_millis(5));
                            let stored = cache
                                .insert_with_ttl(key, (key, round, weight), ttl)
                                .is_stored();
                            let count = if stored { insertions } else { refusals };
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                        17 => {
                            let removed = cache.remove(&key);
                            assert!(removed.is_none_or(|value| value.0 == key));
                        }
                        18 => {
                            cache.evict_one();
                        }
                        _ => clock.advance(Duration::from_micros(50)),
                    }
                    if round == ROUNDS / 2 && id == 0 {
                        cache.clear();
                    }
                }
            });
        }
    });

    let (stats, len, bytes) = (cache.stats(), cache.len(), cache.bytes());
    assert_eq!(stats.hits + stats.misses, lookups.into_inner());
    assert_eq!(stats.insertions, insertions.into_inner());
    assert_eq!(stats.refusals, refusals.into_inner());
    let gone = stats.overwrites + stats.removals + stats.evictions.total();
    assert_eq!(stats.insertions, len as u64 + gone);
    assert!(bytes <= capacity);

    let mut sum = 0;
    for _ in 0..len {
        let evicted = cache.evict_one().unwrap();
        assert_eq!(evicted.key, evicted.value.0);
        sum += evicted.weight;
    }
    assert_eq!(sum, bytes);
    assert_eq!((cache.bytes(), cache.len()), (0, 0));
}

#[test]
fn many_small_values_in_many_shards() {
    storm(16, 40_000, 200);
}

#[test]
fn many_small_values_in_one_shard() {
    storm(1, 40_000, 200);
}

// Two of these values never fit together: each insertion evicts those of the other threads, and some are refused.
#[test]
fn values_of_nearly_the_whole_budget_from_all_threads() {
    storm(16, 40_000, 41_000);
}
