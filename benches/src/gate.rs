//! A meeting point for callers.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Holds a load up until all of its callers wait for it, so that a crowd is a crowd in each run.
pub struct Gate {
    missing: AtomicUsize,
    open: Notify,
}

impl Gate {
    /// A gate that opens when `callers` have arrived; at least one.
    pub fn new(callers: usize) -> Self {
        Self {
            missing: AtomicUsize::new(callers),
            open: Notify::new(),
        }
    }

    /// One more caller waits; the last one opens the gate.
    pub fn arrive(&self) {
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.open.notify_one();
        }
    }

    /// Resolves once all have arrived; for one load, which may begin to wait before or after.
    pub async fn opened(&self) {
        self.open.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn opens_with_the_last_caller_and_not_before() {
        let gate = Gate::new(2);
        let mut opened = pin!(gate.opened());
        let mut cx = Context::from_waker(Waker::noop());
        gate.arrive();
        assert_eq!(opened.as_mut().poll(&mut cx), Poll::Pending);
        gate.arrive();
        assert_eq!(opened.as_mut().poll(&mut cx), Poll::Ready(()));
    }

    #[test]
    fn a_load_that_comes_late_is_let_through() {
        let gate = Gate::new(1);
        gate.arrive();
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(pin!(gate.opened()).poll(&mut cx), Poll::Ready(()));
    }
}
