//! A group by itself: the promises to its callers.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{
    BuildError, Clock, Error, FreshnessPolicy, Group, Groups, Key, Limits, Loaded, Overload, Source,
};
use gaggle_testkit::CountingOrigin;

fn group(origin: &CountingOrigin) -> Group {
    Group::builder("things")
        .origin(origin.clone())
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_value_is_loaded_once_and_then_a_hit() {
    let origin = CountingOrigin::default();
    let group = group(&origin);
    assert!(group.cached(b"Tom").is_none());

    let first = group.lookup(b"Tom").await.unwrap();
    assert_eq!(
        (first.value.as_deref(), first.source),
        (Some(b"value of Tom".as_ref()), Source::Origin)
    );
    let second = group.lookup(b"Tom").await.unwrap();
    assert_eq!((second.value, second.source), (first.value, Source::Main));

    assert_eq!(origin.loads_of("Tom"), 1);
    let stats = group.stats();
    assert_eq!((stats.gets, stats.misses, stats.main.store.hits), (2, 1, 1));
    assert_eq!((stats.origin.ok, stats.origin.seconds.count()), (1, 1));
    assert_eq!(stats.main.entries, 1);
}

#[tokio::test]
async fn an_absent_key_is_an_answer_and_no_failure() {
    let origin = CountingOrigin::default();
    let group = group(&origin);
    let error = group.get("absent").await.unwrap_err();
    assert!(error.is_not_found() && !error.is_transient());
    assert_eq!(group.stats().origin.not_found, 1);
    assert_eq!(group.stats().origin.error, 0);
    assert!(group.stats().main.entries == 0);
}

/// A hundred thousand callers of one cold key, as when a hot key expires.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_herd_loads_once_and_all_get_the_same_value() {
    const CALLERS: u64 = 100_000;
    let origin = CountingOrigin::default();
    origin.set_open(false);
    let group = Group::builder("things")
        .origin(origin.clone())
        .limits(Limits {
            // A slow machine takes a while until all of them have arrived.
            load_timeout: Duration::from_secs(120),
            ..Limits::default()
        })
        .build()
        .unwrap();
    let arrived = Arc::new(AtomicU64::new(0));

    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (group, arrived) = (group.clone(), Arc::clone(&arrived));
            tokio::spawn(async move {
                arrived.fetch_add(1, SeqCst);
                group.lookup(b"hot").await
            })
        })
        .collect();
    while arrived.load(SeqCst) < CALLERS {
        tokio::task::yield_now().await;
    }
    origin.set_open(true);

    for caller in callers {
        assert_eq!(
            caller.await.unwrap().unwrap().value.unwrap(),
            "value of hot"
        );
    }
    assert_eq!(origin.loads_of("hot"), 1);
    let stats = group.stats();
    assert_eq!(stats.gets, CALLERS);
    // More than one if a caller misses, is not scheduled for a while, and joins when the flight
    // has ended: its own flight then finds the value in the cache.
    assert!(stats.misses - stats.collapsed >= 1);
    assert_eq!(stats.loads_in_flight, 0);
}

