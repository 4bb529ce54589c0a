//! How far the changes have come.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::lsn::Lsn;

/// What the feed and its task tell each other.
#[derive(Debug)]
pub(super) struct Progress {
    confirmed: AtomicU64,
    sent: AtomicU64,
    /// Whether nothing is missing, as far as the confirmed position.
    is_proven: AtomicBool,
    changed: Notify,
}

impl Progress {
    pub(super) fn new(confirmed: Lsn, sent: Lsn, is_proven: bool) -> Self {
        Self {
            confirmed: confirmed.0.into(),
            sent: sent.0.into(),
            is_proven: is_proven.into(),
            changed: Notify::new(),
        }
    }

    /// Whoever applies the changes has applied all up to here.
    pub(super) fn confirm(&self, position: Lsn) {
        self.is_proven.store(true, Ordering::Release);
        self.advance(position);
    }

    /// Nothing of what is up to here has to come again.
    pub(super) fn advance(&self, position: Lsn) {
        let before = self.confirmed.fetch_max(position.0, Ordering::AcqRel);
        if before < position.0 {
            self.changed.notify_one();
        }
    }

    pub(super) fn confirmed(&self) -> Lsn {
        Lsn(self.confirmed.load(Ordering::Acquire))
    }

    /// The server has told of its log up to here.
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

    /// How far the server's log is known to reach beyond what is confirmed.
    pub(super) fn behind(&self) -> u64 {
        self.sent().0.saturating_sub(self.confirmed().0)
    }
}
