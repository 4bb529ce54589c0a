//! Rounds by turns: what the comparisons have in common.
//!
//! Not Criterion's way: Criterion finishes one side before it begins the next, and on a shared
//! machine the difference between two minutes is larger than that between two sides. Here the
//! sides take turns in short rounds, whose medians are compared; a ratio is taken within each
//! round, so that a slow minute slows both of its ends.

#![allow(dead_code, reason = "each comparison uses a part")]

use rustix::time::{ClockId, clock_gettime};

/// Whether to measure, or only to show that all still runs: without `--bench`, as `cargo test`
/// runs it, or with `--test`.
pub(crate) fn is_measuring() -> bool {
    let arguments: Vec<String> = std::env::args().collect();
    let asked = |name: &str| arguments.iter().any(|argument| argument == name);
    asked("--bench") && !asked("--test")
}

/// What each side's rounds returned, side by side, in the order of the sides. The side that begins
/// changes, so that none always follows the same other one. A first round of each is not counted.
pub(crate) fn by_turns<S, T>(
    sides: &mut [S],
    rounds: usize,
    mut round: impl FnMut(&mut S) -> T,
) -> Vec<Vec<T>> {
    let mut results: Vec<Vec<T>> = sides.iter().map(|_| Vec::with_capacity(rounds)).collect();
    for side in sides.iter_mut() {
        round(side);
    }
    for turn in 0..rounds {
        for place in 0..sides.len() {
            let at = (turn + place) % sides.len();
            results[at].push(round(&mut sides[at]));
        }
    }
    results
}

pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median of the ratios within each round.
pub(crate) fn median_ratio(these: &[f64], those: &[f64]) -> f64 {
    median(
        these
            .iter()
            .zip(those)
            .map(|(this, that)| this / that)
            .collect(),
    )
}

/// CPU time so far, in nanoseconds: of this thread, or of the process with all of its threads. It
/// leaves out the time in which another program had the core.
#[expect(clippy::cast_precision_loss, reason = "hours of nanoseconds fit")]
pub(crate) fn cpu_nanos(whose: ClockId) -> f64 {
    let time = clock_gettime(whose);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