#[tokio::test]
async fn the_caller_that_leads_may_go_and_the_load_goes_on() {
    let origin = CountingOrigin::default();
    origin.set_open(false);
    let group = group(&origin);
    let mut leader = Box::pin(group.get("Tom"));
    assert!(futures_util::poll!(&mut leader).is_pending());
    let mut other = Box::pin(group.lookup(b"Tom"));
    assert!(futures_util::poll!(&mut other).is_pending());
    drop(leader);
    origin.set_open(true);
    let answer = other.await.unwrap();
    assert!(answer.collapsed);
    assert_eq!(origin.loads_of("Tom"), 1);
    assert!(group.cached(b"Tom").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_load_that_hangs_ends_at_its_deadline_and_frees_its_slot() {
    let origin = CountingOrigin::default();
    origin.set_open(false);
    let group = group(&origin);
    let error = group.get("Tom").await.unwrap_err();
    assert!(
        matches!(error, Error::Deadline { after, .. } if after == Duration::from_secs(5)),
        "{error}"
    );
    while group.stats().loads_in_flight > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(group.stats().origin.error, 1);
    origin.set_open(true);
    assert_eq!(group.get("Tom").await.unwrap(), "value of Tom");
}

#[tokio::test]
async fn a_panic_in_the_origin_is_an_error_and_the_next_call_works() {
    let calls = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&calls);
    let group = Group::builder("things")
        .origin_fn(move |_key: Bytes| {
            let call = seen.fetch_add(1, SeqCst);
            async move {
                assert!(call > 0, "the first call panics");
                Ok::<_, std::io::Error>(Some("fine"))
            }
        })
        .build()
        .unwrap();
    let error = group.get("Tom").await.unwrap_err();
    assert!(
        matches!(&error, Error::Panicked { message, .. } if message.contains("the first call panics")),
        "{error}"
    );
    assert_eq!(group.stats().origin.error, 1);
    assert_eq!(group.get("Tom").await.unwrap(), "fine");
}

#[tokio::test]
async fn an_origin_that_fails_evicts_nothing_and_is_asked_again() {
    let origin = CountingOrigin::default();
    let group = group(&origin);
    group.get("kept").await.unwrap();
    origin.set_failing(true);
    let error = group.get("Tom").await.unwrap_err();
    assert!(
        matches!(error, Error::Origin { .. }) && error.is_transient(),
        "{error}"
    );
    assert_eq!(
        error.to_string(),
        "group things: the origin failed: the origin is down"
    );
    assert!(group.cached(b"kept").is_some());
    origin.set_failing(false);
    assert_eq!(group.get("Tom").await.unwrap(), "value of Tom");
}

#[tokio::test]
async fn keys_and_values_have_limits_to_the_byte() {
    let limits = Limits {
        max_key: 8,
        max_value: 16,
        ..Limits::default()
    };
    let group = Group::builder("things")
        .limits(limits)
        .origin_fn(|key: Bytes| async move {
            let len: usize = std::str::from_utf8(&key)?.trim_end().parse()?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Some(vec![7_u8; len]))
        })
        .build()
        .unwrap();
    assert_eq!(group.get("0").await.unwrap(), "");
    assert_eq!(group.get("1").await.unwrap(), [7_u8].as_ref());
    assert_eq!(
        group.get("16      ").await.unwrap().len(),
        16,
        "a key of exactly the limit"
    );

    let entries = group.stats().main.entries;
    let error = group.get("17").await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::ValueTooLarge {
                len: Some(17),
                limit: 16,
                ..
            }
        ),
        "{error}"
    );
    let error = group.get("16       ").await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::KeyTooLong {
                len: 9,
                limit: 8,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(group.stats().main.entries, entries, "nothing was evicted");
    assert_eq!(group.stats().main.store.evicted_capacity, 0);
}

#[tokio::test]
async fn a_value_that_can_never_fit_is_served_and_evicts_nothing() {
    let group = Group::builder("things")
        .capacity(4 << 10)
        .origin_fn(|key: Bytes| async move {
            Ok::<_, std::io::Error>(Some(vec![0_u8; if key == "large" { 8 << 10 } else { 10 }]))
        })
        .build()
        .unwrap();
    group.get("small").await.unwrap();
    assert_eq!(group.get("large").await.unwrap().len(), 8 << 10);
    assert!(group.cached(b"small").is_some());
    assert!(group.cached(b"large").is_none());
    assert_eq!(group.stats().main.store.refused, 1);
}

#[tokio::test]
async fn a_flood_stays_within_the_capacity() {
    let origin = CountingOrigin::default();
    let group = Group::builder("things")
        .origin(origin.clone())
        .capacity(64 << 10)
        .build()
        .unwrap();
    for i in 0..5_000 {
        group.get(format!("key-{i}")).await.unwrap();
        let stats = group.stats();
        assert!(stats.main.bytes + stats.hot.bytes <= stats.limit_bytes);
    }
    let stats = group.stats();
    assert!(stats.main.store.evicted_capacity > 0);
    assert!(
        // Some of it is for the store's statistics, in such a small cache.
        stats.main.bytes > 56 << 10,
        "and uses it: {}",
        stats.main.bytes
    );
    assert!(group.cached(b"key-4999").is_some(), "the newest is there");
    // The policy decides which of the others stay: some of the first may.
    let cached = |i: &i32| group.cached(format!("key-{i}").as_bytes()).is_some();
    let held = (0..5_000).filter(cached).count();
    assert_eq!(held, stats.main.entries);
    assert!(held < 2_500, "{held}");
}

