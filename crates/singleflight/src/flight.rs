//! One load and those who wait for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

use crate::FlightError;
use crate::sync::{Arc, AtomicBool, Mutex, lock};
use crate::wakers::{Place, Wakers};

pub(crate) type Outcome<V> = Result<V, FlightError>;

/// What the task that loads, the waiters, the tickets and the table share of one load.
pub(crate) struct Flight<V> {
    /// Set once, under `state`'s lock: a waiter that finds it empty under that lock may leave its
    /// waker and sleep. Read without the lock, so that a crowd does not queue for its answer.
    ///
    /// Always std's, also in a model: `set` is called under a modelled lock and `get` never blocks.
    outcome: OnceLock<Outcome<V>>,
    /// Whether the table holds this flight under its key. Read and written under the lock of the
    /// table's shard only, which gives it its order.
    pub(crate) current: AtomicBool,
    /// Whether anyone asks how many wait. Where nobody does, joining takes no lock of the flight's.
    counted: bool,
    /// What the load says of itself to those who join; 0 is nothing.
    ///
    /// Always std's, also in a model: nothing is decided by it here.
    tag: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    wakers: Wakers,
    /// Waiters alive, if counted.
    waiting: usize,
    /// How often the last waiter has left; names the lull in which the flight is now.
    lulls: u64,
    /// Wakes the load's task when the last waiter leaves, if counted.
    driver: Option<Waker>,
}

/// A time without waiters, between the last one's leaving and the next one's joining.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lull(u64);

impl<V> Flight<V> {
    /// A flight with one waiter, its leader.
    pub(crate) fn new(counted: bool) -> Arc<Self> {
        Arc::new(Self {
            outcome: OnceLock::new(),
            current: AtomicBool::new(true),
            counted,
            tag: AtomicU64::new(0),
            state: Mutex::new(State {
                waiting: 1,
                ..State::default()
            }),
        })
    }

    pub(crate) fn outcome(&self) -> Option<&Outcome<V>> {
        self.outcome.get()
    }

    pub(crate) fn tag(&self) -> u64 {
        self.tag.load(Ordering::Relaxed)
    }

    pub(crate) fn set_tag(&self, tag: u64) {
        self.tag.store(tag, Ordering::Relaxed);
    }

    /// Counts one more waiter. The caller holds the lock of the shard in which it found the
    /// flight, so that [`is_in`](Self::is_in) cannot become untrue between finding and joining.
    pub(crate) fn join(&self) {
        if self.counted {
            lock(&self.state).waiting += 1;
        }
    }

    /// Leaves `waker` to be woken by [`publish`](Self::publish); false if that has happened.
    pub(crate) fn register(&self, place: &mut Option<Place>, waker: &Waker) -> bool {
        let replaced = {
            let mut state = lock(&self.state);
            if self.outcome.get().is_some() {
                return false;
            }
            if let Some(place) = *place {
                state.wakers.update(place, waker)
            } else {
                *place = Some(state.wakers.insert(waker.clone()));
                None
            }
        };
        drop(replaced);
        true
    }

    /// One waiter goes away, with or without its answer.
    pub(crate) fn leave(&self, place: Option<Place>) {
        if self.outcome.get().is_some() || (place.is_none() && !self.counted) {
            return;
        }
        let (own, driver) = {
            let mut state = lock(&self.state);
            if self.outcome.get().is_some() {
                return;
            }
            let own = place.and_then(|place| state.wakers.remove(place));
            let mut driver = None;
            if self.counted {
                state.waiting -= 1;
                if state.waiting == 0 {
                    state.lulls += 1;
                    driver = state.driver.take();
                }
            }
            (own, driver)
        };
        drop(own);
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// The lull the flight is in, if it is in one. `driver` is woken when the next one begins.
    pub(crate) fn lull(&self, driver: &Waker) -> Option<Lull> {
        let mut state = lock(&self.state);
        let replaced = match &mut state.driver {
            Some(current) if current.will_wake(driver) => None,
            current => current.replace(driver.clone()),
        };
        let lull = (state.waiting == 0).then_some(Lull(state.lulls));
        drop(state);
        drop(replaced);
        lull
    }

    /// The lull in which the flight is now; none while anyone waits, or where waiters are not
    /// counted.
    pub(crate) fn lull_now(&self) -> Option<Lull> {
        if !self.counted {
            return None;
        }
        let state = lock(&self.state);
        (state.waiting == 0).then_some(Lull(state.lulls))
    }

    /// Whether the flight is still in that lull. Stays true for as long as the caller holds the
    /// lock of the flight's shard.
    pub(crate) fn is_in(&self, lull: Lull) -> bool {
        let state = lock(&self.state);
        state.waiting == 0 && state.lulls == lull.0
    }

    /// Gives every waiter its answer, once. The lock is held to take the wakers out, not to wake:
    /// a hundred thousand woken waiters would otherwise meet at it.
    pub(crate) fn publish(&self, outcome: Outcome<V>) {
        let (wakers, driver) = {
            let mut state = lock(&self.state);
            let refused = self.outcome.set(outcome);
            debug_assert!(refused.is_ok(), "a flight ends once");
            (std::mem::take(&mut state.wakers), state.driver.take())
        };
        drop(driver);
        for waker in wakers.into_iter() {
            // Someone else's waker that panics must not keep the next one asleep.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}
