//! The load of a flight as a future: polls it, catches its panic, abandons it when it has no
//! waiters.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::FlightError;
use crate::flight::Idle;
use crate::lead::Lead;
use crate::sync::{Sleep, sleep};

pin_project! {
    /// Resolves when the flight has ended.
    pub(crate) struct Task<K, V, F> {
        // Before `load`: a task that is dropped frees its slot before it drops the load, whose
        // drop may be slow or panic. `None` before the load begins, and after its end.
        lead: Option<Lead<K, V>>,
        #[pin]
        load: F,
        grace: Option<Grace>,
    }
}

/// The wait between the last waiter's leaving and the load's end.
struct Grace {
    length: Duration,
    running: Option<(Idle, Pin<Box<Sleep>>)>,
}

impl<K, V, F> Task<K, V, F> {
    /// A load that has to [begin](Self::begin), boxed immediately so that the future is moved as
    /// few times as possible.
    pub(crate) fn new(load: F, abandon_after: Option<Duration>) -> Pin<Box<Self>> {
        let grace = abandon_after.map(|length| Grace {
            length,
            running: None,
        });
        Box::pin(Self {
            lead: None,
            load,
            grace,
        })
    }

    /// Gives it the flight that it is to end.
    pub(crate) fn begin(self: Pin<&mut Self>, lead: Lead<K, V>) {
        *self.project().lead = Some(lead);
    }
}

impl<K, V, F: Future<Output = V>> Future for Task<K, V, F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if this.lead.is_none() {
            return Poll::Ready(());
        }
        // The load's value, or `None` for a load without waiters.
        let mut step = || {
            if let Poll::Ready(value) = this.load.as_mut().poll(cx) {
                return Poll::Ready(Some(value));
            }
            match (&*this.lead, &mut *this.grace) {
                (Some(lead), Some(grace)) => grace.poll_over(lead, cx).map(|()| None),
                _ => Poll::Pending,
            }
        };
        // State that a panic has broken is not used again: the load is dropped.
        let (outcome, payload) = match catch_unwind(AssertUnwindSafe(&mut step)) {
            Ok(stepped) => match ready!(stepped) {
                Some(value) => (Ok(value), None),
                None => (Err(FlightError::Cancelled), None),
            },
            Err(payload) => (Err(FlightError::panicked(&*payload)), Some(payload)),
        };
        if let Some(lead) = this.lead.take() {
            lead.end(outcome);
        }
        // This comes last because its own drop may panic.
        drop(payload);
        Poll::Ready(())
    }
}

impl Grace {
    /// Ready once the slot is free because the flight had no waiter for the length of the grace
    /// period.
    fn poll_over<K, V>(&mut self, lead: &Lead<K, V>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(idle) = lead.flight().idle(cx.waker()) else {
            self.running = None;
            return Poll::Pending;
        };
        // A caller may have joined and left since the timer was set: that is a new idle period.
        let timer = match &mut self.running {
            Some((timed, timer)) if *timed == idle => timer,
            running => &mut running.insert((idle, Box::pin(sleep(self.length)))).1,
        };
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        if lead.abandon(idle) {
            return Poll::Ready(());
        }
        // A caller has joined meanwhile: check again.
        self.running = None;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
