//! Loads that their leaders poll, and when they become tasks.

#![cfg(not(gaggle_loom))]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use gaggle_singleflight::{FlightError, Flights, Options, Waiter};
use tokio::sync::oneshot;
use tokio::task::{id, try_id, yield_now};
use tokio::time::{sleep, timeout};

/// Longer than a load stays with a leader that does not poll it.
const IDLE: Duration = Duration::from_millis(25);

type Scores = Flights<String, u32>;

fn poll_once<V: Clone>(waiter: &mut Waiter<V>) -> Poll<Result<V, FlightError>> {
    pin!(waiter).poll(&mut Context::from_waker(Waker::noop()))
}

fn panicked(message: &str) -> FlightError {
    FlightError::Panicked {
        message: message.into(),
    }
}

/// A load that waits for the sender's message.
fn told(flights: &Scores) -> (Waiter<u32>, oneshot::Sender<u32>) {
    let (send, receive) = oneshot::channel();
    let waiter = flights.join_polling("Tom", |_| async { receive.await.unwrap() });
    assert!(waiter.led());
    (waiter, send)
}

#[tokio::test]
async fn a_load_is_polled_on_the_task_of_its_leader() {
    let flights = Scores::new();
    let own = tokio::spawn(async move {
        let load = flights.join_polling("Tom", |_| async {
            yield_now().await;
            u32::from(try_id().is_some())
        });
        assert_eq!(flights.len(), 1);
        assert_eq!(load.await, Ok(1));
        assert!(flights.is_empty());

        let ids: Flights<String, Option<tokio::task::Id>> = Flights::new();
        let polled = ids.join_polling("Tom", |_| async { try_id() }).await;
        assert_eq!(polled, Ok(Some(id())));
        let spawned = ids.join("Tom", |_| async { try_id() }).await;
        assert_ne!(spawned, Ok(Some(id())));
    });
    own.await.unwrap();
}

#[tokio::test]
async fn a_load_that_is_ready_ends_with_the_first_poll() {
    let flights = Scores::new();
    let mut waiter = flights.join_polling("Tom", |_| async { 630 });
    assert_eq!(poll_once(&mut waiter), Poll::Ready(Ok(630)));
    assert!(flights.is_empty());
    assert_eq!(poll_once(&mut waiter), Poll::Ready(Ok(630)), "again");
}

#[tokio::test]
async fn the_leader_goes_and_the_load_goes_on() {
    let flights = Scores::new();
    // Polled or not.
    for polls in [0, 1, 3] {
        let (mut leader, send) = told(&flights);
        for _ in 0..polls {
            assert!(poll_once(&mut leader).is_pending());
        }
        drop(leader);
        let late = flights.join_polling("Tom", |_| async { 0 });
        assert!(!late.led(), "{polls} polls");
        yield_now().await;
        send.send(630).unwrap();
        assert_eq!(late.await, Ok(630));
        assert!(flights.is_empty());
    }
}

#[tokio::test]
async fn a_leader_with_a_deadline_leaves_and_the_load_ends_without_it() {
    let flights = Scores::new();
    let done = Arc::new(AtomicBool::new(false));
    let flag = done.clone();
    let leader = flights.join_polling("Tom", |_| async move {
        sleep(Duration::from_millis(50)).await;
        flag.store(true, Ordering::Relaxed);
        630
    });
    assert!(timeout(Duration::from_millis(1), leader).await.is_err());
    while !flights.is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
    assert!(done.load(Ordering::Relaxed));
}

/// The leader no longer polls once another caller waits, who would wait for the leader otherwise.
#[tokio::test(start_paused = true)]
async fn who_joins_does_not_depend_on_the_leader() {
    let flights = Scores::new();
    let (mut leader, send) = told(&flights);
    assert!(poll_once(&mut leader).is_pending());
    let other = flights.join("Tom", |_| async { 0 });
    assert!(!other.led());
    send.send(630).unwrap();
    // Before the watch would have noticed.
    assert_eq!(timeout(Duration::from_millis(1), other).await, Ok(Ok(630)));
    assert_eq!(leader.await, Ok(630));
}

