use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The clock of expiry: its time never goes back, and starts at zero. A clone shows the same time.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    Monotonic {
        origin: Instant,
    },
    /// Nanoseconds since the origin.
    Manual(Arc<AtomicU64>),
    Custom(Arc<dyn Fn() -> Duration + Send + Sync>),
}

impl Clock {
    /// The machine's monotonic clock; its origin is this call.
    #[must_use]
    pub fn monotonic() -> Self {
        Self(Source::Monotonic {
            origin: Instant::now(),
        })
    }

    /// A clock that stands still until [`advance`](Self::advance) moves it, for tests.
    #[must_use]
    pub fn manual() -> Self {
        Self(Source::Manual(Arc::new(AtomicU64::new(0))))
    }

    /// A clock whose time is the result of `now`: the time since an origin of its own, never less
    /// than before. It is called on the path of hits, so it should be fast.
    #[must_use]
    pub fn custom(now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Source::Custom(Arc::new(now)))
    }

    /// Moves a manual clock and all of its clones forward, up to 584 years. Other clocks are not
    /// affected.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(nanos) = &self.0 {
            let by = saturating_nanos(by);
            // The closure never refuses, so the update cannot fail.
            let _ = nanos.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                Some(now.saturating_add(by))
            });
        }
    }

    /// The time since the clock's origin.
    #[must_use]
    pub fn now(&self) -> Duration {
        match &self.0 {
            Source::Monotonic { origin } => origin.elapsed(),
            Source::Manual(nanos) => Duration::from_nanos(nanos.load(Ordering::Acquire)),
            Source::Custom(now) => now(),
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::monotonic()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0 {
            Source::Monotonic { .. } => "monotonic",
            Source::Manual(_) => "manual",
            Source::Custom(_) => "custom",
        };
        f.debug_struct("Clock")
            .field("kind", &kind)
            .field("now", &self.now())
            .finish()
    }
}

/// When an entry expires, in nanoseconds of the clock. Eight bytes, where an `Option<Duration>`
/// takes sixteen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Deadline(u64);

impl Deadline {
    /// No deadline.
    pub const NEVER: Self = Self(u64::MAX);

    /// The clock is read only if there is a time to live. One that overflows ends with the clock,
    /// in 584 years.
    #[inline]
    pub fn after(ttl: Option<Duration>, clock: &Clock) -> Self {
        ttl.map_or(Self::NEVER, |ttl| {
            let end = saturating_nanos(clock.now()).saturating_add(saturating_nanos(ttl));
            Self(end.min(u64::MAX - 1))
        })
    }

    /// The bits, for storage.
    #[must_use]
    #[inline]
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The inverse of [`to_bits`](Self::to_bits).
    #[must_use]
    #[inline]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// `Ok` with the time left, `None` if there is no deadline; `Err` if it has passed. The clock
    /// is read only if there is a deadline.
    ///
    /// # Errors
    ///
    /// If it has passed.
    #[inline]
    pub fn left(self, clock: &Clock) -> Result<Option<Duration>, Expired> {
        if self == Self::NEVER {
            return Ok(None);
        }
        self.left_now(clock).map(Some)
    }

    /// Like [`left`](Self::left), at the time of a change or a scan.
    ///
    /// # Errors
    ///
    /// If it has passed.
    #[inline]
    pub fn left_by(self, now: &mut Now<'_>) -> Result<Option<Duration>, Expired> {
        if self == Self::NEVER {
            return Ok(None);
        }
        self.left_at(now.nanos()).map(Some)
    }

    /// How long ago it has passed, if it has. The time is read only if there is a deadline.
    #[inline]
    pub fn expired(self, now: &mut Now<'_>) -> Option<Expired> {
        if self == Self::NEVER {
            return None;
        }
        self.left_at(now.nanos()).err()
    }

    /// A separate function, so that lookups without a deadline contain no code for reading the
    /// clock.
    #[inline(never)]
    fn left_now(self, clock: &Clock) -> Result<Duration, Expired> {
        self.left_at(saturating_nanos(clock.now()))
    }

    fn left_at(self, now: u64) -> Result<Duration, Expired> {
        if now < self.0 {
            Ok(Duration::from_nanos(self.0 - now))
        } else {
            Err(Expired { ago: now - self.0 })
        }
    }
}

/// A deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// How long ago, in nanoseconds.
    pub ago: u64,
}

/// The time of one change, or of one step of a scan: the clock is read at most once, when it is
/// first needed.
#[derive(Debug)]
pub struct Now<'a> {
    clock: &'a Clock,
    nanos: Option<u64>,
}

impl<'a> Now<'a> {
    /// The time that the clock will show when it is first read.
    #[must_use]
    #[inline]
    pub fn of(clock: &'a Clock) -> Self {
        Self { clock, nanos: None }
    }

    fn nanos(&mut self) -> u64 {
        *self
            .nanos
            .get_or_insert_with(|| saturating_nanos(self.clock.now()))
    }
}

fn saturating_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_shows_the_same_time() {
        let clock = Clock::manual();
        let twin = clock.clone();
        clock.advance(Duration::from_millis(1500));
        assert_eq!(twin.now(), Duration::from_millis(1500));
        clock.advance(Duration::MAX);
        assert_eq!(twin.now(), Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn a_deadline_passes_exactly_at_its_time() {
        let clock = Clock::manual();
        let second = Deadline::after(Some(Duration::from_secs(1)), &clock);
        clock.advance(Duration::from_nanos(999_999_999));
        assert_eq!(second.left(&clock), Ok(Some(Duration::from_nanos(1))));
        assert_eq!(second.expired(&mut Now::of(&clock)), None);
        clock.advance(Duration::from_nanos(1));
        assert_eq!(second.left(&clock), Err(Expired { ago: 0 }));
        clock.advance(Duration::from_nanos(7));
        let expired = second.expired(&mut Now::of(&clock));
        assert_eq!(expired, Some(Expired { ago: 7 }));
    }

    #[test]
    fn an_endless_ttl_still_is_a_ttl() {
        let clock = Clock::manual();
        clock.advance(Duration::from_secs(1));
        let end = Deadline::after(Some(Duration::MAX), &clock);
        assert_ne!(end, Deadline::NEVER);
        assert!(matches!(end.left(&clock), Ok(Some(_))));
        clock.advance(Duration::MAX);
        assert!(end.left(&clock).is_err());
        assert_eq!(Deadline::NEVER.left(&clock), Ok(None));
        assert_eq!(Deadline::NEVER.expired(&mut Now::of(&clock)), None);
    }

    #[test]
    fn the_time_of_a_change_is_read_when_asked_for_and_once() {
        let clock = Clock::manual();
        let mut now = Now::of(&clock);
        clock.advance(Duration::from_nanos(1));
        assert_eq!(now.nanos(), 1);
        clock.advance(Duration::from_nanos(1));
        assert_eq!(now.nanos(), 1);
    }
}
