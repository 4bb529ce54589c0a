//! The follower's statistics, as part of the group's.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gaggle_group::{FollowState, FollowStats, Group};
use tokio::time::Instant;

/// Written by the follower's task, and read with the group's statistics.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) changes: AtomicU64,
    pub(crate) keys_removed: AtomicU64,
    pub(crate) values_put: AtomicU64,
    pub(crate) group_removals: AtomicU64,
    pub(crate) failures: AtomicU64,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    state: FollowState,
    behind_bytes: Option<u64>,
    /// When the oldest batch that is not applied everywhere arrived, and how old it was then.
    oldest: Option<(Instant, Duration)>,
}

impl Progress {
    /// Adds it to the group's statistics.
    pub(crate) fn of(group: &Group) -> Arc<Self> {
        let progress = Arc::new(Self::default());
        let asked = Arc::clone(&progress);
        group.set_follow_stats(move || asked.snapshot());
        progress
    }

    pub(crate) fn enter(&self, state: FollowState) {
        let mut now = self.now();
        if now.state != state {
            *now = Now {
                state,
                ..Now::default()
            };
        }
    }

    pub(crate) fn set_behind(&self, bytes: Option<u64>) {
        self.now().behind_bytes = bytes;
    }

    pub(crate) fn set_oldest(&self, oldest: Option<(Instant, Duration)>) {
        self.now().oldest = oldest;
    }

    pub(crate) fn count(counter: &AtomicU64, by: usize) {
        counter.fetch_add(u64::try_from(by).unwrap_or(u64::MAX), Relaxed);
    }

    fn snapshot(&self) -> FollowStats {
        let (state, behind_bytes, oldest) = {
            let now = self.now();
            (now.state, now.behind_bytes, now.oldest)
        };
        let mut stats = FollowStats::default();
        stats.state = state;
        // A follower knows no lag while it is not connected to its source.
        stats.lag = (state == FollowState::Following)
            .then(|| oldest.map_or(Duration::ZERO, |(arrived, age)| age + arrived.elapsed()));
        stats.behind_bytes = behind_bytes;
        stats.changes = self.changes.load(Relaxed);
        stats.keys_removed = self.keys_removed.load(Relaxed);
        stats.values_put = self.values_put.load(Relaxed);
        stats.group_removals = self.group_removals.load(Relaxed);
        stats.failures = self.failures.load(Relaxed);
        stats
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
