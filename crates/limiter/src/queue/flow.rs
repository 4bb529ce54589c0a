//! Counts of arrivals, starts and refusals, by intervals of 100 ms.

use std::time::Duration;

use tokio::time::Instant;

pub(crate) const INTERVAL: Duration = Duration::from_millis(100);

/// The number of intervals in one second.
const KEPT: usize = 10;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) came: u64,
    pub(crate) started: u64,
    pub(crate) refused: u64,
    /// Whether a caller waited at any time of the interval.
    pub(crate) waited: bool,
}

#[derive(Debug)]
pub(super) struct Flow {
    ends: Instant,
    pub(super) now: Counts,
    past: [Counts; KEPT],
    /// The place of the next interval.
    place: usize,
}

impl Flow {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            ends: now + INTERVAL,
            now: Counts::default(),
            past: [Counts::default(); KEPT],
            place: 0,
        }
    }

    /// Whether the current interval is over.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        now >= self.ends
    }

    /// Ends the current interval, and the empty ones since. `waits`: whether a caller waits now.
    pub(super) fn roll(&mut self, now: Instant, waits: bool) {
        let idle = Counts {
            waited: waits,
            ..Counts::default()
        };
        for _ in 0..=KEPT {
            if !self.is_over(now) {
                return;
            }
            self.past[self.place] = std::mem::replace(&mut self.now, idle);
            self.place = (self.place + 1) % KEPT;
            self.ends += INTERVAL;
        }
        // A whole second without events: start from here.
        if self.is_over(now) {
            self.ends = now + INTERVAL;
        }
    }

    /// The last interval that is over.
    pub(super) fn last(&self) -> Counts {
        self.past[(self.place + KEPT - 1) % KEPT]
    }

    /// The last second.
    pub(super) fn second(&self) -> Counts {
        self.past
            .iter()
            .fold(Counts::default(), |sum, counts| Counts {
                came: sum.came + counts.came,
                started: sum.started + counts.started,
                refused: sum.refused + counts.refused,
                waited: sum.waited || counts.waited,
            })
    }
}
