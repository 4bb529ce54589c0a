//! The counters of a group, and their public snapshot.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::warm::WarmCounters;
use crate::{StoreStats, TraceParent, WarmStats};

/// A snapshot of a group's counters since it was made. Each counter is exact; the set as a whole
/// is not of one instant.
///
/// golang/groupcache's names for them: `Gets` is `gets`, `CacheHits` is `main.hits + hot.hits`,
/// `Loads` is `misses`, `LoadsDeduped` is `misses - collapsed`, `PeerLoads` is `peer.ok`,
/// `PeerErrors` is `peer.error`, `LocalLoads` is `origin.ok`, `LocalLoadErrs` is
/// `origin.not_found + origin.error`, `ServerRequests` is `server_requests`.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Gets of any kind, from callers here and from peers.
    pub gets: u64,
    /// Gets of callers here: of a program that embeds the group, and of the node's clients.
    pub clients: GetStats,
    /// Gets through [`Group::serve`](crate::Group::serve): from other nodes, and from programs
    /// that use the peers' port.
    pub peers: GetStats,
    /// Gets that found nothing in memory.
    pub misses: u64,
    /// Misses that waited on a load that another caller had started.
    pub collapsed: u64,
    /// Gets from peers.
    pub server_requests: u64,
    /// Gets refused because too many loads were running.
    pub shed: u64,
    /// Gets served a value past its ttl while it was loaded again.
    pub stale_revalidating: u64,
    /// Gets served a value past its ttl because loading it again failed.
    pub stale_failed_over: u64,
    /// Loads begun in the background for a value that could still be served.
    pub refreshes: u64,
    /// Loads for which the origin confirmed that the known value is still valid.
    pub not_modified: u64,
    /// Removals applied here: issued here, received from another node, or learnt by following.
    pub removals: u64,
    /// Removals of the whole group among them.
    pub group_removals: u64,
    /// The removals that were issued here, and how many nodes they reached.
    pub issued: RemovalStats,
    /// Values loaded from the node that kept their keys before the ring changed, instead of from
    /// the origin.
    pub taken_over: u64,
    /// Requests to a second node, because the first was late (hedging).
    pub hedges: u64,
    /// Times that everything was dropped, because this node may have missed removals.
    pub unvouched_drops: u64,
    /// Loads running now, from the origin and from peers.
    pub loads_in_flight: usize,
    /// Loads from the origin.
    pub origin: LoadStats,
    /// The loads that ask the origin, or wait to, now.
    pub origin_queue: OriginQueue,
    /// Fetches from peers.
    pub peer: LoadStats,
    /// The cache of the keys that this node owns.
    pub main: CacheStats,
    /// The copies of other nodes' keys.
    pub hot: CacheStats,
    /// The keys known to be absent.
    pub absent: CacheStats,
    /// The bytes that all of them may hold together.
    pub limit_bytes: u64,
    /// Requests to the origin that asked for more than one key.
    pub origin_batches: u64,
    /// The keys in these requests.
    pub origin_batched: u64,
    /// Loads that the origin refused because of their key
    /// ([`OriginFault::Key`](crate::OriginFault)): clients requested keys that it cannot hold.
    /// They are among its errors.
    pub origin_key_faults: u64,
    /// Keys that were loaded before they were requested: [`Group::warm`](crate::Group::warm).
    pub warm: WarmStats,
    /// The state of a follower of the group's source, if there is one.
    pub follow: Option<FollowStats>,
}

/// Gets from one kind of caller, and how many of them were hits.
///
/// A hit is a get that memory answered without a wait: with a fresh value, with a known absence,
/// or with a stale value that is loaded again in the background. A stale value served because a
/// load failed is not a hit.
///
/// The hits of all callers are `gets - misses`. Those of clients are the totals minus those of
/// peers, as nothing is counted for them alone on the path of a hit. A snapshot may therefore lag
/// by the running requests of peers. It never goes back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GetStats {
    /// Gets that ended, however they ended, or wait for a load.
    pub gets: u64,
    /// The number of these that were hits.
    pub hits: u64,
}

