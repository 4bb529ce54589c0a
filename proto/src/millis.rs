//! Times as numbers.

use std::time::Duration;

/// Whole milliseconds, rounded down: a time to live never grows on its way. A duration that does
/// not fit is `u64::MAX`.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
