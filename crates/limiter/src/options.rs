//! The options of a limiter.

use std::time::Duration;

/// The longest time span, a year; longer ones are shortened to it.
pub(crate) const LONGEST: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// The options of a [`Limiter`](crate::Limiter).
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The name of the work in log lines. Empty by default.
    pub name: String,
    /// How much work runs at the same time. 256 pieces by default.
    pub limit: Limit,
    /// The longest wait for a slot. One second by default; zero refuses work that finds no free
    /// slot.
    pub max_wait: Duration,
    /// The most callers that wait, whatever the rate at which work is started. 10,000 by default.
    pub max_queue: usize,
    /// How many pieces of work may share a slot: work that is started may [take along
    /// others](crate::Permit::take_along) that wait. The queue is longer by that factor. 1 by
    /// default.
    pub per_slot: usize,
    /// How long cancelled work keeps its slot at most. Then it is dropped, and the backend is
    /// assumed to have finished it. Five seconds by default.
    pub grace: Duration,
    /// When no work is started because it fails. `None` always starts it.
    pub breaker: Option<BreakerOptions>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: String::new(),
            limit: Limit::Fixed(256),
            max_wait: Duration::from_secs(1),
            max_queue: 10_000,
            per_slot: 1,
            grace: Duration::from_secs(5),
            breaker: Some(BreakerOptions::default()),
        }
    }
}

/// How much work runs at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// This many pieces; zero is taken as one.
    Fixed(usize),
    /// As many as run without slowing each other down, found by their latency: between 4 and
    /// `most`.
    Auto {
        /// The upper bound; zero is taken as one.
        most: usize,
    },
}

/// When a breaker opens, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct BreakerOptions {
    /// Outcomes older than this do not count. Ten seconds by default.
    pub window: Duration,
    /// The least share of failures in the window at which it opens. 0.5 by default.
    pub share: f64,
    /// The least number of failures, in the window and consecutive, at which it opens. `None`, the
    /// default, takes the limit, between 5 and 20.
    pub failures: Option<usize>,
    /// The least time without a success after which it opens. 200 ms by default.
    pub without_success: Duration,
    /// At least 20 consecutive failures that last as long as this open it whatever the window
    /// contains, so that an outage after good times is noticed before it fills half of the window.
    /// One second by default.
    pub outage: Duration,
    /// How long it is open at first; each failed probe doubles it. 500 ms by default.
    pub open_first: Duration,
    /// How long it is open at most. Four seconds by default.
    pub open_most: Duration,
    /// The random variation of the open time, as a share of it. 0.2 by default.
    pub jitter: f64,
    /// How long closing takes at most, if the work succeeds. Two seconds by default.
    pub close_over: Duration,
}

impl Default for BreakerOptions {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(10),
            share: 0.5,
            failures: None,
            without_success: Duration::from_millis(200),
            outage: Duration::from_secs(1),
            open_first: Duration::from_millis(500),
            open_most: Duration::from_secs(4),
            jitter: 0.2,
            close_over: Duration::from_secs(2),
        }
    }
}
