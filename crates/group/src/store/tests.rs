//! The promises of every store, with each of those of the crate; and the features of only one.

use std::sync::Arc;

use gaggle_shards::Clock;

use super::*;
use crate::Field;

const SECOND: Duration = Duration::from_secs(1);

type New = fn(u64, Clock) -> Arc<dyn Store>;

const STORES: [New; 2] = [
    |capacity, clock| Arc::new(PagedStore::new(capacity, clock)),
    |capacity, clock| Arc::new(LruStore::new(capacity, clock)),
];

/// The same test for each store, of 1 MiB, with a clock that stands still.
fn each(test: impl Fn(&dyn Store, &Clock)) {
    for new in STORES {
        let clock = Clock::manual();
        test(&*new(1 << 20, clock.clone()), &clock);
    }
}

fn put(store: &dyn Store, key: &[u8], freshness: Freshness) {
    let inserted = store.insert(key, Cached::new("v", freshness), Duration::ZERO);
    assert_eq!(inserted, Inserted::Kept);
}

#[test]
fn what_is_kept_comes_back() {
    each(|store, clock| {
        for len in [0, 1, 100, 2_000, 100_000] {
            let cached = Cached::new(vec![7; len], Freshness::default());
            store.insert(&len.to_be_bytes(), cached.clone(), Duration::ZERO);
            clock.advance(100 * SECOND);
            assert_eq!(store.get(&len.to_be_bytes()), Some(cached.clone()));
            assert_eq!(store.peek(&len.to_be_bytes()), Some(cached));
        }
        assert_eq!(store.get(b"nobody"), None);
        assert_eq!((store.len(), store.is_empty()), (5, false));
        let stats = store.stats();
        assert_eq!((stats.hits, stats.misses), (5, 1));
    });
}

#[test]
fn metadata_comes_back_and_grows_older() {
    each(|store, clock| {
        let metadata = Metadata::default()
            .with(Field::ContentType, "text/plain")
            .with_age(7 * SECOND);
        for (key, freshness) in [
            ("endless", Freshness::default()),
            ("timed", Freshness::for_ttl(60 * SECOND)),
        ] {
            let cached = Cached::new("v", freshness).with_metadata(metadata.clone());
            store.insert(key.as_bytes(), cached, Duration::ZERO);
        }
        let dated = Metadata::default().with(Field::ETag, "\"1\"");
        let cached = Cached::new("v", Freshness::default()).with_metadata(dated.clone());
        store.insert(b"ageless", cached, Duration::ZERO);
        put(store, b"plain", Freshness::default());
        clock.advance(3 * SECOND);
        for key in ["endless", "timed"] {
            let found = store.get(key.as_bytes()).unwrap().metadata;
            assert_eq!(found.get(Field::ContentType), Some(&b"text/plain"[..]));
            assert_eq!(found.age(), Some(10 * SECOND));
        }
        assert_eq!(store.get(b"ageless").unwrap().metadata, dated);
        assert!(store.get(b"plain").unwrap().metadata.is_empty());
    });
}

#[test]
fn a_value_is_served_stale_and_kept_for_its_windows() {
    each(|store, clock| {
        let freshness = Freshness::for_ttl(10 * SECOND)
            .stale_while_revalidate(5 * SECOND)
            .stale_if_error(20 * SECOND);
        put(store, b"k", freshness);
        clock.advance(4 * SECOND);
        let fresh = store.get(b"k").unwrap();
        let left = Freshness::for_ttl(6 * SECOND)
            .stale_while_revalidate(5 * SECOND)
            .stale_if_error(20 * SECOND);
        assert_eq!((fresh.freshness, fresh.due), (left, false));

        clock.advance(8 * SECOND); // stale since two seconds
        let stale = store.get(b"k").unwrap();
        let left = Freshness::for_ttl(Duration::ZERO)
            .stale_while_revalidate(3 * SECOND)
            .stale_if_error(18 * SECOND);
        assert_eq!((stale.freshness, stale.due), (left, true));

        clock.advance(3 * SECOND); // of use only if a load fails
        let before = store.stats();
        assert_eq!(store.get(b"k"), None);
        assert_eq!(store.stats().misses, before.misses + 1);
        assert_eq!(store.stats().hits, before.hits);
        let kept = store.peek(b"k").unwrap();
        let left = Freshness::for_ttl(Duration::ZERO).stale_if_error(15 * SECOND);
        assert_eq!((kept.freshness, kept.due), (left, true));

        clock.advance(15 * SECOND);
        assert_eq!((store.peek(b"k"), store.get(b"k")), (None, None));
        assert_eq!((store.len(), store.bytes()), (0, 0));
        assert_eq!(store.stats().evicted_expired, 1);
    });
}

#[test]
fn a_stale_value_may_be_kept_from_the_beginning() {
    each(|store, clock| {
        put(
            store,
            b"k",
            Freshness::for_ttl(Duration::ZERO).stale_if_error(SECOND),
        );
        assert_eq!(store.get(b"k"), None);
        assert!(store.peek(b"k").is_some());
        clock.advance(SECOND);
        assert_eq!(store.peek(b"k"), None);
    });
}

