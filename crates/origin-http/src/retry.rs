//! How often a request may be sent again, and when.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use httpdate::parse_http_date;
use hyper::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};

use crate::origin::Due;

/// The parts of one token of the budget.
const TOKEN: u32 = 10;
/// The most tokens that are saved up.
const BURST: u32 = 10;
/// How long to wait before a retry, in milliseconds: randomised, so that loads that failed
/// together do not retry together.
const BACKOFF: std::ops::RangeInclusive<u64> = 25..=100;
/// The longest wait that a service may ask for if the options have no timeout for the whole load:
/// the load keeps its slot meanwhile.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The retry budget of an origin: one retry for every ten loads, and at most ten saved up. Retries
/// add a tenth to the requests to an origin that always fails, and not a multiple.
pub(crate) struct RetryBudget {
    parts: AtomicU32,
}

impl RetryBudget {
    pub(crate) fn new() -> Self {
        Self {
            parts: AtomicU32::new(BURST * TOKEN),
        }
    }

    /// A load has begun.
    pub(crate) fn asked(&self) {
        let more = |parts| (parts < BURST * TOKEN).then_some(parts + 1);
        // It may be full already.
        let _ = self.parts.fetch_update(Relaxed, Relaxed, more);
    }

    /// Takes one retry, if there is one left.
    pub(crate) fn take(&self) -> bool {
        let less = |parts: u32| parts.checked_sub(TOKEN);
        self.parts.fetch_update(Relaxed, Relaxed, less).is_ok()
    }
}

/// How long to wait before a retry of a load that is due then; `None` if that is too long.
/// `asked_for` is the wait that the service has requested.
pub(crate) fn wait(asked_for: Option<Duration>, due: Due) -> Option<Duration> {
    let backoff = Duration::from_millis(fastrand::u64(BACKOFF));
    let wait = asked_for.map_or(backoff, |asked_for| asked_for.max(backoff));
    let room = due.left().unwrap_or(LONGEST_WAIT);
    let room = if due.until.is_none() {
        room.min(LONGEST_WAIT)
    } else {
        room
    };
    (wait < room).then_some(wait)
}

/// The `Retry-After` of an answer (RFC 9110, section 10.2.3); any other text than a number or a
/// date is ignored.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = text.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds));
    }
    let at = parse_http_date(text).ok()?;
    let made = headers.get(DATE).and_then(date).unwrap_or(now);
    Some(at.duration_since(made).unwrap_or_default())
}

fn date(value: &HeaderValue) -> Option<SystemTime> {
    parse_http_date(value.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use tokio::time::Instant;

    use super::*;

    #[test]
    fn there_are_ten_retries_and_one_more_for_ten_loads() {
        let budget = RetryBudget::new();
        let taken = (0..100).filter(|_| budget.take()).count();
        assert_eq!(taken, 10);
        let taken = (0..1_000).filter(|_| {
            budget.asked();
            budget.take()
        });
        assert_eq!(taken.count(), 100);
        (0..1_000).for_each(|_| budget.asked());
        let taken = (0..100).filter(|_| budget.take()).count();
        assert_eq!(taken, 10, "no more are saved up");
    }

    fn due(until: Option<Duration>, deadline: Option<Duration>) -> Due {
        let due = |left: Option<Duration>| left.map(|left| Instant::now() + left);
        Due {
            until: due(until),
            wanted_until: due(deadline).into_iter().chain(due(until)).min(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_spread_and_fits_into_the_time_that_is_left() {
        let ms = Duration::from_millis;
        for _ in 0..100 {
            let waited = wait(None, due(None, None)).unwrap();
            assert!((ms(25)..=ms(100)).contains(&waited));
        }
        let until = |left| due(Some(left), None);
        assert_eq!(wait(None, until(ms(25))), None);
        assert_eq!(wait(Some(ms(3_000)), until(ms(3_001))), Some(ms(3_000)));
        assert_eq!(wait(Some(ms(3_000)), until(ms(3_000))), None);
        assert_eq!(wait(Some(ms(1_000)), due(None, None)), None);
        assert!(wait(Some(ms(0)), due(None, None)).unwrap() >= ms(25));
        assert_eq!(wait(Some(Duration::MAX), until(ms(10_000))), None);
        // The group's limit ends a wait as well, and allows none that is longer.
        let both = |deadline| due(Some(ms(3_001)), Some(deadline));
        assert_eq!(wait(Some(ms(900)), both(ms(900))), None);
        assert_eq!(wait(Some(ms(900)), both(ms(901))), Some(ms(900)));
        let group = |deadline| due(None, Some(deadline));
        assert_eq!(wait(Some(ms(999)), group(ms(9_000))), Some(ms(999)));
        assert_eq!(wait(Some(ms(1_000)), group(ms(9_000))), None);
    }

    #[test]
    fn a_retry_after_is_a_number_or_a_date() {
        let date = |after: u64| httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(after));
        let read = |text: &str, made: Option<u64>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            if let Some(made) = made {
                headers.insert(DATE, date(made).parse().unwrap());
            }
            retry_after(&headers, UNIX_EPOCH + Duration::from_secs(1_000))
        };
        let secs = |secs| Some(Duration::from_secs(secs));
        assert_eq!(read("0", None), secs(0));
        assert_eq!(read(" 120 ", None), secs(120));
        assert_eq!(read("99999999999999999999999", None), secs(u64::MAX));
        assert_eq!(read(&date(1_007), None), secs(7));
        assert_eq!(read(&date(1_007), Some(1_002)), secs(5));
        assert_eq!(read(&date(7), Some(1_002)), secs(0));
        for odd in ["", "-1", "1.5", "soon"] {
            assert_eq!(read(odd, None), None, "{odd}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), UNIX_EPOCH), None);
    }
}
