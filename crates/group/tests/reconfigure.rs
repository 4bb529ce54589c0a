//! Changed settings of a group that serves.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{
    BuildError, Cached, Clock, Error, FreshnessPolicy, Group, Hint, Inserted, Limits, Load, Loaded,
    NoHotCopies, Origin, OriginError, Overload, PagedStore, ReconfigureError, Sampled, Settings,
    Source, Store, StoreStats, async_trait,
};
use gaggle_testkit::{Cluster, CountingOrigin, tokio_clock};
use tokio::task::JoinSet;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// Without randomness.
fn policy(ttl: Option<Duration>) -> FreshnessPolicy {
    FreshnessPolicy {
        ttl,
        ttl_jitter: 0.0,
        ..FreshnessPolicy::default()
    }
}

fn timed(origin: impl Origin, freshness: FreshnessPolicy) -> (Clock, Group) {
    let clock = Clock::manual();
    let group = Group::builder("things")
        .origin(origin)
        .freshness(freshness)
        .clock(clock.clone())
        .build()
        .unwrap();
    (clock, group)
}

fn change(group: &Group, change: impl FnOnce(&mut Settings)) {
    let mut settings = group.settings();
    change(&mut settings);
    group.reconfigure(settings.clone()).unwrap();
    assert_eq!(group.settings(), settings);
}

async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_shorter_ttl_is_for_what_is_cached_too() {
    for first in [Some(HOUR), None] {
        let origin = CountingOrigin::default();
        let (clock, group) = timed(origin.clone(), policy(first));
        group.get("Tom").await.unwrap();
        clock.advance(10 * SECOND);
        change(&group, |settings| {
            settings.freshness.ttl = Some(60 * SECOND);
        });
        assert_eq!(
            group.lookup("Tom").await.unwrap().source,
            Source::Main,
            "warm"
        );
        clock.advance(59 * SECOND);
        assert_eq!(group.lookup("Tom").await.unwrap().source, Source::Main);
        clock.advance(SECOND);
        assert_eq!(group.lookup("Tom").await.unwrap().source, Source::Origin);
        clock.advance(59 * SECOND);
        assert_eq!(group.lookup("Tom").await.unwrap().source, Source::Main);
        clock.advance(SECOND);
        assert_eq!(group.lookup("Tom").await.unwrap().source, Source::Origin);
        assert_eq!(origin.loads_of("Tom"), 3);
    }
}

#[tokio::test]
async fn a_longer_ttl_is_for_what_is_loaded_then() {
    let origin = CountingOrigin::default();
    let (clock, group) = timed(origin.clone(), policy(Some(60 * SECOND)));
    group.get("Tom").await.unwrap();
    change(&group, |settings| settings.freshness.ttl = Some(HOUR));
    clock.advance(60 * SECOND);
    assert_eq!(group.lookup("Tom").await.unwrap().source, Source::Origin);
    clock.advance(HOUR - SECOND);
    assert_eq!(group.lookup("Tom").await.unwrap().source, Source::Main);
}

#[tokio::test]
async fn what_was_loaded_over_hours_does_not_end_at_one_time() {
    let origin = CountingOrigin::default();
    let (clock, group) = timed(
        origin,
        FreshnessPolicy {
            ttl: Some(HOUR),
            ..FreshnessPolicy::default()
        },
    );
    let keys: Vec<String> = (0..20_000).map(|n| format!("key-{n}")).collect();
    for key in &keys {
        group.get(key).await.unwrap();
    }
    change(&group, |settings| {
        settings.freshness.ttl = Some(60 * SECOND);
    });
    let left = || keys.iter().filter(|key| group.holds(key)).count();
    let (mut before, mut most) = (left(), 0);
    assert_eq!(before, 20_000);
    for _ in 0..60 {
        clock.advance(SECOND);
        // An expired entry is dropped by a get, not by a peek.
        let left = keys
            .iter()
            .filter(|key| group.cached(key).is_some())
            .count();
        most = most.max(before - left);
        before = left;
    }
    assert_eq!(before, 0);
    // A second of 45 has 450 on average.
    assert!(most < 1_200, "{most}");
}

