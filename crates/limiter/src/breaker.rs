//! Decides from outcomes whether work is started at all: a circuit breaker, without tokio and
//! without a clock.

#[cfg(test)]
mod tests;
mod window;

use std::time::Duration;

use tokio::time::Instant;

use self::window::Window;
use crate::BreakerOptions;

/// The fewest consecutive failures that are an outage by themselves.
const OUTAGE: usize = 20;

/// The state of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BreakerState {
    /// All work is started.
    Closed,
    /// No work is started.
    Open,
    /// The open time is over, or its probe runs: one piece of work at a time is started.
    HalfOpen,
    /// The probe succeeded: more and more work is started.
    Closing,
}

/// A change that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Opened { length: Duration, why: Why },
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Failures,
    ProbeFailed,
    FailedWhileClosing,
    AllGivenUp,
}

impl Why {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Failures => "the work fails",
            Self::ProbeFailed => "the probe failed",
            Self::FailedWhileClosing => "the work fails while the breaker closes",
            Self::AllGivenUp => "work that was given up holds all slots",
        }
    }
}

/// Whether work may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Normal,
    /// As a probe, which decides the breaker's state.
    Probe,
    Refused {
        retry_after: Duration,
    },
}

#[derive(Debug)]
enum State {
    Closed,
    Open {
        until: Instant,
    },
    Probing,
    Closing {
        since: Instant,
        allowed: usize,
        succeeded: usize,
        failed: usize,
    },
}

#[derive(Debug)]
pub(crate) struct Breaker {
    options: BreakerOptions,
    random: fastrand::Rng,
    state: State,
    window: Window,
    /// The failures since the last success, and when the first of them was.
    row: usize,
    row_since: Option<Instant>,
    /// The length of its next open time.
    length: Duration,
    opened: u64,
}

impl Breaker {
    pub(crate) fn new(options: BreakerOptions, random: fastrand::Rng, now: Instant) -> Self {
        Self {
            window: Window::new(options.window, now),
            length: options.open_first,
            random,
            state: State::Closed,
            row: 0,
            row_since: None,
            opened: 0,
            options,
        }
    }

    /// Sets other options. The state stays, and so do the outcomes that count, unless they are
    /// counted over another time.
    pub(crate) fn set_options(&mut self, options: &BreakerOptions, now: Instant) {
        if self.options.window != options.window {
            self.window = Window::new(options.window, now);
        }
        // The length of the next open time; it has doubled after an outage.
        self.length = if self.length <= self.options.open_first {
            options.open_first
        } else {
            self.length.min(options.open_most)
        };
        self.options = options.clone();
    }

    pub(crate) fn opened(&self) -> u64 {
        self.opened
    }

    pub(crate) fn state(&self, now: Instant) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open { until } if now < until => BreakerState::Open,
            State::Open { .. } | State::Probing => BreakerState::HalfOpen,
            State::Closing { .. } => BreakerState::Closing,
        }
    }

    /// Whether the breaker lets work start. `room`: whether one piece beyond the limit is still
    /// allowed.
    pub(crate) fn admit(&mut self, now: Instant, room: bool) -> Admission {
        match self.state {
            State::Closed | State::Closing { .. } => Admission::Normal,
            State::Open { until } if now < until => Admission::Refused {
                retry_after: until - now,
            },
            State::Open { .. } if room => {
                self.state = State::Probing;
                Admission::Probe
            }
            // A probe runs, or cannot run yet. A failure of it would keep the breaker open.
            State::Open { .. } | State::Probing => Admission::Refused {
                retry_after: self.options.open_first,
            },
        }
    }

    /// How many pieces that were not cancelled may run; `None` if only the limit applies.
    pub(crate) fn allowed(&self) -> Option<usize> {
        match self.state {
            State::Closed => None,
            State::Open { .. } | State::Probing => Some(0),
            State::Closing { allowed, .. } => Some(allowed),
        }
    }

    /// A probe ended without a known outcome: another one may run.
    pub(crate) fn probe_lost(&mut self, now: Instant) {
        if matches!(self.state, State::Probing) {
            self.state = State::Open { until: now };
        }
    }

    /// Counts an outcome of work that started at `started`; `limit` is the current limit.
    pub(crate) fn record(
        &mut self,
        now: Instant,
        started: Instant,
        probe: bool,
        failed: bool,
        limit: usize,
    ) -> Option<Change> {
        match &mut self.state {
            State::Closed => self.record_closed(now, failed, limit),
            // Work from before it opened gives no new information.
            State::Open { .. } => None,
            State::Probing if !probe => None,
            State::Probing if failed => Some(self.open(now, Why::ProbeFailed)),
            State::Probing => {
                self.state = State::Closing {
                    since: now,
                    allowed: 1,
                    succeeded: 1,
                    failed: 0,
                };
                self.close_if_done(now, limit)
            }
            State::Closing { since, .. } if started < *since => None,
            State::Closing {
                succeeded,
                failed: bad,
                allowed,
                ..
            } => {
                if failed {
                    *bad += 1;
                    // One failure may be the fault of the request; half of all are not.
                    if *bad >= 2 && bad >= succeeded {
                        return Some(self.open(now, Why::FailedWhileClosing));
                    }
                    return None;
                }
                *succeeded += 1;
                // One more with each success doubles what runs with each round, as TCP's slow
                // start.
                *allowed += 1;
                self.close_if_done(now, limit)
            }
        }
    }

    fn record_closed(&mut self, now: Instant, failed: bool, limit: usize) -> Option<Change> {
        self.window.count(now, failed);
        if !failed {
            self.row = 0;
            self.row_since = None;
            return None;
        }
        self.row += 1;
        let since = *self.row_since.get_or_insert(now);
        let least = self.options.failures.unwrap_or_else(|| limit.clamp(5, 20));
        let lasted = now.duration_since(since);
        if self.row < least || lasted < self.options.without_success {
            return None;
        }
        let (all, bad) = self.window.totals(now);
        let many = bad >= least as u64 && bad as f64 >= self.options.share * all as f64;
        let outage = self.row >= least.max(OUTAGE) && lasted >= self.options.outage;
        (many || outage).then(|| self.open(now, Why::Failures))
    }

    fn close_if_done(&mut self, now: Instant, limit: usize) -> Option<Change> {
        let State::Closing { since, allowed, .. } = self.state else {
            return None;
        };
        if allowed < limit && now.duration_since(since) < self.options.close_over {
            return None;
        }
        self.state = State::Closed;
        self.length = self.options.open_first;
        self.forget(now);
        Some(Change::Closed)
    }

    /// All slots are held by work that was given up.
    pub(crate) fn all_given_up(&mut self, now: Instant) -> Option<Change> {
        match self.state {
            State::Closed | State::Closing { .. } => Some(self.open(now, Why::AllGivenUp)),
            State::Open { .. } | State::Probing => None,
        }
    }

    fn open(&mut self, now: Instant, why: Why) -> Change {
        let jitter = self.options.jitter.clamp(0.0, 1.0) * (2.0 * self.random.f64() - 1.0);
        let length = self.length.mul_f64(1.0 + jitter);
        self.length = (self.length * 2).min(self.options.open_most);
        self.state = State::Open {
            until: now + length,
        };
        self.opened += 1;
        self.forget(now);
        Change::Opened { length, why }
    }

    fn forget(&mut self, now: Instant) {
        self.window = Window::new(self.options.window, now);
        self.row = 0;
        self.row_since = None;
    }
}
