//! Loading keys before they are requested: its rate, and its results.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The options of [`Group::warm`](crate::Group::warm).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WarmOptions {
    /// Warming takes at most one in this many of the loads that may [ask the origin
    /// concurrently](crate::Limits::max_origin_loads), and at least one. Zero is taken as one.
    /// Default 8.
    pub one_in: usize,
    /// The most keys that are loaded in a second, on average. Zero is taken as one. Default 2,000.
    pub keys_per_second: u32,
    /// How long it may take in total. Default 10 minutes.
    pub within: Duration,
}

impl Default for WarmOptions {
    fn default() -> Self {
        Self {
            one_in: 8,
            keys_per_second: 2_000,
            within: Duration::from_secs(600),
        }
    }
}

/// The result of [`Group::warm`](crate::Group::warm).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warmed {
    /// The results of the keys.
    pub keys: WarmStats,
    /// Why it ended.
    pub end: WarmEnd,
}

impl Warmed {
    pub(crate) fn new(keys: WarmStats, end: WarmEnd) -> Self {
        Self { keys, end }
    }
}

/// The results of keys that were loaded before they were requested.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WarmStats {
    /// Keys that were loaded, from the origin or from the node that kept the key before the ring
    /// changed.
    pub loaded: u64,
    /// Keys that the origin does not have.
    pub absent: u64,
    /// Keys whose load failed, or was refused because too many loads were running. There is no
    /// retry.
    pub failed: u64,
    /// Keys that were not loaded: another node owns them, they were in memory, or they are longer
    /// than a key may be.
    pub skipped: u64,
}

/// Why warming ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WarmEnd {
    /// There were no more keys.
    NoMoreKeys,
    /// The group is full: it has evicted for room since warming began.
    Full,
    /// [`WarmOptions::within`] has passed. Loads running at that moment are not counted.
    OutOfTime,
}

impl WarmEnd {
    /// The reason in words, for a log line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoMoreKeys => "no more keys",
            Self::Full => "the group is full",
            Self::OutOfTime => "out of time",
        }
    }
}

/// The result of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WarmResult {
    Loaded,
    Absent,
    Failed,
    Skipped,
}

impl WarmStats {
    pub(crate) fn count(&mut self, result: WarmResult) {
        *match result {
            WarmResult::Loaded => &mut self.loaded,
            WarmResult::Absent => &mut self.absent,
            WarmResult::Failed => &mut self.failed,
            WarmResult::Skipped => &mut self.skipped,
        } += 1;
    }
}

/// [`WarmStats`] since the group was made.
#[derive(Debug, Default)]
pub(crate) struct WarmCounters {
    loaded: AtomicU64,
    absent: AtomicU64,
    failed: AtomicU64,
    skipped: AtomicU64,
}

impl WarmCounters {
    pub(crate) fn count(&self, result: WarmResult) {
        match result {
            WarmResult::Loaded => &self.loaded,
            WarmResult::Absent => &self.absent,
            WarmResult::Failed => &self.failed,
            WarmResult::Skipped => &self.skipped,
        }
        .fetch_add(1, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> WarmStats {
        WarmStats {
            loaded: self.loaded.load(Relaxed),
            absent: self.absent.load(Relaxed),
            failed: self.failed.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
        }
    }
}