/// groupcache and its ports return views of bytes that cannot be changed through the cache;
/// `Bytes` cannot be changed at all, and taking it apart takes a copy.
#[tokio::test]
async fn what_a_caller_does_to_its_value_does_not_reach_the_cache() {
    let group = group(&CountingOrigin::default());
    let mine = group.get("Tom").await.unwrap();
    let mut changed = bytes::BytesMut::from(mine);
    changed[..5].copy_from_slice(b"VALUE");
    assert_eq!(group.get("Tom").await.unwrap(), "value of Tom");
}

#[tokio::test]
async fn values_age_by_the_group_or_by_the_origin() {
    let clock = Clock::manual();
    let group = Group::builder("things")
        .clock(clock.clone())
        .freshness(FreshnessPolicy {
            ttl: Some(Duration::from_secs(60)),
            ttl_jitter: 0.0,
            ..FreshnessPolicy::default()
        })
        .origin_fn(|key: Bytes| async move {
            Ok::<_, std::io::Error>(Some(match key.as_ref() {
                b"short" => Loaded::with_ttl("v", Duration::from_secs(1)),
                _ => "v".into(),
            }))
        })
        .build()
        .unwrap();
    group.get("short").await.unwrap();
    group.get("long").await.unwrap();
    assert_eq!(
        group.cached(b"long").unwrap().freshness.ttl,
        Some(Duration::from_secs(60))
    );

    clock.advance(Duration::from_secs(1));
    assert!(group.cached(b"short").is_none());
    assert_eq!(
        group.cached(b"long").unwrap().freshness.ttl,
        Some(Duration::from_secs(59))
    );
    clock.advance(Duration::from_secs(59));
    assert!(group.cached(b"long").is_none());
    assert_eq!(group.stats().main.store.evicted_expired, 2);
}

/// Interleaving: the load reads the old value; the removal runs; the load ends. mailgun's
/// groupcache has the old value back then.
#[tokio::test]
async fn a_removed_value_does_not_come_back_with_a_load_that_was_under_way() {
    let origin = CountingOrigin::default();
    origin.set_open(false);
    let group = group(&origin);
    let mut early = Box::pin(group.get("Tom"));
    assert!(futures_util::poll!(&mut early).is_pending());
    while origin.loads_of("Tom") == 0 {
        tokio::task::yield_now().await;
    }
    let removal = group.remove(b"Tom").await;
    assert_eq!((removal.removed.len(), removal.missed.len()), (1, 0));
    let mut late = Box::pin(group.get("Tom"));
    assert!(futures_util::poll!(&mut late).is_pending());
    origin.set_open(true);
    assert_eq!(
        early.await.unwrap(),
        "value of Tom",
        "whoever waited gets what was loaded"
    );
    assert_eq!(late.await.unwrap(), "value of Tom");
    assert_eq!(
        origin.loads_of("Tom"),
        2,
        "a get after the removal sees a load of after it"
    );
}

