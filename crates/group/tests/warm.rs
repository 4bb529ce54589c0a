//! Loading keys before they are requested: its effects on callers and on the origin.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream;
use gaggle_group::{
    Cursor, FreshnessPolicy, Group, GroupBuilder, Key, Limits, Load, Loaded, Origin, OriginError,
    WarmEnd, WarmOptions, WarmStats, Warmed, async_trait,
};
use gaggle_testkit::{Cluster, CountingOrigin, tokio_clock};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Takes that long for each request, and records how many keys each had and how many requests were
/// open.
#[derive(Clone)]
struct Slow {
    takes: Duration,
    max_batch: usize,
    open: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<usize>>>,
}

impl Slow {
    fn new(takes: Duration, max_batch: usize) -> Self {
        Self {
            takes,
            max_batch,
            open: Arc::default(),
            most: Arc::default(),
            requests: Arc::default(),
        }
    }

    fn requests(&self) -> Vec<usize> {
        self.requests.lock().unwrap().clone()
    }
}

#[async_trait]
impl Origin for Slow {
    async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError> {
        self.load_many(&[load]).await.pop().unwrap()
    }

    fn max_batch(&self) -> usize {
        self.max_batch
    }

    async fn load_many(&self, loads: &[Load<'_>]) -> Vec<Result<Loaded, OriginError>> {
        self.requests.lock().unwrap().push(loads.len());
        let open = self.open.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(open, SeqCst);
        sleep(self.takes).await;
        self.open.fetch_sub(1, SeqCst);
        loads
            .iter()
            .map(|load| Ok(Loaded::from(load.key.clone())))
            .collect()
    }
}

fn group(origin: impl Origin, slots: usize) -> Group {
    build(origin, slots, |group| group)
}

fn build(origin: impl Origin, slots: usize, more: impl Fn(GroupBuilder) -> GroupBuilder) -> Group {
    let limits = Limits {
        max_origin_loads: slots,
        ..Limits::default()
    };
    let builder = Group::builder("things").origin(origin).limits(limits);
    more(builder.clock(tokio_clock())).build().unwrap()
}

fn keys(count: usize) -> Vec<Key> {
    (0..count).map(|n| Key::from(format!("key-{n}"))).collect()
}

async fn warm(group: &Group, keys: Vec<Key>) -> Warmed {
    group
        .warm(stream::iter(keys), &WarmOptions::default())
        .await
}

fn stats(change: impl Fn(&mut WarmStats)) -> WarmStats {
    let mut stats = WarmStats::default();
    change(&mut stats);
    stats
}

#[tokio::test(start_paused = true)]
async fn keys_are_loaded_once_and_are_no_gets() {
    let origin = CountingOrigin::default();
    let group = group(origin.clone(), 8);
    group.get("key-3").await.unwrap();
    let before = group.stats();
    let mut all = keys(10);
    all.push(Key::from_static(b"absent"));
    all.push(vec![0; 2_000].into());
    let warmed = warm(&group, all).await;
    let expected = stats(|keys| {
        (keys.loaded, keys.absent, keys.skipped) = (9, 1, 2);
    });
    assert_eq!((warmed.keys, warmed.end), (expected, WarmEnd::NoMoreKeys));
    assert_eq!(origin.most_loads(), 1);
    let after = group.stats();
    assert_eq!(after.warm, expected);
    assert_eq!((after.gets, after.misses), (before.gets, before.misses));
    assert_eq!(after.main.entries, 10);
    assert!(keys(10).iter().all(|key| group.holds(key)));
}

#[tokio::test(start_paused = true)]
async fn callers_never_wait_for_a_slot_that_warming_has() {
    let origin = Slow::new(100 * MS, 1);
    let group = group(origin.clone(), 8);
    let warming = tokio::spawn({
        let group = group.clone();
        async move { warm(&group, keys(200)).await }
    });
    for round in 0..40 {
        // Not in step with the warming.
        sleep(37 * MS).await;
        let mut gets = JoinSet::new();
        for n in 0..7 {
            let group = group.clone();
            gets.spawn(async move {
                let began = Instant::now();
                group.get(format!("other-{round}-{n}")).await.unwrap();
                began.elapsed()
            });
        }
        for took in gets.join_all().await {
            assert!(took <= 101 * MS, "{took:?}");
        }
    }
    assert!(!warming.is_finished());
    let warmed = warming.await.unwrap();
    assert_eq!(warmed.keys.loaded, 200);
    assert_eq!(group.stats().shed, 0);
}

#[tokio::test(start_paused = true)]
async fn it_has_an_eighth_of_the_slots_or_one() {
    for (slots, most) in [(1, 1), (2, 1), (8, 1), (16, 2), (256, 32)] {
        let origin = Slow::new(100 * MS, 1);
        let group = group(origin.clone(), slots);
        let warmed = warm(&group, keys(100)).await;
        assert_eq!(warmed.keys.loaded, 100);
        assert_eq!(origin.most.load(SeqCst), most, "of {slots}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_begins_nothing_while_callers_have_half_of_the_slots() {
    let origin = CountingOrigin::default();
    origin.set_open(false);
    let group = group(origin.clone(), 8);
    let mut gets = JoinSet::new();
    for n in 0..4 {
        let group = group.clone();
        gets.spawn(async move { group.get(format!("caller-{n}")).await });
    }
    sleep(10 * MS).await;
    let warming = warm(&group, keys(5));
    tokio::pin!(warming);
    assert!(timeout(2 * SECOND, &mut warming).await.is_err());
    assert_eq!(origin.total_loads(), 4, "those of the callers");
    origin.set_open(true);
    assert_eq!(warming.await.keys.loaded, 5);
}

#[tokio::test(start_paused = true)]
async fn what_comes_together_is_one_request_where_the_origin_takes_several_keys() {
    let origin = Slow::new(10 * MS, 100);
    let group = group(origin.clone(), 8);
    assert_eq!(warm(&group, keys(200)).await.keys.loaded, 200);
    assert_eq!(origin.requests(), [64, 64, 64, 8]);
    assert_eq!(origin.most.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn it_keeps_to_its_rate_and_to_its_time() {
    let group = group(CountingOrigin::default(), 256);
    let mut options = WarmOptions::default();
    options.keys_per_second = 100;
    let began = Instant::now();
    let warmed = group.warm(stream::iter(keys(300)), &options).await;
    assert_eq!(warmed.keys.loaded, 300);
    assert!(began.elapsed() >= 2_990 * MS, "{:?}", began.elapsed());

    options.within = SECOND;
    let more = (300..900).map(|n| Key::from(format!("key-{n}")));
    let warmed = group.warm(stream::iter(more), &options).await;
    assert_eq!(warmed.end, WarmEnd::OutOfTime);
    assert!((90..=101).contains(&warmed.keys.loaded), "{warmed:?}");
}

#[tokio::test(start_paused = true)]
async fn it_ends_once_the_group_is_full() {
    let origin = CountingOrigin::default();
    let group = build(origin.clone(), 64, |group| group.capacity(256 << 10));
    for n in 0..1_000 {
        origin.put(format!("key-{n}"), vec![0; 1_000]);
    }
    let warmed = warm(&group, keys(1_000)).await;
    assert_eq!(warmed.end, WarmEnd::Full);
    assert!((150..300).contains(&warmed.keys.loaded), "{warmed:?}");
    // The first keys are the most valuable.
    let held = keys(100).iter().filter(|key| group.holds(key)).count();
    assert!(held > 80, "{held} of the first 100");
}

#[tokio::test(start_paused = true)]
async fn a_failed_key_is_not_tried_again_and_an_open_breaker_is_waited_for() {
    let origin = CountingOrigin::default();
    let group = group(origin.clone(), 64);
    origin.set_failing(true);
    let warming = tokio::spawn({
        let group = group.clone();
        async move { warm(&group, keys(500)).await }
    });
    sleep(60 * SECOND).await;
    assert!(!warming.is_finished());
    let asked = origin.total_loads();
    assert!((5..100).contains(&asked), "{asked}");
    // Only callers find out that it is back.
    origin.set_failing(false);
    for n in 0..100 {
        group.get(format!("caller-{n}")).await.unwrap();
        sleep(100 * MS).await;
    }
    let warmed = warming.await.unwrap();
    assert_eq!(warmed.keys.failed + warmed.keys.loaded, 500);
    assert!(
        warmed.keys.failed <= asked && warmed.keys.loaded >= 400,
        "{warmed:?}"
    );
    assert_eq!(origin.most_loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn dropped_it_begins_no_more() {
    let origin = Slow::new(100 * MS, 1);
    let group = group(origin.clone(), 8);
    assert!(timeout(SECOND, warm(&group, keys(100))).await.is_err());
    let begun = origin.requests().len();
    sleep(10 * SECOND).await;
    assert_eq!(origin.requests().len(), begun);
    assert!((5..15).contains(&begun), "{begun}");
    // The loads that it had begun have finished.
    assert_eq!(group.stats().main.entries, begun);
    assert_eq!(group.stats().loads_in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_joins_the_load_that_warming_has_begun() {
    let origin = CountingOrigin::default();
    origin.set_delay(100 * MS);
    let group = group(origin.clone(), 8);
    let both = async { tokio::join!(warm(&group, keys(1)), group.lookup("key-0")) };
    let (warmed, answer) = both.await;
    assert!(answer.unwrap().collapsed);
    assert_eq!((warmed.keys.loaded, origin.total_loads()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn each_node_of_a_cluster_warms_what_it_owns() {
    let cluster = Cluster::builder(3).start();
    let mut loaded = 0;
    for node in cluster.nodes() {
        let warmed = warm(&node.group, keys(300)).await;
        assert_eq!(warmed.keys.loaded + warmed.keys.skipped, 300);
        assert_eq!(node.group.stats().hot.entries, 0);
        loaded += warmed.keys.loaded;
    }
    assert_eq!(loaded, 300);
    assert_eq!(
        (
            cluster.origin().total_loads(),
            cluster.origin().most_loads()
        ),
        (300, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_that_returns_takes_its_keys_back_from_those_that_kept_them() {
    let mut cluster = Cluster::builder(3).start();
    sleep(400 * SECOND).await;
    for key in keys(300) {
        cluster.nodes()[0].group.get(&key).await.unwrap();
    }
    let owned = cluster.nodes()[2].group.stats().main.entries as u64;
    let (mine, _) = cluster.nodes()[2]
        .group
        .kept_keys(Cursor::default(), 1_000, 1 << 20);
    cluster.leave(2, 20 * SECOND).await;
    assert!(cluster.nodes()[2].group.hand_over(SECOND).await.complete);
    cluster.stop(2);
    sleep(5 * SECOND).await;
    cluster.restart(2);
    cluster.arrive(2).await;
    sleep(SECOND).await;
    let warmed = warm(&cluster.nodes()[2].group, mine).await;
    assert!(owned > 50, "{owned}");
    assert_eq!(warmed.keys.loaded, owned);
    assert_eq!(cluster.origin().total_loads(), 300, "none of them again");
}

#[tokio::test(start_paused = true)]
async fn kept_keys_are_those_of_fresh_values_in_parts() {
    let policy = |group: GroupBuilder| {
        group.freshness(FreshnessPolicy {
            ttl: Some(60 * SECOND),
            ttl_jitter: 0.0,
            ..FreshnessPolicy::default()
        })
    };
    let group = build(CountingOrigin::default(), 8, policy);
    group.get("old").await.unwrap();
    sleep(59 * SECOND).await;
    for key in keys(500) {
        group.get(&key).await.unwrap();
    }
    assert!(group.get("absent").await.is_err());
    sleep(2 * SECOND).await;
    let before = group.stats();
    let (mut found, mut next) = (BTreeSet::new(), Some(Cursor::default()));
    while let Some(from) = next {
        let (part, then) = group.kept_keys(from, 64, 1 << 20);
        assert!(part.len() <= 64);
        found.extend(part);
        next = then;
    }
    assert_eq!(found, keys(500).into_iter().collect());
    let after = group.stats();
    assert_eq!(
        (after.gets, after.main.store.misses),
        (before.gets, before.main.store.misses)
    );
}
