//! What a limiter does now, and has done.

use crate::BreakerState;

/// What a limiter does now, and has done so far. See [`Limiter::stats`](crate::Limiter::stats).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How much work may run now.
    pub limit: usize,
    /// How much runs now, including cancelled work.
    pub in_use: usize,
    /// How much of it was cancelled: no caller waits for it, but it counts.
    pub given_up: usize,
    /// How many callers wait for a slot.
    pub queued: usize,
    /// Whether the newest waiter is started first.
    pub pressure: bool,
    /// Work that was started so far.
    pub started: u64,
    /// Work that did not end within its deadline.
    pub late: u64,
    /// Refusals because the queue was full or the wait was too long.
    pub refused_busy: u64,
    /// Refusals because the breaker was open.
    pub refused_open: u64,
    /// Work that was no longer wanted when its turn came.
    pub refused_unwanted: u64,
    /// The state of the breaker; closed if there is none.
    pub breaker: BreakerState,
    /// How often the breaker has opened.
    pub opened: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) started: u64,
    pub(crate) late: u64,
    pub(crate) refused_busy: u64,
    pub(crate) refused_open: u64,
    pub(crate) refused_unwanted: u64,
}