#[test]
fn near_its_end_a_value_is_due() {
    each(|store, clock| {
        let cached = Cached::new("v", Freshness::for_ttl(10 * SECOND));
        store.insert(b"ahead", cached.clone(), 3 * SECOND);
        store.insert(b"not", cached, Duration::ZERO);
        let due = || [&b"ahead"[..], b"not"].map(|key| store.get(key).unwrap().due);
        clock.advance(6 * SECOND);
        assert_eq!(due(), [false, false]);
        clock.advance(SECOND);
        assert_eq!(due(), [true, false]);
        clock.advance(3 * SECOND);
        assert_eq!((store.get(b"ahead"), store.get(b"not")), (None, None));
    });
}

#[test]
fn what_is_refused_takes_its_older_value_along() {
    each(|store, _| {
        for refused in [
            Cached::new(vec![0; 2 << 20], Freshness::default()),
            Cached::new("v", Freshness::for_ttl(Duration::ZERO)),
        ] {
            put(store, b"other", Freshness::default());
            put(store, b"k", Freshness::default());
            let inserted = store.insert(b"k", refused, Duration::ZERO);
            assert_eq!(inserted, Inserted::Refused);
            assert_eq!((store.peek(b"k"), store.len()), (None, 1));
        }
        assert_eq!(store.stats().refused, 1);
    });
}

#[test]
fn what_is_removed_or_cleared_is_gone() {
    each(|store, _| {
        for key in [&b"a"[..], b"b", b"c"] {
            put(store, key, Freshness::default());
        }
        assert!(store.remove(b"a") && !store.remove(b"a"));
        assert_eq!((store.peek(b"a"), store.len()), (None, 2));
        assert!(store.bytes() > 0);
        store.clear();
        assert_eq!((store.len(), store.bytes()), (0, 0));
        assert!(!store.evict_one());
    });
}

#[test]
fn a_store_stays_within_its_capacity_whatever_that_becomes() {
    each(|store, _| {
        let metadata = Metadata::default().with(Field::ContentType, "text/plain");
        let fill = || {
            for n in 0..10_000_u32 {
                let freshness = Freshness::for_ttl(SECOND).stale_if_error(SECOND);
                let cached = Cached::new(vec![0; 200], freshness).with_metadata(metadata.clone());
                store.insert(&n.to_be_bytes(), cached, SECOND);
            }
        };
        fill();
        assert!(store.bytes() <= 1 << 20 && store.stats().evicted_capacity > 0);
        let (held, evicted) = (store.len(), store.stats().evicted_capacity);
        assert!(store.evict_one());
        assert!(store.len() < held && store.stats().evicted_capacity > evicted);
        assert!(store.set_capacity(1 << 18));
        assert!(store.bytes() <= 1 << 18 && store.len() < held / 2);
        assert!(store.set_capacity(4 << 20));
        fill();
        assert!(store.bytes() > 1 << 20 && store.bytes() <= 4 << 20);
        while store.evict_one() {}
        assert_eq!((store.len(), store.bytes()), (0, 0));
    });
}

#[test]
fn a_short_value_does_not_keep_the_buffer_that_it_was_a_part_of() {
    each(|store, _| {
        let buffer = Bytes::from(vec![7; 100_000]);
        let cached = Cached::new(buffer.slice(..100), Freshness::default());
        store.insert(b"k", cached, Duration::ZERO);
        assert!(buffer.is_unique());
    });
}

/// The list of the other store cannot be resumed in the middle, nor does that store lower
/// lifetimes by the entry.
#[test]
fn only_the_store_of_pages_scans_and_shortens() {
    let store = LruStore::new(1 << 20, Clock::manual());
    put(&store, b"k", Freshness::default());
    assert_eq!(store.scan(Cursor::default(), 10, 1_000), (Vec::new(), None));
    let longest = Freshness::for_ttl(SECOND);
    assert!(!store.shorten(longest, SECOND, &mut |ttl| ttl));
}

#[test]
fn a_scan_brings_what_peek_finds_and_is_fresh() {
    let clock = Clock::manual();
    let store = PagedStore::new(64 << 20, clock.clone());
    let second = Duration::from_secs(1);
    for n in 0..3_000_u32 {
        let freshness = Freshness::for_ttl(second * (1 + n % 3)).stale_if_error(second * 60);
        let mut cached = Cached::new(vec![0; n as usize % 2_000], freshness);
        if n % 2 == 0 {
            let metadata = Metadata::default().with(Field::ContentType, "text/plain");
            cached = cached.with_metadata(metadata.with_age(second * n));
        }
        store.insert(&n.to_be_bytes(), cached, second);
    }
    clock.advance(second * 3 / 2);
    let (before, mut seen) = (store.stats(), vec![0; 3_000]);
    let mut next = Some(Cursor::default());
    while let Some(from) = next {
        let (batch, then) = store.scan(from, 100, 50_000);
        assert!(batch.len() <= 100);
        for (key, cached) in batch {
            assert!(cached.freshness.ttl > Some(Duration::ZERO));
            assert_eq!(Some(cached), store.peek(&key));
            seen[u32::from_be_bytes(key[..].try_into().unwrap()) as usize] += 1;
        }
        next = then;
    }
    for (n, times) in seen.into_iter().enumerate() {
        assert_eq!(times, i32::from(n % 3 != 0), "{n}");
    }
    assert_eq!(store.stats(), before);
}
