//! The results of requests, and their latencies.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hdrhistogram::{CreationError, Histogram};
use serde::Serialize;

use super::reason::Reasons;

/// Longer latencies count as this long: a day, in microseconds. No request lasts longer than twice
/// its timeout.
const MAX_MICROS: u64 = 24 * 3600 * 1_000_000;

/// Three digits of each latency.
const DIGITS: u8 = 3;

/// How one request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// 200 with a whole body and, if values are verified, the right one.
    Ok { bytes: u64 },
    /// Any other status, and the class of what the body says.
    Status {
        status: u16,
        bytes: u64,
        said: String,
    },
    /// 200 with a value other than the key's.
    Wrong { bytes: u64 },
    /// No whole answer.
    Lost(Lost),
}

/// Why there was no whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// No connection, for this reason.
    Connect(ErrorKind),
    /// No whole answer in time.
    Timeout(Stage),
    /// The node, or something between, reset the connection.
    Reset,
    /// The connection was closed before the answer.
    Closed,
    /// The body ended before its length.
    Short,
    /// The answer is not HTTP.
    Garbled,
    /// Never sent: no caller was free for it in time.
    Late,
}

/// How far a request had progressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Connecting,
    Asking,
    Reading,
}

/// Requests that failed other than by a status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Kinds {
    pub(super) connect: u64,
    pub(super) timeout: u64,
    pub(super) broken: u64,
    pub(super) late: u64,
    pub(super) wrong: u64,
}

/// The results of some callers, or of all.
#[derive(Debug, Clone)]
pub(super) struct Recorder {
    /// Of every request, in microseconds from the instant it was due to its end, whatever the
    /// result.
    pub(super) all: Histogram<u64>,
    /// Of those that succeeded.
    pub(super) ok: Histogram<u64>,
    /// By status, other than 200.
    pub(super) statuses: BTreeMap<u16, u64>,
    pub(super) kinds: Kinds,
    pub(super) reasons: Reasons,
    /// Of the bodies.
    pub(super) bytes: u64,
    /// Like `all`, since the last call of `take_interval`; only if a log is written.
    interval: Option<Histogram<u64>>,
}

/// A recorder for each thread, so that callers seldom wait for one another.
#[derive(Debug)]
pub(super) struct Recorders(Vec<Mutex<Recorder>>);

impl Recorder {
    pub(super) fn new() -> Result<Self, CreationError> {
        let latencies = Histogram::new_with_bounds(1, MAX_MICROS, DIGITS)?;
        Ok(Self {
            all: latencies.clone(),
            ok: latencies,
            statuses: BTreeMap::new(),
            kinds: Kinds::default(),
            reasons: Reasons::default(),
            bytes: 0,
            interval: None,
        })
    }

    fn with_intervals(mut self) -> Self {
        self.interval = Some(self.all.clone());
        self
    }

    pub(super) fn record(&mut self, due: Instant, ended: Instant, end: &End) {
        let micros = ended.saturating_duration_since(due).as_micros();
        let micros = u64::try_from(micros).unwrap_or(MAX_MICROS);
        self.all.saturating_record(micros);
        if let Some(interval) = &mut self.interval {
            interval.saturating_record(micros);
        }
        self.reasons.count(end);
        match *end {
            End::Ok { bytes } => {
                self.ok.saturating_record(micros);
                self.bytes += bytes;
            }
            End::Status { status, bytes, .. } => {
                *self.statuses.entry(status).or_default() += 1;
                self.bytes += bytes;
            }
            End::Wrong { bytes } => {
                self.kinds.wrong += 1;
                self.bytes += bytes;
            }
            End::Lost(Lost::Connect(_)) => self.kinds.connect += 1,
            End::Lost(Lost::Timeout(_)) => self.kinds.timeout += 1,
            End::Lost(Lost::Reset | Lost::Closed | Lost::Short | Lost::Garbled) => {
                self.kinds.broken += 1;
            }
            End::Lost(Lost::Late) => self.kinds.late += 1,
        }
    }

    /// All requests, however they ended.
    pub(super) fn requests(&self) -> u64 {
        self.all.len()
    }

    pub(super) fn errors(&self) -> u64 {
        self.all.len() - self.ok.len()
    }

    fn merge(&mut self, other: &Self) {
        // Both have the same bounds, so there is nothing that does not fit.
        let _ = self.all.add(&other.all);
        let _ = self.ok.add(&other.ok);
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        self.kinds.connect += other.kinds.connect;
        self.kinds.timeout += other.kinds.timeout;
        self.kinds.broken += other.kinds.broken;
        self.kinds.late += other.kinds.late;
        self.kinds.wrong += other.kinds.wrong;
        self.reasons.merge(&other.reasons);
        self.bytes += other.bytes;
    }
}

impl Recorders {
    pub(super) fn new(threads: usize) -> Result<Self, CreationError> {
        Self::of(threads, Recorder::new)
    }