impl GetStats {
    /// The share of hits, from 0 to 1; `None` before the first get.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        (self.gets > 0).then(|| self.hits as f64 / self.gets as f64)
    }
}

/// The removals that one node has issued. A removal that is still running is counted only in the
/// first three numbers.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct RemovalStats {
    /// Removals of named keys.
    pub keys: u64,
    /// Removals of the whole group.
    pub group: u64,
    /// Values put, each of which removes the older value of its key.
    pub puts: u64,
    /// Removals that did not reach every other node.
    pub incomplete: u64,
    /// The nodes that were not notified, counted once for each removal that missed them.
    pub missed: u64,
    /// How long the others took until every node had dropped its copies.
    pub seconds: Histogram,
}

/// The state of a follower of the changes of a group's source:
/// [`Group::set_follow_stats`](crate::Group::set_follow_stats).
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct FollowStats {
    /// Its current state.
    pub state: FollowState,
    /// For how long the oldest known change has not been applied everywhere; zero if there is
    /// none, `None` if that is unknown.
    pub lag: Option<Duration>,
    /// How many bytes of its log the source has to keep for the follower, if it has such a log.
    pub behind_bytes: Option<u64>,
    /// Changes that it received.
    pub changes: u64,
    /// Keys that it removed.
    pub keys_removed: u64,
    /// Values that it put in place of removed ones.
    pub values_put: u64,
    /// Removals of the whole group, because the changes were unknown, or affected all of it.
    pub group_removals: u64,
    /// Times that it lost the source, or could not reach it.
    pub failures: u64,
}

/// The state of a follower of a group's source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FollowState {
    /// Another node of the cluster follows; this one takes over when that one is down.
    #[default]
    Standby,
    /// It is connecting to the source.
    Connecting,
    /// It receives changes as they happen.
    Following,
    /// It cannot reach the source, and retries.
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

/// The loads that ask the origin, or wait to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OriginQueue {
    /// The current limit of concurrent loads at the origin.
    pub limit: usize,
    /// Loads that ask the origin, including those that timed out.
    pub running: usize,
    /// The loads among them that timed out, and on which the origin may still be working.
    pub given_up: usize,
    /// Loads that wait to ask it.
    pub waiting: usize,
    /// Whether the circuit breaker stops requests to the origin because it failed too often, or
    /// admits only a few to probe whether it has recovered.
    pub breaker_open: bool,
    /// How often the breaker has opened.
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
    /// Loads that returned a value.
    pub ok: u64,
    /// Loads that found no such key.
    pub not_found: u64,
    /// Loads that failed.
    pub error: u64,
    /// How long they took.
    pub seconds: Histogram,
    /// Loads that belong to sampled traces: the newest of each bucket of `seconds`, if it has any,
    /// in the buckets' order.
    pub exemplars: Vec<Exemplar>,
}

/// A load that belongs to a sampled trace: an example of loads that took about as long.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Exemplar {
    /// The identity of the trace.
    pub trace_id: [u8; 16],
    /// How long the load took, in seconds.
    pub seconds: f64,
    /// When it ended.
    pub at: SystemTime,
}

impl Exemplar {
    /// A load that took so many seconds and ended at that time.
    #[must_use]
    pub fn new(trace_id: [u8; 16], seconds: f64, at: SystemTime) -> Self {
        Self {
            trace_id,
            seconds,
            at,
        }
    }
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

    /// The bucket of an observation of so many seconds.
    #[must_use]
    pub fn bucket_of(seconds: f64) -> usize {
        HISTOGRAM_BOUNDS.partition_point(|bound| *bound < seconds)
    }
}

/// How a load ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoadEnd {
    Ok,
    NotFound,
    Error,
}

