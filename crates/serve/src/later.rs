use std::time::Duration;

use tokio::time::Instant;

/// `Duration::MAX` means "never"; a plain sum would panic.
pub(crate) fn later(since: Instant, after: Duration) -> Instant {
    const AGES: Duration = Duration::from_secs(60 * 60 * 24 * 365);
    since + after.min(AGES)
}
