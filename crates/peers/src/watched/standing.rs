//! The record of a peer's requests: how long they take, whether they fail, and so whether it gets
//! any.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::latency::Latencies;
use crate::fleet::Fleet;

/// Failed requests in sequence after which a peer is left out.
const FAILURES: u32 = 5;
/// The number of recent answers from which their median counts.
const ENOUGH_FOR_MEDIAN: u32 = 20;
/// The number of recent answers from which their 95th percentile counts.
const ENOUGH_FOR_P95: u32 = 50;
/// A peer is never too slow below this.
const SLOW: Duration = Duration::from_millis(200);
/// How many times slower than the others a peer may be.
const TIMES_AS_SLOW: u32 = 10;
/// How long a new peer with quick pings is not considered too slow: its memory is empty, and its
/// loads take as long as the origin does.
const WARMS_UP: Duration = Duration::from_secs(30);
/// How long a peer is left out the first time, and at most.
const FIRST_OUT: Duration = Duration::from_secs(1);
const LONGEST_OUT: Duration = Duration::from_secs(30);
/// A peer that was in use for this long is left out as if for the first time.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// How long a route reserves the one request that tries the peer, until it is sent.
const LEASE: Duration = Duration::from_millis(100);
/// After how many answers the quantiles are read.
const READ_EVERY: u32 = 8;

/// A fetch earns a sixth of a hedge, and a hedge is also a fetch: so there is at most one hedge
/// for five other fetches.
const EARNED: u32 = 1;
const HEDGE: u32 = 6;
const MOST_SAVED: u32 = 10 * HEDGE;

pub(crate) struct Standing {
    name: Box<str>,
    record: Mutex<Record>,
    /// In microseconds; 0 while there are too few answers.
    median: AtomicU64,
    p95: AtomicU64,
    p95_of_long: AtomicU64,
    failures: AtomicU32,
    /// Whether the peer is left out, or tried again.
    is_out: AtomicBool,
    out: Mutex<Out>,
    saved: AtomicU32,
}

struct Record {
    recent: Latencies,
    long: Latencies,
    since_read: u32,
    /// When the peer was added.
    since: Instant,
    /// The duration of its last ping.
    ping: Duration,
}

/// When a peer is left out.
struct Out {
    until: Instant,
    /// Until when the request that tries it is waited for.
    trial: Option<Instant>,
    times: u32,
    in_since: Option<Instant>,
}

/// How a request to a peer has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With an answer.
    Answered,
    /// With a verdict, which says little about the peer.
    Other,
    Failed,
}

impl Standing {
    pub(crate) fn new(name: &str) -> Self {
        let now = Instant::now();
        Self {
            name: name.into(),
            record: Mutex::new(Record {
                recent: Latencies::new(256, Duration::from_secs(10)),
                long: Latencies::new(8_192, Duration::from_secs(3_600)),
                since_read: 0,
                since: now,
                ping: Duration::ZERO,
            }),
            median: AtomicU64::new(0),
            p95: AtomicU64::new(0),
            p95_of_long: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            is_out: AtomicBool::new(false),
            out: Mutex::new(Out {
                until: now,
                trial: None,
                times: 0,
                in_since: None,
            }),
            saved: AtomicU32::new(0),
        }
    }

    /// Whether the peer is left out, or only tried.
    pub(crate) fn is_out(&self) -> bool {
        self.is_out.load(Relaxed)
    }

    /// Whether a request may be sent to the peer. While it is tried, one request at a time may.
    pub(crate) fn admits(&self) -> bool {
        if !self.is_out() {
            return true;
        }
        let (mut out, now) = (self.out(), Instant::now());
        if now < out.until || out.trial.is_some_and(|until| now < until) {
            return false;
        }
        out.trial = Some(now + LEASE);
        true
    }

    /// A request begins; returns whether it is the one that tries the peer.
    pub(crate) fn begins(&self, deadline: Duration) -> bool {
        self.earn();
        if !self.is_out() {
            return false;
        }
        let (mut out, now) = (self.out(), Instant::now());
        // Any other request was sent before the peer was left out.
        let tries = now >= out.until;
        if tries {
            out.trial = Some(now + deadline);
        }
        tries
    }

    /// A request has ended after that time.
    pub(crate) fn ends(&self, end: End, took: Duration, tries: bool, fleet: &Fleet) {
        if end == End::Failed {
            if tries {
                self.leave_out("it fails again");
            } else if self.failures.fetch_add(1, Relaxed) + 1 >= FAILURES && !self.is_out() {
                fleet.leave_out(self, "its requests fail");
            }
            return;
        }
        self.failures.store(0, Relaxed);
        if tries {
            if took > self.too_slow(fleet) && self.record().ping > SLOW {
                self.leave_out("it is still slow");
            } else {
                self.let_in();
            }
            return;
        }
        if end == End::Answered && self.record_took(took, fleet) && !self.is_out() {
            let slow = |median: &Duration| *median > SLOW && *median > self.too_slow(fleet);
            if self.median().as_ref().is_some_and(slow) && !self.is_excused() {
                fleet.leave_out(self, "it is slower than the others by far");
            }
        }
    }

