//! Loads that panic, callers that are dropped, runtimes that shut down.

#![cfg(not(gaggle_loom))]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use gaggle_singleflight::{FlightError, Flights, Ticket, Waiter};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::time::timeout;

fn panicked(message: &str) -> FlightError {
    FlightError::Panicked {
        message: message.into(),
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

#[tokio::test]
async fn the_leader_vanishes_and_the_others_get_the_value() {
    let flights: Flights<String, u32> = Flights::new();
    let (send, receive) = oneshot::channel();

    let leader = {
        let flights = flights.clone();
        tokio::spawn(async move {
            let waiter = flights.join("Tom", |_| async { receive.await.unwrap() });
            assert!(waiter.led());
            waiter.await
        })
    };
    // One turn of this single-threaded runtime: the leader waits now.
    tokio::task::yield_now().await;
    assert_eq!(flights.len(), 1);
    let other = flights.join("Tom", |_| async { 0 });
    assert!(!other.led());

    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    let late = flights.join("Tom", |_| async { 0 });
    assert!(!late.led(), "the load goes on");

    send.send(630).unwrap();
    assert_eq!(other.await, Ok(630));
    assert_eq!(late.await, Ok(630));
    assert!(flights.is_empty());
}

#[tokio::test(start_paused = true)]
async fn each_waiter_has_its_own_deadline() {
    let flights: Flights<String, u32> = Flights::new();
    let loads = Arc::new(AtomicUsize::new(0));
    let join = || {
        flights.join("Tom", |_| {
            let loads = loads.clone();
            async move {
                loads.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(150)).await;
                630
            }
        })
    };
    let patient = tokio::spawn(join());
    // Twenty callers with a limit below the load's time, one after the other.
    for _ in 0..20 {
        assert!(timeout(Duration::from_millis(5), join()).await.is_err());
    }
    assert_eq!(
        timeout(Duration::from_millis(100), join()).await.unwrap(),
        Ok(630)
    );
    assert_eq!(patient.await.unwrap(), Ok(630));
    assert_eq!(loads.load(Ordering::Relaxed), 1);
    assert!(flights.is_empty());
}

async fn assert_panics_free_the_slot(load: impl Fn(&Flights<String, u32>) -> Waiter<u32>) {
    let flights: Flights<String, u32> = Flights::new();
    let leader = load(&flights);
    if !flights.is_empty() {
        let other = flights.join("Tom", |_| async { 1 });
        assert!(!other.led());
        assert_eq!(other.await, Err(panicked("no such table")));
    }
    assert_eq!(leader.await, Err(panicked("no such table")));
    assert_eq!(flights.join("Tom", |_| async { 630 }).await, Ok(630));
    assert!(flights.is_empty());
}

#[tokio::test]
async fn a_panic_in_the_load_reaches_every_waiter_and_frees_the_slot() {
    assert_panics_free_the_slot(|flights| {
        flights.join("Tom", |_| async {
            tokio::task::yield_now().await;
            panic!("no such table")
        })
    })
    .await;
}

#[tokio::test]
async fn a_panic_in_the_closure_is_a_panic_of_the_load() {
    fn broken(_: Ticket<String, u32>) -> std::future::Ready<u32> {
        panic!("no such table")
    }
    assert_panics_free_the_slot(|flights| {
        let waiter = flights.join("Tom", broken);
        assert!(flights.is_empty());
        waiter
    })
    .await;
}

#[tokio::test]
async fn a_panic_in_if_current_is_a_panic_of_the_load() {
    assert_panics_free_the_slot(|flights| {
        flights.join("Tom", |ticket| async move {
            ticket
                .if_current(|| panic!("no such {}", "table"))
                .unwrap_or(0)
        })
    })
    .await;
}

/// A value whose clone panics, and whose drop panics if it is set to.
struct Fragile {
    drop: bool,
}

impl Clone for Fragile {
    fn clone(&self) -> Self {
        panic!("not to be copied")
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        assert!(!self.drop, "not to be dropped");
    }
}

#[tokio::test]
async fn a_value_that_cannot_be_cloned_fails_its_waiters_alone() {
    let flights: Flights<String, Fragile> = Flights::new();
    let waiters = [(); 2].map(|()| flights.join("Tom", |_| async { Fragile { drop: false } }));
    for waiter in waiters {
        assert_eq!(waiter.await.err(), Some(panicked("not to be copied")));
    }
    assert!(flights.is_empty());
}

#[tokio::test]
async fn a_value_that_cannot_be_dropped_leaves_no_slot_behind() {
    let flights: Flights<String, Fragile> = Flights::new();
    drop(flights.join("Tom", |_| async { Fragile { drop: true } }));
    // The task drops the value, since it is the only holder; the runtime catches that.
    tokio::task::yield_now().await;
    assert!(flights.is_empty());
    let answer = flights
        .join("Tom", |_| async { Fragile { drop: false } })
        .await;
    assert_eq!(answer.err(), Some(panicked("not to be copied")));
}

#[test]
fn a_runtime_that_shuts_down_cancels_its_loads() {
    let flights: Flights<String, u32> = Flights::new();
    let first = runtime();
    let (polled, unpolled) = {
        let _in = first.enter();
        let polled = flights.join("Tom", |_| pending());
        first.block_on(tokio::task::yield_now());
        (polled, flights.join("Jack", |_| pending()))
    };
    assert_eq!(flights.len(), 2);

    drop(first);
    assert!(flights.is_empty());
    runtime().block_on(async {
        assert_eq!(polled.await, Err(FlightError::Cancelled));
        assert_eq!(unpolled.await, Err(FlightError::Cancelled));
        assert_eq!(flights.join("Tom", |_| async { 630 }).await, Ok(630));
    });
    assert!(flights.is_empty());
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_slot() {
    let flights: Flights<String, u32> = Flights::new();
    let waiter = flights.join("Tom", |_| async { 630 });
    assert!(flights.is_empty());
    runtime().block_on(async {
        assert_eq!(waiter.await, Err(FlightError::NoRuntime));
        assert_eq!(flights.join("Tom", |_| async { 630 }).await, Ok(630));
    });
    assert!(flights.is_empty());
}

#[test]
fn a_waiter_is_served_from_another_runtime() {
    let flights: Flights<String, u32> = Flights::new();
    let (send, receive) = oneshot::channel();
    let (loading, waiting) = (runtime(), runtime());
    let waiter = {
        let _in = loading.enter();
        flights.join("Tom", |_| async { receive.await.unwrap() })
    };
    let waiter = waiting.spawn(waiter);
    waiting.block_on(tokio::task::yield_now());
    send.send(630).unwrap();
    loading.block_on(tokio::task::yield_now());
    assert_eq!(waiting.block_on(waiter).unwrap(), Ok(630));
    assert!(flights.is_empty());
}

#[tokio::test]
async fn an_answered_waiter_answers_again() {
    let flights: Flights<String, u32> = Flights::new();
    let mut waiter = flights.join("Tom", |_| async { 630 });
    assert_eq!((&mut waiter).await, Ok(630));
    assert_eq!(flights.join("Tom", |_| async { 1 }).await, Ok(1));
    assert_eq!(waiter.await, Ok(630));
    assert!(flights.is_empty());
}

/// A waker that does nothing; its reference count shows who keeps it.
struct Idle;

impl Wake for Idle {
    fn wake(self: Arc<Self>) {}
}

#[tokio::test]
async fn a_waiter_that_leaves_takes_its_waker_along() {
    let flights: Flights<String, u32> = Flights::new();
    let (send, receive) = oneshot::channel();
    let staying = flights.join("Tom", |_| async { receive.await.unwrap() });

    let idle = Arc::new(Idle);
    let waker = Waker::from(idle.clone());
    let mut passing = flights.join("Tom", |_| async { 0 });
    assert!(
        Pin::new(&mut passing)
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    assert_eq!(Arc::strong_count(&idle), 3);
    drop(passing);
    assert_eq!(Arc::strong_count(&idle), 2);

    send.send(630).unwrap();
    assert_eq!(staying.await, Ok(630));
    assert!(flights.is_empty());
}

#[tokio::test]
async fn a_waiter_that_changes_hands_wakes_its_last_owner() {
    let flights: Flights<String, u32> = Flights::new();
    let (send, receive) = oneshot::channel();
    let mut waiter = flights.join("Tom", |_| async { receive.await.unwrap() });
    assert!(
        Pin::new(&mut waiter)
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );

    let owner = tokio::spawn(waiter);
    tokio::task::yield_now().await;
    send.send(630).unwrap();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(owner.is_finished());
    assert_eq!(owner.await.unwrap(), Ok(630));
    assert!(flights.is_empty());
}
