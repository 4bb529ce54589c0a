//! How long a peer's recent answers take.

use std::time::Duration;

use tokio::time::Instant;

/// Four buckets an octave: a quantile is at most 25 % above the true value.
const PER_OCTAVE: usize = 4;
/// The first bucket ends here: 2^6 = 64 µs.
const FIRST: u32 = 6;
/// 64 µs to 67 s.
const BUCKETS: usize = 20 * PER_OCTAVE;

/// A histogram of durations in logarithmic buckets, with decay: all counts are halved when there
/// are many, and when they are old. It has a fixed size, and recording allocates nothing.
pub(crate) struct Latencies {
    counts: [u16; BUCKETS],
    total: u32,
    most: u32,
    fades: Duration,
    halved: Instant,
}

impl Latencies {
    /// A histogram that halves its counts at `most` (at most 32,768) of them, and every `fades`.
    pub(crate) fn new(most: u32, fades: Duration) -> Self {
        Self {
            counts: [0; BUCKETS],
            total: 0,
            most: most.min(1 << 15),
            fades,
            halved: Instant::now(),
        }
    }

    pub(crate) fn record(&mut self, took: Duration, now: Instant) {
        let idle = now.saturating_duration_since(self.halved);
        if self.total >= self.most || idle >= self.fades {
            // After a long silence no count is recent.
            let times = (idle.as_nanos() / self.fades.as_nanos().max(1)).clamp(1, 16);
            self.total = 0;
            for count in &mut self.counts {
                *count = count.checked_shr(times as u32).unwrap_or(0);
                self.total += u32::from(*count);
            }
            self.halved = now;
        }
        self.counts[bucket(took)] += 1;
        self.total += 1;
    }

    pub(crate) fn total(&self) -> u32 {
        self.total
    }

    /// The duration that `percent` of the recorded ones did not exceed; zero if there are none.
    pub(crate) fn quantile(&self, percent: u32) -> Duration {
        let rank = (self.total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += u32::from(*count);
            if seen >= rank {
                return upper_end(at);
            }
        }
        Duration::ZERO
    }

    pub(crate) fn clear(&mut self) {
        self.counts = [0; BUCKETS];
        self.total = 0;
    }
}

fn bucket(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros())
        .unwrap_or(u64::MAX)
        .max(1 << FIRST);
    let octave = micros.ilog2();
    let quarter = (micros >> (octave - 2)) & 3;
    let at = (octave - FIRST) as usize * PER_OCTAVE + quarter as usize;
    at.min(BUCKETS - 1)
}

fn upper_end(bucket: usize) -> Duration {
    let (octave, quarter) = (bucket / PER_OCTAVE, bucket % PER_OCTAVE);
    let quarters = (quarter + 5) as u64;
    Duration::from_micros((quarters << (octave + FIRST as usize)) / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGES: Duration = Duration::from_secs(1 << 20);

    #[tokio::test(start_paused = true)]
    async fn a_quantile_is_at_most_a_quarter_above_the_truth() {
        for millis in [1, 7, 30, 100, 499, 5_000, 30_000] {
            let mut latencies = Latencies::new(256, AGES);
            let took = Duration::from_millis(millis);
            latencies.record(took, Instant::now());
            let seen = latencies.quantile(50);
            assert!(
                seen >= took && seen <= took.mul_f64(1.26),
                "{took:?}: {seen:?}"
            );
        }
        let mut extremes = Latencies::new(256, AGES);
        extremes.record(Duration::ZERO, Instant::now());
        assert_eq!(extremes.quantile(95), Duration::from_micros(80));
        extremes.record(Duration::MAX, Instant::now());
        assert!(extremes.quantile(100) > Duration::from_secs(60));
    }

    #[tokio::test(start_paused = true)]
    async fn the_slow_twentieth_shows_in_no_p95_and_a_tenth_does() {
        let mut latencies = Latencies::new(1 << 15, AGES);
        for n in 0..1_000 {
            let millis = if n % 25 == 0 { 500 } else { 1 };
            latencies.record(Duration::from_millis(millis), Instant::now());
        }
        assert!(latencies.quantile(95) < Duration::from_millis(2));
        for _ in 0..100 {
            latencies.record(Duration::from_millis(500), Instant::now());
        }
        assert!(latencies.quantile(95) > Duration::from_millis(400));
        assert!(latencies.quantile(50) < Duration::from_millis(2));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_old_fades() {
        let mut latencies = Latencies::new(256, Duration::from_secs(10));
        for _ in 0..200 {
            latencies.record(Duration::from_millis(500), Instant::now());
        }
        tokio::time::advance(Duration::from_secs(10)).await;
        latencies.record(Duration::from_millis(1), Instant::now());
        assert_eq!(latencies.total(), 101);
        tokio::time::advance(Duration::from_secs(600)).await;
        latencies.record(Duration::from_millis(1), Instant::now());
        assert_eq!(latencies.total(), 1);
        for _ in 0..10_000 {
            latencies.record(Duration::from_millis(1), Instant::now());
        }
        assert!(
            (128..=256).contains(&latencies.total()),
            "{}",
            latencies.total()
        );
    }
}