    /// The same for [`take_interval`](Self::take_interval).
    pub(super) fn with_intervals(threads: usize) -> Result<Self, CreationError> {
        Self::of(threads, || Ok(Recorder::new()?.with_intervals()))
    }

    fn of(
        threads: usize,
        new: impl Fn() -> Result<Recorder, CreationError>,
    ) -> Result<Self, CreationError> {
        let recorders = (0..threads.max(1)).map(|_| new().map(Mutex::new));
        Ok(Self(recorders.collect::<Result<_, _>>()?))
    }

    /// Adds to `sum` the latencies of all requests that ended since the last call.
    pub(super) fn take_interval(&self, sum: &mut Histogram<u64>) {
        for recorder in &self.0 {
            if let Some(interval) = &mut locked(recorder).interval {
                // Both have the same bounds, so there is nothing that does not fit.
                let _ = sum.add(&*interval);
                interval.reset();
            }
        }
    }

    pub(super) fn record(&self, caller: usize, due: Instant, ended: Instant, end: &End) {
        locked(&self.0[caller % self.0.len()]).record(due, ended, end);
    }

    /// How many requests ended, and how many of them in an error.
    pub(super) fn so_far(&self) -> (u64, u64) {
        self.0.iter().fold((0, 0), |(requests, errors), recorder| {
            let recorder = locked(recorder);
            (requests + recorder.requests(), errors + recorder.errors())
        })
    }

    pub(super) fn sum(&self) -> Result<Recorder, CreationError> {
        let mut sum = Recorder::new()?;
        for recorder in &self.0 {
            sum.merge(&locked(recorder));
        }
        Ok(sum)
    }
}

fn locked(recorder: &Mutex<Recorder>) -> MutexGuard<'_, Recorder> {
    // Counts are whole at every instant.
    recorder.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Within the histogram's three digits.
    fn near(found: u64, expected: Duration) -> bool {
        let expected = u64::try_from(expected.as_micros()).unwrap();
        found.abs_diff(expected) * 1000 <= expected
    }

    #[test]
    fn a_stall_is_seen_by_all_that_was_due_meanwhile() {
        let start = Instant::now();
        let mut recorder = Recorder::new().unwrap();
        // 1000 a second. Each takes 1 ms, except during a stall from 500 ms to 700 ms: requests
        // that are due then end with it.
        for number in 0..1000 {
            let due = start + MS * number;
            let ended = if (500..700).contains(&number) {
                start + 700 * MS
            } else {
                due + MS
            };
            recorder.record(due, ended, &End::Ok { bytes: 3 });
        }
        let at = |quantile| recorder.all.value_at_quantile(quantile);
        assert!(near(at(0.5), MS), "{}", at(0.5));
        // A fifth of the requests waited, from 1 to 200 ms: the 900th of 1000 half as long.
        assert!(near(at(0.9), 100 * MS), "{}", at(0.9));
        assert!(near(at(0.99), 190 * MS), "{}", at(0.99));
        assert!(near(recorder.all.max(), 200 * MS));
        assert_eq!((recorder.requests(), recorder.bytes), (1000, 3000));
    }

    #[test]
    fn errors_are_counted_by_status_and_kind_and_their_time_counts_too() {
        let start = Instant::now();
        let recorders = Recorders::with_intervals(2).unwrap();
        let status = |status| End::Status {
            status,
            bytes: 7,
            said: "busy".to_owned(),
        };
        let ends = [
            End::Ok { bytes: 5 },
            status(503),
            status(404),
            status(503),
            End::Wrong { bytes: 5 },
            End::Lost(Lost::Connect(ErrorKind::ConnectionRefused)),
            End::Lost(Lost::Timeout(Stage::Asking)),
            End::Lost(Lost::Short),
            End::Lost(Lost::Late),
        ];
        for (caller, end) in ends.into_iter().enumerate() {
            let late = end == End::Lost(Lost::Late);
            let took = if late { 1000 * MS } else { MS };
            recorders.record(caller, start, start + took, &end);
        }
        assert_eq!(recorders.so_far(), (9, 8));
        let sum = recorders.sum().unwrap();
        assert_eq!(sum.statuses, BTreeMap::from([(404, 1), (503, 2)]));
        let once = Kinds {
            connect: 1,
            timeout: 1,
            broken: 1,
            late: 1,
            wrong: 1,
        };
        assert_eq!((sum.kinds, sum.bytes), (once, 31));
        assert!(near(sum.all.max(), 1000 * MS));
        assert!(near(sum.ok.max(), MS));
        let reasons = sum.reasons.met();
        assert_eq!(reasons.iter().map(|met| met.count).sum::<u64>(), 8);
        assert_eq!((reasons[0].count, reasons[0].status), (2, Some(503)));

        let mut interval = Recorder::new().unwrap().all;
        recorders.take_interval(&mut interval);
        assert_eq!(interval.len(), 9);
        interval.reset();
        recorders.take_interval(&mut interval);
        assert!(interval.is_empty(), "what was taken is not taken again");
    }
}
