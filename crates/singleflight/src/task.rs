//! The task that runs a load: polls it, catches its panic, gives it up when nobody waits any more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::FlightError;
use crate::flight::Lull;
use crate::lead::Lead;
use crate::sync::{Sleep, sleep};

pub(crate) type Load<V> = Pin<Box<dyn Future<Output = V> + Send>>;

/// Resolves when the flight has ended.
pub(crate) struct Task<K, V> {
    /// Before `load`: a task that is dropped frees its slot before it drops the load, whose drop may
    /// take its time or panic.
    lead: Option<Lead<K, V>>,
    /// Boxed: pinned without unsafe code, and not held twice, as an async block would hold it.
    load: Load<V>,
    grace: Option<Grace>,
}

/// The wait between the last waiter's leaving and the load's end.
struct Grace {
    length: Duration,
    running: Option<(Lull, Pin<Box<Sleep>>)>,
}

impl<K, V> Task<K, V> {
    pub(crate) fn new(lead: Lead<K, V>, load: Load<V>, abandon_after: Option<Duration>) -> Self {
        let grace = abandon_after.map(|length| Grace {
            length,
            running: None,
        });
        Self {
            lead: Some(lead),
            load,
            grace,
        }
    }

    /// Ends the flight without running it.
    pub(crate) fn fail(mut self, error: FlightError) {
        if let Some(lead) = self.lead.take() {
            lead.end(Err(error));
        }
    }

    /// The load's value, or `None` for a load that nobody waits for any more.
    fn step(&mut self, cx: &mut Context<'_>) -> Poll<Option<V>> {
        if let Poll::Ready(value) = self.load.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        match (&self.lead, &mut self.grace) {
            (Some(lead), Some(grace)) => grace.poll_over(lead, cx).map(|()| None),
            _ => Poll::Pending,
        }
    }
}

impl<K, V> Future for Task<K, V> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.lead.is_none() {
            return Poll::Ready(());
        }
        // What a panic has broken is not looked at again: the load is dropped.
        let (outcome, payload) = match catch_unwind(AssertUnwindSafe(|| this.step(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Some(value))) => (Ok(value), None),
            Ok(Poll::Ready(None)) => (Err(FlightError::Cancelled), None),
            Err(payload) => (Err(FlightError::panicked(&*payload)), Some(payload)),
        };
        if let Some(lead) = this.lead.take() {
            lead.end(outcome);
        }
        // Last, for its own drop may panic.
        drop(payload);
        Poll::Ready(())
    }
}

impl Grace {
    /// Ready once the slot is free because the flight had no waiter for the length of the grace.
    fn poll_over<K, V>(&mut self, lead: &Lead<K, V>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(lull) = lead.flight().lull(cx.waker()) else {
            self.running = None;
            return Poll::Pending;
        };
        // Someone may have come and gone since the timer was set: that is a new lull.
        let timer = match &mut self.running {
            Some((timed, timer)) if *timed == lull => timer,
            running => &mut running.insert((lull, Box::pin(sleep(self.length)))).1,
        };
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        if lead.abandon(lull) {
            return Poll::Ready(());
        }
        // Someone joined since we looked: look again.
        self.running = None;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