/// The load has kept its leader's waker: the task that takes it over wakes the leader.
#[tokio::test]
async fn a_leader_whose_load_was_taken_over_is_woken() {
    let flights = Scores::new();
    let (leader, send) = told(&flights);
    let leader = tokio::spawn(leader);
    yield_now().await;
    let other = flights.join_polling("Tom", |_| async { 0 });
    yield_now().await;
    send.send(630).unwrap();
    assert_eq!(leader.await.unwrap(), Ok(630));
    assert_eq!(other.await, Ok(630));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_its_leader_does_not_poll_becomes_a_task() {
    let flights = Scores::new();
    for polls in [0, 1] {
        let ended = Arc::new(AtomicBool::new(false));
        let flag = ended.clone();
        let mut idle = flights.join_polling("Tom", |_| async move {
            yield_now().await;
            flag.store(true, Ordering::Relaxed);
            630
        });
        for _ in 0..polls {
            assert!(poll_once(&mut idle).is_pending());
        }
        yield_now().await;
        assert!(!ended.load(Ordering::Relaxed), "{polls} polls");
        sleep(IDLE).await;
        assert!(ended.load(Ordering::Relaxed), "{polls} polls");
        assert_eq!(idle.await, Ok(630));
    }
}

/// A waiter that is never dropped, let alone polled.
#[tokio::test(start_paused = true)]
async fn a_leaked_leader_leaves_no_slot_behind() {
    let flights = Scores::new();
    std::mem::forget(flights.join_polling("Tom", |_| async { 630 }));
    sleep(IDLE).await;
    assert!(flights.is_empty());
    // The watch has ended meanwhile; the next load has one of its own.
    sleep(4 * IDLE).await;
    std::mem::forget(flights.join_polling("Tom", |_| async { 630 }));
    sleep(IDLE).await;
    assert!(flights.is_empty());
}

/// No longer in the table, where the watch would find it.
#[tokio::test(start_paused = true)]
async fn a_forgotten_load_becomes_a_task() {
    type Forget = fn(&Scores) -> bool;
    let forgets: [Forget; 2] = [
        |flights| flights.forget("Tom"),
        |flights| flights.forget_all() == 1,
    ];
    for forget in forgets {
        let flights = Scores::new();
        let ended = Arc::new(AtomicBool::new(false));
        let flag = ended.clone();
        let mut idle = flights.join_polling("Tom", |_| async move {
            yield_now().await;
            flag.store(true, Ordering::Relaxed);
            630
        });
        assert!(poll_once(&mut idle).is_pending());
        assert!(forget(&flights));
        let newer = flights.join_polling("Tom", |_| async { 631 });
        assert!(newer.led());
        yield_now().await;
        yield_now().await;
        assert!(ended.load(Ordering::Relaxed));
        assert_eq!((idle.await, newer.await), (Ok(630), Ok(631)));
    }
}

#[tokio::test]
async fn a_panic_frees_the_slot_at_the_first_poll_and_later() {
    let flights = Scores::new();
    for polls in 0..3 {
        let mut leader = flights.join_polling("Tom", |_| async move {
            for _ in 0..polls {
                yield_now().await;
            }
            panic!("no such table")
        });
        for _ in 0..polls {
            assert!(poll_once(&mut leader).is_pending());
        }
        assert_eq!(leader.await, Err(panicked("no such table")));
        assert!(flights.is_empty());
    }
    // After it has become a task.
    let leader = flights.join_polling("Tom", |_| async {
        yield_now().await;
        panic!("no such table")
    });
    let other = flights.join("Tom", |_| async { 0 });
    assert_eq!(other.await, Err(panicked("no such table")));
    assert_eq!(leader.await, Err(panicked("no such table")));
    assert_eq!(flights.join_polling("Tom", |_| async { 1 }).await, Ok(1));
}

/// A panic of a load's drop reaches neither the other waiters nor the leader.
#[tokio::test]
async fn a_load_that_cannot_be_dropped_spares_its_leader() {
    struct Fragile;
    impl Drop for Fragile {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let flights = Scores::new();
    let mut fragile = Some(Fragile);
    let leader = flights.join_polling("Tom", |_| {
        let fragile = fragile.take();
        poll_fn(move |_| {
            assert!(fragile.is_some());
            Poll::Ready(630)
        })
    });
    assert_eq!(leader.await, Ok(630));
    assert!(flights.is_empty());
}

/// A load that joins its own key waits for itself; it must not block its thread, nor prevent
/// others from leaving.
#[tokio::test(start_paused = true)]
async fn a_load_that_joins_itself_blocks_nobody() {
    let flights = Scores::new();
    let inner = flights.clone();
    let leader = flights.join_polling("Tom", |_| async move {
        let own = inner.join_polling("Tom", |_| async { 0 });
        assert!(!own.led());
        let own = timeout(Duration::from_millis(1), own).await;
        u32::from(own.is_ok())
    });
    assert_eq!(leader.await, Ok(0));
    assert!(flights.is_empty());
}

#[tokio::test]
async fn a_load_may_lead_another() {
    let flights = Scores::new();
    let inner = flights.clone();
    let outer = flights.join_polling("Tom", |_| async move {
        let other = inner.join_polling("Kesa", |_| async {
            yield_now().await;
            42
        });
        other.await.unwrap() + 1
    });
    assert_eq!(outer.await, Ok(43));
    assert!(flights.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_load_without_waiters_ends_after_its_grace() {
    const GRACE: Duration = Duration::from_millis(100);
    let flights: Scores = Flights::with_options(Options {
        abandon_after: Some(GRACE),
        ..Options::default()
    });
    for polls in [0, 1] {
        let mut leader = flights.join_polling("Tom", |_| pending());
        for _ in 0..polls {
            assert!(poll_once(&mut leader).is_pending());
        }
        sleep(3 * GRACE).await;
        assert_eq!(flights.len(), 1, "its leader keeps it");
        drop(leader);
        sleep(2 * GRACE).await;
        assert!(flights.is_empty());
    }
}

#[tokio::test]
async fn a_load_can_tell_that_its_leader_is_gone() {
    let flights: Scores = Flights::with_options(Options {
        count_waiters: true,
        ..Options::default()
    });
    let begin = || {
        flights.join_polling("Tom", |ticket| async move {
            yield_now().await;
            u32::from(ticket.give_up())
        })
    };
    assert_eq!(begin().await, Ok(0));
    let mut leader = begin();
    assert!(poll_once(&mut leader).is_pending());
    drop(leader);
    while !flights.is_empty() {
        yield_now().await;
    }
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_slot() {
    let flights = Scores::new();
    let mut waiter = flights.join_polling("Tom", |_| async { 630 });
    assert_eq!(
        poll_once(&mut waiter),
        Poll::Ready(Err(FlightError::NoRuntime))
    );
    assert!(flights.is_empty());
}

#[test]
fn a_runtime_that_shuts_down_cancels_its_loads_and_its_watch() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
    };
    let flights = Scores::new();
    let first = runtime();
    let within = first.enter();
    let leader = flights.join_polling("Tom", |_| pending());
    drop(within);
    drop(first);
    drop(leader);
    assert!(flights.is_empty());
    runtime().block_on(async {
        std::mem::forget(flights.join_polling("Tom", |_| async { 630 }));
        sleep(2 * IDLE).await;
    });
    assert!(flights.is_empty(), "watched by the second runtime");
}

/// Leaders that leave, stay, and stop polling, on several threads: each load ends, and no key
/// stays taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn leaders_in_motion_leave_nothing_behind() {
    let flights = Scores::new();
    let loads = Arc::new(AtomicUsize::new(0));
    let ended = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..200_u64)
        .map(|caller| {
            let (flights, loads, ended) = (flights.clone(), loads.clone(), ended.clone());
            tokio::spawn(async move {
                for turn in 0..50_u64 {
                    let key = ((caller + turn) % 7).to_string();
                    let (loads, ended) = (loads.clone(), ended.clone());
                    let mut waiter = flights.join_polling(key.as_str(), |_| async move {
                        loads.fetch_add(1, Ordering::Relaxed);
                        for _ in 0..turn % 3 {
                            yield_now().await;
                        }
                        ended.fetch_add(1, Ordering::Relaxed);
                        630
                    });
                    match (caller + turn) % 4 {
                        0 => drop(waiter),
                        1 => {
                            let _ = poll_once(&mut waiter);
                        }
                        _ => assert_eq!(waiter.await, Ok(630)),
                    }
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    while !flights.is_empty() {
        yield_now().await;
    }
    assert_eq!(loads.load(Ordering::Relaxed), ended.load(Ordering::Relaxed));
}
