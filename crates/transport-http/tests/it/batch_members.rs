//! The keys of one call are sent in one request, if their owner is known to take batches.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::join_all;
use gaggle_group::{
    Batch, BatchMember, Entry, Error, Fetch, Group, Key, Limits, Load, Loaded, Origin, OriginError,
    Peer, PeerError, Source, async_trait,
};
use gaggle_transport_http::{Batching, ClientOptions, HttpPeer};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::timeout;

use crate::batch_waits::{gated, landed, spawn};
use crate::batches::{batching, counting, one_at_once};
use crate::fake_peer::{FakePeer, Then};
use crate::support::{AllTheirs, LONG, echo, found, peer_with};

/// Waits for the members of a batch as long as necessary, so that only those that never arrive are
/// missed.
pub(crate) fn patient() -> Batching {
    Batching {
        longest_wait: LONG,
        ..Batching::default()
    }
}

/// A group without a key of its own.
fn asking(name: &str, peer: Arc<HttpPeer>) -> Group {
    Group::builder(name)
        .origin_fn(|_: Bytes| async { Err::<Option<Bytes>, _>("every key is the other node's") })
        .router(Arc::new(AllTheirs(peer)))
        .build()
        .unwrap()
}

pub(crate) fn keys(count: usize) -> Vec<Key> {
    (0..count).map(|n| Key::from(format!("key-{n}"))).collect()
}

/// One get of a batch.
pub(crate) async fn fetch_as(
    peer: &HttpPeer,
    group: &str,
    key: &Key,
    member: BatchMember,
) -> Result<Entry, PeerError> {
    let fetch = Fetch::new(group, key, 1 << 20, LONG);
    let fetched = peer.fetch(fetch.with(Some(&member))).await;
    fetched.map(|fetched| fetched.entry)
}

pub(crate) fn spawn_as(
    peer: &Arc<HttpPeer>,
    key: &'static str,
    member: BatchMember,
) -> JoinHandle<Result<Entry, PeerError>> {
    let peer = peer.clone();
    tokio::spawn(async move { fetch_as(&peer, "gated", &Key::from(key), member).await })
}

/// The gets of a batch, all of them begun by one task.
async fn batch(peer: &HttpPeer, group: &str, keys: &[Key]) -> Vec<Result<Entry, PeerError>> {
    let batch = Batch::new();
    let gets = keys.iter();
    let gets: Vec<_> = gets
        .map(|key| fetch_as(peer, group, key, batch.member()))
        .collect();
    drop(batch);
    timeout(LONG, join_all(gets))
        .await
        .expect("all are answered")
}

/// Takes a hundred keys at once, and counts for how many it was asked each time.
#[derive(Clone, Default)]
struct ByTheHundred(Arc<Mutex<Vec<usize>>>);

#[async_trait]
impl Origin for ByTheHundred {
    async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError> {
        self.0.lock().unwrap().push(1);
        Ok(Loaded::from(load.key.clone()))
    }

    fn max_batch(&self) -> usize {
        100
    }

