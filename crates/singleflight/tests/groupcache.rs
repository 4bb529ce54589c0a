//! The tests of earlier implementations: `singleflight_test.go` of golang/groupcache and GeeCache,
//! and `TestForget` of golang.org/x/sync.

#![cfg(not(gaggle_loom))]
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gaggle_singleflight::Flights;
use tokio::sync::oneshot;

/// TestDo
#[tokio::test]
async fn a_load_gives_its_value() {
    let flights: Flights<String, &str> = Flights::new();
    let waiter = flights.join("key", |_| async { "bar" });
    assert!(waiter.led());
    assert_eq!(waiter.await, Ok("bar"));
    assert!(flights.is_empty());
}

/// TestDoErr
#[tokio::test]
async fn a_load_gives_its_error() {
    let flights: Flights<String, Result<&str, &str>> = Flights::new();
    let answer = flights.join("key", |_| async { Err("some error") }).await;
    assert_eq!(answer, Ok(Err("some error")));
    assert!(flights.is_empty());

    // An error is an answer to the waiters and is not remembered: the next call loads.
    let answer = flights.join("key", |_| async { Ok("bar") }).await;
    assert_eq!(answer, Ok(Ok("bar")));
    assert!(flights.is_empty());
}

/// TestDoDupSuppress
#[tokio::test]
async fn ten_callers_are_one_load() {
    let flights: Flights<String, String> = Flights::new();
    let loads = Arc::new(AtomicUsize::new(0));
    let (send, receive) = oneshot::channel::<String>();
    let mut receive = Some(receive);

    let waiters: Vec<_> = (0..10)
        .map(|_| {
            flights.join("key", |_| {
                let (loads, receive) = (loads.clone(), receive.take());
                async move {
                    loads.fetch_add(1, Ordering::Relaxed);
                    receive.unwrap().await.unwrap()
                }
            })
        })
        .collect();
    assert_eq!(waiters.iter().filter(|waiter| waiter.led()).count(), 1);
    assert_eq!(flights.len(), 1);

    send.send("bar".to_owned()).unwrap();
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap(), "bar");
    }
    assert_eq!(loads.load(Ordering::Relaxed), 1);
    assert!(flights.is_empty());
}

/// TestForget
#[tokio::test]
async fn a_forgotten_flight_answers_its_own_and_nobody_else() {
    let flights: Flights<String, u8> = Flights::new();
    let (finish_first, first) = oneshot::channel();
    let (finish_second, second) = oneshot::channel();

    let old = flights.join("key", |_| async { first.await.unwrap() });
    assert!(flights.forget("key"));
    assert!(!flights.forget("key"));
    assert!(flights.is_empty());

    let new = flights.join("key", |_| async { second.await.unwrap() });
    assert!(new.led());

    // The old flight ends while the new one has the slot, and leaves it alone.
    finish_first.send(1).unwrap();
    assert_eq!(old.await, Ok(1));
    let joined = flights.join("key", |_| async { 3 });
    assert!(!joined.led());

    finish_second.send(2).unwrap();
    assert_eq!(new.await, Ok(2));
    assert_eq!(joined.await, Ok(2));
    assert!(flights.is_empty());
}

/// The same for all keys at once
#[tokio::test]
async fn flights_all_forgotten_answer_their_own_and_nobody_else() {
    let flights: Flights<String, usize> = Flights::new();
    let keys: Vec<String> = (0..200).map(|n| format!("key-{n}")).collect();
    let lead = |n: usize, finish: oneshot::Receiver<usize>| {
        flights.join(keys[n].as_str(), |ticket| async move {
            let value = finish.await.unwrap();
            ticket.if_current(|| value).unwrap_or(1000 + value)
        })
    };
    let (finish, old): (Vec<_>, Vec<_>) = (0..200)
        .map(|n| {
            let (finish, finished) = oneshot::channel();
            (finish, lead(n, finished))
        })
        .unzip();
    assert_eq!((flights.forget_all(), flights.len()), (200, 0));
    assert_eq!(flights.forget_all(), 0);

    let (finish_new, finished) = oneshot::channel();
    let new = lead(7, finished);
    assert!(new.led());

    // The old flights end, and know that they are not current.
    for (n, finish) in finish.into_iter().enumerate() {
        finish.send(n).unwrap();
    }
    for (n, old) in old.into_iter().enumerate() {
        assert_eq!(old.await, Ok(1000 + n));
    }
    assert_eq!(flights.len(), 1);
    finish_new.send(7).unwrap();
    assert_eq!(new.await, Ok(7));
    assert!(flights.is_empty());
}
