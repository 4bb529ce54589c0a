//! The statistics of a node's groups over the last hour.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gaggle_group::{Groups, HISTOGRAM_BOUNDS, Stats};

use crate::quantile::of_buckets;

/// Points of a series.
pub const POINTS: usize = 360;

/// The time that a point stands for.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);

/// How many groups have series of their own.
pub const MOST_GROUPS: usize = 64;

/// The points of each series by its name, the oldest first. Rates are per second, percentiles in
/// seconds. `None` is an interval in which there was nothing to sample: the node did not run yet,
/// or nothing was loaded.
pub type Series = BTreeMap<&'static str, Vec<Option<f32>>>;

/// The last hour of a node.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct History {
    /// When the last point could have ended, in seconds of Unix time.
    pub now: f64,
    /// The time that a point stands for.
    pub interval: Duration,
    /// The length of each series.
    pub points: usize,
    /// Of all groups together.
    pub total: Series,
    /// Of each group.
    pub groups: BTreeMap<Arc<str>, Series>,
}

const RATES: [&str; 9] = [
    "client_gets",
    "client_hits",
    "peer_gets",
    "peer_hits",
    "origin_loads",
    "origin_errors",
    "peer_loads",
    "shed",
    "stale",
];

const OTHERS: [&str; 3] = ["bytes", "load_p50", "load_p99"];

const SERIES: usize = RATES.len() + OTHERS.len();

/// The statistics that are read, at one moment.
#[derive(Debug, Clone, Default)]
struct Counts {
    counters: [u64; RATES.len()],
    bytes: u64,
    /// Of loads from the origin.
    buckets: [u64; HISTOGRAM_BOUNDS.len() + 1],
}

impl From<&Stats> for Counts {
    fn from(stats: &Stats) -> Self {
        let (origin, peer) = (&stats.origin, &stats.peer);
        Self {
            counters: [
                stats.clients.gets,
                stats.clients.hits,
                stats.peers.gets,
                stats.peers.hits,
                origin.ok + origin.not_found + origin.error,
                origin.error,
                peer.ok + peer.not_found + peer.error,
                stats.shed,
                stats.stale_revalidating + stats.stale_failed_over,
            ],
            bytes: stats.main.bytes + stats.hot.bytes + stats.absent.bytes,
            buckets: origin.seconds.buckets,
        }
    }
}

impl Counts {
    fn add(&mut self, other: &Self) {
        let all = self.counters.iter_mut().zip(other.counters);
        let buckets = self.buckets.iter_mut().zip(other.buckets);
        for (sum, more) in all.chain(buckets) {
            *sum += more;
        }
        self.bytes += other.bytes;
    }

    /// The point that ends with these counts and began with `before`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "a plot needs no more than the 24 bits of a float"
    )]
    fn point(&self, before: &Self, seconds: f64) -> [f32; SERIES] {
        let mut point = [f32::NAN; SERIES];
        let counters = self.counters.iter().zip(before.counters);
        for (rate, (now, then)) in point.iter_mut().zip(counters) {
            *rate = (now.saturating_sub(then) as f64 / seconds) as f32;
        }
        let buckets = std::array::from_fn(|at| self.buckets[at].saturating_sub(before.buckets[at]));
        let quantile = |share| of_buckets(&buckets, share).map_or(f32::NAN, |found| found as f32);
        point[RATES.len()] = self.bytes as f32;
        point[RATES.len() + 1] = quantile(0.5);
        point[RATES.len() + 2] = quantile(0.99);
        point
    }
}

/// The points of some groups together.
struct Kept {
    before: Counts,
    /// A ring: the point at `next` is the oldest.
    points: Box<[[f32; SERIES]]>,
}

impl Kept {
    fn new(before: Counts) -> Self {
        Self {
            before,
            points: vec![[f32::NAN; SERIES]; POINTS].into(),
        }
    }

    fn series(&self, next: usize) -> Series {
        let (newer, older) = self.points.split_at(next);
        let names = RATES.into_iter().chain(OTHERS).enumerate();
        let of = |at: usize| {
            let points = older.iter().chain(newer).map(move |point| point[at]);
            points.map(|point| (!point.is_nan()).then_some(point))
        };
        names.map(|(at, name)| (name, of(at).collect())).collect()
    }
}

/// Takes samples, and keeps those of the last hour.
pub(crate) struct Sampler {
    total: Kept,
    groups: BTreeMap<Arc<str>, Kept>,
    next: usize,
}

impl Sampler {
    pub(crate) fn new(groups: &Groups) -> Self {
        let mut total = Counts::default();
        let mut kept = BTreeMap::new();
        for group in groups.iter() {
            let counts = Counts::from(&group.stats());
            total.add(&counts);
            if kept.len() < MOST_GROUPS {
                kept.insert(Arc::clone(group.name()), Kept::new(counts));
            }
        }
        Self {
            total: Kept::new(total),
            groups: kept,
            next: 0,
        }
    }

    /// Takes a sample, that long after the last one. Intervals without a sample stay empty.
    pub(crate) fn sample(&mut self, groups: &Groups, passed: Duration) {
        let seconds = passed.as_secs_f64().max(0.001);
        let missed = (passed.as_millis() / INTERVAL.as_millis()).saturating_sub(1);
        let missed = usize::try_from(missed).unwrap_or(POINTS).min(POINTS);
        for _ in 0..missed {
            let next = self.next;
            for kept in self.all() {
                kept.points[next] = [f32::NAN; SERIES];
            }
            self.next = (next + 1) % POINTS;
        }
        let next = self.next;
        let mut total = Counts::default();
        for group in groups.iter() {
            let counts = Counts::from(&group.stats());
            total.add(&counts);
            if let Some(kept) = self.groups.get_mut(group.name()) {
                kept.points[next] = counts.point(&kept.before, seconds);
                kept.before = counts;
            }
        }
        self.total.points[next] = total.point(&self.total.before, seconds);
        self.total.before = total;
        self.next = (next + 1) % POINTS;
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Kept> {
        std::iter::once(&mut self.total).chain(self.groups.values_mut())
    }

    /// All groups, or only one of them.
    pub(crate) fn history(&self, now: f64, only: Option<&str>) -> History {
        let wanted = |name: &&Arc<str>| only.is_none_or(|only| only == &***name);
        let groups = self.groups.iter().filter(|(name, _)| wanted(name));
        History {
            now,
            interval: INTERVAL,
            points: POINTS,
            total: self.total.series(self.next),
            groups: groups
                .map(|(name, kept)| (Arc::clone(name), kept.series(self.next)))
                .collect(),
        }
    }
}
