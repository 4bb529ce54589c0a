//! Gets while the origin is overloaded, hangs, or fails.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use gaggle_group::{
    Error, FreshnessPolicy, Group, Key, Limits, Load, Loaded, Origin, OriginError, OriginFault,
    Overload, async_trait,
};
use gaggle_testkit::{CountingOrigin, tokio_clock};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Takes that long, and does not notice that no caller waits any more; counts concurrent requests.
#[derive(Clone)]
struct Slow {
    takes: watch::Sender<Duration>,
    open: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    begun: Arc<AtomicUsize>,
}

impl Slow {
    fn new(takes: Duration) -> Self {
        Self {
            takes: watch::Sender::new(takes),
            open: Arc::default(),
            most: Arc::default(),
            begun: Arc::default(),
        }
    }
}

#[async_trait]
impl Origin for Slow {
    async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError> {
        let open = self.open.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(open, SeqCst);
        self.begun.fetch_add(1, SeqCst);
        let (open, takes) = (Arc::clone(&self.open), *self.takes.borrow());
        // Like an origin that continues abandoned work.
        let work = tokio::spawn(async move {
            sleep(takes).await;
            open.fetch_sub(1, SeqCst);
        });
        work.await.unwrap();
        Ok(Loaded::from(load.key.clone()))
    }
}

fn group(origin: impl Origin, limits: Limits) -> Group {
    Group::builder("things")
        .origin(origin)
        .limits(limits)
        .build()
        .unwrap()
}

