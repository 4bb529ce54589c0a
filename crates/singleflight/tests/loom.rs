//! Every interleaving of a few callers and one key, under loom:
//!
//! ```text
//! RUSTFLAGS="--cfg gaggle_loom" cargo test -p gaggle-singleflight --release --test loom
//! ```
//!
//! A lost wake-up is a deadlock to loom, and a leaked flight a leak; it reports both. Loads run
//! where they are started, or on a thread of their own where the model is about that.

#![cfg(gaggle_loom)]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::future::{Future, poll_fn, ready};
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use gaggle_singleflight::{FlightError, Flights, Options, Ticket, Waiter};
use loom::future::block_on;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

fn flights(abandon_after: Option<Duration>) -> Arc<Flights<u8, usize>> {
    Arc::new(Flights::with_options(Options {
        abandon_after,
        shards: 1,
    }))
}

fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
}

/// Runs a task where it is started.
fn here(task: Task) {
    block_on(task);
}

/// Runs a task on a thread of its own.
fn apart(task: Task) {
    thread::spawn(|| block_on(task));
}

/// Pending once, as a load that waits for its origin.
async fn turn() {
    let mut polled = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Joins with a load that numbers itself.
fn numbered(
    flights: &Flights<u8, usize>,
    run: fn(Task),
    loads: &Arc<AtomicUsize>,
) -> Waiter<usize> {
    flights.join_modelled(run, &1, |_| {
        let loads = loads.clone();
        async move {
            turn().await;
            loads.fetch_add(1, Ordering::Relaxed) + 1
        }
    })
}

#[test]
fn two_joiners_share_one_load_or_load_in_turn() {
    model(3, || {
        let (flights, loads) = (flights(None), Arc::new(AtomicUsize::new(0)));
        let other = {
            let (flights, loads) = (flights.clone(), loads.clone());
            thread::spawn(move || {
                let waiter = numbered(&flights, here, &loads);
                (waiter.led(), block_on(waiter).unwrap())
            })
        };
        let waiter = numbered(&flights, here, &loads);
        let own = (waiter.led(), block_on(waiter).unwrap());
        let other = other.join().unwrap();

        let leaders = usize::from(own.0) + usize::from(other.0);
        assert_eq!(loads.load(Ordering::Relaxed), leaders);
        assert_eq!(own.1 == other.1, leaders == 1, "one load, one value");
        assert!(flights.is_empty());
    });
}

#[test]
fn two_waiters_of_a_load_apart_are_both_woken() {
    model(2, || {
        let (flights, loads) = (flights(None), Arc::new(AtomicUsize::new(0)));
        let waiter = numbered(&flights, apart, &loads);
        let other = {
            let (flights, loads) = (flights.clone(), loads.clone());
            thread::spawn(move || block_on(numbered(&flights, here, &loads)).unwrap())
        };
        assert_eq!(block_on(waiter), Ok(1));
        let second = other.join().unwrap();
        assert_eq!(second, loads.load(Ordering::Relaxed));
        assert!(flights.is_empty());
    });
}

#[test]
fn a_waiter_may_leave_at_any_moment() {
    model(3, || {
        let (flights, loads) = (flights(None), Arc::new(AtomicUsize::new(0)));
        let staying = numbered(&flights, apart, &loads);
        let leaving = numbered(&flights, here, &loads);
        let leaver = thread::spawn(move || {
            // Registers, then goes, while the load ends.
            let number = if leaving.led() { 2 } else { 1 };
            let polled = pin!(leaving).poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending() || polled == Poll::Ready(Ok(number)));
        });
        assert_eq!(block_on(staying), Ok(1));
        leaver.join().unwrap();
        assert!(flights.is_empty());
    });
}

#[test]
fn a_removed_value_never_stays_in_the_cache() {
    model(4, || {
        let flights = flights(None);
        let cache = Arc::new(Mutex::new(None));
        let remover = {
            let (flights, cache) = (flights.clone(), cache.clone());
            thread::spawn(move || {
                let found = flights.forget(&1);
                // Its value falls here; what a load has read before may not be seen after.
                *cache.lock().unwrap() = None;
                found
            })
        };
        let load = |ticket: Ticket<u8, usize>| {
            let cache = cache.clone();
            async move {
                turn().await;
                usize::from(
                    ticket
                        .if_current(|| *cache.lock().unwrap() = Some(1))
                        .is_some(),
                )
            }
        };
        let waiter = flights.join_modelled(here, &1, load);
        let committed = block_on(waiter).unwrap() == 1;
        let forgotten = remover.join().unwrap();

        let left = cache.lock().unwrap().is_some();
        assert!(
            !(forgotten && left),
            "the removal met the load, and its value came back"
        );
        assert!(
            committed || forgotten,
            "only a removal keeps a load from its commit"
        );
        assert!(flights.is_empty());
    });
}

