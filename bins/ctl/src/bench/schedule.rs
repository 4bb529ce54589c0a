//! When each request is due.
//!
//! An open loop has requests due at a constant rate, whatever the answers, as load from many
//! people is. A caller that is busy when a request is due does not delay the next one. Requests
//! that are due wait, as a number and not in a queue, and each request's latency is measured from
//! the instant at which it was due. A server that stalls for a second then delays all the requests
//! of that second, and not only one for each caller ("coordinated omission": Gil Tene, "How NOT to
//! Measure Latency", 2013).

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

const NANOS: u128 = 1_000_000_000;

/// The pacer sleeps at least this long: it must leave the processors to the nodes.
const TICK: Duration = Duration::from_micros(100);

/// The requests of one phase. Each is taken by one caller.
#[derive(Debug)]
pub(super) struct Schedule {
    start: Instant,
    /// How many there are, at most.
    total: u64,
    /// The number of the next request that no caller has taken.
    next: AtomicU64,
    pace: Pace,
}

#[derive(Debug)]
enum Pace {
    /// Each caller asks again when it is answered, until the end.
    Closed { end: Option<Instant> },
    Open {
        rate: u32,
        callers: usize,
        /// How many became due.
        released: AtomicU64,
        /// How many became due and are not taken.
        due: Semaphore,
    },
}

/// How long a phase is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Length {
    Time(Duration),
    Requests(u64),
}

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) number: u64,
    /// When it should be sent, and its latency begins.
    pub(super) due: Instant,
}

impl Schedule {
    pub(super) fn closed(start: Instant, length: Length) -> Self {
        let (total, end) = match length {
            Length::Time(time) => (u64::MAX, Some(start + time)),
            Length::Requests(count) => (count, None),
        };
        Self {
            start,
            total,
            next: AtomicU64::new(0),
            pace: Pace::Closed { end },
        }
    }

    /// An open loop of `rate` requests in a second, from `start` on. Something has to
    /// [`release`](Self::release) them.
    pub(super) fn open(start: Instant, length: Length, rate: u32, callers: usize) -> Self {
        let total = match length {
            Length::Time(time) => {
                u64::try_from((time.as_nanos() * u128::from(rate)).div_ceil(NANOS))
                    .unwrap_or(u64::MAX)
            }
            Length::Requests(count) => count,
        };
        Self {
            start,
            total,
            next: AtomicU64::new(0),
            pace: Pace::Open {
                rate,
                callers,
                released: AtomicU64::new(0),
                due: Semaphore::new(0),
            },
        }
    }

    /// Waits until a request is due that no caller has taken, and takes it. `None` when there are
    /// no more.
    pub(super) async fn next(&self) -> Option<Slot> {
        if let Pace::Open { due, .. } = &self.pace {
            due.acquire().await.ok()?.forget();
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >= self.total {
            return None;
        }
        let due = match &self.pace {
            Pace::Closed { end } => {
                let now = Instant::now();
                if end.is_some_and(|end| now >= end) {
                    return None;
                }
                now
            }
            Pace::Open { rate, .. } => {
                self.start + nanos(u128::from(number) * NANOS / u128::from(*rate))
            }
        };
        Some(Slot { number, due })
    }

    /// Releases the requests that are due at `now`. Returns the time until the next one, or `None`
    /// when all are due.
    ///
    /// For one pacer: two that release at the same time would release twice.
    fn release(&self, now: Instant) -> Option<Duration> {
        let Pace::Open {
            rate,
            callers,
            released,
            due,
        } = &self.pace
        else {
            return None;
        };
        let rate = u128::from(*rate);
        let elapsed = now.saturating_duration_since(self.start).as_nanos();
        let by_now = u64::try_from(elapsed * rate / NANOS + 1).unwrap_or(u64::MAX);
        let by_now = by_now.min(self.total);
        let before = released.swap(by_now, Ordering::Relaxed);
        due.add_permits(usize::try_from(by_now - before).unwrap_or(usize::MAX));
        if by_now == self.total {
            // One more for each caller, so that each learns that there are no more.
            due.add_permits(*callers);
            return None;
        }
        let next = (u128::from(by_now) * NANOS).div_ceil(rate);
        Some(nanos(next.saturating_sub(elapsed)))
    }

    /// Releases each request when it is due, and returns with the last one. It blocks, and so
    /// needs a separate thread: tokio's timers have a resolution of a millisecond, which is more
    /// than a hit takes.
    pub(super) fn pace(&self) {
        while let Some(wait) = self.release(Instant::now()) {
            thread::sleep(wait.max(TICK));
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.pace, Pace::Open { .. })
    }
}

fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Length = Length::Time(Duration::from_secs(1));

