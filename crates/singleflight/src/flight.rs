//! One load and its waiters.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool as StdAtomicBool, AtomicU64, Ordering};
use std::task::{Context, Waker};

use crate::FlightError;
use crate::drive::{Drive, Held};
use crate::sync::{Arc, AtomicBool, Mutex, lock};
use crate::wakers::{Place, Wakers};

pub(crate) type Outcome<V> = Result<V, FlightError>;

/// The state of one load that the task, the waiters, the tickets and the table share.
pub(crate) struct Flight<V> {
    /// Set once, under `state`'s lock: a waiter that finds it empty under that lock may leave its
    /// waker and sleep. Read without the lock, so that many waiters do not queue for the answer.
    ///
    /// Always std's, also in a model: `set` is called under a modelled lock and `get` never
    /// blocks.
    outcome: OnceLock<Outcome<V>>,
    /// Whether the table holds this flight under its key. Read and written under the lock of the
    /// table's shard only, which gives it its order.
    pub(crate) current: AtomicBool,
    /// Whether the number of waiters is needed. Otherwise joining takes no lock of the flight.
    counted: bool,
    /// A number that the load publishes to its waiters; 0 means none.
    ///
    /// Always std's, also in a model: no decision depends on it here.
    tag: AtomicU64,
    /// Whether the leader may still have to poll the load. Never true again once it is false.
    ///
    /// Always std's, also in a model: a reader of an old value checks again under the lock.
    led: StdAtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    wakers: Wakers,
    /// The number of live waiters, if counted.
    waiting: usize,
    /// How often the last waiter has left; identifies the current idle period.
    idles: u64,
    /// Wakes the load's task when the last waiter leaves, if counted.
    driver: Option<Waker>,
    drive: Drive,
}

/// The options of a flight.
#[derive(Clone, Copy, Default)]
pub(crate) struct Kind {
    /// Waiters are counted.
    pub(crate) counted: bool,
    /// The leader polls the load.
    pub(crate) led: bool,
}

/// An idle period: the time without waiters, from the last one's leaving to the next one's
/// joining.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Idle(u64);

impl<V> Flight<V> {
    /// A flight with one waiter, its leader, which holds the load if it has to poll it.
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
    /// flight, so that [`is_in`](Self::is_in) cannot become false between finding and joining.
    pub(crate) fn join(&self) {
        if self.counted {
            lock(&self.state).waiting += 1;
        }
    }

    /// Polls the load on behalf of its leader, if the leader has to poll it. True if the load has
    /// not ended and is still the leader's; false if it has ended or become a task.
    pub(crate) fn poll_led(&self, cx: &mut Context<'_>) -> bool {
        let held = lock(&self.state).drive.take();
        let Some(mut held) = held else {
            return false;
        };
        // The load catches its own panics. Its drop may panic, too, and must not unwind into the
        // leader or the other waiters.
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

    /// Stores the load for its leader's next poll. False if it has become a task instead, because
    /// one was requested meanwhile.
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

    /// Makes the load a task, if it is not one: now, or as soon as its leader has polled it. The
    /// leader is woken, to wait like the others.
    pub(crate) fn hand_over(&self) {
        if let Some(mut held) = self.want_task() {
            let leader = held.leader.take();
            held.spawn();
            if let Some(leader) = leader {
                leader.wake();
            }
        }
    }

    /// The leader is dropped: its load becomes a task.
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

    /// Records that the load was seen waiting for its leader. `None` if it is a task or has ended;
    /// otherwise whether it had been seen before, and not been polled since.
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

    /// Registers `waker` to be woken by [`publish`](Self::publish); false if that has happened.
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

    /// One waiter leaves, with or without its answer.
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
                    state.idles += 1;
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

    /// The current idle period, if there is one. `driver` is woken when the next one begins.
    pub(crate) fn idle(&self, driver: &Waker) -> Option<Idle> {
        let mut state = lock(&self.state);
        let replaced = match &mut state.driver {
            Some(current) if current.will_wake(driver) => None,
            current => current.replace(driver.clone()),
        };
        let idle = (state.waiting == 0).then_some(Idle(state.idles));
        drop(state);
        drop(replaced);
        idle
    }

    /// The current idle period; `None` while a caller waits, or if waiters are not counted.
    pub(crate) fn idle_now(&self) -> Option<Idle> {
        if !self.counted {
            return None;
        }
        let state = lock(&self.state);
        (state.waiting == 0).then_some(Idle(state.idles))
    }

    /// Whether the flight is still in that idle period. Stays true while the caller holds the lock
    /// of the flight's shard.
    pub(crate) fn is_in(&self, idle: Idle) -> bool {
        let state = lock(&self.state);
        state.waiting == 0 && state.idles == idle.0
    }

    /// Gives every waiter its answer, once. The lock is held to take the wakers out, but not to
    /// wake them: a hundred thousand woken waiters would otherwise contend for it.
    pub(crate) fn publish(&self, outcome: Outcome<V>) {
        let (wakers, driver) = {
            let mut state = lock(&self.state);
            let refused = self.outcome.set(outcome);
            debug_assert!(refused.is_ok(), "a flight ends once");
            // The caller that ends the flight holds the load.
            state.drive = Drive::Task;
            self.led.store(false, Ordering::Relaxed);
            (std::mem::take(&mut state.wakers), state.driver.take())
        };
        drop(driver);
        for waker in wakers.into_iter() {
            // A waker that panics must not prevent the next one from being woken.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}
