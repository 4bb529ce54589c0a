//! Batches of loads, with an origin that takes several keys per request.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use gaggle_group::{
    Answer, Batch, Error, Group, Hop, Key, Limits, Load, Loaded, Origin, OriginError, OriginFault,
    Serve, async_trait,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const LOAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers each key with a version of it, as soon as it is open. A key's text decides the outcome.
#[derive(Clone)]
struct Batching {
    most: usize,
    open: watch::Sender<bool>,
    requests: Arc<Mutex<Vec<Vec<Key>>>>,
    running: Arc<AtomicUsize>,
    most_running: Arc<AtomicUsize>,
    version: Arc<AtomicUsize>,
}

impl Batching {
    fn new(most: usize) -> Self {
        Self {
            most,
            open: watch::Sender::new(true),
            requests: Arc::default(),
            running: Arc::default(),
            most_running: Arc::default(),
            version: Arc::default(),
        }
    }

    fn sizes(&self) -> Vec<usize> {
        self.requests.lock().unwrap().iter().map(Vec::len).collect()
    }

    async fn begun(&self, count: usize) {
        while self.requests.lock().unwrap().len() < count {
            tokio::task::yield_now().await;
        }
    }

    async fn ask(&self, loads: &[Load<'_>]) -> Vec<Result<Loaded, OriginError>> {
        // Alone or with others, each load is told how long the group waits. A panic fails the load.
        let told = |load: &Load<'_>| load.deadline == Some(LOAD_TIMEOUT);
        assert!(loads.iter().all(told), "{loads:?}");
        let keys = loads.iter().map(|load| load.key.clone()).collect();
        self.requests.lock().unwrap().push(keys);
        let running = self.running.fetch_add(1, SeqCst) + 1;
        self.most_running.fetch_max(running, SeqCst);
        let version = self.version.load(SeqCst);
        self.open.subscribe().wait_for(|open| *open).await.unwrap();
        tokio::task::yield_now().await;
        self.running.fetch_sub(1, SeqCst);
        let outcome = |load: &Load<'_>| match std::str::from_utf8(load.key).unwrap() {
            key if key.starts_with("absent") => Ok(Loaded::absent()),
            key if key.starts_with("bad") => {
                Err(OriginError::failed("no").known_as(OriginFault::Key))
            }
            key if key.starts_with("down") => Err(OriginError::failed("down")),
            key if key.starts_with("panic") => panic!("as the test wants"),
            key => Ok(Loaded::from(format!("{key} v{version}"))),
        };
        let mut outcomes: Vec<_> = loads.iter().map(outcome).collect();
        if loads.iter().any(|load| load.key.starts_with(b"short")) {
            outcomes.pop();
        }
        outcomes
    }
}

#[async_trait]
impl Origin for Batching {
    async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError> {
        self.ask(&[load]).await.pop().unwrap()
    }

    fn max_batch(&self) -> usize {
        self.most
    }

    async fn load_many(&self, loads: &[Load<'_>]) -> Vec<Result<Loaded, OriginError>> {
        assert!((2..=self.most).contains(&loads.len()), "{}", loads.len());
        self.ask(loads).await
    }
}

fn group(origin: &Batching, max_origin_loads: usize) -> Group {
    let limits = Limits {
        max_origin_loads,
        load_timeout: LOAD_TIMEOUT,
        ..Limits::default()
    };
    let builder = Group::builder("things").origin(origin.clone());
    builder.limits(limits).build().unwrap()
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("k{n}")).collect()
}

fn value(answer: Result<Answer, Error>) -> Bytes {
    answer.unwrap().value.unwrap()
}

/// Starts a get of each key in a task of its own.
fn gets(group: &Group, keys: &[&str]) -> JoinSet<(String, Result<Bytes, Error>)> {
    let mut gets = JoinSet::new();
    for key in keys {
        let (group, key) = (group.clone(), (*key).to_owned());
        gets.spawn(async move { (key.clone(), group.get(&key).await) });
    }
    gets
}

