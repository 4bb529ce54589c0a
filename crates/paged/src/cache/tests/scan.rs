//! What a scan finds, in which order, and what it leaves unchanged.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::Cursor;

type Batch = Vec<(Bytes, Held)>;

/// Small ones, the largest for a page of 4 KiB with its key, and larger ones.
const LENS: [usize; 8] = [0, 1, 30, 100, 500, 1_004, 2_000, 9_000];

fn timed(capacity: u64, shards: usize) -> (Clock, PagedCache) {
    let clock = Clock::manual();
    let cache = PagedCache::new(Options {
        clock: clock.clone(),
        ..options(capacity, shards)
    });
    (clock, cache)
}

/// A whole scan, with `between` its calls; and how many those were.
fn scan_while(
    cache: &PagedCache,
    (most_entries, most_bytes): (usize, u64),
    mut between: impl FnMut(&Batch),
) -> (Batch, usize) {
    let (mut all, mut calls) = (Vec::new(), 0);
    let mut next = Some(Cursor::default());
    while let Some(from) = next {
        let (batch, then) = cache.scan(from, most_entries, most_bytes);
        between(&batch);
        all.extend(batch);
        next = then;
        calls += 1;
    }
    (all, calls)
}

fn scan(cache: &PagedCache) -> Batch {
    scan_while(cache, (100, 1 << 20), |_| ()).0
}

fn keys(batch: &Batch) -> Vec<Bytes> {
    batch.iter().map(|(key, _)| key.clone()).collect()
}

/// Each of the keys once, as peeking finds it.
fn assert_is_what_peek_finds(cache: &PagedCache, batch: &Batch, keys: impl Iterator<Item = usize>) {
    let mut seen = std::collections::BTreeMap::new();
    for (key, held) in batch {
        assert_eq!(seen.insert(key.clone(), held), None, "seen twice");
    }
    for n in keys {
        let fresh = cache
            .peek(&key(n))
            .filter(|hit| hit.ttl != Some(Duration::ZERO));
        let held = fresh.and_then(|_| cache.hold_any(&key(n)));
        assert_eq!(seen.remove(&key(n)[..]), held.as_ref());
    }
    assert_eq!(seen.len(), 0);
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    len: usize,
    ttl: Option<u64>,
    with_extras: bool,
}

fn kept() -> impl Strategy<Value = Kept> {
    let ttl = proptest::option::weighted(0.3, 1..20_u64);
    (0..LENS.len(), ttl, any::<bool>()).prop_map(|(len, ttl, with_extras)| Kept {
        len: LENS[len],
        ttl,
        with_extras,
    })
}

