//! Loads that their leaders poll: who holds the load, in every order of polls, joins and dropped
//! waiters.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use gaggle_singleflight::{FlightError, Flights, Waiter};
use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::{apart, flights, here, model, turn};

/// Joins with a load that numbers itself and that its leader has to poll. If it has to be a task,
/// it becomes a thread.
fn led(flights: &Flights<u8, usize>, loads: &Arc<AtomicUsize>) -> Waiter<usize> {
    flights.join_polling_modelled(apart, &1, |_| {
        let loads = loads.clone();
        async move {
            turn().await;
            loads.fetch_add(1, Ordering::Relaxed) + 1
        }
    })
}

fn poll_once(waiter: &mut Waiter<usize>) -> Poll<Result<usize, FlightError>> {
    pin!(waiter).poll(&mut Context::from_waker(Waker::noop()))
}

/// The load is taken over before, between and during the leader's polls, and the leader is woken
/// in each case.
#[test]
fn a_leader_and_one_who_joins_are_both_woken() {
    model(3, || {
        let (flights, loads) = (flights(None), Arc::new(AtomicUsize::new(0)));
        let other = {
            let (flights, loads) = (flights.clone(), loads.clone());
            thread::spawn(move || {
                let waiter = led(&flights, &loads);
                (waiter.led(), block_on(waiter).unwrap())
            })
        };
        let waiter = led(&flights, &loads);
        let own = (waiter.led(), block_on(waiter).unwrap());
        let other = other.join().unwrap();
        let leaders = usize::from(own.0) + usize::from(other.0);
        // The latest value: the model does not know in what order the outcome's cell puts the two.
        assert_eq!(loads.fetch_add(0, Ordering::Relaxed), leaders);
        assert_eq!(own.1 == other.1, leaders == 1, "one load, one value");
        assert!(flights.is_empty());
    });
}

/// A caller that joins gets a value, even if the leader is dropped, polled or not.
#[test]
fn a_leader_may_leave_at_any_moment() {
    for polls in [0, 1] {
        model(3, move || {
            let (flights, loads) = (flights(None), Arc::new(AtomicUsize::new(0)));
            let mut leader = led(&flights, &loads);
            let other = {
                let (flights, loads) = (flights.clone(), loads.clone());
                thread::spawn(move || {
                    let waiter = flights.join_modelled(here, &1, |_| {
                        let loads = loads.clone();
                        async move { loads.fetch_add(1, Ordering::Relaxed) + 1 }
                    });
                    (waiter.led(), block_on(waiter).unwrap())
                })
            };
            for _ in 0..polls {
                assert!(poll_once(&mut leader).is_pending() || flights.is_empty());
            }
            drop(leader);
            let (led, number) = other.join().unwrap();
            assert_eq!(number, if led { 2 } else { 1 });
            while !flights.is_empty() {
                thread::yield_now();
            }
        });
    }
}

/// The watch takes the load over while its leader polls it, or ends it.
#[test]
fn a_leader_meets_the_watch() {
    model(3, || {
        let (flights, loads) = (flights(None), Arc::new(AtomicUsize::new(0)));
        let watch = {
            let flights = flights.clone();
            thread::spawn(move || {
                flights.hand_over_idle();
                flights.hand_over_idle();
            })
        };
        assert_eq!(block_on(led(&flights, &loads)), Ok(1));
        watch.join().unwrap();
        assert!(flights.is_empty());
    });
}

/// A load that is no longer polled is taken over by the second round from then on at the latest.
#[test]
fn an_idle_leader_meets_the_watch() {
    model(3, || {
        let (flights, loads) = (flights(None), Arc::new(AtomicUsize::new(0)));
        let mut leader = led(&flights, &loads);
        let watch = {
            let flights = flights.clone();
            thread::spawn(move || {
                flights.hand_over_idle();
                flights.hand_over_idle();
            })
        };
        let polled = poll_once(&mut leader);
        assert!(polled.is_pending() || polled == Poll::Ready(Ok(1)));
        watch.join().unwrap();
        // Both rounds may have happened while it was polled.
        flights.hand_over_idle();
        assert_eq!(flights.hand_over_idle(), 0, "left to its leader");
        assert_eq!(block_on(leader), Ok(1));
    });
}

/// A removal detaches the flight while its leader polls it, is dropped, or ends it.
#[test]
fn a_forgotten_load_still_answers_its_leader() {
    model(3, || {
        let (flights, loads) = (flights(None), Arc::new(AtomicUsize::new(0)));
        let leader = led(&flights, &loads);
        let remover = {
            let flights = flights.clone();
            thread::spawn(move || flights.forget(&1))
        };
        assert_eq!(block_on(leader), Ok(1));
        remover.join().unwrap();
        assert!(flights.is_empty());
    });
}