fn eight(load_timeout: Duration) -> Limits {
    Limits {
        load_timeout,
        max_origin_loads: 8,
        ..Limits::default()
    }
}

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn at_ten_times_the_origins_capacity_it_stays_busy_and_refusals_are_quick() {
    // 8 slots of 20 ms: 400 a second.
    let origin = Slow::new(20 * MS);
    let group = group(origin.clone(), eight(SECOND));
    let mut gets = JoinSet::new();
    let began = Instant::now();
    for n in 0..20_000 {
        let group = group.clone();
        gets.spawn(async move {
            let began = Instant::now();
            let answer = group.get(format!("k{n}")).await;
            (answer.map(drop), began.elapsed())
        });
        if n % 4 == 3 {
            sleep(MS).await;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let (mut good, mut shed, mut slowest) = (0, 0, Duration::ZERO);
    while let Some(ended) = gets.join_next().await {
        match ended.unwrap() {
            (Ok(()), _) => good += 1,
            (Err(Error::Shed { why, .. }), took) => {
                assert!(matches!(why, Overload::Queue { .. }), "{why}");
                shed += 1;
                slowest = slowest.max(took);
            }
            (Err(other), _) => panic!("{other}"),
        }
    }
    let goodput = f64::from(good) / seconds / 400.0;
    println!(
        "row 24: at 10x {:.0} % of the capacity, {shed} shed, the slowest after {slowest:?}",
        100.0 * goodput
    );
    assert!(goodput > 0.9, "{goodput}");
    // The first are those that waited while it was not clear that this is more than a burst.
    assert!(slowest <= 200 * MS, "{slowest:?}");
    assert_eq!(origin.most.load(SeqCst), 8);
    assert_eq!(group.stats().shed, shed);
}

#[tokio::test(start_paused = true)]
async fn a_burst_that_fits_into_the_wait_loses_nothing() {
    let origin = Slow::new(20 * MS);
    let group = group(origin, eight(5 * SECOND));
    let keys: Vec<Key> = (0..300).map(|n| Key::from(format!("k{n}"))).collect();
    let answers = group.get_many(&keys).await;
    assert!(
        answers.iter().all(Result::is_ok),
        "{:?}",
        answers.iter().find(|a| a.is_err())
    );
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_hangs_has_no_more_to_do_than_it_may() {
    let origin = Slow::new(10_000 * SECOND);
    let group = group(origin.clone(), eight(SECOND));
    for n in 0..100 {
        let answer = timeout(2 * SECOND, group.get(format!("k{n}"))).await;
        let failure = answer.unwrap().unwrap_err();
        assert!(
            matches!(failure, Error::Deadline { .. } | Error::Shed { .. }),
            "{failure}"
        );
        sleep(10 * MS).await;
    }
    println!(
        "row 16: {} loads open at a hung origin, the cap is 8",
        origin.most.load(SeqCst)
    );
    assert!(origin.most.load(SeqCst) <= 8 + 3, "{:?}", origin.most);
}

#[tokio::test(start_paused = true)]
async fn while_the_breaker_is_open_a_cold_key_fails_at_once_and_stale_values_are_served() {
    let origin = CountingOrigin::default();
    let group = Group::builder("things")
        .clock(tokio_clock())
        .origin(origin.clone())
        .freshness(FreshnessPolicy {
            ttl: Some(SECOND),
            stale_if_error: 1_000 * SECOND,
            ..FreshnessPolicy::default()
        })
        .limits(eight(SECOND))
        .build()
        .unwrap();
    group.get("warm").await.unwrap();
    sleep(2 * SECOND).await;
    origin.set_failing(true);
    let mut attempts = 0;
    // Once for each of other keys: the failures of one key affect only that key.
    while !group.stats().origin_queue.breaker_open {
        group.get(format!("cold {attempts}")).await.unwrap_err();
        sleep(50 * MS).await;
        attempts += 1;
        assert!(attempts < 100, "the breaker never opens");
    }
    let loads = origin.total_loads();
    let began = Instant::now();
    let failure = group.get("cold").await.unwrap_err();
    assert!(began.elapsed() < 10 * MS);
    let Error::Shed {
        why: Overload::OriginDown,
        retry_after,
        ..
    } = failure
    else {
        panic!("{failure}");
    };
    assert!(retry_after > Duration::ZERO && retry_after < 6 * SECOND);
    assert_eq!(origin.total_loads(), loads, "the origin is left alone");
    let stale = group.lookup("warm").await.unwrap();
    assert!(stale.failed_over);
    // It recovers as well.
    origin.set_failing(false);
    let began = Instant::now();
    let mut n = 0;
    while group.get(format!("again {n}")).await.is_err() {
        sleep(50 * MS).await;
        n += 1;
    }
    println!(
        "row 17: the first value {:?} after the origin was back",
        began.elapsed()
    );
    assert!(began.elapsed() < 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_load_in_the_queue_that_nobody_waits_for_is_not_begun() {
    let origin = Slow::new(100 * MS);
    let group = group(
        origin.clone(),
        Limits {
            max_origin_loads: 1,
            ..Limits::default()
        },
    );
    // From now on it is known how many can wait: eight.
    group.get("first").await.unwrap();
    let busy = tokio::spawn({
        let group = group.clone();
        async move { group.get("busy").await }
    });
    sleep(MS).await;
    // Their callers are dropped before it is their turn.
    for n in 0..50 {
        let gone = timeout(MS, group.get(format!("gone {n}"))).await;
        assert!(gone.is_err());
    }
    let stays = group.get("stays").await;
    busy.await.unwrap().unwrap();
    stays.unwrap();
    assert_eq!(origin.begun.load(SeqCst), 3);
    // No abandoned load blocks the next one.
    assert!(group.get("gone 1").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn keys_that_the_origin_does_not_accept_block_no_other_key() {
    let group = Group::builder("things")
        .origin_fn(|key: Key| async move {
            match &*key {
                b"bad" => Err(OriginError::failed("no").known_as(OriginFault::Key)),
                _ => Ok(Some("value")),
            }
        })
        .clock(tokio_clock())
        .build()
        .unwrap();
    for _ in 0..200 {
        let refused = group.get("bad").await.unwrap_err();
        assert_eq!(
            refused.public().to_string(),
            "group things: the origin takes no such key"
        );
        sleep(Duration::from_secs(2)).await;
    }
    assert!(!group.stats().origin_queue.breaker_open);
    assert_eq!(group.get("good").await.unwrap(), "value");
}
