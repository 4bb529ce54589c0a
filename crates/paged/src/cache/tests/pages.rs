//! The life of pages: closed, shared, abandoned by their entries, swept.

use std::sync::Arc;

use super::*;

fn holds_the_same_memory(a: &Bytes, b: &Bytes) -> bool {
    a.as_ptr() == b.as_ptr()
}

#[test]
fn a_value_that_was_handed_out_survives_its_page() {
    let cache = cache(64 << 10, 1);
    let mut kept = Vec::new();
    for n in 0..5_000 {
        let len = if n % 50 == 0 { 3_000 } else { 100 };
        cache.insert(&key(n), value(n, len));
        kept.push((n, cache.peek(&key(n / 2)).map(|hit| hit.value)));
    }
    cache.clear();
    for (n, found) in kept {
        let len = if n / 2 % 50 == 0 { 3_000 } else { 100 };
        assert!(found.is_none_or(|found| found == value(n / 2, len)));
    }
}

#[test]
fn hits_share_a_closed_page_and_a_large_value_is_the_one_handed_in() {
    let cache = cache(1 << 20, 1);
    for n in 0..100 {
        cache.insert(&key(n), value(n, 100));
    }
    let twice = || (cache.get(&key(0)).unwrap(), cache.get(&key(0)).unwrap());
    let (a, b) = twice();
    assert!(holds_the_same_memory(&a, &b));
    let large = value(7, 5_000);
    cache.insert(&key(0), large.clone());
    assert!(holds_the_same_memory(&cache.get(&key(0)).unwrap(), &large));
}

#[test]
fn an_open_page_that_is_much_asked_for_is_closed() {
    let cache = cache(1 << 20, 1);
    cache.insert(&key(0), value(0, 100));
    let open = cache.bytes();
    let mut last = cache.get(&key(0)).unwrap();
    let shared = (0..80).any(|_| {
        let before = mem::replace(&mut last, cache.get(&key(0)).unwrap());
        holds_the_same_memory(&before, &last)
    });
    assert!(shared, "copies went on");
    assert!(cache.bytes() < open, "a page of one entry");
    cache.audit();
}

#[test]
fn an_open_page_of_holes_is_swept_as_it_is_closed() {
    let cache = cache(1 << 20, 1);
    for n in 0..10 {
        cache.insert(&key(n), value(n, 100));
    }
    for n in 0..8 {
        cache.remove(&key(n));
    }
    for _ in 0..70 {
        assert_eq!(cache.get(&key(9)), Some(value(9, 100)));
    }
    cache.audit();
}

/// A buffer that records when it is dropped.
struct Huge {
    _alive: Arc<()>,
}

impl AsRef<[u8]> for Huge {
    fn as_ref(&self) -> &[u8] {
        &[7; 1 << 16]
    }
}

#[test]
fn a_small_slice_does_not_keep_a_huge_buffer() {
    let cache = cache(1 << 20, 1);
    let alive = Arc::new(());
    let huge = Bytes::from_owner(Huge {
        _alive: Arc::clone(&alive),
    });
    cache.insert(&key(0), huge.slice(10..110));
    drop(huge);
    assert_eq!(Arc::strong_count(&alive), 1);
    assert_eq!(cache.get(&key(0)), Some(Bytes::from(vec![7; 100])));
}

#[test]
fn overwriting_leaves_no_more_holes_than_entries() {
    let cache = cache(16 << 20, 1);
    for n in 0..1_000 {
        cache.insert(&key(n), value(n, 100));
    }
    let once = cache.bytes();
    let mut state = 1_u64;
    for round in 0..50_000 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let n = usize::try_from(state >> 33).unwrap() % 1_000;
        // Of another length each time, so that none can take the place of the one before.
        cache.insert(&key(n), value(round + n, 60 + round % 50));
        // Twice the bytes at worst, and the open pages.
        assert!(cache.bytes() < 2 * once + (20 << 10), "{}", cache.bytes());
    }
    assert_eq!((cache.len(), cache.stats().overwrites), (1_000, 50_000));
    cache.audit();
}

