//! Counters of a group, and the snapshot that others read.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::warm::WarmCounters;
use crate::{StoreStats, WarmStats};

/// A snapshot of a group's counters since it was made. Each counter is exact; the set is not one instant's.
///
/// golang/groupcache's names for them: `Gets` is `gets`, `CacheHits` is `main.hits + hot.hits`, `Loads` is `misses`,
/// `LoadsDeduped` is `misses - collapsed`, `PeerLoads` is `peer.ok`, `PeerErrors` is `peer.error`, `LocalLoads` is
/// `origin.ok`, `LocalLoadErrs` is `origin.not_found + origin.error`, `ServerRequests` is `server_requests`.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Gets of any kind, from callers here and from peers.
    pub gets: u64,
    /// Gets that found nothing in memory.
    pub misses: u64,
    /// Misses that waited on a load that another caller had started.
    pub collapsed: u64,
    /// Gets that came from peers.
    pub server_requests: u64,
    /// Gets refused because too many loads were under way.
    pub shed: u64,
    /// Gets served a value past its ttl while it was loaded again.
    pub stale_revalidating: u64,
    /// Gets served a value past its ttl because loading it again failed.
    pub stale_failed_over: u64,
    /// Loads begun in the background for a value that could still be served.
    pub refreshes: u64,
    /// Loads that the origin answered by word that the value known here is still right.
    pub not_modified: u64,
    /// Removals applied here: issued here, told by another node, or learnt when catching up.
    pub removals: u64,
    /// Values that came from the node that kept their keys before the ring changed, instead of from the origin.
    pub taken_over: u64,
    /// Requests to a second node, as the first was late.
    pub hedges: u64,
    /// Times that everything was dropped, as this node could not know what it had missed.
    pub unvouched_drops: u64,
    /// Loads under way now, from the origin and from peers.
    pub loads_in_flight: usize,
    /// Loads from the origin.
    pub origin: LoadStats,
    /// Who asks the origin, and who waits to, now.
    pub origin_queue: OriginQueue,
    /// Fetches from peers.
    pub peer: LoadStats,
    /// The cache of what this node owns.
    pub main: CacheStats,
    /// The copies of what other nodes own.
    pub hot: CacheStats,
    /// The keys known to be absent.
    pub absent: CacheStats,
    /// The bytes that all of them may hold together.
    pub limit_bytes: u64,
    /// Requests to the origin that asked for more than one key.
    pub origin_batches: u64,
    /// The keys that they asked for.
    pub origin_batched: u64,
    /// Keys that were to be loaded before anybody asked for them: [`Group::warm`](crate::Group::warm).
    pub warm: WarmStats,
    /// What follows the group's source, if anything does.
    pub follow: Option<FollowStats>,
}

/// How something that follows the changes of a group's source is doing: [`Group::set_follow_stats`](crate::Group::set_follow_stats).
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct FollowStats {
    /// What it does now.
    pub state: FollowState,
    /// For how long the oldest change that it knows to exist has not been applied everywhere; zero if there is none, `None`
    /// where it cannot tell.
    pub lag: Option<Duration>,
    /// How many bytes of its log the source still has to keep for it, where it has such a log.
    pub behind_bytes: Option<u64>,
    /// Changes that it was told of.
    pub changes: u64,
    /// Keys that it removed.
    pub keys_removed: u64,
    /// Values that it put in place of removed ones.
    pub values_put: u64,
    /// Times that it removed the whole group, as it could not know what had changed, or as all of it had.
    pub group_removals: u64,
    /// Times that it lost the source, or could not reach it.
    pub failures: u64,
}

/// What a follower of a group's source does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FollowState {
    /// Another node of the cluster follows; this one takes over when that one is down.
    #[default]
    Standby,
    /// It makes a connection to the source.
    Connecting,
    /// It is told of changes as they happen.
    Following,
    /// It cannot reach the source, and tries again.
    Failing,
}

impl FollowState {
    /// The state in one word, as a metric's label has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standby => "standby",
            Self::Connecting => "connecting",
            Self::Following => "following",
            Self::Failing => "failing",
        }
    }
}

/// Who asks the origin, and who waits to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OriginQueue {
    /// The most loads that may ask it at one time, as of now.
    pub limit: usize,
    /// Loads that ask it, with those given up.
    pub running: usize,
    /// Those of them that took too long for whoever waited, and of which the origin may still be at work.
    pub given_up: usize,
    /// Loads that wait to ask it.
    pub waiting: usize,
    /// Whether it failed so often that it is asked nothing, or little to find out whether it has recovered.
    pub breaker_open: bool,
    /// How often that has begun.
    pub breaker_opened: u64,
}

