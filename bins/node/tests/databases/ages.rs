//! Times, as they are printed.

use std::time::Duration;

/// Durations that were measured.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ages(Vec<Duration>);

impl Ages {
    pub(crate) fn push(&mut self, age: Duration) {
        self.0.push(age);
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The percentile of this share, in milliseconds; zero if there are no durations.
    pub(crate) fn quantile(&mut self, share: f64) -> f64 {
        self.0.sort_unstable();
        let last = self.0.len().saturating_sub(1);
        let at = (share * last as f64).round() as usize;
        let age = self.0.get(at).copied().unwrap_or_default();
        age.as_secs_f64() * 1e3
    }
}

/// Which build of the node was measured.
pub(crate) fn build() -> &'static str {
    if cfg!(debug_assertions) {
        "debug build"
    } else {
        "release build"
    }
}
