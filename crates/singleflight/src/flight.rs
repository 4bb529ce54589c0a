//! One load and those who wait for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool as StdAtomicBool, AtomicU64, Ordering};
use std::task::{Context, Waker};

use crate::FlightError;
use crate::drive::{Drive, Held};
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
    /// Whether the load may still be its leader's to poll. Never true again once it is false.
    ///
    /// Always std's, also in a model: whoever reads an old value looks under the lock.
    led: StdAtomicBool,
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
    drive: Drive,
}

/// What a flight is made for.
#[derive(Clone, Copy, Default)]
pub(crate) struct Kind {
    /// Waiters are counted.
    pub(crate) counted: bool,
    /// The leader polls the load.
    pub(crate) led: bool,
}

/// A time without waiters, between the last one's leaving and the next one's joining.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lull(u64);

impl<V> Flight<V> {
    /// A flight with one waiter, its leader, in whose hands the load is if it is to poll it.
    pub(crate) fn new(Kind { counted, led }: Kind) -> Arc<Self> {
        Arc::new(Self {
            outcome: OnceLock::new(),
            current: AtomicBool::new(true),
            counted,
            tag: AtomicU64::new(0),
            led: StdAtomicBool::new(led),
            state: Mutex::new(State {
                waiting: 1,
                drive: if led { Drive::Out } else { Drive::Task },
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

    /// Polls the load for its leader, if it is the leader's to poll. True if it goes on, and is still the leader's; false
    /// if it is over, or a task by now.
    pub(crate) fn poll_led(&self, cx: &mut Context<'_>) -> bool {
        let held = lock(&self.state).drive.take();
        let Some(mut held) = held else {
            return false;
        };
        // The load catches its own panics; its drop may panic, too, and has to spare the leader as it spares the others.
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let polled = held.load.as_mut().poll(cx);
            polled.is_pending().then_some(held)
        }));
        let Ok(Some(mut held)) = polled else {
            return false;
        };
        if !held
            .leader
            .as_ref()
            .is_some_and(|known| known.will_wake(cx.waker()))
        {
            held.leader = Some(cx.waker().clone());
        }
        held.seen = false;
        self.put_load(held)
    }

    /// Puts the load where its leader finds it. False if it has become a task instead, as somebody wanted that meanwhile.
    pub(crate) fn put_load(&self, held: Held) -> bool {
        let wanted = lock(&self.state).drive.put(held);
        match wanted {
            None => true,
            Some(held) => {
                held.spawn();
                false
            }
        }
    }

    /// Has the load become a task, if it is not one: now, or as soon as its leader has polled it. The leader is woken, to
    /// wait like the others.
    pub(crate) fn hand_over(&self) {
        if let Some(mut held) = self.want_task() {
            let leader = held.leader.take();
            held.spawn();
            if let Some(leader) = leader {
                leader.wake();
            }
        }
    }

    /// The leader goes away: its load becomes a task.
    pub(crate) fn leave_load(&self) {
        if let Some(held) = self.want_task() {
            held.spawn();
        }
    }

    fn want_task(&self) -> Option<Held> {
        if !self.led.load(Ordering::Relaxed) {
            return None;
        }
        let mut state = lock(&self.state);
        self.led.store(false, Ordering::Relaxed);
        state.drive.want()
    }

    /// Notes that the load was seen waiting for its leader. `None` where it is a task or over; otherwise whether it had
    /// been seen before, and not been polled since.
    pub(crate) fn see_led(&self) -> Option<bool> {
        if !self.led.load(Ordering::Relaxed) {
            return None;
        }
        match &mut lock(&self.state).drive {
            Drive::Held(held) => Some(std::mem::replace(&mut held.seen, true)),
            Drive::Out => Some(false),
            Drive::Task | Drive::Wanted => None,
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
            // Whoever ends the flight has the load in hand.
            state.drive = Drive::Task;
            self.led.store(false, Ordering::Relaxed);
            (std::mem::take(&mut state.wakers), state.driver.take())
        };
        drop(driver);
        for waker in wakers.into_iter() {
            // Someone else's waker that panics must not keep the next one asleep.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}
