use std::time::Duration;

use tokio::time::Instant;

/// At most one line is logged in this time.
const EVERY: Duration = Duration::from_secs(1);

/// The rate limit of a log line that any client can cause.
#[derive(Debug, Default)]
pub(crate) struct Rarely {
    last: Option<Instant>,
    unreported: u64,
}

impl Rarely {
    /// Whether to log now: `Some` has the number of lines that were left out since the last one.
    pub(crate) fn report(&mut self) -> Option<u64> {
        let now = Instant::now();
        let soon = |at| now.duration_since(at) < EVERY;
        if self.last.is_some_and(soon) {
            self.unreported += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unreported))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_reported_once_a_second() {
        let mut rarely = Rarely::default();
        let reported =
            |rarely: &mut Rarely| -> Vec<_> { (0..10).filter_map(|_| rarely.report()).collect() };
        assert_eq!(reported(&mut rarely), [0]);
        tokio::time::advance(EVERY).await;
        assert_eq!(reported(&mut rarely), [9]);
    }
}
