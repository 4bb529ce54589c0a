//! Loads without waiters, on paused time.

#![cfg(not(gaggle_loom))]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gaggle_singleflight::{FlightError, Flights, Options, Waiter};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

const GRACE: Duration = Duration::from_millis(100);
const MOMENT: Duration = Duration::from_millis(2);

fn impatient() -> Flights<String, u32> {
    Flights::with_options(Options {
        abandon_after: Some(GRACE),
        ..Options::default()
    })
}

/// Starts a load that runs until it is dropped; the flag shows when.
fn endless(flights: &Flights<String, u32>) -> (Waiter<u32>, Arc<AtomicBool>) {
    struct Flag(Arc<AtomicBool>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = Flag(dropped.clone());
    let waiter = flights.join("Tom", |_| async move {
        let _flag = flag;
        pending().await
    });
    assert!(waiter.led());
    (waiter, dropped)
}

#[tokio::test(start_paused = true)]
async fn a_load_without_waiters_ends_after_the_grace() {
    let flights = impatient();
    let (waiter, dropped) = endless(&flights);
    assert!(
        timeout(10 * GRACE, waiter).await.is_err(),
        "a waiter keeps it alive"
    );
    assert_eq!(flights.len(), 1);

    sleep(GRACE - MOMENT).await;
    assert!(!dropped.load(Ordering::Relaxed));
    sleep(2 * MOMENT).await;
    assert!(dropped.load(Ordering::Relaxed));
    assert!(flights.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_never_awaited_counts_as_gone() {
    let flights = impatient();
    let (waiter, dropped) = endless(&flights);
    drop(waiter);
    sleep(GRACE + MOMENT).await;
    assert!(dropped.load(Ordering::Relaxed));
    assert!(flights.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_join_within_the_grace_keeps_the_load() {
    let flights = impatient();
    let (send, receive) = oneshot::channel();
    let first = flights.join("Tom", |_| async { receive.await.unwrap() });
    assert!(timeout(MOMENT, first).await.is_err());

    sleep(GRACE / 2).await;
    let second = flights.join("Tom", |_| async { 0 });
    assert!(!second.led());
    let third = flights.join("Tom", |_| async { 0 });
    drop(third);
    // Long past the end of the first grace.
    sleep(10 * GRACE).await;
    send.send(630).unwrap();
    assert_eq!(second.await, Ok(630));
    assert!(flights.is_empty());
}

#[tokio::test(start_paused = true)]
async fn each_leave_restarts_the_grace() {
    let flights = impatient();
    let (first, dropped) = endless(&flights);
    drop(first);
    // A caller joins and leaves within each grace period.
    for _ in 0..10 {
        sleep(GRACE - 2 * MOMENT).await;
        let passing = flights.join("Tom", |_| async { 0 });
        assert!(!passing.led());
        drop(passing);
    }
    sleep(GRACE - MOMENT).await;
    assert!(!dropped.load(Ordering::Relaxed));
    sleep(2 * MOMENT).await;
    assert!(dropped.load(Ordering::Relaxed));
    assert!(flights.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_load_commits_nothing() {
    let flights = impatient();
    let (tell, told) = oneshot::channel();
    let waiter = flights.join("Tom", |ticket| async move {
        tell.send(ticket).unwrap();
        pending().await
    });
    let ticket = told.await.unwrap();
    assert_eq!(ticket.if_current(|| 1), Some(1));
    drop(waiter);
    sleep(GRACE + MOMENT).await;
    assert_eq!(ticket.if_current(|| 1), None);
    assert!(flights.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_load_is_abandoned_as_well() {
    let flights = impatient();
    let (waiter, dropped) = endless(&flights);
    assert!(flights.forget("Tom"));
    let (newer, newer_dropped) = endless(&flights);
    drop(waiter);
    sleep(GRACE + MOMENT).await;
    assert!(dropped.load(Ordering::Relaxed));
    assert!(!newer_dropped.load(Ordering::Relaxed));
    assert_eq!(flights.len(), 1, "the newer flight keeps its slot");
    drop(newer);
    sleep(GRACE + MOMENT).await;
    assert!(flights.is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_the_option_a_load_runs_to_its_end() {
    let flights: Flights<String, u32> = Flights::new();
    let (done, is_done) = oneshot::channel();
    drop(flights.join("Tom", |_| async {
        sleep(100 * GRACE).await;
        done.send(()).unwrap();
        630
    }));
    is_done.await.unwrap();
    tokio::task::yield_now().await;
    assert!(flights.is_empty());
}

/// The grace needs a timer; a runtime without one must not leave a slot behind.
#[test]
fn a_runtime_without_a_timer_ends_the_load_as_panicked() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let flights = impatient();
    runtime.block_on(async {
        let (waiter, dropped) = endless(&flights);
        drop(waiter);
        tokio::task::yield_now().await;
        assert!(dropped.load(Ordering::Relaxed));
        let next = flights.join("Tom", |_| async { panic!("no table") }).await;
        assert!(matches!(next, Err(FlightError::Panicked { .. })));
    });
    assert!(flights.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_load_can_tell_that_nobody_waits_and_give_up() {
    let flights: Flights<String, u32> = Flights::with_options(Options {
        count_waiters: true,
        ..Options::default()
    });
    let begin = |answer: u32| {
        flights.join("Tom", move |ticket| async move {
            sleep(MOMENT).await;
            if ticket.give_up() { 0 } else { answer }
        })
    };
    assert_eq!(begin(1).await, Ok(1), "its waiter keeps it");
    drop(begin(2));
    let joined = begin(3);
    assert!(!joined.led());
    assert_eq!(joined.await, Ok(2), "so does one who joined");
    drop(begin(4));
    sleep(2 * MOMENT).await;
    assert!(flights.is_empty());
    let next = begin(5);
    assert!(next.led());
    assert_eq!(next.await, Ok(5));
}