    async fn load_many(&self, loads: &[Load<'_>]) -> Vec<Result<Loaded, OriginError>> {
        self.0.lock().unwrap().push(loads.len());
        let value = |load: &Load<'_>| Ok(Loaded::from(load.key.clone()));
        loads.iter().map(value).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keys_of_one_call_are_loaded_in_one_request() {
    let origin = ByTheHundred::default();
    let group = Group::builder("echo").origin(origin.clone());
    let (server, _asked) = counting([group.build().unwrap()]).await;
    let asking = asking("echo", batching(server, patient()).await);
    origin.0.lock().unwrap().clear();
    let keys = keys(150);
    let answers = timeout(LONG, asking.get_many(&keys)).await.unwrap();
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(*origin.0.lock().unwrap(), [100, 50]);
}

async fn a_hundred_keys() {
    let (server, asked) = counting([echo()]).await;
    let asking = asking("echo", batching(server, patient()).await);
    asked.take();
    let keys = keys(100);
    let answers = timeout(LONG, asking.get_many(&keys)).await.unwrap();
    assert_eq!(asked.take(), (0, 1));
    for (answer, key) in answers.into_iter().zip(&keys) {
        let answer = answer.unwrap();
        assert_eq!(
            (&answer.value, answer.source),
            (&Some(key.clone()), Source::Peer)
        );
        assert!(!answer.collapsed);
    }
    let stats = asking.stats();
    assert_eq!(
        (stats.misses, stats.collapsed, stats.peer.ok),
        (100, 0, 100)
    );
}

#[tokio::test]
async fn a_hundred_keys_of_an_idle_peer_are_one_request() {
    a_hundred_keys().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_they_are_where_several_threads_begin_them() {
    a_hundred_keys().await;
}

#[tokio::test]
async fn a_slow_key_and_a_failing_one_affect_no_other_key() {
    let gated = gated(&["slow"]);
    let (server, asked) = counting([gated.group.clone()]).await;
    let peer = batching(server, patient()).await;
    asked.take();
    let batch = Batch::new();
    // No key of that length is allowed.
    let long = &*"x".repeat(2_000).leak();
    let gets = ["a", long, "slow", "b"].map(|key| spawn_as(&peer, key, batch.member()));
    drop(batch);
    let [a, failing, slow, b] = gets;
    assert_eq!(landed(a).await, found("a"));
    assert_eq!(landed(b).await, found("b"));
    let failure = timeout(LONG, failing).await.unwrap().unwrap();
    assert!(matches!(failure, Err(PeerError::Verdict { .. })));
    assert!(!slow.is_finished());
    assert_eq!(asked.take(), (0, 1));
    gated.gate.add_permits(1);
    assert_eq!(landed(slow).await, found("slow"));
}

#[tokio::test]
async fn each_key_of_a_call_has_its_own_failure() {
    let moody = Group::builder("moody")
        .limits(Limits {
            max_key: 4,
            ..Limits::default()
        })
        .origin_fn(|key: Bytes| async move {
            match &key[..] {
                b"fail" => Err("disk on fire"),
                b"none" => Ok(None),
                _ => Ok(Some(key)),
            }
        })
        .build()
        .unwrap();
    let (server, asked) = counting([moody]).await;
    let asking = asking("moody", batching(server, patient()).await);
    asked.take();
    let keys = ["a", "fail", "none", "12345", "a", "b"].map(Key::from);
    let answers = timeout(LONG, asking.get_many(&keys)).await.unwrap();
    assert_eq!(asked.take(), (0, 1));
    for at in [0, 4, 5] {
        assert_eq!(answers[at].as_ref().unwrap().value, Some(keys[at].clone()));
    }
    assert!(matches!(&answers[1], Err(Error::Origin { .. })));
    assert_eq!(answers[2].as_ref().unwrap().value, None);
    assert!(matches!(
        &answers[3],
        Err(Error::KeyTooLong { limit: 4, .. })
    ));
    let stats = asking.stats();
    assert_eq!((stats.misses, stats.collapsed), (6, 1));
    assert_eq!(
        (stats.peer.ok, stats.peer.not_found, stats.peer.error),
        (2, 1, 2)
    );
}

#[tokio::test]
async fn a_large_call_leaves_while_other_requests_are_under_way_and_a_small_one_waits() {
    let gated = gated(&["hold"]);
    let (server, asked) = counting([gated.group.clone()]).await;
    let peer = batching(server, one_at_once()).await;
    asked.take();
    let hold = spawn(&peer, "hold");
    gated.entered().await;
    let small = {
        let batch = Batch::new();
        ["a", "b", "c"].map(|key| spawn_as(&peer, key, batch.member()))
    };
    yield_now().await;
    for (answer, key) in batch(&peer, "gated", &keys(100))
        .await
        .into_iter()
        .zip(keys(100))
    {
        assert_eq!(answer.unwrap(), found(key));
    }
    // When a batch has its first answer, another may leave.
    for (get, key) in small.into_iter().zip(["a", "b", "c"]) {
        assert_eq!(landed(get).await, found(key));
    }
    assert_eq!(asked.take(), (1, 2));
    gated.gate.add_permits(1);
    landed(hold).await;
}

#[tokio::test]
async fn small_batches_that_wait_are_sent_together() {
    let gated = gated(&["hold"]);
    let (server, asked) = counting([gated.group.clone()]).await;
    let peer = batching(server, one_at_once()).await;
    asked.take();
    let hold = spawn(&peer, "hold");
    gated.entered().await;
    let small = [["a", "b"], ["c", "d"], ["e", "f"]].map(|keys| {
        let batch = Batch::new();
        keys.map(|key| spawn_as(&peer, key, batch.member()))
    });
    yield_now().await;
    gated.gate.add_permits(1);
    landed(hold).await;
    for (get, key) in small
        .into_iter()
        .flatten()
        .zip(["a", "b", "c", "d", "e", "f"])
    {
        assert_eq!(landed(get).await, found(key));
    }
    assert_eq!(asked.take(), (1, 1));
}

#[tokio::test]
async fn a_peer_of_unknown_kind_is_asked_for_one_key_first() {
    let (server, asked) = counting([echo()]).await;
    let options = ClientOptions {
        batching: Some(patient()),
        ..ClientOptions::default()
    };
    let asking = asking("echo", peer_with(server, options));
    let keys = keys(60);
    for (keys, requests) in [(&keys[..20], (1, 1)), (&keys[20..], (0, 1))] {
        let answers = timeout(LONG, asking.get_many(keys)).await.unwrap();
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(asked.take(), requests);
    }
}

#[tokio::test]
async fn a_peer_that_takes_no_batches_is_asked_for_each_key_alone() {
    let plain = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n\x0a\x03630";
    let mut fake = FakePeer::new([(plain, Then::Keep); 40]).await;
    let options = ClientOptions {
        batching: Some(patient()),
        ..ClientOptions::default()
    };
    let asking = asking("scores", peer_with(fake.address, options));
    // The first time, this is not known yet.
    for keys in keys(40).chunks(20) {
        let answers = timeout(LONG, asking.get_many(keys)).await.unwrap();
        assert!(answers.iter().all(Result::is_ok));
    }
    for _ in 0..40 {
        let head = fake.request().await;
        assert!(head.starts_with("GET "), "{head}");
        assert!(!head.contains("gaggle-batch"), "{head}");
    }
}

#[tokio::test]
async fn too_few_keys_for_a_batch_are_sent_as_single_gets() {
    let (server, asked) = counting([echo()]).await;
    let peer = batching(server, patient()).await;
    asked.take();
    for (count, requests) in [(1, (1, 0)), (2, (2, 0)), (3, (0, 1))] {
        for answer in batch(&peer, "echo", &keys(count)).await {
            answer.unwrap();
        }
        assert_eq!(asked.take(), requests, "{count}");
    }
}

#[tokio::test]
async fn more_keys_than_a_request_may_have_are_shared_out() {
    let (server, asked) = counting([echo()]).await;
    let peer = batching(server, patient()).await;
    asked.take();
    for (count, batches) in [(1_024, 1), (1_025, 2), (2_100, 3)] {
        let answers = batch(&peer, "echo", &keys(count)).await;
        for (answer, key) in answers.into_iter().zip(keys(count)) {
            assert_eq!(answer.unwrap(), found(key));
        }
        assert_eq!(asked.take(), (0, batches), "{count}");
    }
    // 2.4 MB of keys, in requests of 1 MiB: each is answered, if only with a refusal.
    let long: Vec<Key> = (0..40).map(|n| format!("{n:060000}").into()).collect();
    for answer in batch(&peer, "echo", &long).await {
        assert!(
            matches!(answer, Err(PeerError::Verdict { .. })),
            "{answer:?}"
        );
    }
    assert_eq!(asked.take(), (0, 3));
}