    /// The asker has dropped the request that tried the peer.
    pub(crate) fn given_up(&self) {
        self.out().trial = None;
    }

    /// A ping has ended.
    pub(crate) fn pinged(&self, took: Duration) {
        self.record().ping = took;
    }

    /// The peer has left or returned: the record of its requests no longer applies.
    pub(crate) fn start_over(&self) {
        let mut record = self.record();
        record.recent.clear();
        record.since = Instant::now();
        drop(record);
        self.median.store(0, Relaxed);
        self.p95.store(0, Relaxed);
        self.failures.store(0, Relaxed);
        let mut out = self.out();
        out.times = 0;
        out.in_since = None;
        self.is_out.store(false, Relaxed);
    }

    /// The 95th percentile of recent answers, if there are enough.
    pub(crate) fn p95(&self) -> Option<Duration> {
        some(self.p95.load(Relaxed))
    }

    /// The 95th percentile of the last thousands of answers.
    pub(crate) fn p95_of_long(&self) -> Option<Duration> {
        some(self.p95_of_long.load(Relaxed))
    }

    /// The median of recent answers, if there are enough.
    pub(crate) fn median(&self) -> Option<Duration> {
        some(self.median.load(Relaxed))
    }

    fn earn(&self) {
        // If two fetches begin at the same moment, a lost update does not matter.
        let saved = self.saved.load(Relaxed);
        if saved < MOST_SAVED {
            self.saved.fetch_add(EARNED, Relaxed);
        }
    }

    /// Takes a hedge from what the peer's fetches have earned.
    pub(crate) fn pay_hedge(&self) -> bool {
        let pay = |saved: u32| saved.checked_sub(HEDGE);
        self.saved.fetch_update(Relaxed, Relaxed, pay).is_ok()
    }

    /// Returns whether the quantiles were read.
    fn record_took(&self, took: Duration, fleet: &Fleet) -> bool {
        let mut record = self.record();
        let now = Instant::now();
        record.recent.record(took, now);
        record.long.record(took, now);
        record.since_read += 1;
        if record.since_read < READ_EVERY {
            return false;
        }
        record.since_read = 0;
        let read = |latencies: &Latencies, percent, enough| {
            if latencies.total() < enough {
                return 0;
            }
            u64::try_from(latencies.quantile(percent).as_micros()).unwrap_or(u64::MAX)
        };
        let median = read(&record.recent, 50, ENOUGH_FOR_MEDIAN);
        let p95 = read(&record.recent, 95, ENOUGH_FOR_P95);
        let p95_of_long = read(&record.long, 95, ENOUGH_FOR_P95);
        drop(record);
        self.median.store(median, Relaxed);
        self.p95.store(p95, Relaxed);
        self.p95_of_long.store(p95_of_long, Relaxed);
        fleet.has_news();
        true
    }

    /// The threshold from which this peer is too slow, given how long the others take. Without
    /// others there is no comparison, since the origin may be slow.
    fn too_slow(&self, fleet: &Fleet) -> Duration {
        let others = fleet.median_of_others(self);
        others.map_or(Duration::MAX, |others| SLOW.max(others * TIMES_AS_SLOW))
    }

    fn is_excused(&self) -> bool {
        let record = self.record();
        record.since.elapsed() < WARMS_UP && record.ping < SLOW
    }

    /// Leaves the peer out for a while. It is called through the fleet, unless the peer is out
    /// already.
    pub(crate) fn leave_out(&self, why: &str) {
        self.record().recent.clear();
        self.median.store(0, Relaxed);
        self.p95.store(0, Relaxed);
        self.failures.store(0, Relaxed);
        let mut out = self.out();
        let now = Instant::now();
        let forgotten = |since: Instant| now.duration_since(since) >= FORGOTTEN_AFTER;
        if out.in_since.take().is_some_and(forgotten) {
            out.times = 0;
        }
        let span = (FIRST_OUT * (1 << out.times.min(16))).min(LONGEST_OUT);
        out.times += 1;
        out.until = now + span;
        out.trial = None;
        self.is_out.store(true, Relaxed);
        drop(out);
        warn!(peer = &*self.name, why, "for" = ?span, "a peer is left out");
    }

    fn let_in(&self) {
        let mut out = self.out();
        out.trial = None;
        out.in_since = Some(Instant::now());
        self.is_out.store(false, Relaxed);
        drop(out);
        info!(
            peer = &*self.name,
            "a peer that was left out is asked again"
        );
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn some(micros: u64) -> Option<Duration> {
    (micros > 0).then(|| Duration::from_micros(micros))
}