#[test]
fn a_value_of_the_same_length_takes_the_place_of_the_older_one_unless_that_is_in_use() {
    let clock = Clock::manual();
    let cache = PagedCache::new(Options {
        clock: clock.clone(),
        ..options(1 << 20, 1)
    });
    let ttl = |n| (n % 2 == 0).then_some(Duration::from_secs(1 + n as u64));
    for n in 0..200 {
        cache.insert_with_ttl(&key(n), value(n, 100), ttl(n));
    }
    let once = cache.bytes();
    for round in 1..50 {
        for n in 0..200 {
            let fresh = value(n + round, 100);
            let insertion = cache.insert_with_ttl(&key(n), fresh, ttl(n));
            assert_eq!(insertion, Insertion::Overwrote);
        }
    }
    assert_eq!(cache.bytes(), once);
    clock.advance(Duration::from_millis(500));
    let held: Vec<Hit<Bytes>> = (0..200).filter_map(|n| cache.get_entry(&key(n))).collect();
    for (n, held) in held.iter().enumerate() {
        cache.insert_with_ttl(&key(n), value(n, 100), ttl(n));
        assert_eq!(held.value, value(n + 49, 100), "in somebody's hands");
        let left = ttl(n).map(|ttl| ttl - Duration::from_millis(500));
        assert_eq!(held.ttl, left);
        let now = cache.peek(&key(n)).unwrap();
        assert_eq!((now.value, now.ttl), (value(n, 100), ttl(n)));
    }
    assert_eq!(held.len(), 200);
    cache.audit();
}

#[test]
fn removing_frees_pages() {
    let cache = cache(16 << 20, 1);
    for n in 0..10_000 {
        cache.insert(&key(n), value(n, 100));
    }
    let full = cache.bytes();
    for n in (0..10_000).filter(|n| n % 10 != 0) {
        assert_eq!(cache.remove(&key(n)), Some(value(n, 100)));
    }
    cache.audit();
    assert!(cache.bytes() < full / 4, "{} of {full}", cache.bytes());
    for n in (0..10_000).step_by(10) {
        assert_eq!(cache.remove(&key(n)), Some(value(n, 100)));
    }
    assert_eq!((cache.len(), cache.bytes()), (0, 0));
    cache.audit();
}

#[test]
fn small_values_give_way_to_large_ones_with_their_index() {
    let cache = cache(4 << 20, 1);
    for n in 0..40_000 {
        cache.insert(&key(n), value(n, 20));
    }
    let full = cache.shards[0].share().index_slots();
    // Unused entries do not displace those of the main queue; used ones do.
    for n in 40_000..40_200 {
        cache.insert(&key(n), value(n, 50_000));
    }
    assert!(cache.shards[0].share().len() > 20_000);
    for n in 50_000..50_400 {
        cache.insert(&key(n), value(n, 50_000));
        (0..3).for_each(|_| drop(cache.get(&key(n))));
    }
    let left = cache.shards[0].share().index_slots();
    assert!(full > 20_000 && left < 2_000, "{full}, then {left}");
    cache.audit();
}

#[test]
fn entries_of_100_bytes_take_less_than_160() {
    let cache = cache(16 << 20, 1);
    for n in 0..10_000 {
        // With the key 112 bytes, as in `benches/memory`.
        cache.insert(format!("key-{n:08}").as_bytes(), value(n, 100));
    }
    let each = cache.bytes() / 10_000;
    assert!((112..160).contains(&each), "{each}");
}

#[test]
fn the_numbers_of_blocks_may_run_out() {
    let mut cache = cache(1 << 20, 1);
    cache.shards[0] = Counted::new(Log::new(0, cache.layout.with_blocks(10)));
    for n in 0..2_000 {
        let len = if n % 3 == 0 { 2_000 } else { 100 };
        assert!(cache.insert(&key(n), value(n, len)).is_stored());
        assert_eq!(cache.get(&key(n)), Some(value(n, len)));
        assert!(cache.shards[0].share().blocks() <= 10);
    }
    cache.audit();
}

// Marks of removed entries made the table double repeatedly, to a quarter of what is paid for.
#[test]
fn the_index_does_not_grow_by_turnover() {
    let cache = cache(4 << 20, 1);
    let slots = || cache.shards[0].share().index_slots();
    // Between a half and 13/16 of the slots, where marks pile up and are not cleared away by the
    // table itself.
    let mut n = 0;
    while cache.len() < 12_500 {
        cache.insert(&key(n), value(n, 100));
        n += 1;
    }
    let full = slots();
    let load = cache.len() * 100 / full;
    assert!((50..81).contains(&load), "{load} %");
    for n in n..n + 400_000 {
        let oldest = n - 12_500;
        cache.insert(&key(n), value(n, 100));
        cache.remove(&key(oldest));
    }
    assert_eq!(slots(), full);
    assert_eq!(cache.len(), 12_500);
    cache.audit();
}

#[test]
fn each_shard_keeps_what_its_traffic_deserves() {
    let cache = cache(2 << 20, 8);
    for n in 0..400_000_usize {
        // The shards are asked alike. Every other key is used again, soon.
        cache.insert(&key(n), value(n, 20));
        if n % 2 == 0 {
            cache.get(&key(n));
        }
    }
    let share = cache.capacity() / 8;
    for shard in &cache.shards {
        let bytes = shard.share().bytes();
        assert!(
            (share * 4 / 5..share * 6 / 5).contains(&bytes),
            "{bytes} beside {share}"
        );
    }
    cache.audit();
}
