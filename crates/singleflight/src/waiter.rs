//! A caller's end of a flight.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::FlightError;
use crate::flight::Flight;
use crate::sync::Arc;
use crate::wakers::Place;

/// One caller's wait for a flight; resolves to a clone of the load's value.
///
/// Dropping it leaves the flight and affects no other waiter, so a deadline is
/// `tokio::time::timeout(limit, waiter)`. Polled again after its answer, it returns the answer
/// again. It needs no runtime: any executor can poll it.
#[must_use = "the load runs without it, but its value is only seen by awaiting"]
pub struct Waiter<V> {
    flight: Arc<Flight<V>>,
    place: Option<Place>,
    led: bool,
    /// Whether this waiter may have to poll the load.
    polls: bool,
}

impl<V> Waiter<V> {
    /// Takes ownership of one count of the flight's waiters.
    pub(crate) fn new(flight: Arc<Flight<V>>, led: bool, polls: bool) -> Self {
        Self {
            flight,
            place: None,
            led,
            polls,
        }
    }

    pub(crate) fn flight(&self) -> &Flight<V> {
        &self.flight
    }

    /// Whether this call started the load (`true`) or joined a running one (`false`).
    pub fn led(&self) -> bool {
        self.led
    }

    /// The tag that the load has set by [`Ticket::set_tag`](crate::Ticket::set_tag); 0 before
    /// that.
    #[must_use]
    pub fn tag(&self) -> u64 {
        self.flight.tag()
    }
}

impl<V: Clone> Future for Waiter<V> {
    type Output = Result<V, FlightError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.polls {
            this.polls = this.flight.poll_led(cx);
            if this.polls {
                return Poll::Pending;
            }
        }
        if this.flight.outcome().is_none() && this.flight.register(&mut this.place, cx.waker()) {
            return Poll::Pending;
        }
        let Some(outcome) = this.flight.outcome() else {
            return Poll::Pending;
        };
        // No lock is held: a clone that panics fails only this waiter.
        Poll::Ready(
            catch_unwind(AssertUnwindSafe(|| outcome.clone()))
                .unwrap_or_else(|payload| Err(FlightError::panicked(&*payload))),
        )
    }
}

impl<V> Drop for Waiter<V> {
    fn drop(&mut self) {
        if self.polls {
            self.flight.leave_load();
        }
        self.flight.leave(self.place);
    }
}

impl<V> fmt::Debug for Waiter<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter")
            .field("led", &self.led)
            .field("ready", &self.flight.outcome().is_some())
            .finish()
    }
}

#[cfg(all(test, not(gaggle_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_waiter_is_three_words() {
        assert_eq!(size_of::<Waiter<[u8; 100]>>(), 3 * size_of::<usize>());
    }
}
