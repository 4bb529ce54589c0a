//! How a source is followed.

use std::time::Duration;

/// How a source is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How long a feed may take to open. Default 10 s.
    pub open_timeout: Duration,
    /// The longest first pause after a failure. Each further pause is twice as long. The actual
    /// pause is random, between a half and all of that. Default 100 ms.
    pub first_pause: Duration,
    /// The longest pause after a failure. Default 5 s.
    pub longest_pause: Duration,
    /// Whether every node follows, whichever leads: for a source that each node has for itself,
    /// such as a local directory. Each node then sends its removals to all others. Default false:
    /// one node follows for all.
    pub everywhere: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            open_timeout: Duration::from_secs(10),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            everywhere: false,
        }
    }
}

/// The pauses between attempts that fail.
pub(crate) struct Pauses {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Pauses {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            first: options.first_pause,
            longest: options.longest_pause,
            failures: 0,
        }
    }

    /// The next one, `longest` at most.
    pub(crate) fn next(&mut self, longest: Duration) -> Duration {
        let grown = self.first.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        let bounded = grown.min(self.longest).min(longest);
        bounded.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// Whether nothing has failed yet.
    pub(crate) fn is_first(&self) -> bool {
        self.failures == 0
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_differ_by_chance() {
        let mut pauses = Pauses::new(&Options::default());
        for bound in [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
            let pause = pauses.next(Duration::MAX);
            let bound = Duration::from_millis(bound);
            assert!(pause >= bound / 2 && pause <= bound, "{pause:?}");
        }
        assert!(pauses.next(Duration::from_secs(1)) <= Duration::from_secs(1));
        pauses.reset();
        assert!(pauses.next(Duration::MAX) <= Duration::from_millis(100));
    }
}
