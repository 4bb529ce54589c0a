//! Outcomes of the last seconds, in ten parts.

use std::time::Duration;

use tokio::time::Instant;

const PARTS: usize = 10;

#[derive(Debug)]
pub(super) struct Window {
    part: Duration,
    ends: Instant,
    /// All outcomes and failures of each part; `now` is the place of the current one.
    parts: [(u64, u64); PARTS],
    now: usize,
}

impl Window {
    pub(super) fn new(length: Duration, now: Instant) -> Self {
        let part = (length / 10).max(Duration::from_millis(1));
        Self {
            part,
            ends: now + part,
            parts: [(0, 0); PARTS],
            now: 0,
        }
    }

    pub(super) fn count(&mut self, now: Instant, failed: bool) {
        self.roll(now);
        let (all, bad) = &mut self.parts[self.now];
        *all += 1;
        *bad += u64::from(failed);
    }

    /// All outcomes, and the failures among them.
    pub(super) fn totals(&mut self, now: Instant) -> (u64, u64) {
        self.roll(now);
        self.parts
            .iter()
            .fold((0, 0), |(all, bad), part| (all + part.0, bad + part.1))
    }

    fn roll(&mut self, now: Instant) {
        for _ in 0..PARTS {
            if now < self.ends {
                return;
            }
            self.now = (self.now + 1) % PARTS;
            self.parts[self.now] = (0, 0);
            self.ends += self.part;
        }
        if now >= self.ends {
            self.ends = now + self.part;
        }
    }
}