#[tokio::test]
async fn a_load_that_is_under_way_uses_the_new_ttl() {
    let origin = CountingOrigin::default();
    origin.set_open(false);
    let (clock, group) = timed(origin.clone(), policy(Some(HOUR)));
    let get = {
        let group = group.clone();
        tokio::spawn(async move { group.get("Tom").await })
    };
    while origin.total_loads() == 0 {
        tokio::task::yield_now().await;
    }
    change(&group, |settings| settings.freshness.ttl = Some(SECOND));
    origin.set_open(true);
    get.await.unwrap().unwrap();
    assert!(group.cached("Tom").is_some());
    clock.advance(SECOND);
    assert!(group.cached("Tom").is_none());
}

/// The settings change just after the load has read them, and before the cache has its value.
#[tokio::test]
async fn a_load_that_looks_too_early_is_not_missed() {
    let (armed, cell) = (Arc::new(AtomicBool::new(false)), Arc::new(OnceLock::new()));
    let now = Clock::manual();
    let clock = {
        let (armed, cell, now) = (Arc::clone(&armed), Arc::clone(&cell), now.clone());
        Clock::custom(move || {
            if armed.swap(false, SeqCst) {
                let group: &Group = cell.get().unwrap();
                change(group, |settings| settings.freshness.ttl = Some(SECOND));
            }
            now.now()
        })
    };
    let origin = {
        let armed = Arc::clone(&armed);
        move |_| {
            armed.store(true, SeqCst);
            async { Ok::<_, std::io::Error>(Some("v")) }
        }
    };
    let group = Group::builder("things")
        .origin_fn(origin)
        .freshness(policy(Some(HOUR)))
        .clock(clock)
        .build()
        .unwrap();
    cell.set(group.clone()).unwrap();
    let loaded = group.lookup("k").await.unwrap();
    assert!(!armed.load(SeqCst), "it was asked for the time");
    assert_eq!(group.settings().freshness.ttl, Some(SECOND));
    assert_eq!(loaded.freshness.ttl, Some(SECOND));
    assert!(group.cached("k").is_some());
    now.advance(SECOND);
    assert!(group.cached("k").is_none());
}

/// States how long: a day, and stale for another.
struct Generous;

#[async_trait]
impl Origin for Generous {
    async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError> {
        if load.key.starts_with(b"absent") {
            return Ok(Loaded::absent());
        }
        let day = 24 * HOUR;
        let hint = Hint::ttl(day).stale_while_revalidate(day);
        Ok(Loaded::value("v").with_freshness(hint))
    }
}

#[tokio::test]
async fn an_origins_earlier_freshness_yields_to_a_shorter_ttl() {
    let (clock, group) = timed(Generous, policy(Some(HOUR)));
    let ttl = || group.cached("k").unwrap().freshness.ttl;
    group.get("k").await.unwrap();
    // A time that becomes no shorter changes nothing.
    change(&group, |settings| {
        settings.freshness.stale_if_error = HOUR;
        settings.freshness.refresh_ahead = 0.5;
    });
    assert_eq!(ttl(), Some(24 * HOUR));
    change(&group, |settings| {
        settings.freshness.ttl = Some(60 * SECOND);
    });
    assert_eq!(ttl(), Some(60 * SECOND));
    // The window is unchanged.
    clock.advance(60 * SECOND);
    let stale = group.cached("k").unwrap();
    assert!(stale.is_stale());
    assert_eq!(stale.freshness.revalidate_window(), 24 * HOUR);
}

#[tokio::test]
async fn an_origin_that_decides_no_more_has_no_effect_on_what_is_cached() {
    let (clock, group) = timed(Generous, policy(Some(HOUR)));
    group.get("k").await.unwrap();
    change(&group, |settings| settings.freshness.origin_decides = false);
    clock.advance(HOUR);
    assert!(group.cached("k").is_none());
}