async fn waiting(group: &Group, count: usize) {
    while group.stats().origin_queue.waiting < count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keys_of_one_call_are_one_request() {
    let origin = Batching::new(128);
    let group = group(&origin, 64);
    for round in 0..20 {
        let keys: Vec<String> = (0..100).map(|n| format!("{round}-{n}")).collect();
        for (key, answer) in keys.iter().zip(group.get_many(&keys).await) {
            assert_eq!(value(answer), format!("{key} v0"));
        }
        assert_eq!(origin.sizes(), vec![100; round + 1]);
    }
    let stats = group.stats();
    assert_eq!((stats.origin_batches, stats.origin_batched), (20, 2_000));
    assert_eq!((stats.origin.ok, stats.misses), (2_000, 2_000));
}

#[tokio::test]
async fn a_request_asks_for_no_more_than_the_origin_takes() {
    let origin = Batching::new(128);
    let group = group(&origin, 1);
    let keys = keys(300);
    assert!(group.get_many(&keys).await.iter().all(Result::is_ok));
    assert_eq!(origin.sizes(), [128, 128, 44]);
}

#[tokio::test]
async fn a_get_that_comes_alone_asks_alone_and_at_once() {
    let origin = Batching::new(128);
    let group = group(&origin, 8);
    for key in keys(3) {
        group.get(&key).await.unwrap();
    }
    assert_eq!(origin.sizes(), [1, 1, 1]);
    assert_eq!(group.stats().origin_batches, 0);
}

#[tokio::test]
async fn an_origin_of_single_keys_is_asked_for_each() {
    let origin = Batching::new(1);
    let group = group(&origin, 64);
    assert!(group.get_many(&keys(50)).await.iter().all(Result::is_ok));
    assert_eq!(origin.sizes(), vec![1; 50]);
}

#[tokio::test]
async fn keys_that_wait_for_a_slot_share_the_next_one() {
    let origin = Batching::new(128);
    origin.open.send_replace(false);
    let group = group(&origin, 1);
    let mut first = gets(&group, &["first"]);
    origin.begun(1).await;
    let names = keys(50);
    let mut others = gets(
        &group,
        &names.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    waiting(&group, 50).await;
    origin.open.send_replace(true);
    first.join_next().await.unwrap().unwrap().1.unwrap();
    while let Some(done) = others.join_next().await {
        let (key, value) = done.unwrap();
        assert_eq!(value.unwrap(), format!("{key} v0"));
    }
    assert_eq!(origin.sizes(), [1, 50]);
    assert_eq!(
        group.stats().shed,
        0,
        "those that were taken along were not refused"
    );
}

#[tokio::test]
async fn gets_that_a_peer_sends_in_one_request_ask_together() {
    let origin = Batching::new(128);
    let group = group(&origin, 64);
    assert!(group.loads_together());
    let keys = keys(40);
    let batch = Batch::new();
    let handle = batch.handle();
    let serve = async |key: &String| {
        let request = Serve::new(key.as_bytes(), Hop::Forwarded);
        group.serve(request.with(Some(&handle))).await
    };
    let mut all = Box::pin(join_all(keys.iter().map(serve)));
    assert!(futures_util::poll!(&mut all).is_pending());
    drop(batch);
    assert!(all.await.iter().all(Result::is_ok));
    assert_eq!(origin.sizes(), [40]);
}

#[tokio::test]
async fn each_key_fails_by_itself_and_the_breaker_stays_closed_while_some_arrive() {
    let origin = Batching::new(128);
    let group = group(&origin, 64);
    for round in 0..40 {
        let keys = ["good", "absent", "bad", "down"].map(|key| format!("{key}{round}"));
        let mut answers = group.get_many(&keys).await.into_iter();
        assert_eq!(value(answers.next().unwrap()), format!("good{round} v0"));
        assert_eq!(answers.next().unwrap().unwrap().value, None);
        for fault in [OriginFault::Key, OriginFault::Other] {
            match answers.next().unwrap() {
                Err(Error::Origin { source, .. }) => assert_eq!(source.fault(), fault),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(group.stats().origin_queue.breaker_opened, 0);
    assert_eq!(origin.sizes(), vec![4; 40]);
}

#[tokio::test(start_paused = true)]
async fn the_breaker_opens_if_no_key_arrives() {
    let origin = Batching::new(128);
    let group = group(&origin, 64);
    for round in 0..100 {
        let keys: Vec<_> = (0..4).map(|n| format!("down{round}-{n}")).collect();
        assert!(group.get_many(&keys).await.iter().all(Result::is_err));
        sleep(Duration::from_millis(10)).await;
    }
    assert!(group.stats().origin_queue.breaker_opened > 0);
    assert!(origin.sizes().len() < 50, "{:?}", origin.sizes());
}

#[tokio::test]
async fn a_panic_reaches_all_that_asked_together_and_frees_the_slot() {
    let origin = Batching::new(128);
    let group = group(&origin, 1);
    for answer in group.get_many(&["a", "panic", "b"]).await {
        match answer {
            Err(Error::Panicked { message, .. }) => assert_eq!(&*message, "as the test wants"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(group.get("a").await.unwrap(), "a v0");
    assert_eq!(group.stats().origin.error, 3);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_late_for_all() {
    let origin = Batching::new(128);
    origin.open.send_replace(false);
    let group = group(&origin, 1);
    let began = Instant::now();
    for answer in group.get_many(&["a", "b", "c"]).await {
        assert!(matches!(answer, Err(Error::Deadline { .. })), "{answer:?}");
    }
    assert!(
        began.elapsed() < Duration::from_secs(7),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(origin.sizes(), [3]);
}

#[tokio::test]
async fn an_origin_that_loses_count_fails_all_rather_than_mix_them_up() {
    let origin = Batching::new(128);
    let group = group(&origin, 1);
    let answers = group.get_many(&["short", "a", "b"]).await;
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Err(Error::Origin { .. })))
    );
    assert_eq!(group.get("a").await.unwrap(), "a v0");
}

#[tokio::test]
async fn a_load_without_waiters_is_not_asked_for() {
    let origin = Batching::new(128);
    origin.open.send_replace(false);
    let group = group(&origin, 1);
    let mut first = gets(&group, &["first"]);
    origin.begun(1).await;
    let mut given_up = gets(&group, &["x", "y"]);
    let mut kept = gets(&group, &["z"]);
    waiting(&group, 3).await;
    given_up.shutdown().await;
    origin.open.send_replace(true);
    first.join_next().await.unwrap().unwrap().1.unwrap();
    kept.join_next().await.unwrap().unwrap().1.unwrap();
    let asked: Vec<Key> = origin.requests.lock().unwrap().concat();
    assert_eq!(asked, ["first", "z"]);
}

#[tokio::test]
async fn a_key_that_is_removed_meanwhile_is_asked_for_again() {
    let origin = Batching::new(128);
    origin.open.send_replace(false);
    let group = group(&origin, 2);
    let mut old = tokio::spawn({
        let group = group.clone();
        async move { group.get_many(&["a", "b"]).await }
    });
    origin.begun(1).await;
    origin.version.store(1, SeqCst);
    let _ = group.remove("a").await;
    let mut new = gets(&group, &["a"]);
    origin.begun(2).await;
    origin.open.send_replace(true);
    let answers = (&mut old).await.unwrap();
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(new.join_next().await.unwrap().unwrap().1.unwrap(), "a v1");
    assert_eq!(
        group.get("a").await.unwrap(),
        "a v1",
        "the old value is not kept"
    );
    assert_eq!(group.get("b").await.unwrap(), "b v0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_crowd_each_key_is_loaded_once_and_no_more_requests_run_than_may() {
    let origin = Batching::new(16);
    let group = group(&origin, 3);
    let names = keys(2_000);
    let mut crowd = JoinSet::new();
    for caller in 0..16 {
        let (group, names) = (group.clone(), names.clone());
        crowd.spawn(async move {
            // Each task walks all keys, from another start and in other steps.
            let step = 1 + caller % 7;
            let turned: Vec<_> = names
                .iter()
                .cycle()
                .skip(caller * 125)
                .take(2_000)
                .collect();
            for keys in turned.chunks(step * 3) {
                for (key, answer) in keys.iter().zip(group.get_many(keys).await) {
                    assert_eq!(value(answer), format!("{key} v0"));
                }
            }
        });
    }
    crowd.join_all().await;
    let mut loaded: HashMap<Key, usize> = HashMap::new();
    for key in origin.requests.lock().unwrap().concat() {
        *loaded.entry(key).or_default() += 1;
    }
    assert_eq!(loaded.len(), 2_000);
    assert!(loaded.values().all(|times| *times == 1));
    assert!(origin.most_running.load(SeqCst) <= 3);
    let requests = origin.sizes().len();
    println!("{requests} requests for 2,000 keys");
    assert!(requests < 1_000, "{requests}");
}

#[tokio::test(start_paused = true)]
async fn a_load_that_is_shed_is_not_asked_for_later() {
    let origin = Batching::new(4);
    origin.open.send_replace(false);
    let group = group(&origin, 1);
    let mut first = gets(&group, &["first"]);
    origin.begun(1).await;
    let mut shed = gets(&group, &["a", "b", "c", "d", "e", "f"]);
    waiting(&group, 6).await;
    sleep(Duration::from_secs(2)).await;
    origin.open.send_replace(true);
    first.join_next().await.unwrap().unwrap().1.unwrap();
    let mut refused = 0;
    while let Some(done) = shed.join_next().await {
        refused += usize::from(matches!(done.unwrap().1, Err(Error::Shed { .. })));
    }
    assert_eq!(refused, 6);
    assert_eq!(origin.sizes(), [1]);
    assert_eq!(group.get("a").await.unwrap(), "a v0");
}
