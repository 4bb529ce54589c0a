//! Batches of which some members do not arrive, or are dropped.

use std::time::Duration;

use futures_util::future::join_all;
use gaggle_group::{Batch, Fetch, Peer, PeerError, Verdict};
use gaggle_transport_http::Batching;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::batch_members::{fetch_as, keys, patient, spawn_as};
use crate::batch_waits::{gated, landed};
use crate::batches::{batching, counting, one_at_once};
use crate::clock::StoppedClock;
use crate::support::{LONG, echo, found};

#[tokio::test]
async fn a_member_that_is_gone_is_not_waited_for() {
    let (server, asked) = counting([echo()]).await;
    let peer = batching(server, patient()).await;
    asked.take();
    let batch = Batch::new();
    let gone = [(); 3].map(|()| batch.member());
    let keys = keys(6);
    let gets = keys.iter();
    let gets: Vec<_> = gets
        .map(|key| fetch_as(&peer, "echo", key, batch.member()))
        .collect();
    // After the others have arrived.
    let leave = async {
        yield_now().await;
        drop(batch);
        drop(gone);
    };
    let both = async { tokio::join!(join_all(gets), leave).0 };
    for (answer, key) in timeout(LONG, both).await.unwrap().into_iter().zip(&keys) {
        assert_eq!(answer.unwrap(), found(key.clone()));
    }
    assert_eq!(asked.take(), (0, 1));
}

#[tokio::test]
async fn a_member_that_never_arrives_is_waited_for_no_longer_than_configured() {
    let (server, asked) = counting([echo()]).await;
    let peer = batching(server, Batching::default()).await;
    asked.take();
    let batch = Batch::new();
    let late = batch.member();
    let keys = keys(5);
    let gets = keys.iter();
    let gets = gets.map(|key| fetch_as(&peer, "echo", key, batch.member()));
    for (answer, key) in timeout(LONG, join_all(gets))
        .await
        .unwrap()
        .into_iter()
        .zip(&keys)
    {
        assert_eq!(answer.unwrap(), found(key.clone()));
    }
    assert_eq!(asked.take(), (0, 1));
    // It arrives at last, and nothing of its batch is left.
    drop(batch);
    let late = fetch_as(&peer, "echo", &keys[0], late);
    assert_eq!(timeout(LONG, late).await.unwrap().unwrap(), found("key-0"));
    assert_eq!(asked.take(), (1, 0));
}

#[tokio::test]
async fn members_whose_callers_are_gone_are_not_sent_and_delay_none() {
    // The first to arrive, which watches over the others, or one of the others.
    for gone in [0, 1] {
        let gated = gated(&[]);
        let (server, asked) = counting([gated.group.clone()]).await;
        let peer = batching(server, one_at_once()).await;
        asked.take();
        let batch = Batch::new();
        let last = batch.member();
        let mut gets = Vec::from(["a", "b", "c"].map(|key| spawn_as(&peer, key, batch.member())));
        drop(batch);
        yield_now().await;
        let gone_get = gets.remove(gone);
        gone_get.abort();
        assert!(gone_get.await.unwrap_err().is_cancelled());
        if gone == 0 {
            // Without a get that watches over them, the others are sent.
            for (get, key) in gets.into_iter().zip(["b", "c"]) {
                assert_eq!(landed(get).await, found(key));
            }
            assert_eq!(landed(spawn_as(&peer, "d", last)).await, found("d"));
            assert_eq!(asked.take(), (1, 1));
            assert_eq!(*gated.loaded.lock().unwrap(), ["b", "c", "d"]);
        } else {
            let last = spawn_as(&peer, "d", last);
            for (get, key) in gets.into_iter().chain([last]).zip(["a", "c", "d"]) {
                assert_eq!(landed(get).await, found(key));
            }
            assert_eq!(asked.take(), (0, 1));
            assert_eq!(*gated.loaded.lock().unwrap(), ["a", "c", "d"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_waits_no_longer_than_its_own_deadline() {
    let clock = StoppedClock::new();
    let (server, asked) = counting([echo()]).await;
    let peer = batching(server, one_at_once()).await;
    asked.take();
    let batch = Batch::new();
    let never = batch.member();
    let keys = keys(3);
    let members = [(); 3].map(|()| batch.member());
    let gets = members.iter().zip(&keys).zip([500, 20_000, 20_000]);
    let gets = gets.map(|((member, key), millis)| {
        let fetch = Fetch::new("echo", key, 9, Duration::from_millis(millis));
        peer.fetch(fetch.with(Some(member)))
    });
    let mut answers = clock.run(join_all(gets)).await;
    let hasty = answers.remove(0);
    assert!(
        matches!(hasty, Err(PeerError::Unavailable { .. })),
        "{hasty:?}"
    );
    for (answer, key) in answers.into_iter().zip(&keys[1..]) {
        assert_eq!(answer.unwrap().entry, found(key.clone()));
    }
    assert_eq!(asked.take(), (0, 1));
    drop(never);
}

#[tokio::test]
async fn members_without_a_place_delay_none_of_the_others() {
    let (server, asked) = counting([echo()]).await;
    let options = Batching {
        max_waiting: 2,
        ..one_at_once()
    };
    let peer = batching(server, options).await;
    asked.take();
    let mut keys = keys(4);
    // Too long for a batch, and for a URL.
    keys.insert(0, vec![b'x'; 70_000].into());
    for _ in 0..2 {
        let batch = Batch::new();
        let gets = keys.iter();
        let gets: Vec<_> = gets
            .map(|key| fetch_as(&peer, "echo", key, batch.member()))
            .collect();
        drop(batch);
        let answers = timeout(LONG, join_all(gets)).await.unwrap();
        assert!(matches!(&answers[0], Err(PeerError::Refused { .. })));
        assert_eq!(answers[1].as_ref().unwrap(), &found("key-0"));
        assert_eq!(answers[2].as_ref().unwrap(), &found("key-1"));
        for full in &answers[3..] {
            let Err(PeerError::Verdict { verdict, .. }) = full else {
                panic!("{full:?}")
            };
            assert!(
                matches!(verdict, Verdict::Shed { limit: 2, .. }),
                "{verdict}"
            );
        }
        assert_eq!(asked.take(), (0, 1));
    }
}