#[tokio::test]
async fn loads_beyond_the_limit_are_shed_and_joining_one_is_not() {
    let origin = CountingOrigin::default();
    origin.set_open(false);
    let limits = Limits {
        max_loads: 2,
        ..Limits::default()
    };
    let group = Group::builder("things")
        .origin(origin.clone())
        .limits(limits)
        .build()
        .unwrap();
    let mut held: Vec<_> = ["a", "b", "a", "b"]
        .map(|key| Box::pin(group.get(key)))
        .into();
    for waiting in &mut held {
        assert!(futures_util::poll!(waiting).is_pending());
    }
    let error = group.get("c").await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Shed {
                why: Overload::Loads { limit: 2 },
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(group.stats().shed, 1);
    origin.set_open(true);
    for waiting in held {
        waiting.await.unwrap();
    }
    assert_eq!(group.get("c").await.unwrap(), "value of c");
}

#[tokio::test]
async fn the_origin_is_asked_by_a_bounded_number_of_loads_at_a_time() {
    let (running, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (now, peak) = (Arc::clone(&running), Arc::clone(&most));
    let group = Group::builder("things")
        .limits(Limits {
            max_origin_loads: 3,
            ..Limits::default()
        })
        .origin_fn(move |_key: Bytes| {
            let (now, peak) = (Arc::clone(&now), Arc::clone(&peak));
            async move {
                peak.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                tokio::task::yield_now().await;
                now.fetch_sub(1, SeqCst);
                Ok::<_, std::io::Error>(Some("v"))
            }
        })
        .build()
        .unwrap();
    let keys: Vec<Key> = (0..100_u8).map(|i| Key::copy_from_slice(&[i])).collect();
    assert!(group.get_many(&keys).await.iter().all(Result::is_ok));
    assert_eq!(most.load(SeqCst), 3);
}

#[tokio::test]
async fn get_many_answers_in_order() {
    let group = group(&CountingOrigin::default());
    let keys = ["b", "absent", "a", "b"].map(Key::from);
    let answers = group.get_many(&keys).await;
    assert_eq!(
        answers[0].as_ref().unwrap().value.clone().unwrap(),
        "value of b"
    );
    assert!(answers[1].as_ref().unwrap().value.is_none());
    assert_eq!(
        answers[2].as_ref().unwrap().value.clone().unwrap(),
        "value of a"
    );
    assert_eq!(
        answers[3].as_ref().unwrap().value.clone().unwrap(),
        "value of b"
    );
}

#[test]
fn an_invalid_group_is_refused_with_its_reason() {
    let build = |name: &str| Group::builder(name).origin(CountingOrigin::default());
    let no_origin = Group::builder("things").build().unwrap_err();
    assert_eq!(no_origin.to_string(), "group things: no origin was given");
    for name in ["", "a/b", ".", "..", "a\nb", &"x".repeat(129)] {
        assert!(
            matches!(build(name).build(), Err(BuildError::BadName { .. })),
            "{name:?}"
        );
    }
    let zero = build("things").capacity(0).build().unwrap_err();
    assert_eq!(
        zero,
        BuildError::Zero {
            group: "things".into(),
            field: "capacity"
        }
    );
    assert!(build("things").ttl(Some(Duration::ZERO)).build().is_err());
    assert!(Groups::new([build("a").build().unwrap(), build("a").build().unwrap()]).is_err());
}

/// A store whose `get` misses what its `peek` finds: the view of a get that looks just before
/// another flight fills the cache, and joins just after that flight has ended.
struct JustMissed(gaggle_group::PagedStore);

impl gaggle_group::Store for JustMissed {
    fn get(&self, _key: &[u8]) -> Option<gaggle_group::Cached> {
        None
    }
    fn peek(&self, key: &[u8]) -> Option<gaggle_group::Cached> {
        self.0.peek(key)
    }
    fn insert(
        &self,
        key: &[u8],
        cached: gaggle_group::Cached,
        refresh_ahead: Duration,
    ) -> gaggle_group::Inserted {
        self.0.insert(key, cached, refresh_ahead)
    }
    fn clear(&self) {
        self.0.clear();
    }
    fn remove(&self, key: &[u8]) -> bool {
        self.0.remove(key)
    }
    fn evict_one(&self) -> bool {
        self.0.evict_one()
    }
    fn bytes(&self) -> u64 {
        self.0.bytes()
    }
    fn len(&self) -> usize {
        self.0.len()
    }
    fn stats(&self) -> gaggle_group::StoreStats {
        self.0.stats()
    }
}

#[tokio::test]
async fn a_flight_looks_at_the_cache_again_before_it_loads() {
    let origin = CountingOrigin::default();
    let store = || {
        Arc::new(JustMissed(gaggle_group::PagedStore::new(
            1 << 20,
            Clock::monotonic(),
        )))
    };
    let group = Group::builder("things")
        .origin(origin.clone())
        .stores(store(), store())
        .build()
        .unwrap();
    assert_eq!(group.lookup(b"Tom").await.unwrap().source, Source::Origin);
    assert_eq!(group.lookup(b"Tom").await.unwrap().source, Source::Main);
    assert_eq!(origin.loads_of("Tom"), 1);
}