/// The counters that a group writes. All of them are on the miss path: the store counts hits, in
/// the shard that it has locked anyway.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) misses: AtomicU64,
    pub(crate) collapsed: AtomicU64,
    pub(crate) server_requests: AtomicU64,
    /// The number of these that were hits.
    pub(crate) server_hits: AtomicU64,
    /// The highest gets and hits of clients that a snapshot has reported.
    pub(crate) told_clients: Told,
    pub(crate) shed: AtomicU64,
    pub(crate) stale_revalidating: AtomicU64,
    pub(crate) stale_failed_over: AtomicU64,
    pub(crate) refreshes: AtomicU64,
    pub(crate) not_modified: AtomicU64,
    pub(crate) removals: AtomicU64,
    pub(crate) group_removals: AtomicU64,
    pub(crate) issued: RemovalCounters,
    pub(crate) unvouched_drops: AtomicU64,
    pub(crate) taken_over: AtomicU64,
    pub(crate) hedges: AtomicU64,
    pub(crate) in_flight: AtomicUsize,
    pub(crate) origin_batches: AtomicU64,
    pub(crate) origin_batched: AtomicU64,
    pub(crate) origin_key_faults: AtomicU64,
    pub(crate) warm: WarmCounters,
    pub(crate) origin: LoadCounters,
    pub(crate) peer: LoadCounters,
}

#[derive(Debug, Default)]
pub(crate) struct LoadCounters {
    ok: AtomicU64,
    not_found: AtomicU64,
    error: AtomicU64,
    seconds: Durations,
    exemplars: Exemplars,
}

/// The newest load of a sampled trace in each bucket. The locks are held for a copy, and loads of
/// other traces take none.
#[derive(Debug, Default)]
struct Exemplars([Mutex<Option<Exemplar>>; HISTOGRAM_BOUNDS.len() + 1]);

/// A histogram that is being written.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    buckets: [AtomicU64; HISTOGRAM_BOUNDS.len() + 1],
    sum_nanos: AtomicU64,
}

/// The last reported gets of clients. They are a difference of counters that change while they are
/// read, and must not go back: a scraper would take that for a restart.
#[derive(Debug, Default)]
pub(crate) struct Told {
    gets: AtomicU64,
    hits: AtomicU64,
}

impl Told {
    /// The totals minus the gets of peers. The totals must have been read first: the difference is
    /// then too small, if it is wrong, and the next snapshot corrects it.
    pub(crate) fn clients(&self, total: GetStats, peers: GetStats) -> GetStats {
        let rising = |told: &AtomicU64, now: u64| told.fetch_max(now, Relaxed).max(now);
        GetStats {
            gets: rising(&self.gets, total.gets.saturating_sub(peers.gets)),
            hits: rising(&self.hits, total.hits.saturating_sub(peers.hits)),
        }
    }
}

/// The kind of a removal's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RemovalKind {
    Keys,
    Group,
    Put,
}

#[derive(Debug, Default)]
pub(crate) struct RemovalCounters {
    keys: AtomicU64,
    group: AtomicU64,
    puts: AtomicU64,
    incomplete: AtomicU64,
    missed: AtomicU64,
    seconds: Durations,
}

impl RemovalCounters {
    pub(crate) fn issued(&self, kind: RemovalKind) {
        match kind {
            RemovalKind::Keys => &self.keys,
            RemovalKind::Group => &self.group,
            RemovalKind::Put => &self.puts,
        }
        .fetch_add(1, Relaxed);
    }

    /// A removal has ended: every reachable node has been notified.
    pub(crate) fn ended(&self, missed: usize, took: Duration) {
        if missed == 0 {
            self.seconds.observe(took);
        } else {
            self.incomplete.fetch_add(1, Relaxed);
            self.missed.fetch_add(missed as u64, Relaxed);
        }
    }

    pub(crate) fn snapshot(&self) -> RemovalStats {
        RemovalStats {
            keys: self.keys.load(Relaxed),
            group: self.group.load(Relaxed),
            puts: self.puts.load(Relaxed),
            incomplete: self.incomplete.load(Relaxed),
            missed: self.missed.load(Relaxed),
            seconds: self.seconds.snapshot(),
        }
    }
}