#[test]
fn a_forgotten_flight_leaves_a_newer_one_alone() {
    model(3, || {
        let (flights, loads) = (flights(None), Arc::new(AtomicUsize::new(0)));
        let old = numbered(&flights, apart, &loads);
        flights.forget(&1);
        let new = numbered(&flights, apart, &loads);
        let joined = numbered(&flights, here, &loads);
        let led = joined.led();
        let (new, joined) = (block_on(new).unwrap(), block_on(joined).unwrap());
        if led {
            assert!(
                new < joined,
                "the newer flight lost its slot before its load was done"
            );
        } else {
            assert_eq!(new, joined);
        }
        assert_ne!(block_on(old).unwrap(), new);
        assert!(flights.is_empty());
    });
}

#[test]
fn a_panic_reaches_who_joined_and_spares_who_comes_after() {
    model(3, || {
        let flights = flights(None);
        let joiner = {
            let flights = flights.clone();
            thread::spawn(move || {
                let waiter = flights.join_modelled(here, &1, |_| ready(2));
                (waiter.led(), block_on(waiter))
            })
        };
        // Unwinds as `panic!` does, without a line on stderr for each interleaving.
        let leader = flights.join_modelled(here, &1, |_| async {
            turn().await;
            resume_unwind(Box::new("broken"))
        });
        let led = leader.led();
        let broken = Err(FlightError::Panicked {
            message: "broken".into(),
        });
        assert_eq!(block_on(leader), if led { broken.clone() } else { Ok(2) });
        let (other_led, other) = joiner.join().unwrap();
        assert_eq!(other, if other_led { Ok(2) } else { broken });
        assert!(flights.is_empty());
    });
}

#[test]
fn a_task_that_is_dropped_frees_its_slot() {
    model(3, || {
        let flights = flights(None);
        let joiner = {
            let flights = flights.clone();
            thread::spawn(move || {
                let waiter = flights.join_modelled(here, &1, |_| ready(2));
                (waiter.led(), block_on(waiter))
            })
        };
        let leader = flights.join_modelled(drop, &1, |_| ready(1));
        if leader.led() {
            assert_eq!(block_on(leader), Err(FlightError::Cancelled));
        } else {
            assert_eq!(block_on(leader), Ok(2));
        }
        let (led, answer) = joiner.join().unwrap();
        assert_eq!(
            answer,
            if led {
                Ok(2)
            } else {
                Err(FlightError::Cancelled)
            }
        );
        assert!(flights.is_empty());
    });
}

/// The grace is over as soon as the task looks: the last waiter leaves, the task gives up, and a
/// caller joins, in every order. Whoever joins gets a value.
#[test]
fn a_joiner_is_never_abandoned() {
    model(3, || {
        let flights = flights(Some(Duration::ZERO));
        let loads = Arc::new(AtomicUsize::new(0));
        let first = numbered(&flights, apart, &loads);
        let joiner = {
            let (flights, loads) = (flights.clone(), loads.clone());
            thread::spawn(move || block_on(numbered(&flights, here, &loads)))
        };
        drop(first);
        let number = joiner.join().unwrap().unwrap();
        assert!(number == 1 || number == 2);
        // The first load may still be on its way out.
        while !flights.is_empty() {
            thread::yield_now();
        }
    });
}

/// A load that never ends by itself is ended by the last waiter's leaving: no wake-up of the task is
/// lost, or the model would find its thread asleep for ever.
#[test]
fn the_last_of_two_waiters_ends_the_load() {
    model(3, || {
        let flights = flights(Some(Duration::ZERO));
        let endless = || flights.join_modelled(apart, &1, |_| std::future::pending());
        let (first, second) = (endless(), endless());
        let other = thread::spawn(move || drop(first));
        drop(second);
        other.join().unwrap();
        while !flights.is_empty() {
            thread::yield_now();
        }
    });
}
