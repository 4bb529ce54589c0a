//! The handle: gives slots to callers and refusals to the rest.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::acquire::{Acquire, Wanted};
use crate::breaker::Change;
use crate::state::{Effects, Outcome, Slot, State};
use crate::waiter::Entry;
use crate::{Limit, Options, Permit, Refused, Stats};

/// Bounds how much work runs at the same time, which callers wait, and when work is not worth
/// starting. A cheap clone is another handle to the same limit. The crate's documentation has the
/// rules.
#[derive(Clone)]
pub struct Limiter {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    /// No user code is called, dropped or woken under this lock.
    state: Mutex<State<Entry>>,
    name: String,
}

impl Limiter {
    /// A limiter without work.
    pub fn new(options: Options) -> Self {
        let state = State::new(&options, fastrand::Rng::new(), Instant::now());
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                name: options.name,
            }),
        }
    }

    /// Waits for a slot: resolves to a [`Permit`] to run work, or to the reason for the refusal,
    /// after [`Options::max_wait`] at the latest. Nothing happens before the first poll. If it is
    /// dropped, it leaves the queue.
    ///
    /// `wanted` returns whether the work is still wanted. It is called when the work is about to
    /// start after a wait, and when others need its place; never under a lock.
    ///
    /// Needs a Tokio runtime with its timer if a caller has to wait.
    pub fn acquire<W: Wanted>(&self, wanted: W) -> Acquire<W> {
        Acquire::new(Arc::clone(&self.shared), wanted)
    }

    /// Changes how much runs at the same time; see [`set_options`](Self::set_options).
    pub fn set_limit(&self, limit: Limit) {
        self.change(|state, now, effects| state.set_limit(now, limit, effects));
    }

    /// Makes the limiter use `options` from now on, except for their name, which stays. The
    /// counters continue.
    ///
    /// - A higher limit starts waiting work immediately. Under a lower one, running work
    ///   continues, and nothing starts until less than the limit runs. With [`Limit::Auto`] before
    ///   and after, the limit that was found stays, within the new bound.
    /// - A caller that already waits keeps the `max_wait` under which it arrived. Callers that
    ///   could no longer be started within the new `max_wait`, the newest first, are refused
    ///   immediately.
    /// - `grace` applies to work that is cancelled from now on.
    /// - An existing breaker keeps its state; if it is removed, all work is started.
    pub fn set_options(&self, options: &Options) {
        let random = fastrand::Rng::new();
        self.change(|state, now, effects| state.set_options(now, options, random, effects));
    }

    fn change(&self, change: impl FnOnce(&mut State<Entry>, Instant, &mut Effects<Entry>)) {
        let mut effects = Effects::default();
        let now = Instant::now();
        change(&mut self.shared.state(), now, &mut effects);
        self.shared.apply(effects);
        self.shared.dispatch();
    }

    /// What the limiter does now, and has done. Takes its lock briefly.
    pub fn stats(&self) -> Stats {
        let now = Instant::now();
        self.shared.state().stats(now)
    }
}

impl Shared {
    /// Nothing panics halfway through a change of the state.
    pub(crate) fn state(&self) -> MutexGuard<'_, State<Entry>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out the effects of a change of the state, outside of its lock.
    pub(crate) fn apply(&self, effects: Effects<Entry>) {
        for (entry, refused) in effects.refused {
            entry.refuse(refused);
        }
        if let Some(change) = effects.change {
            self.log(change);
        }
    }

    fn log(&self, change: Change) {
        match change {
            Change::Opened { length, why } => tracing::warn!(
                limiter = self.name,
                for_ms = length.as_millis(),
                "breaker opened: {}",
                why.as_str()
            ),
            Change::Closed => tracing::info!(limiter = self.name, "breaker closed"),
        }
    }

    /// Starts waiting work, as long as there is room.
    pub(crate) fn dispatch(self: &Arc<Self>) {
        loop {
            let now = Instant::now();
            // The lock ends with this statement.
            let next = self.state().next(now);
            let Some((entry, slot)) = next else {
                return;
            };
            self.offer(entry, slot);
        }
    }

    fn offer(self: &Arc<Self>, entry: Entry, slot: Slot) {
        let permit = Permit::new(Arc::clone(self), slot);
        if !entry.is_wanted() {
            permit.free_only();
            self.state().count_unwanted();
            entry.refuse(Refused::Unwanted);
        } else if let Err(permit) = entry.start(permit) {
            // The waiter left meanwhile; the loop in `dispatch` continues with the next.
            permit.free_only();
        }
    }

    /// Frees a slot, and starts waiting work.
    pub(crate) fn release(self: &Arc<Self>, slot: &Slot, given_up: bool, outcome: Outcome) {
        if self.free(slot, given_up, outcome) {
            self.dispatch();
        }
    }

    /// Frees a slot, and returns whether a caller waits.
    pub(crate) fn free(&self, slot: &Slot, given_up: bool, outcome: Outcome) -> bool {
        let mut effects = Effects::default();
        let now = Instant::now();
        let waits = {
            let mut state = self.state();
            state.release(now, slot, given_up, outcome, &mut effects);
            state.has_queue()
        };
        self.apply(effects);
        waits
    }

    pub(crate) fn give_up(&self, slot: &Slot, late: bool) {
        let mut effects = Effects::default();
        let now = Instant::now();
        self.state().give_up(now, slot, late, &mut effects);
        self.apply(effects);
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter")
            .field("name", &self.shared.name)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