impl Durations {
    pub(crate) fn observe(&self, took: Duration) {
        let bucket = Histogram::bucket_of(took.as_secs_f64());
        self.buckets[bucket].fetch_add(1, Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.sum_nanos.fetch_add(nanos, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Histogram {
        Histogram {
            buckets: std::array::from_fn(|i| self.buckets[i].load(Relaxed)),
            sum: Duration::from_nanos(self.sum_nanos.load(Relaxed)).as_secs_f64(),
        }
    }
}

impl Exemplars {
    fn note(&self, exemplar: Exemplar) {
        if let Some(newest) = self.0.get(Histogram::bucket_of(exemplar.seconds)) {
            *newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(exemplar);
        }
    }

    fn snapshot(&self) -> Vec<Exemplar> {
        let newest = self.0.iter();
        newest
            .filter_map(|newest| *newest.lock().unwrap_or_else(PoisonError::into_inner))
            .collect()
    }
}

impl LoadCounters {
    /// Counts a load that has ended, of that trace if it belongs to one.
    pub(crate) fn observe(&self, end: LoadEnd, took: Duration, trace: Option<TraceParent>) {
        match end {
            LoadEnd::Ok => &self.ok,
            LoadEnd::NotFound => &self.not_found,
            LoadEnd::Error => &self.error,
        }
        .fetch_add(1, Relaxed);
        self.seconds.observe(took);
        if let Some(trace) = trace.filter(TraceParent::is_sampled) {
            let seconds = took.as_secs_f64();
            let exemplar = Exemplar::new(trace.trace_id(), seconds, SystemTime::now());
            self.exemplars.note(exemplar);
        }
    }

    pub(crate) fn snapshot(&self) -> LoadStats {
        LoadStats {
            ok: self.ok.load(Relaxed),
            not_found: self.not_found.load(Relaxed),
            error: self.error.load(Relaxed),
            seconds: self.seconds.snapshot(),
            exemplars: self.exemplars.snapshot(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_clients_never_goes_back() {
        let told = Told::default();
        let stats = |gets, hits| GetStats { gets, hits };
        assert_eq!(told.clients(stats(10, 8), stats(4, 3)), stats(6, 5));
        // Two requests of peers have been counted of which the totals do not know yet.
        assert_eq!(told.clients(stats(10, 8), stats(6, 3)), stats(6, 5));
        assert_eq!(told.clients(stats(13, 9), stats(6, 3)), stats(7, 6));
        assert_eq!(stats(4, 3).ratio(), Some(0.75));
        assert_eq!(stats(0, 0).ratio(), None);
    }

    #[test]
    fn a_removal_that_missed_a_node_has_no_duration() {
        let counters = RemovalCounters::default();
        counters.issued(RemovalKind::Keys);
        counters.issued(RemovalKind::Group);
        counters.ended(2, Duration::from_secs(2));
        counters.ended(0, Duration::from_millis(3));
        let stats = counters.snapshot();
        assert_eq!((stats.keys, stats.group, stats.puts), (1, 1, 0));
        assert_eq!((stats.incomplete, stats.missed), (1, 2));
        assert_eq!(stats.seconds.count(), 1);
        assert!((stats.seconds.sum - 0.003).abs() < 1e-9);
    }

    #[test]
    fn an_observation_falls_into_the_bucket_whose_bound_it_reaches() {
        let counters = LoadCounters::default();
        counters.observe(LoadEnd::Ok, Duration::from_millis(1), None);
        counters.observe(LoadEnd::NotFound, Duration::from_micros(1_001), None);
        counters.observe(LoadEnd::Error, Duration::from_secs(60), None);
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
        assert_eq!(stats.exemplars, [], "none of them has a trace");
    }

    #[test]
    fn a_bucket_keeps_the_newest_load_of_a_sampled_trace() {
        let counters = LoadCounters::default();
        let trace = |id, flags| TraceParent::new([id; 16], [1; 8], flags);
        let before = SystemTime::now();
        for (id, flags, took) in [(1, 1, 70), (2, 1, 80), (3, 0, 90), (4, 1, 2), (5, 3, 9_000)] {
            let took = Duration::from_millis(took);
            counters.observe(LoadEnd::Ok, took, trace(id, flags));
        }
        let found = counters.snapshot().exemplars;
        let told: Vec<_> = found
            .iter()
            .map(|it| (it.trace_id[0], it.seconds))
            .collect();
        assert_eq!(told, [(4, 0.002), (2, 0.08), (5, 9.0)]);
        assert!(
            found
                .iter()
                .all(|it| (before..=SystemTime::now()).contains(&it.at))
        );
    }
}