fn insert(cache: &PagedCache, n: usize, kept: Kept) {
    let window = Duration::from_secs(if kept.with_extras { 5 } else { 0 });
    let life = Life {
        ttl: kept.ttl.map(Duration::from_secs),
        serve_stale: window,
        keep_stale: 2 * window,
        refresh_ahead: window,
    };
    let note = format!("note-{n}");
    let note = if kept.with_extras {
        note.as_bytes()
    } else {
        b""
    };
    assert!(
        cache
            .insert_entry(&key(n), value(n, kept.len), &life, note)
            .is_stored()
    );
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_scan_finds_what_peek_finds(
        shards in 0..4_u32,
        all in proptest::collection::vec((kept(), 0..4_u8), 1..2_000),
        limits in (1..300_usize, 0..100_000_u64),
        later in 0..10_u64,
    ) {
        let (clock, cache) = timed(256 << 20, 1 << shards);
        for (n, &(kept, _)) in all.iter().enumerate() {
            insert(&cache, n, kept);
        }
        for (n, &(kept, fate)) in all.iter().enumerate() {
            match fate {
                0 => assert!(cache.remove(&key(n)).is_some()),
                1 => insert(&cache, n, Kept { len: kept.len + 1, ..kept }),
                _ => {}
            }
        }
        clock.advance(Duration::from_secs(later));
        let (found, _) = scan_while(&cache, limits, |batch| {
            let bytes = |(key, held): &(Bytes, Held)| key.len() + held.value.len() + held.note.len();
            let bytes: usize = batch.iter().map(bytes).sum();
            assert!(batch.len() <= 1 || (batch.len() <= limits.0 && bytes as u64 <= limits.1));
        });
        assert_is_what_peek_finds(&cache, &found, 0..all.len());
        cache.audit();
    }

    #[test]
    fn what_stays_where_it_is_is_seen_once_while_others_come(
        shards in 0..3_u32,
        first in proptest::collection::vec(kept(), 1..800),
        others in proptest::collection::vec(kept(), 400),
        each in 1..5_usize,
    ) {
        // With room for all, and nothing overwritten or removed, nothing is moved.
        let (_, cache) = timed(256 << 20, 1 << shards);
        for (n, &kept) in first.iter().enumerate() {
            insert(&cache, n, kept);
        }
        let mut more = others.iter().zip(10_000..);
        let (mut found, _) = scan_while(&cache, (50, 1 << 20), |_| {
            for (&other, n) in more.by_ref().take(each) {
                insert(&cache, n, other);
            }
        });
        found.retain(|(key, _)| key < &Bytes::from("key-10000"));
        assert_is_what_peek_finds(&cache, &found, 0..first.len());
    }

    #[test]
    fn any_cursor_leads_to_entries_and_to_an_end(bits in any::<u128>(), narrow in any::<bool>()) {
        let cache = cache(64 << 20, 2);
        for n in 0..500 {
            cache.insert(&key(n), value(n, LENS[n % LENS.len()]));
        }
        // So that it is within the cache, mostly: all but the lowest bits of each field are zero.
        let bits = if narrow { bits & 0x3_0007_ffff_0000_000f_0000_4003 } else { bits };
        let mut next = Some(Cursor::from_bits(bits));
        for _ in 0..10_000 {
            let Some(from) = next else { break };
            let (batch, then) = cache.scan(from, 10, 1 << 20);
            for (key, held) in batch {
                prop_assert_eq!(cache.peek(&key).map(|hit| hit.value), Some(held.value));
            }
            next = then;
        }
        prop_assert_eq!(next, None);
    }
}

#[test]
fn the_main_queue_comes_first_and_in_each_queue_the_young_over_all_shards() {
    let cache = cache(256 << 20, 4);
    let all = 20_000;
    for n in 0..all {
        // One in 200 is a block of its own.
        cache.insert(&key(n), value(n, if n % 200 == 0 { 5_000 } else { 100 }));
    }
    let found = scan(&cache);
    assert_eq!(found.len(), all);
    let numbers: Vec<usize> = found
        .iter()
        .map(|(key, _)| std::str::from_utf8(&key[4..]).unwrap().parse().unwrap())
        .collect();
    // The small queue has its part of the capacity; earlier entries have moved on.
    let is_young = |n: &usize| *n > all / 2;
    let main = numbers.iter().position(is_young).unwrap();
    assert!(main > 1_000, "{main}");
    for queue in [&numbers[..main], &numbers[main..]] {
        let (head, tail) = (&queue[..queue.len() / 4], &queue[queue.len() / 2..]);
        let mean = |part: &[usize]| part.iter().sum::<usize>() / part.len();
        assert!(
            mean(head) > mean(tail) + queue.len() / 8,
            "{} {}",
            mean(head),
            mean(tail)
        );
        let large = head.iter().filter(|&&n| n % 200 == 0).count();
        assert!(large > 0, "large ones are among them");
    }
}

#[test]
fn a_scan_is_no_use_and_counts_nothing() {
    let evicted = |scans: bool| {
        let cache = PagedCache::with_hasher(options(1 << 20, 2), Xxh3State::with_seed(1));
        for n in 0..3_000 {
            cache.insert(&key(n), value(n, LENS[n % 6]));
            if n % 3 == 0 {
                cache.get(&key(n));
            }
        }
        let (before, bytes) = (cache.stats(), cache.bytes());
        if scans {
            assert_eq!(scan(&cache).len(), cache.len());
        }
        assert_eq!((cache.stats(), cache.bytes()), (before, bytes));
        let mut left = Vec::new();
        for _ in 0..50 {
            cache.evict();
            left.push(
                (0..3_000)
                    .filter(|&n| cache.contains(&key(n)))
                    .collect::<BTreeSet<_>>(),
            );
        }
        left
    };
    assert_eq!(evicted(false), evicted(true));
}

