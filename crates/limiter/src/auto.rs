//! How much work can run at the same time without slowing each other down, found by its latency.
//!
//! A gradient controller, as in Netflix's `concurrency-limits` (Gradient) and in Envoy's adaptive
//! concurrency filter: the limit follows `limit * gradient + sqrt(limit)`, where the gradient is
//! the latency without load, times a tolerance, divided by the current latency. The latency
//! without load is measured at intervals with the limit lowered to a few, as Envoy does; a moving
//! average instead (Gradient2) follows a lasting overload upwards. Means of many pieces are
//! compared, not single pieces, since the cheapest piece of work says nothing about the others.

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

/// The minimum of the limit, and its value while the latency without load is measured.
const LEAST: usize = 4;
/// The initial limit.
const FIRST: usize = 20;
/// How much slower than without load the work may be.
const TOLERANCE: f64 = 1.5;
/// The share of the distance to the target that one step covers.
const SMOOTHING: f64 = 0.2;
/// The fewest pieces that a mean is taken of.
const SAMPLES: u32 = 16;
/// How long a measurement without load takes at most, and how far apart they are.
const MEASURE_FOR: Duration = Duration::from_secs(2);
const MEASURE_EVERY: Duration = Duration::from_secs(30);
/// A step down for work that was late, and how far apart such steps are.
const LATE_FACTOR: f64 = 0.9;
const LATE_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
struct Mean {
    seconds: f64,
    pieces: u32,
}

impl Mean {
    fn add(&mut self, latency: Duration) {
        self.seconds += latency.as_secs_f64();
        self.pieces += 1;
    }

    fn get(&self) -> Option<f64> {
        (self.pieces > 0).then(|| (self.seconds / f64::from(self.pieces)).max(1e-6))
    }
}

#[derive(Debug)]
enum Phase {
    /// Only work that started since then counts: earlier work ran beside more than a few.
    Measuring {
        since: Instant,
    },
    Following {
        until: Instant,
    },
}

#[derive(Debug)]
pub(crate) struct Auto {
    least: usize,
    most: usize,
    limit: f64,
    /// Seconds that the work takes without load.
    unloaded: Option<f64>,
    phase: Phase,
    mean: Mean,
    /// The most that ran at the same time during this mean.
    busiest: usize,
    last_cut: Option<Instant>,
}

impl Auto {
    pub(crate) fn new(most: usize, now: Instant) -> Self {
        let most = most.max(1);
        Self {
            least: LEAST.min(most),
            most,
            limit: FIRST.min(most) as f64,
            unloaded: None,
            phase: Phase::Measuring { since: now },
            mean: Mean::default(),
            busiest: 0,
            last_cut: None,
        }
    }

    /// Sets another bound; the limit that was found stays within it.
    pub(crate) fn set_most(&mut self, most: usize) {
        self.most = most.max(1);
        self.least = LEAST.min(self.most);
        self.limit = self.limit.clamp(self.least as f64, self.most as f64);
    }

    /// The current limit.
    pub(crate) fn limit(&self) -> usize {
        match self.phase {
            Phase::Measuring { .. } => self.least,
            Phase::Following { .. } => self.found(),
        }
    }

    /// The limit that was found, also while it is lowered for a measurement.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and a usize"
    )]
    pub(crate) fn found(&self) -> usize {
        (self.limit.round() as usize).clamp(self.least, self.most)
    }

    /// Work that started at `started` has succeeded; `in_use` ran, itself included.
    pub(crate) fn succeeded(&mut self, now: Instant, started: Instant, in_use: usize) {
        let latency = now.duration_since(started);
        match self.phase {
            Phase::Measuring { since } => {
                if started >= since {
                    self.mean.add(latency);
                }
                if self.mean.pieces >= SAMPLES || now.duration_since(since) >= MEASURE_FOR {
                    self.unloaded = self.mean.get().or(self.unloaded);
                    self.start(Phase::Following {
                        until: now + MEASURE_EVERY,
                    });
                }
            }
            Phase::Following { until } => {
                self.mean.add(latency);
                self.busiest = self.busiest.max(in_use);
                if self.mean.pieces as usize >= self.found().max(SAMPLES as usize) {
                    self.step();
                    if now >= until {
                        self.start(Phase::Measuring { since: now });
                    }
                }
            }
        }
    }

    /// Work did not end in time.
    pub(crate) fn late(&mut self, now: Instant) {
        if self
            .last_cut
            .is_none_or(|last| now.duration_since(last) >= LATE_EVERY)
        {
            self.last_cut = Some(now);
            self.limit = (self.limit * LATE_FACTOR).max(self.least as f64);
        }
    }

    fn start(&mut self, phase: Phase) {
        self.phase = phase;
        self.mean = Mean::default();
        self.busiest = 0;
    }

    fn step(&mut self) {
        let Some(latency) = self.mean.get() else {
            return;
        };
        // At the lowest limit every mean is a measurement without load: the work itself may have
        // become slower.
        let unloaded = match self.unloaded {
            Some(unloaded) if self.found() > self.least => unloaded.min(latency),
            _ => latency,
        };
        self.unloaded = Some(unloaded);
        let gradient = (TOLERANCE * unloaded / latency).clamp(0.5, 1.0);
        let aim = self.limit * gradient + self.limit.sqrt();
        let next = self.limit + SMOOTHING * (aim - self.limit);
        // A limit that is not used gives no reason for a higher one.
        if next < self.limit || self.busiest as f64 >= 0.8 * self.limit {
            self.limit = next.clamp(self.least as f64, self.most as f64);
        }
        self.mean = Mean::default();
        self.busiest = 0;
    }
}
