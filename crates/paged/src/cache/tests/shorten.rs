//! Lowered lifetimes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn timed(capacity: u64, shards: usize) -> (Clock, PagedCache) {
    let clock = Clock::manual();
    let cache = PagedCache::new(Options {
        clock: clock.clone(),
        ..options(capacity, shards)
    });
    (clock, cache)
}

fn ttl(seconds: u32) -> Life {
    Life {
        ttl: Some(seconds * SECOND),
        ..Life::default()
    }
}

/// Of values for pages, and for blocks of their own.
fn len(n: usize) -> usize {
    if n.is_multiple_of(50) { 5_000 } else { 100 }
}

fn found(cache: &PagedCache, of: usize) -> usize {
    (0..of)
        .filter(|n| match cache.peek(&key(*n)) {
            Some(hit) => {
                assert_eq!(hit.value, value(*n, len(*n)));
                true
            }
            None => false,
        })
        .count()
}

#[test]
fn what_would_end_later_ends_then_and_the_rest_as_before() {
    for first in [Some(3_600 * SECOND), None] {
        let (clock, cache) = timed(8 << 20, 4);
        for n in 0..5_000 {
            let life = Life {
                ttl: first,
                ..Life::default()
            };
            let life = if n % 3 == 0 { ttl(5) } else { life };
            cache.insert_entry(&key(n), value(n, len(n)), &life, b"");
        }
        let before = cache.stats();
        cache.shorten(&ttl(60), |ttl| ttl);
        cache.audit();
        assert_eq!((found(&cache, 5_000), cache.stats()), (5_000, before));
        for (seconds, left) in [(5, 3_333), (54, 3_333), (1, 0)] {
            clock.advance(seconds * SECOND);
            assert_eq!(found(&cache, 5_000), left, "{:?}", clock.now());
        }
        cache.audit();
    }
}

#[test]
fn values_in_hands_stay_as_they_are() {
    let (clock, cache) = timed(8 << 20, 1);
    for n in 0..1_000 {
        cache.insert_entry(&key(n), value(n, len(n)), &ttl(3_600), b"note");
    }
    let hands: Vec<Held> = (0..1_000)
        .step_by(2)
        .filter_map(|n| cache.hold(&key(n)))
        .collect();
    cache.shorten(&ttl(60), |ttl| ttl);
    cache.audit();
    for (n, held) in (0..1_000).step_by(2).zip(&hands) {
        assert_eq!(held.value, value(n, len(n)));
        let now = cache.hold_any(&key(n)).unwrap();
        assert_eq!(
            (now.value, now.note),
            (held.value.clone(), held.note.clone())
        );
        assert_eq!(now.life.ttl, Some(60 * SECOND));
    }
    clock.advance(60 * SECOND);
    assert_eq!(found(&cache, 1_000), 0);
}

#[test]
fn ends_are_drawn_for_what_is_lowered_only() {
    let (clock, cache) = timed(8 << 20, 1);
    for n in 0..1_000 {
        let seconds = if n < 500 { 3_600 } else { 50 };
        cache.insert_entry(&key(n), value(n, len(n)), &ttl(seconds), b"");
    }
    let mut drawn = 0;
    cache.shorten(&ttl(60), |ttl| {
        drawn += 1;
        assert_eq!(ttl, 60 * SECOND);
        ttl - drawn * SECOND
    });
    // Ten large ones and pages of some thirty, and none for the others.
    assert!((20..40).contains(&drawn), "{drawn}");
    clock.advance(60 * SECOND - (drawn + 1) * SECOND);
    assert_eq!(found(&cache, 1_000), 1_000);
    clock.advance(2 * SECOND);
    assert!((950..1_000).contains(&found(&cache, 1_000)));
    clock.advance((drawn - 2) * SECOND);
    assert_eq!(found(&cache, 1_000), 0, "and those of 50 are over, too");
}

#[test]
fn a_panic_of_the_draw_leaves_the_cache_in_order() {
    let (clock, cache) = timed(1 << 20, 1);
    cache.insert_entry(&key(0), value(0, 100), &ttl(3_600), b"");
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        cache.shorten(&ttl(60), |_| panic!("draw"));
    }));
    assert!(panics.is_err());
    // An entry moved later is not lowered.
    clock.advance(100 * SECOND);
    for n in 1..20_000 {
        assert!(cache.get(&key(0)).is_some(), "{n}");
        cache.insert_entry(&key(n), value(n, 100), &ttl(3_600), b"");
    }
    cache.audit();
    cache.shorten(&ttl(60), |ttl| ttl);
    clock.advance(60 * SECOND);
    assert!(cache.get(&key(0)).is_none());
}

// Evictions move entries all the time, also into pages that have been visited.
#[test]
fn none_is_missed_beside_changes() {
    let (_, cache) = timed(512 << 10, 1);
    let old = 1_000;
    let store_old = || {
        for n in 0..old {
            cache.insert_entry(&key(n), value(n, 100), &ttl(3_600), b"");
        }
    };
    let evictions = || cache.stats().evictions.capacity;
    for _ in 0..50 {
        store_old();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for id in 1..3 {
                let (cache, stop) = (&cache, &stop);
                scope.spawn(move || {
                    let mut n = 0;
                    while !stop.load(Ordering::Relaxed) {
                        n += 1;
                        // They are used, so that eviction lets them stay.
                        drop(cache.get(&key(n * 7 % old)));
                        let other = 10_000 * id + n % 9_000;
                        cache.insert_entry(&key(other), value(other, 100), &ttl(1), b"");
                    }
                });
            }
            let before = evictions();
            while evictions() < before + 100 {
                thread::yield_now();
            }
            cache.shorten(&ttl(60), |ttl| ttl);
            stop.store(true, Ordering::Relaxed);
        });
        let left = |n| cache.peek(&key(n)).and_then(|hit| hit.ttl);
        let left: Vec<Duration> = (0..old).filter_map(left).collect();
        assert!(!left.is_empty());
        assert!(left.iter().all(|left| *left <= 60 * SECOND), "{left:?}");
        cache.audit();
    }
}