#[tokio::test]
async fn stale_windows_and_absences_end_with_theirs() {
    let origin = CountingOrigin::default();
    let (clock, group) = timed(
        origin.clone(),
        FreshnessPolicy {
            stale_while_revalidate: HOUR,
            negative_ttl: Some(HOUR),
            ..policy(Some(10 * SECOND))
        },
    );
    for key in ["Tom", "absent", "absent too"] {
        group.find(key).await.unwrap();
    }
    change(&group, |settings| {
        settings.freshness.stale_while_revalidate = 5 * SECOND;
        settings.freshness.negative_ttl = Some(12 * SECOND);
    });
    clock.advance(11 * SECOND);
    let stale = group.cached("Tom").unwrap();
    assert!(stale.is_stale());
    assert_eq!(stale.freshness.revalidate_window(), 4 * SECOND);
    assert!(group.cached("absent").is_some());
    clock.advance(SECOND);
    assert!(group.cached("absent").is_none());

    group.find("absent").await.unwrap();
    assert!(group.cached("absent").is_some());
    change(&group, |settings| settings.freshness.negative_ttl = None);
    assert!(group.cached("absent").is_none());
}

fn limited(origin: &CountingOrigin, limits: Limits) -> Group {
    Group::builder("things")
        .origin(origin.clone())
        .clock(tokio_clock())
        .limits(limits)
        .build()
        .unwrap()
}

fn gets(group: &Group, from: usize, count: usize) -> JoinSet<Result<Bytes, Error>> {
    let mut gets = JoinSet::new();
    for n in from..from + count {
        let group = group.clone();
        gets.spawn(async move { group.get(format!("key-{n}")).await });
    }
    gets
}

#[tokio::test(start_paused = true)]
async fn more_loads_start_at_once_and_fewer_let_running_loads_continue() {
    let origin = CountingOrigin::default();
    origin.set_open(false);
    let group = limited(
        &origin,
        Limits {
            max_origin_loads: 2,
            ..Limits::default()
        },
    );
    let begun = Instant::now();
    let mut first = gets(&group, 0, 5);
    settle().await;
    assert_eq!(origin.total_loads(), 2);
    change(&group, |settings| settings.limits.max_origin_loads = 4);
    settle().await;
    assert_eq!((origin.total_loads(), begun.elapsed()), (4, Duration::ZERO));
    change(&group, |settings| settings.limits.max_origin_loads = 1);
    settle().await;
    assert_eq!(group.stats().origin_queue.running, 4);
    origin.set_open(true);
    while let Some(got) = first.join_next().await {
        got.unwrap().unwrap();
    }
    origin.set_open(false);
    let _more = gets(&group, 10, 3);
    settle().await;
    assert_eq!(origin.total_loads(), 5 + 1);
}

