//! What a limiter does now, and has done.

use crate::BreakerState;

/// What a limiter does now, and has done so far. See [`Limiter::stats`](crate::Limiter::stats).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How much work may run now.
    pub limit: usize,
    /// How much runs now, with what was given up.
    pub in_use: usize,
    /// How much of it was given up: nobody waits for it, but it counts.
    pub given_up: usize,
    /// How many wait for a slot.
    pub queued: usize,
    /// Whether the newest go first.
    pub pressure: bool,
    /// Work that was started so far.
    pub started: u64,
    /// Work that did not end within its deadline.
    pub late: u64,
    /// Refusals because the queue was full or the wait was too long.
    pub refused_busy: u64,
    /// Refusals because the breaker was open.
    pub refused_open: u64,
    /// Work that nobody wanted any more when its time came.
    pub refused_unwanted: u64,
    /// What the breaker does; closed where there is none.
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
