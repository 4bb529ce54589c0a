//! Many threads concurrently: no wrong value, no lost byte.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use gaggle_shards::Clock;

use crate::subject::{Subject, Value};

const THREADS: u64 = 8;
pub(crate) const ROUNDS: u64 = 20_000;

/// A generator without a dependency: the tests need variety, not quality.
fn next(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

pub(crate) fn storm<S: Subject>(shards: usize, capacity: u64, heaviest: u64) {
    storm_beside::<S>(ROUNDS, shards, capacity, heaviest, |_| capacity);
}

/// The first two threads change the capacity now and then, to the result of `resized` for a random
/// number.
pub(crate) fn storm_beside<S: Subject>(
    rounds: u64,
    shards: usize,
    capacity: u64,
    heaviest: u64,
    resized: impl Fn(u64) -> u64 + Sync,
) {
    let clock = Clock::manual();
    let cache = S::new(capacity, shards, &clock);
    let lookups = AtomicU64::new(0);
    let insertions = AtomicU64::new(0);
    let refusals = AtomicU64::new(0);
    let start = Barrier::new(usize::try_from(THREADS).unwrap());

    thread::scope(|scope| {
        for id in 0..THREADS {
            let (cache, clock, start, resized) = (&cache, &clock, &start, &resized);
            let (lookups, insertions, refusals) = (&lookups, &insertions, &refusals);
            scope.spawn(move || {
                let mut random = id + 1;
                start.wait();
                for round in 0..rounds {
                    let key = next(&mut random) % 500;
                    match next(&mut random) % 20 {
                        0..10 => {
                            lookups.fetch_add(1, Ordering::Relaxed);
                            let found = cache.get(key);
                            let right = found.is_none_or(|(value, _)| value.key == key);
                            assert!(right, "a value of another key");
                        }
                        10..17 => {
                            let size = 16 + next(&mut random) % heaviest;
                            let ttl = (size.is_multiple_of(3)).then_some(Duration::from_millis(5));
                            let value = Value {
                                key,
                                version: round,
                                size,
                            };
                            let stored = cache.insert(value, ttl);
                            let count = if stored { insertions } else { refusals };
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                        17 => {
                            let removed = cache.remove(key);
                            assert!(removed.is_none_or(|value| value.key == key));
                        }
                        18 => {
                            cache.evict();
                        }
                        _ => clock.advance(Duration::from_micros(50)),
                    }
                    if round == rounds / 2 && id == 0 {
                        cache.clear();
                    }
                    if id < 2 && round.is_multiple_of(20) {
                        cache.set_capacity(resized(next(&mut random)));
                    }
                }
            });
        }
    });

    // Nothing is evicted for it: what the last insertion or change has left fits.
    assert!(cache.bytes() <= cache.capacity());
    cache.set_capacity(capacity);
    let (stats, len) = (cache.stats(), cache.len());
    assert_eq!(stats.hits + stats.misses, lookups.into_inner());
    assert_eq!(stats.insertions, insertions.into_inner());
    assert_eq!(stats.refusals, refusals.into_inner());
    let gone = stats.overwrites + stats.removals + stats.evictions.total();
    assert_eq!(stats.insertions, len as u64 + gone);
    assert!(cache.bytes() <= capacity);

    for key in 0..500 {
        let found = cache.peek(key);
        assert_eq!(found.is_some(), cache.contains(key));
        assert!(found.is_none_or(|value| value.key == key));
    }
    let mut left = len;
    while left > 0 {
        let evicted = cache.evict();
        assert!(evicted > 0);
        left -= evicted;
    }
    assert_eq!((cache.bytes(), cache.len()), (0, 0));
}
