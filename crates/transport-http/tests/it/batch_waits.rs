//! Gets that wait for other gets: for which ones, how long, and what happens if their callers go
//! away.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{Entry, Fetch, Group, Peer, PeerError, Verdict};
use gaggle_transport_http::{Batching, HttpPeer};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::batches::{batching, counting, one_at_once, together};
use crate::clock::StoppedClock;
use crate::support::{LONG, fetch, found};

/// A group whose value for every key is that key, and whose loads of some keys wait for a gate.
#[derive(Clone)]
pub(crate) struct Gated {
    pub(crate) group: Group,
    pub(crate) gate: Arc<Semaphore>,
    pub(crate) loaded: Arc<Mutex<Vec<Bytes>>>,
    entered: Arc<Semaphore>,
}

pub(crate) fn gated(keys: &[&'static str]) -> Gated {
    let held: HashSet<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
    let gate = Arc::new(Semaphore::new(0));
    let entered = Arc::new(Semaphore::new(0));
    let loaded = Arc::new(Mutex::new(Vec::new()));
    let group = Group::builder("gated")
        .origin_fn({
            let (gate, loaded, entered) = (gate.clone(), loaded.clone(), entered.clone());
            move |key: Bytes| {
                loaded.lock().unwrap().push(key.clone());
                let held = held.contains(&key[..]).then(|| gate.clone());
                entered.add_permits(usize::from(held.is_some()));
                async move {
                    if let Some(gate) = held {
                        gate.acquire().await.unwrap().forget();
                    }
                    Ok::<_, std::io::Error>(Some(key))
                }
            }
        })
        .build()
        .unwrap();
    Gated {
        group,
        gate,
        loaded,
        entered,
    }
}

impl Gated {
    /// Waits until the load of one more held key has begun.
    pub(crate) async fn entered(&self) {
        let entered = timeout(LONG, self.entered.acquire()).await;
        entered.expect("a load begins").unwrap().forget();
    }
}

pub(crate) fn spawn(
    peer: &Arc<HttpPeer>,
    key: &'static str,
) -> tokio::task::JoinHandle<Result<Entry, PeerError>> {
    let peer = peer.clone();
    tokio::spawn(async move { fetch(&peer, "gated", key.as_bytes()).await })
}

pub(crate) async fn landed(get: tokio::task::JoinHandle<Result<Entry, PeerError>>) -> Entry {
    timeout(LONG, get)
        .await
        .expect("an answer")
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn a_slow_key_delays_none_of_its_batch() {
    let gated = gated(&["slow"]);
    let (server, asked) = counting([gated.group.clone()]).await;
    let peer = batching(server, one_at_once()).await;
    asked.take();
    let first = spawn(&peer, "first");
    let [slow, others @ ..] = ["slow", "a", "b", "c"].map(|key| spawn(&peer, key));
    landed(first).await;
    for (get, key) in others.into_iter().zip(["a", "b", "c"]) {
        assert_eq!(landed(get).await, found(key));
    }
    assert_eq!(asked.take(), (1, 1));

    // It does not delay later gets, either.
    assert_eq!(landed(spawn(&peer, "d")).await, found("d"));
    assert!(!slow.is_finished());
    gated.gate.add_permits(1);
    assert_eq!(landed(slow).await, found("slow"));
}

#[tokio::test]
async fn gets_that_come_together_leave_together() {
    let gated = gated(&[]);
    let (server, asked) = counting([gated.group.clone()]).await;
    let peer = batching(server, one_at_once()).await;
    asked.take();
    let crowd = async |keys: [&'static str; 3]| {
        for get in keys.map(|key| spawn(&peer, key)) {
            landed(get).await;
        }
        asked.take()
    };
    // The first get cannot know of the others. Later ones wait for gets that arrive at the same
    // time.
    assert_eq!(crowd(["a", "b", "c"]).await, (1, 1));
    assert_eq!(crowd(["d", "e", "f"]).await, (0, 1));
    // A get that is dropped before it is sent is not missed.
    let gone = spawn(&peer, "gone");
    tokio::task::yield_now().await;
    gone.abort();
    landed(spawn(&peer, "g")).await;
    assert_eq!(asked.take(), (1, 0));
    // After a get that was alone, none waits.
    assert_eq!(crowd(["h", "i", "j"]).await, (1, 1));
    landed(spawn(&peer, "k")).await;
    assert_eq!(asked.take(), (1, 0));
    let mut loaded = gated.loaded.lock().unwrap().clone();
    loaded.sort();
    assert_eq!(
        loaded,
        ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"]
    );
}

#[tokio::test]
async fn slow_requests_delay_no_get_for_longer_than_configured() {
    let gated = gated(&["slow-1", "slow-2"]);
    let (server, asked) = counting([gated.group.clone()]).await;
    let peer = batching(
        server,
        Batching {
            requests_at_once: 2,
            smallest_batch: 1,
            ..Batching::default()
        },
    )
    .await;
    asked.take();
    let mut slow = Vec::new();
    for key in ["slow-1", "slow-2"] {
        slow.push(spawn(&peer, key));
        gated.entered().await;
    }
    for key in ["a", "b"] {
        assert_eq!(landed(spawn(&peer, key)).await, found(key));
    }
    // `a` has waited for its turn. `b` found that the slow requests count no more.
    assert_eq!(asked.take(), (3, 1));
    gated.gate.add_permits(2);
    for get in slow {
        landed(get).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_get_keeps_its_own_deadline() {
    let clock = StoppedClock::new();
    let gated = gated(&["slow"]);
    let (server, _) = counting([gated.group.clone()]).await;
    let peer = batching(server, one_at_once()).await;
    let first = spawn(&peer, "first");
    let patient = spawn(&peer, "slow");
    let hasty = {
        let peer = peer.clone();
        tokio::spawn(async move {
            let key = Bytes::from_static(b"slow");
            let hasty = Duration::from_millis(500);
            peer.fetch(Fetch::new("gated", &key, 9, hasty)).await
        })
    };
    landed(first).await;
    assert!(clock.run(hasty).await.unwrap().is_err());
    gated.gate.add_permits(1);
    assert_eq!(landed(patient).await, found("slow"));
}

#[tokio::test]
async fn a_get_whose_caller_is_gone_is_not_sent() {
    let gated = gated(&["hold"]);
    let (server, asked) = counting([gated.group.clone()]).await;
    let peer = batching(server, one_at_once()).await;
    asked.take();
    let hold = spawn(&peer, "hold");
    gated.entered().await;
    let [a, b, c] = ["a", "b", "c"].map(|key| spawn(&peer, key));
    tokio::task::yield_now().await;
    b.abort();
    let _ = b.await;
    gated.gate.add_permits(1);
    landed(hold).await;
    assert_eq!(landed(a).await, found("a"));
    assert_eq!(landed(c).await, found("c"));
    assert_eq!(asked.take(), (1, 1));
    assert_eq!(*gated.loaded.lock().unwrap(), ["hold", "a", "c"]);
}

#[tokio::test]
async fn a_queue_whose_first_caller_is_gone_leaves_at_once() {
    let gated = gated(&["hold"]);
    let (server, _) = counting([gated.group.clone()]).await;
    let peer = batching(server, one_at_once()).await;
    let hold = spawn(&peer, "hold");
    gated.entered().await;
    let [a, b] = ["a", "b"].map(|key| spawn(&peer, key));
    tokio::task::yield_now().await;
    a.abort();
    assert_eq!(landed(b).await, found("b"), "while the turn is not over");
    gated.gate.add_permits(1);
    landed(hold).await;
}

#[tokio::test]
async fn the_turn_of_a_caller_that_is_gone_is_over() {
    let gated = gated(&["hold"]);
    let (server, _) = counting([gated.group.clone()]).await;
    let peer = batching(server, one_at_once()).await;
    let hold = spawn(&peer, "hold");
    gated.entered().await;
    let a = spawn(&peer, "a");
    tokio::task::yield_now().await;
    hold.abort();
    assert_eq!(landed(a).await, found("a"));
}

#[tokio::test]
async fn no_more_gets_wait_than_allowed() {
    let gated = gated(&["hold"]);
    let (server, _) = counting([gated.group.clone()]).await;
    let options = Batching {
        max_waiting: 2,
        ..one_at_once()
    };
    let peer = batching(server, options).await;
    let hold = spawn(&peer, "hold");
    gated.entered().await;
    let waiting = ["a", "b"].map(|key| spawn(&peer, key));
    tokio::task::yield_now().await;
    match fetch(&peer, "gated", b"c").await {
        Err(PeerError::Verdict { verdict, .. }) => {
            assert!(
                matches!(verdict, Verdict::Shed { limit: 2, .. }),
                "{verdict}"
            );
        }
        other => panic!("{other:?}"),
    }
    gated.gate.add_permits(1);
    landed(hold).await;
    for get in waiting {
        landed(get).await;
    }
    // All places are free again.
    for answer in together(&peer, &[("gated", b"c"), ("gated", b"d")]).await {
        answer.unwrap();
    }
}

#[tokio::test]
async fn too_few_for_a_batch_leave_by_themselves() {
    let gated = gated(&["hold"]);
    let (server, asked) = counting([gated.group.clone()]).await;
    let options = Batching {
        smallest_batch: 4,
        ..one_at_once()
    };
    let peer = batching(server, options).await;
    asked.take();
    let hold = spawn(&peer, "hold");
    gated.entered().await;
    let [a, b, c] = ["a", "b", "c"].map(|key| spawn(&peer, key));
    tokio::task::yield_now().await;
    b.abort();
    let _ = b.await;
    gated.gate.add_permits(1);
    landed(hold).await;
    assert_eq!(landed(a).await, found("a"));
    assert_eq!(landed(c).await, found("c"));
    assert_eq!(asked.take(), (3, 0));
    assert_eq!(*gated.loaded.lock().unwrap(), ["hold", "a", "c"]);
    // The turns of all of them are over, including that of the get whose caller had gone.
    assert_eq!(landed(spawn(&peer, "d")).await, found("d"));
    assert_eq!(asked.take(), (1, 0));
}
