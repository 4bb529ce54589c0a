//! Many callers, on several threads.

#![cfg(not(gaggle_loom))]
#![allow(clippy::unwrap_used)]

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use gaggle_singleflight::Flights;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// `callers` tasks for each of `keys` keys; no load ends before every caller has joined. Checks
/// the answers; returns how many loads ran.
async fn herd(keys: usize, callers: usize) -> usize {
    let flights: Flights<Bytes, Bytes> = Flights::new();
    let loads = Arc::new(AtomicUsize::new(0));
    let joined = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new(Semaphore::new(0));
    let value = |key: usize| Bytes::from(format!("value of {key}"));

    let mut tasks = JoinSet::new();
    for caller in 0..keys * callers {
        let key = caller % keys;
        let (flights, loads) = (flights.clone(), loads.clone());
        let (joined, gate) = (joined.clone(), gate.clone());
        tasks.spawn(async move {
            let waiter = flights.join(key.to_be_bytes().as_slice(), |_| {
                let (loads, gate) = (loads.clone(), gate.clone());
                async move {
                    loads.fetch_add(1, Ordering::Relaxed);
                    gate.acquire().await.unwrap().forget();
                    value(key)
                }
            });
            if joined.fetch_add(1, Ordering::Relaxed) + 1 == keys * callers {
                gate.add_permits(keys);
            }
            assert_eq!(waiter.await.unwrap(), value(key));
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    assert!(flights.is_empty());
    loads.load(Ordering::Relaxed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_thousand_callers_of_one_key_are_one_load() {
    assert_eq!(herd(1, 100_000).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_keys_are_a_thousand_loads() {
    assert_eq!(herd(1000, 100).await, 1000);
}

/// Callers that join, are cancelled and join again while loads end: no slot stays, no waiter
/// sleeps forever.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_in_motion_leaves_nothing_behind() {
    let flights: Flights<u8, u64> = Flights::new();
    let mut tasks = JoinSet::new();
    for seed in 0..2000_u64 {
        let flights = flights.clone();
        tasks.spawn(async move {
            for round in 0..20 {
                let key = u8::try_from((seed + round) % 3).unwrap();
                let waiter = flights.join(&key, |_| async move {
                    tokio::task::yield_now().await;
                    if (seed + round) % 7 == 0 {
                        // A panic without its lines on stderr.
                        resume_unwind(Box::new("broken"));
                    }
                    u64::from(key)
                });
                if (seed ^ round) % 2 == 0 {
                    tokio::select! {
                        biased;
                        answer = waiter => assert!(answer.is_err() || answer == Ok(u64::from(key))),
                        () = tokio::task::yield_now() => {}
                    }
                } else if let Ok(value) = waiter.await {
                    assert_eq!(value, u64::from(key));
                }
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    // Loads whose callers have all been dropped end by themselves, within a turn or two.
    for _ in 0..1_000_000 {
        if flights.is_empty() {
            return;
        }
        tokio::task::yield_now().await;
    }
    assert!(flights.is_empty());
}

#[tokio::test]
async fn keys_may_be_borrowed_in_the_ways_of_their_type() {
    let by_bytes: Flights<Bytes, u8> = Flights::new();
    let slice = by_bytes.join(b"Tom".as_slice(), |_| async { 1 });
    let shared = by_bytes.join(&Bytes::from_static(b"Tom"), |_| async { 2 });
    assert!(!shared.led());
    assert_eq!((slice.await, shared.await), (Ok(1), Ok(1)));

    let by_box: Flights<Box<[u8]>, u8> = Flights::new();
    assert_eq!(by_box.join(b"Tom".as_slice(), |_| async { 1 }).await, Ok(1));
    let by_string: Flights<String, u8> = Flights::new();
    assert_eq!(by_string.join("Tom", |_| async { 1 }).await, Ok(1));
    let by_number: Flights<u64, u8> = Flights::new();
    assert_eq!(by_number.join(&7, |_| async { 1 }).await, Ok(1));
    assert!(by_bytes.is_empty() && by_box.is_empty() && by_string.is_empty());
    assert!(by_number.is_empty());
}
