//! The limits of a queue, calculated from the rate at which work is started.

use std::time::Duration;

/// The share of `max_wait` in which all waiters could be started: less than all of it, as work
/// does not always take the same time.
const QUEUE_SHARE: f64 = 0.8;
/// The target of the wait under pressure is the time in which this many are started, but at least
/// `LEAST_TARGET`.
const STARTED_IN_TARGET: f64 = 4.0;
const LEAST_TARGET: Duration = Duration::from_millis(20);

/// The current limits; they change with the measurements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) max_wait: Duration,
    /// The most that wait without pressure: the number started within most of `max_wait`.
    pub(crate) most: usize,
    /// The number started within `target`.
    pub(crate) short: usize,
    /// The wait after which a caller is refused, under pressure.
    pub(crate) target: Duration,
    /// How many can be started in a second, once that is known.
    pub(crate) rate: Option<f64>,
}

impl Rules {
    /// The rules before any work has ended.
    pub(crate) fn unmeasured(max_wait: Duration, max_queue: usize) -> Self {
        let most = if max_wait.is_zero() { 0 } else { max_queue };
        Self {
            max_wait,
            most,
            short: most,
            target: max_wait,
            rate: None,
        }
    }

    /// `rate` pieces of work can be started in a second.
    pub(crate) fn measured(max_wait: Duration, max_queue: usize, rate: f64) -> Self {
        if max_wait.is_zero() || max_queue == 0 {
            return Self::unmeasured(max_wait, 0);
        }
        let target = (STARTED_IN_TARGET / rate).min(max_wait.as_secs_f64());
        let target = Duration::from_secs_f64(target)
            .max(LEAST_TARGET)
            .min(max_wait);
        let most = started_within(max_wait.mul_f64(QUEUE_SHARE), rate).clamp(1, max_queue);
        Self {
            max_wait,
            most,
            short: started_within(target, rate).clamp(1, most),
            target,
            rate: Some(rate),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative, and a float that is too large becomes the largest"
)]
fn started_within(time: Duration, rate: f64) -> usize {
    (rate * time.as_secs_f64()).ceil() as usize
}
