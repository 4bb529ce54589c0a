//! Work that runs, with or without its caller.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use super::Permit;
use crate::state::Outcome;

/// The work and its permit, for as long as the work runs.
struct Job<F: Future, J> {
    /// Before the permit: the work is dropped before the slot is free.
    work: Pin<Box<F>>,
    permit: Permit,
    failed: J,
    /// Its deadline; known once it was polled.
    due: Option<Instant>,
    /// The breaker has already counted it as late.
    judged: bool,
}

/// Work that its caller waits for. If it is dropped before its end, it continues as a task.
pub(super) struct Running<F, J>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    J: Fn(&F::Output) -> bool + Send + 'static,
{
    job: Option<Job<F, J>>,
    /// Set while the work is polled, and so after a panic of it.
    polling: bool,
}

impl<F, J> Running<F, J>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    J: Fn(&F::Output) -> bool + Send + 'static,
{
    pub(super) fn new(permit: Permit, work: Pin<Box<F>>, failed: J) -> Self {
        Self {
            job: Some(Job {
                work,
                permit,
                failed,
                due: None,
                judged: false,
            }),
            polling: false,
        }
    }

    pub(super) fn set_due(&mut self, due: Instant) {
        if let Some(job) = &mut self.job {
            job.due = Some(due);
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Some(job) = &mut self.job else {
            return Poll::Pending;
        };
        self.polling = true;
        let polled = job.work.as_mut().poll(cx);
        self.polling = false;
        if let Poll::Ready(output) = &polled
            && let Some(job) = self.job.take()
        {
            job.end(output, false);
        }
        polled
    }

    /// No caller waits for the work any more. `late`: its deadline has passed.
    pub(super) fn give_up(&mut self, late: bool) {
        let Some(mut job) = self.job.take() else {
            return;
        };
        if self.polling {
            // It panicked, and must not be polled again.
            job.permit.set_outcome(Outcome::Failed);
            return;
        }
        job.permit.give_up(late);
        job.judged = late;
        if let Ok(runtime) = Handle::try_current() {
            // Bounded by the grace period, so its handle is not needed. A runtime that shuts down
            // drops it.
            drop(runtime.spawn(job.rest()));
        }
    }
}

impl<F, J> Drop for Running<F, J>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    J: Fn(&F::Output) -> bool + Send + 'static,
{
    fn drop(&mut self) {
        self.give_up(false);
    }
}

impl<F, J> Job<F, J>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    J: Fn(&F::Output) -> bool + Send + 'static,
{
    fn end(mut self, output: &F::Output, late: bool) {
        if !self.judged {
            let failed = late || (self.failed)(output);
            self.permit.set_outcome(if failed {
                Outcome::Failed
            } else {
                Outcome::Succeeded
            });
        }
    }

    async fn rest(mut self) {
        let grace = self.permit.grace();
        match timeout(grace, &mut self.work).await {
            Ok(output) => {
                let late = self.due.is_some_and(|due| Instant::now() > due);
                self.end(&output, late);
            }
            Err(_elapsed) if self.judged => {}
            Err(_elapsed) => self.permit.set_outcome(Outcome::Failed),
        }
    }
}
