use std::time::Duration;

use tokio::time::Instant;

/// Frames that a client may send in one burst without a request. HTTP/2 stacks that order their
/// streams by `PRIORITY` begin with a dozen.
const BURST: i64 = 500;
/// Further frames in each second, up to `BURST`: for pings that keep a connection open.
const A_SECOND: u32 = 10;
/// Further frames for each request: its cancellation, and pings that measure the round trip.
const A_REQUEST: i64 = 16;
/// Further frames for each part of a response, in addition to one for each KiB: the client opens
/// its windows for both the stream and the connection.
const A_PART: i64 = 8;

/// The rate limit of an HTTP/2 client's frames that belong to no request: how many it may still
/// send.
///
/// Requests, responses and time add to that number. A client that sends requests is therefore
/// never stopped, and one that only sends frames is.
#[derive(Debug)]
pub(crate) struct Allowance {
    left: i64,
    /// Up to when time has been added.
    paid: Instant,
}

impl Allowance {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            left: BURST,
            paid: now,
        }
    }

    /// A request has arrived.
    pub(crate) fn request(&mut self) {
        self.left = self.left.saturating_add(A_REQUEST);
    }

    /// A part of a response, with that many bytes, is being sent.
    pub(crate) fn part(&mut self, bytes: usize) {
        let earned = i64::try_from(bytes / 1_024).unwrap_or(i64::MAX);
        self.left = self.left.saturating_add(earned).saturating_add(A_PART);
    }

    /// Whether `cost` frames were allowed.
    pub(crate) fn spend(&mut self, cost: u32, now: impl FnOnce() -> Instant) -> bool {
        self.left -= i64::from(cost);
        if self.left >= 0 {
            return true;
        }
        // The clock is read only if it is needed.
        let now = now();
        let passed = now.duration_since(self.paid).min(Duration::from_secs(60));
        let earned = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX) * i64::from(A_SECOND);
        self.left = (self.left + earned / 1_000).min(BURST);
        self.paid = now;
        self.left >= 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_ends_after_the_burst() {
        let now = Instant::now();
        let mut allowance = Allowance::new(now);
        let allowed = (0..10_000).take_while(|_| allowance.spend(1, || now));
        assert_eq!(allowed.count(), 500);
    }

    #[test]
    fn slow_pings_go_on() {
        let mut now = Instant::now();
        let mut allowance = Allowance::new(now);
        for _ in 0..100_000 {
            now += Duration::from_millis(200);
            assert!(allowance.spend(1, || now));
        }
        // Ten times as many as time adds.
        let allowed = (0..10_000).take_while(|_| {
            now += Duration::from_millis(10);
            allowance.spend(1, || now)
        });
        assert!(allowed.count() < 1_000);
    }

    #[test]
    fn a_download_pays_for_its_windows() {
        let now = Instant::now();
        let mut allowance = Allowance::new(now);
        // 1 GiB, in parts of 64 KiB and frames of 16 KiB, with two updates of windows and a ping
        // for each of them.
        for _ in 0..16_384 {
            allowance.part(64 * 1_024);
            assert!(allowance.spend(4 * 3, || now));
        }
    }
}