#[tokio::test(start_paused = true)]
async fn bounds_of_keys_values_and_times_are_those_of_now() {
    let origin = CountingOrigin::default();
    let group = limited(&origin, Limits::default());
    group.get("a key").await.unwrap();
    change(&group, |settings| {
        settings.limits.max_key = 3;
        settings.limits.max_value = 11;
    });
    assert!(group.get("a key").await.is_ok(), "what is cached is served");
    let long = group.get("other key").await.unwrap_err();
    assert!(matches!(long, Error::KeyTooLong { limit: 3, .. }), "{long}");
    let large = group.get("abc").await.unwrap_err();
    assert!(
        matches!(large, Error::ValueTooLarge { limit: 11, .. }),
        "{large}"
    );
    assert!(group.get("ab").await.is_ok());

    origin.set_open(false);
    change(&group, |settings| {
        settings.limits.load_timeout = 2 * SECOND;
        settings.limits.max_loads = 1;
        settings.limits.max_key = 100;
    });
    let begun = Instant::now();
    let mut late = gets(&group, 0, 1);
    settle().await;
    let shed = group.get("more").await.unwrap_err();
    assert!(
        matches!(
            shed,
            Error::Shed {
                why: Overload::Loads { limit: 1 },
                ..
            }
        ),
        "{shed}"
    );
    let late = late.join_next().await.unwrap().unwrap();
    assert!(late.is_err());
    assert_eq!(begun.elapsed(), 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_is_open_is_taken_away() {
    let origin = CountingOrigin::default();
    origin.set_failing(true);
    let group = limited(&origin, Limits::default());
    let mut n = 0;
    while !group.stats().origin_queue.breaker_open {
        n += 1;
        assert!(n < 10_000);
        let _ = group.get(format!("key-{n}")).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    origin.set_failing(false);
    assert!(group.get("Tom").await.is_err());
    change(&group, |settings| settings.limits.circuit_breaker = false);
    assert!(group.get("Tom").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn copies_of_other_nodes_values_follow_another_rule_and_another_ttl() {
    let cluster = Cluster::with(2, |group| {
        group.hot_copies(NoHotCopies).freshness(FreshnessPolicy {
            hot_ttl: HOUR,
            ..policy(None)
        })
    });
    let key = "Tom";
    let owner = &cluster.owner_of(key).name;
    let other = cluster.nodes().iter().find(|node| node.name != *owner);
    let group = &other.unwrap().group;
    group.get(key).await.unwrap();
    assert!(group.cached(key).is_none());

    group.set_hot_copies(Arc::new(Sampled { one_in: 1 }));
    group.get(key).await.unwrap();
    let copy = group.cached(key).unwrap();
    assert_eq!((copy.source, copy.freshness.ttl), (Source::Hot, Some(HOUR)));

    change(group, |settings| settings.freshness.hot_ttl = SECOND);
    assert_eq!(group.cached(key).unwrap().freshness.ttl, Some(SECOND));
    tokio::time::advance(SECOND).await;
    assert!(group.cached(key).is_none());
    assert_eq!(cluster.origin().loads_of(key), 1);
}

async fn fill(group: &Group, keys: std::ops::Range<usize>) {
    for n in keys {
        group.get(format!("key-{n}")).await.unwrap();
    }
}

#[tokio::test]
async fn a_capacity_changes_and_what_fits_stays() {
    let origin = CountingOrigin::default();
    let group = Group::builder("things")
        .capacity(1 << 20)
        .origin(origin.clone())
        .hot_copies(NoHotCopies)
        .build()
        .unwrap();
    fill(&group, 0..8_000).await;
    let held = || {
        (0..24_000)
            .filter(|n| group.holds(format!("key-{n}")))
            .count()
    };
    let bytes = || group.stats().main.bytes + group.stats().hot.bytes + group.stats().absent.bytes;
    assert_eq!(held(), 8_000);

    change(&group, |settings| settings.capacity = 4 << 20);
    assert_eq!(group.stats().limit_bytes, 4 << 20);
    fill(&group, 8_000..24_000).await;
    assert_eq!((held(), origin.total_loads()), (24_000, 24_000));

    let fits = bytes();
    change(&group, |settings| settings.capacity = fits);
    assert_eq!((held(), bytes()), (24_000, fits));

    change(&group, |settings| settings.capacity = fits / 4);
    assert!(bytes() <= fits / 4);
    let kept = held();
    assert!((4_000..7_000).contains(&kept), "{kept}");
    assert!(group.holds("key-23999") && !group.holds("key-0"));
    assert_eq!(origin.total_loads(), 24_000);
}

#[test]
fn what_no_group_can_have_is_named_and_changes_nothing() {
    type Change = fn(&mut Settings);
    let (_, group) = timed(CountingOrigin::default(), policy(Some(HOUR)));
    let before = group.settings();
    let wrong: [(&str, Change); 4] = [
        ("capacity", |settings| settings.capacity = 0),
        ("max_loads", |settings| settings.limits.max_loads = 0),
        ("load_timeout", |settings| {
            settings.limits.load_timeout = Duration::ZERO;
        }),
        ("ttl", |settings| {
            settings.freshness.ttl = Some(Duration::ZERO);
        }),
    ];
    for (name, wrong) in wrong {
        let mut settings = before.clone();
        settings.limits.max_key = 7;
        wrong(&mut settings);
        let refused = group.reconfigure(settings).unwrap_err();
        let zero = BuildError::Zero {
            group: "things".into(),
            field: name,
        };
        assert_eq!(refused, ReconfigureError::Invalid(zero));
        assert_eq!(group.settings(), before);
    }
}

/// A custom store with only the required methods.
struct Fixed(PagedStore);

impl Store for Fixed {
    fn get(&self, key: &[u8]) -> Option<Cached> {
        self.0.get(key)
    }
    fn peek(&self, key: &[u8]) -> Option<Cached> {
        self.0.peek(key)
    }
    fn insert(&self, key: &[u8], cached: Cached, refresh_ahead: Duration) -> Inserted {
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
    fn stats(&self) -> StoreStats {
        self.0.stats()
    }
}

#[tokio::test]
async fn a_store_of_a_fixed_size_is_named_and_changes_nothing() {
    let clock = Clock::manual();
    let group = Group::builder("things")
        .capacity(1 << 20)
        .origin(CountingOrigin::default())
        .clock(clock.clone())
        .freshness(policy(Some(HOUR)))
        .stores(
            Arc::new(PagedStore::new(1 << 20, clock.clone())),
            Arc::new(Fixed(PagedStore::new(1 << 20, clock.clone()))),
        )
        .build()
        .unwrap();
    group.get("Tom").await.unwrap();
    let before = group.settings();
    let mut settings = before.clone();
    settings.capacity = 1 << 19;
    settings.freshness.ttl = Some(SECOND);
    let refused = group.reconfigure(settings).unwrap_err();
    let line =
        "group things: capacity cannot change while it serves: its hot store is of a fixed size";
    assert_eq!(refused.to_string(), line);
    assert_eq!(group.settings(), before);
    clock.advance(SECOND);
    assert!(group.cached("Tom").is_some());
    // Everything else can.
    change(&group, |settings| settings.limits.max_key = 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gets_go_on_while_everything_changes() {
    let origin = CountingOrigin::default();
    let group = Group::builder("things")
        .origin(origin.clone())
        .capacity(1 << 20)
        .build()
        .unwrap();
    fill(&group, 0..10_007).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for caller in 0..4_usize {
        let (group, stop) = (group.clone(), Arc::clone(&stop));
        callers.spawn(async move {
            let mut n = caller;
            while !stop.load(SeqCst) {
                n = (n * 31 + 7) % 10_007;
                let key = format!("key-{n}");
                let value = group.get(&key).await.unwrap();
                assert_eq!(value, CountingOrigin::value_of(key.as_bytes()));
            }
        });
    }
    let changes = {
        let group = group.clone();
        thread::spawn(move || {
            for n in 1..200_u32 {
                let mut settings = group.settings();
                settings.capacity = u64::from(1 + n * 7 % 16) << 17;
                settings.freshness.ttl = (n % 3 > 0).then(|| HOUR / (1 + n % 5));
                settings.limits.max_origin_loads = 8 + n as usize % 100;
                settings.limits.max_wait = Some(SECOND * (1 + n % 2));
                group.reconfigure(settings.clone()).unwrap();
                assert_eq!(group.settings(), settings);
            }
        })
    };
    tokio::task::spawn_blocking(move || changes.join().unwrap())
        .await
        .unwrap();
    stop.store(true, SeqCst);
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    let stats = group.stats();
    let bytes = stats.main.bytes + stats.hot.bytes + stats.absent.bytes;
    assert!(bytes <= stats.limit_bytes);
    assert_eq!(stats.limit_bytes, group.settings().capacity);
    assert!(stats.main.store.hits > 0 && stats.main.store.evicted_capacity > 0);
}