    /// What is due at `now`, by number.
    async fn take_due(schedule: &Schedule, now: Instant) -> Vec<Slot> {
        schedule.release(now);
        let Pace::Open { due, .. } = &schedule.pace else {
            panic!("an open loop is expected")
        };
        let mut slots = Vec::new();
        for _ in 0..due.available_permits() {
            slots.extend(schedule.next().await);
        }
        slots
    }

    #[tokio::test]
    async fn an_open_loop_has_rate_times_duration_requests_each_at_its_own_instant() {
        let start = Instant::now();
        for (rate, time, total) in [
            (1000, 1000, 1000),
            (7, 1000, 7),
            (3, 1500, 5),
            (1, 100, 1),
            (1_000_000, 3, 3000),
        ] {
            let length = Length::Time(Duration::from_millis(time));
            let schedule = Schedule::open(start, length, rate, 2);
            let slots = take_due(&schedule, start + Duration::from_hours(1)).await;
            assert_eq!(slots.len(), total, "{rate}/s for {time} ms");
            for (at, slot) in slots.iter().enumerate() {
                let nanos = at as u64 * 1_000_000_000 / u64::from(rate);
                assert_eq!(slot.number, at as u64);
                assert_eq!(slot.due, start + Duration::from_nanos(nanos));
            }
        }
    }

    #[tokio::test]
    async fn requests_become_due_as_time_passes_and_never_early() {
        let start = Instant::now();
        let schedule = Schedule::open(start, SECOND, 3, 1);
        let mut taken = Vec::new();
        for micros in [0, 0, 333_333, 333_334, 500_000, 666_666, 666_667, 999_999] {
            let now = start + Duration::from_micros(micros);
            let slots = take_due(&schedule, now).await;
            assert!(slots.iter().all(|slot| slot.due <= now));
            taken.push(slots.len());
        }
        assert_eq!(taken, [1, 0, 0, 1, 0, 0, 1, 0]);
    }

    #[test]
    fn the_pacer_learns_when_the_next_is_due() {
        let start = Instant::now();
        let schedule = Schedule::open(start, Length::Requests(3), 1000, 1);
        assert_eq!(schedule.release(start), Some(Duration::from_millis(1)));
        let half = start + Duration::from_micros(1500);
        assert_eq!(schedule.release(half), Some(Duration::from_micros(500)));
        assert_eq!(schedule.release(start + Duration::from_secs(1)), None);
    }

    #[tokio::test]
    async fn busy_callers_do_not_move_what_is_due_and_every_caller_sees_the_end() {
        let start = Instant::now();
        let schedule = Schedule::open(start, Length::Requests(4), 1000, 2);
        // The callers start long after all requests were due.
        assert_eq!(schedule.release(start + Duration::from_secs(9)), None);
        for number in 0..4 {
            let due = start + Duration::from_millis(number);
            assert_eq!(schedule.next().await, Some(Slot { number, due }));
        }
        assert_eq!(schedule.next().await, None);
        assert_eq!(schedule.next().await, None);
    }

    #[tokio::test]
    async fn a_closed_loop_ends_by_count_or_by_time() {
        let now = Instant::now();
        let counted = Schedule::closed(now, Length::Requests(2));
        for number in 0..2 {
            assert_eq!(counted.next().await.unwrap().number, number);
        }
        assert_eq!(counted.next().await, None);
        let over = Schedule::closed(now, Length::Time(Duration::ZERO));
        assert_eq!(over.next().await, None);
        let long = Schedule::closed(now, Length::Time(Duration::from_hours(1)));
        assert!(long.next().await.is_some());
    }
}