/// One of a group's two caches.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct CacheStats {
    /// Bytes held: keys, values and bookkeeping.
    pub bytes: u64,
    /// Entries held.
    pub entries: usize,
    /// The store's counters.
    pub store: StoreStats,
}

/// Loads from one kind of source.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LoadStats {
    /// Loads that brought a value.
    pub ok: u64,
    /// Loads that were told that there is no such key.
    pub not_found: u64,
    /// Loads that brought neither.
    pub error: u64,
    /// How long they took.
    pub seconds: Histogram,
}

/// Upper bounds of the histogram's buckets, in seconds; one more bucket takes what is above.
pub const HISTOGRAM_BOUNDS: [f64; 14] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// A histogram of durations.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    /// Observations per bucket (not cumulative); the last is above every bound.
    pub buckets: [u64; HISTOGRAM_BOUNDS.len() + 1],
    /// The sum of all observations, in seconds.
    pub sum: f64,
}

impl Histogram {
    /// The number of observations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// How a load ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoadEnd {
    Ok,
    NotFound,
    Error,
}

/// The counters that a group writes. All of them are on the miss path: what a hit counts is counted by the store, in the
/// shard that it has locked anyway.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) misses: AtomicU64,
    pub(crate) collapsed: AtomicU64,
    pub(crate) server_requests: AtomicU64,
    pub(crate) shed: AtomicU64,
    pub(crate) stale_revalidating: AtomicU64,
    pub(crate) stale_failed_over: AtomicU64,
    pub(crate) refreshes: AtomicU64,
    pub(crate) not_modified: AtomicU64,
    pub(crate) removals: AtomicU64,
    pub(crate) unvouched_drops: AtomicU64,
    pub(crate) taken_over: AtomicU64,
    pub(crate) hedges: AtomicU64,
    pub(crate) in_flight: AtomicUsize,
    pub(crate) origin_batches: AtomicU64,
    pub(crate) origin_batched: AtomicU64,
    pub(crate) warm: WarmCounters,
    pub(crate) origin: LoadCounters,
    pub(crate) peer: LoadCounters,
}

#[derive(Debug, Default)]
pub(crate) struct LoadCounters {
    ok: AtomicU64,
    not_found: AtomicU64,
    error: AtomicU64,
    buckets: [AtomicU64; HISTOGRAM_BOUNDS.len() + 1],
    sum_nanos: AtomicU64,
}

impl LoadCounters {
    pub(crate) fn observe(&self, end: LoadEnd, took: Duration) {
        match end {
            LoadEnd::Ok => &self.ok,
            LoadEnd::NotFound => &self.not_found,
            LoadEnd::Error => &self.error,
        }
        .fetch_add(1, Relaxed);
        let seconds = took.as_secs_f64();
        let bucket = HISTOGRAM_BOUNDS.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].fetch_add(1, Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.sum_nanos.fetch_add(nanos, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> LoadStats {
        LoadStats {
            ok: self.ok.load(Relaxed),
            not_found: self.not_found.load(Relaxed),
            error: self.error.load(Relaxed),
            seconds: Histogram {
                buckets: std::array::from_fn(|i| self.buckets[i].load(Relaxed)),
                sum: Duration::from_nanos(self.sum_nanos.load(Relaxed)).as_secs_f64(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_falls_into_the_bucket_whose_bound_it_reaches() {
        let counters = LoadCounters::default();
        counters.observe(LoadEnd::Ok, Duration::from_millis(1));
        counters.observe(LoadEnd::NotFound, Duration::from_micros(1_001));
        counters.observe(LoadEnd::Error, Duration::from_secs(60));
        let stats = counters.snapshot();
        assert_eq!((stats.ok, stats.not_found, stats.error), (1, 1, 1));
        assert_eq!(
            stats.seconds.buckets[3], 1,
            "1 ms is within the bound of 1 ms"
        );
        assert_eq!(stats.seconds.buckets[4], 1);
        assert_eq!(
            stats.seconds.buckets[14], 1,
            "a minute is above every bound"
        );
        assert_eq!(stats.seconds.count(), 3);
        assert!((stats.seconds.sum - 60.002_001).abs() < 1e-9);
    }
}
