//! The progress of the changes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::lsn::Lsn;

/// The state that the feed and its task share.
#[derive(Debug)]
pub(super) struct Progress {
    confirmed: AtomicU64,
    /// The end of the log that this connection has received.
    sent: AtomicU64,
    /// Where the log ended when the feed was opened.
    end_of_log: Lsn,
    /// Whether nothing is missing up to the confirmed position.
    is_proven: AtomicBool,
    changed: Notify,
}

impl Progress {
    pub(super) fn new(confirmed: Lsn, end_of_log: Lsn, is_proven: bool) -> Self {
        Self {
            confirmed: confirmed.0.into(),
            // Nothing more was received than what was confirmed.
            sent: confirmed.0.into(),
            end_of_log,
            is_proven: is_proven.into(),
            changed: Notify::new(),
        }
    }

    /// The caller has applied all changes up to here.
    pub(super) fn confirm(&self, position: Lsn) {
        self.is_proven.store(true, Ordering::Release);
        self.advance(position);
    }

    /// Nothing up to here has to be sent again.
    pub(super) fn advance(&self, position: Lsn) {
        let before = self.confirmed.fetch_max(position.0, Ordering::AcqRel);
        if before < position.0 {
            self.changed.notify_one();
        }
    }

    pub(super) fn confirmed(&self) -> Lsn {
        Lsn(self.confirmed.load(Ordering::Acquire))
    }

    /// The server has reported its log up to here.
    pub(super) fn heard(&self, end: Lsn) {
        self.sent.fetch_max(end.0, Ordering::AcqRel);
    }

    pub(super) fn sent(&self) -> Lsn {
        Lsn(self.sent.load(Ordering::Acquire))
    }

    pub(super) fn is_proven(&self) -> bool {
        self.is_proven.load(Ordering::Acquire)
    }

    /// Waits until the confirmed position has grown.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// How far the server's log is known to extend beyond the confirmed position.
    pub(super) fn behind(&self) -> u64 {
        let end = self.sent().max(self.end_of_log);
        end.0.saturating_sub(self.confirmed().0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_that_was_there_before_counts_as_behind_and_not_as_received() {
        let progress = Progress::new(Lsn(5), Lsn(9), true);
        assert_eq!((progress.sent(), progress.behind()), (Lsn(5), 4));
        progress.heard(Lsn(12));
        progress.confirm(Lsn(11));
        assert_eq!((progress.sent(), progress.behind()), (Lsn(12), 1));
    }
}
