//! Which entry is evicted, and when.

use super::*;

// GeeCache's TestRemoveOldest.
#[test]
fn the_oldest_goes_first() {
    let cache = small(2, 10);
    for i in 1..=3 {
        cache.insert(key(i), vec![0; 6]);
    }
    assert!(!cache.contains("0001"));
    assert!(cache.contains("0002") && cache.contains("0003"));
    assert_eq!(cache.len(), 2);
}

// groupcache's TestEvict: 22 keys into room for 20; the first two are evicted, in their order.
#[test]
fn evictions_come_in_the_order_of_insertion() {
    let cache = small(20, 4);
    for i in 0..22 {
        cache.insert(key(i), Vec::new());
    }
    assert_eq!(cache.stats().evictions.capacity, 2);
    assert!(!cache.contains("0000") && !cache.contains("0001"));
    for i in 2..22 {
        assert_eq!(cache.evict_one().map(|evicted| evicted.key), Some(key(i)));
    }
    assert_eq!(cache.evict_one(), None);
    assert_eq!(cache.bytes(), 0);
    cache.audit();
}

#[test]
fn a_hit_saves_an_entry_and_a_peek_does_not() {
    let cache = small(3, 4);
    for i in 0..3 {
        cache.insert(key(i), Vec::new());
    }
    assert_eq!(cache.get("0000"), Some(Vec::new()));
    assert!(cache.contains("0001"));
    assert!(cache.peek("0001").is_some());
    assert_eq!(cache.get_if("0001", |_| None::<()>), None);
    cache.insert(key(3), Vec::new());
    assert!(cache.contains("0000"));
    assert!(!cache.contains("0001"));
    assert_eq!((cache.stats().hits, cache.stats().misses), (1, 1));
}

#[test]
fn an_overwrite_saves_an_entry_as_a_hit_does() {
    let cache = small(3, 4);
    for i in [0, 1, 2, 0] {
        cache.insert(key(i), Vec::new());
    }
    for i in [1, 2, 0] {
        assert_eq!(cache.evict_one().map(|evicted| evicted.key), Some(key(i)));
    }
}

/// The worst case of LRU: each key is evicted just before it is requested again.
#[test]
fn a_loop_one_larger_than_the_cache_never_hits() {
    let hits = |keys| {
        let cache = small(100, 4);
        for i in (0..10).flat_map(|_| 0..keys) {
            if cache.get(&key(i)).is_none() {
                cache.insert(key(i), Vec::new());
            }
        }
        cache.stats().hits
    };
    assert_eq!((hits(101), hits(100)), (0, 900));
}

#[test]
fn eviction_follows_use_and_counts_what_had_expired() {
    let clock = Clock::manual();
    let cache: Cache<u64, u64> = Cache::new(
        Options {
            shards: Some(1),
            clock: clock.clone(),
            ..Options::default()
        },
        |_, _| 0,
    );
    for n in 0..3 {
        cache.insert_with_ttl(n, n, (n == 0).then_some(Duration::from_secs(1)));
    }
    for n in [1, 0, 2] {
        cache.get(&n);
    }
    clock.advance(Duration::from_secs(1));
    let evicted = || cache.evict_one().map(|evicted| evicted.key);
    assert_eq!([evicted(), evicted(), evicted()], [1, 0, 2].map(Some));
    let evictions = cache.stats().evictions;
    assert_eq!((evictions.expired, evictions.capacity), (1, 2));
    cache.audit();
}

#[test]
fn what_was_hit_goes_last_whichever_shard_it_is_in() {
    let options = Options {
        shards: Some(8),
        ..Options::default()
    };
    let cache: Cache<u64, u64> = Cache::new(options, |_, _| 0);
    for i in 0..64 {
        cache.insert(i, i);
    }
    for i in 0..32 {
        assert_eq!(cache.get(&i), Some(i));
    }
    for i in 32..64 {
        assert_eq!(cache.evict_one().map(|evicted| evicted.key), Some(i));
    }
    assert_eq!(cache.len(), 32);
    cache.audit();
}

/// Another thread may have used all others since a thread stored its entry, for which it is still
/// making room.
#[test]
fn an_entry_just_stored_is_spared_where_it_is_the_oldest() {
    let cache = small(3, 4);
    for i in 0..3 {
        cache.insert(key(i), Vec::new());
    }
    let (fresh, home) = cache.locate("0000");
    let evict = || {
        let mut shard = cache.shards[home].lock();
        let victim = shard.evict(Some(fresh), &cache.clock, &cache.budget);
        victim.map(|entry| entry.key)
    };
    assert_eq!(
        [evict(), evict(), evict()],
        [Some(key(1)), Some(key(2)), None]
    );
    assert!(cache.contains("0000"));
    cache.audit();
}

#[test]
fn evict_one_spares_the_newest_of_a_few() {
    for round in 0..50 {
        let cache: Cache<u64, u64> = Cache::new(
            Options {
                shards: Some(64),
                ..Options::default()
            },
            |_, _| 1,
        );
        for i in 0..5 {
            cache.insert(i, round);
        }
        for _ in 0..4 {
            assert!(cache.evict_one().is_some_and(|evicted| evicted.key != 4));
        }
        assert!(cache.evict_one().is_some_and(|evicted| evicted.key == 4));
        assert_eq!(cache.evict_one(), None);
        cache.audit();
    }
}
