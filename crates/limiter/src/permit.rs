//! A slot, and the work that runs in it.

mod running;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use self::running::Running;
use crate::Late;
use crate::limiter::Shared;
use crate::options::LONGEST;
use crate::state::{Outcome, Slot};

/// A slot that is taken. It is free again once this is dropped, or its work has ended.
#[must_use = "the slot is free again once this is dropped"]
pub struct Permit {
    shared: Arc<Shared>,
    slot: Slot,
    /// Its work was cancelled.
    given_up: bool,
    /// `None` once the slot is free.
    outcome: Option<Outcome>,
}

impl Permit {
    pub(crate) fn new(shared: Arc<Shared>, slot: Slot) -> Self {
        Self {
            shared,
            slot,
            given_up: false,
            outcome: Some(Outcome::Unknown),
        }
    }

    /// Runs the work and waits for it for `deadline`. `failed` returns whether an output counts as
    /// a failure of the backend, which opens the breaker if failures last.
    ///
    /// Cancelled work still counts, as the backend may still be busy with it: when the deadline
    /// passes, or this future is dropped, the rest of the work continues as a task with this
    /// permit. The task ends with the work, or is dropped after
    /// [`Options::grace`](crate::Options::grace), so that connections are closed and the backend
    /// can be assumed to have finished. An output that late is discarded. If the runtime has shut
    /// down, the work is dropped immediately. A panic of the work frees the slot, counts as a
    /// failure and propagates to the caller.
    ///
    /// Needs a Tokio runtime with its timer, unless the work is ready at once.
    ///
    /// # Errors
    ///
    /// [`Late`] if the work did not end in time.
    pub async fn run<F>(
        self,
        deadline: Duration,
        work: F,
        failed: impl Fn(&F::Output) -> bool + Send + 'static,
    ) -> Result<F::Output, Late>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let mut running = Running::new(self, Box::pin(work), failed);
        let mut timer: Option<Pin<Box<Sleep>>> = None;
        let output = poll_fn(|cx| {
            if let Poll::Ready(output) = running.poll(cx) {
                return Poll::Ready(Some(output));
            }
            // Work that is ready at once needs neither a timer nor the time of day.
            let timer = timer.get_or_insert_with(|| {
                let due = Instant::now() + deadline.min(LONGEST);
                running.set_due(due);
                Box::pin(sleep_until(due))
            });
            timer.as_mut().poll(cx).map(|()| None)
        })
        .await;
        output.ok_or_else(|| {
            running.give_up(true);
            Late { deadline }
        })
    }

    /// This many pieces of work that waited for slots of their own are worked on in this one: they
    /// count as started, and their [`Acquire`](crate::Acquire)s have to be dropped. At most
    /// [`Options::per_slot`](crate::Options::per_slot), including this one.
    pub fn take_along(&self, others: usize) {
        self.shared.state().take_along(others);
    }

    fn grace(&self) -> Duration {
        self.shared.state().grace()
    }

    /// From now on no caller waits for the work.
    fn give_up(&mut self, late: bool) {
        self.given_up = true;
        if late {
            self.set_outcome(Outcome::Counted);
        }
        self.shared.give_up(&self.slot, late);
    }

    /// Sets the outcome that the breaker gets when the slot is free.
    fn set_outcome(&mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }

    /// Frees the slot and starts no other work: for callers that do that themselves.
    pub(crate) fn free_only(mut self) {
        if let Some(outcome) = self.outcome.take() {
            // The caller finds out whether another one waits.
            let _waits = self.shared.free(&self.slot, self.given_up, outcome);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.take() {
            self.shared.release(&self.slot, self.given_up, outcome);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("probe", &self.slot.probe)
            .finish_non_exhaustive()
    }
}