#[test]
fn a_scan_ends_while_others_store_all_the_time() {
    let cache = cache(1 << 20, 2);
    let mut n = 0;
    let mut fill = |many| {
        for _ in 0..many {
            cache.insert(&key(n), value(n, LENS[n % LENS.len()]));
            if n % 5 == 0 {
                cache.get(&key(n / 2));
            }
            n += 1;
        }
    };
    fill(5_000);
    let there = cache.len();
    let mut wrong = 0;
    let (found, calls) = scan_while(&cache, (1, 1 << 20), |batch| {
        wrong += batch
            .iter()
            .filter(|(key, held)| cache.peek(key).map(|hit| hit.value) != Some(held.value.clone()))
            .count();
        // So many entries that the cache is filled repeatedly.
        fill(40);
    });
    assert_eq!(wrong, 0);
    assert!(calls < 3 * there, "{calls} for {there}");
    assert!(found.len() > there / 10, "{} of {there}", found.len());
    cache.audit();
}

#[test]
fn what_eviction_saves_during_a_scan_is_not_lost() {
    let cache = cache(1 << 20, 1);
    let hot = 0..200;
    let mut n = 1_000;
    let mut churn = |many| {
        for _ in 0..many {
            cache.insert(&key(n), value(n, 100));
            n += 1;
        }
        for n in hot.clone() {
            cache.get(&key(n));
        }
    };
    for n in hot.clone() {
        cache.insert(&key(n), value(n, LENS[3 + n % 4]));
    }
    for _ in 0..20 {
        churn(1_000);
    }
    let before = cache.stats().evictions.capacity;
    let (found, _) = scan_while(&cache, (100, 1 << 20), |_| churn(30));
    let found: BTreeSet<Bytes> = keys(&found).into_iter().collect();
    let held: Vec<usize> = hot.filter(|&n| cache.contains(&key(n))).collect();
    let missed = held.iter().filter(|&&n| !found.contains(&key(n)[..]));
    assert!(held.len() > 180 && missed.clone().count() < 3, "{missed:?}");
    let evicted = cache.stats().evictions.capacity - before;
    assert!(evicted > cache.len() as u64 / 4, "{evicted}");
}

#[test]
fn what_is_stale_is_left_out() {
    for len in [100, 5_000] {
        let (clock, cache) = timed(8 << 20, 1);
        for n in 0..100 {
            let ttl = Some(1 + n as u64 % 2);
            insert(
                &cache,
                n,
                Kept {
                    len,
                    ttl,
                    with_extras: true,
                },
            );
        }
        assert_eq!(scan(&cache).len(), 100);
        clock.advance(Duration::from_millis(1_500));
        let found = scan(&cache);
        assert_is_what_peek_finds(&cache, &found, (0..100).filter(|n| n % 2 == 1));
        for (_, held) in found {
            assert_eq!(held.life.ttl, Some(Duration::from_millis(500)));
            assert!(held.due && held.note.starts_with(b"note-"));
        }
        clock.advance(Duration::from_secs(1));
        assert_eq!(scan(&cache), []);
    }
}

#[test]
fn an_entry_above_the_bytes_of_a_batch_comes_alone() {
    let cache = cache(8 << 20, 1);
    cache.insert(b"large", value(1, 1 << 20));
    cache.insert(b"small", value(2, 10));
    let (found, _) = scan_while(&cache, (0, 0), |batch| assert!(batch.len() <= 1));
    assert_eq!(found.len(), 2);
    assert_eq!(cache.scan(Cursor::default(), 9, 2 << 20).0.len(), 2);
    cache.clear();
    assert_eq!(cache.scan(Cursor::default(), 9, 9), (Vec::new(), None));
}
