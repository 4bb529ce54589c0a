//! The wait for a slot.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::limiter::Shared;
use crate::queue::Taken;
use crate::state::{Arrived, Effects};
use crate::waiter::{Entry, Waiter};
use crate::{Permit, Refused};

/// At most this many of the oldest waiters are asked for their place by one new caller.
const MOST_ASKED: usize = 4;

/// Reports whether work is still wanted: any such closure.
pub trait Wanted: Fn() -> bool + Send + 'static {}

impl<W: Fn() -> bool + Send + 'static> Wanted for W {}

/// The wait for a slot, from [`Limiter::acquire`](crate::Limiter::acquire).
#[must_use = "nothing happens unless it is polled"]
pub struct Acquire<W> {
    shared: Arc<Shared>,
    step: Step<W>,
}

enum Step<W> {
    Comes(W),
    Waits {
        id: u64,
        waiter: Arc<Waiter>,
        timer: Pin<Box<Sleep>>,
    },
    Over,
}

// What it holds is never pinned in place.
impl<W> Unpin for Acquire<W> {}

impl<W: Wanted> Acquire<W> {
    pub(crate) fn new(shared: Arc<Shared>, wanted: W) -> Self {
        Self {
            shared,
            step: Step::Comes(wanted),
        }
    }

    /// Starts or is refused; `None` if it waits from now on.
    fn arrive(&mut self, wanted: W) -> Option<Result<Permit, Refused>> {
        let now = Instant::now();
        let (mut wanted, mut waiter) = (Some(wanted), None);
        let mut effects = Effects::default();
        let mut arrived = {
            let make = || Entry::new(wanted.take(), waiter.insert(Arc::default()));
            self.shared.state().arrive(now, make, &mut effects)
        };
        if let Arrived::Full { newcomer, oldest } = arrived {
            arrived = self.make_room(now, newcomer, oldest, &mut effects);
            // A slot may have become free while the oldest was out of the queue.
            self.shared.dispatch();
        }
        self.shared.apply(effects);
        match arrived {
            Arrived::Started(slot) => Some(Ok(Permit::new(Arc::clone(&self.shared), slot))),
            Arrived::Refused(refused) => Some(Err(refused)),
            Arrived::Queued(id) => {
                let max_wait = self.shared.state().max_wait();
                self.step = Step::Waits {
                    id,
                    waiter: waiter?,
                    timer: Box::pin(sleep_until(now + max_wait)),
                };
                // While a breaker closes, or a limit grows, there can be room for a caller that
                // was about to wait.
                self.shared.dispatch();
                None
            }
            Arrived::Full { .. } => None,
        }
    }

    /// The new caller takes the place of the oldest, if that one's work is no longer wanted.
    fn make_room(
        &self,
        now: Instant,
        mut newcomer: Entry,
        mut oldest: Taken<Entry>,
        effects: &mut Effects<Entry>,
    ) -> Arrived<Entry> {
        for _ in 0..MOST_ASKED {
            if oldest.item().is_wanted() {
                break;
            }
            let unwanted = oldest.into_item();
            let arrived = {
                let mut state = self.shared.state();
                state.count_unwanted();
                state.enqueue(now, newcomer, effects)
            };
            unwanted.refuse(Refused::Unwanted);
            // Other callers arrived meanwhile.
            let Arrived::Full {
                newcomer: again,
                oldest: next,
            } = arrived
            else {
                return arrived;
            };
            (newcomer, oldest) = (again, next);
        }
        Arrived::Refused(self.shared.state().keep_oldest(oldest))
    }

    /// The answer that arrived before this waiter left the queue, or the refusal of one that has
    /// waited too long.
    fn expire(&self, id: u64, waiter: &Waiter) -> Result<Permit, Refused> {
        // Both are taken out of the lock before they are dropped.
        let entry = self.shared.state().leave(id);
        drop(entry);
        waiter
            .close()
            .unwrap_or_else(|| Err(self.shared.state().waited_too_long()))
    }
}

impl<W: Wanted> Future for Acquire<W> {
    type Output = Result<Permit, Refused>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Step::Comes(_) = this.step
            && let Step::Comes(wanted) = std::mem::replace(&mut this.step, Step::Over)
            && let Some(result) = this.arrive(wanted)
        {
            return Poll::Ready(result);
        }
        let Step::Waits { id, waiter, timer } = &mut this.step else {
            return Poll::Pending;
        };
        let result = match waiter.poll(cx.waker()) {
            Poll::Ready(result) => result,
            Poll::Pending if timer.as_mut().poll(cx).is_pending() => return Poll::Pending,
            Poll::Pending => {
                let (id, waiter) = (*id, Arc::clone(waiter));
                this.expire(id, &waiter)
            }
        };
        this.step = Step::Over;
        Poll::Ready(result)
    }
}

impl<W> Drop for Acquire<W> {
    fn drop(&mut self) {
        if let Step::Waits { id, waiter, .. } = &self.step {
            let entry = self.shared.state().leave(*id);
            drop(entry);
            // A permit that was not taken frees its slot when it is dropped.
            drop(waiter.close());
        }
    }
}

impl<W> fmt::Debug for Acquire<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire")
            .field("waits", &matches!(self.step, Step::Waits { .. }))
            .finish_non_exhaustive()
    }
}
