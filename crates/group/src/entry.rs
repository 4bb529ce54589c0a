//! The data of the read path: keys and their entries.

use std::time::Duration;

use bytes::Bytes;

use crate::Metadata;

/// A key: any bytes, at most [`Limits::max_key`](crate::Limits::max_key) of them.
pub type Key = Bytes;

/// How long something may be served, from now on. It is relative, so that it means the same on two
/// machines.
///
/// The default is fresh without end. The two windows are kept in whole milliseconds, rounded up,
/// and end at 2^32 of them (49 days).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Freshness {
    /// How long it is fresh; `Some(ZERO)` if it is stale already, `None` if it stays fresh.
    pub ttl: Option<Duration>,
    /// The windows of revalidation and of errors, in one word: an answer from memory is moved a
    /// few times.
    windows: u64,
}

impl Freshness {
    /// Fresh for this ttl, and not served afterwards.
    #[must_use]
    pub fn for_ttl(ttl: Duration) -> Self {
        Self {
            ttl: Some(ttl),
            ..Self::default()
        }
    }

    /// Fresh for this ttl, or without end.
    #[inline]
    #[must_use]
    pub fn until(ttl: Option<Duration>) -> Self {
        Self {
            ttl,
            ..Self::default()
        }
    }

    /// Sets how long it is served after the ttl while it is loaded again (RFC 5861).
    #[must_use]
    pub fn stale_while_revalidate(self, window: Duration) -> Self {
        self.with_windows(millis(window), self.error_ms())
    }

    /// Sets how long it is served after the ttl if loading it again fails (RFC 5861).
    #[must_use]
    pub fn stale_if_error(self, window: Duration) -> Self {
        self.with_windows(self.revalidate_ms(), millis(window))
    }

    fn with_windows(self, revalidate_ms: u32, error_ms: u32) -> Self {
        Self {
            windows: u64::from(revalidate_ms) << 32 | u64::from(error_ms),
            ..self
        }
    }

    fn revalidate_ms(&self) -> u32 {
        (self.windows >> 32) as u32
    }

    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    fn error_ms(&self) -> u32 {
        self.windows as u32
    }

    /// How long after the ttl it may be served while it is loaded again.
    #[must_use]
    pub fn revalidate_window(&self) -> Duration {
        Duration::from_millis(self.revalidate_ms().into())
    }

    /// How long after the ttl it may be served if loading it again fails.
    #[must_use]
    pub fn error_window(&self) -> Duration {
        Duration::from_millis(self.error_ms().into())
    }

    /// Limits its whole lifetime to `limit`.
    #[must_use]
    pub fn at_most(self, limit: Duration) -> Self {
        let ttl = self.ttl.map_or(limit, |ttl| ttl.min(limit));
        // Rounded down, because it is a limit.
        let rest = u32::try_from(limit.saturating_sub(ttl).as_millis()).unwrap_or(u32::MAX);
        Self::for_ttl(ttl).with_windows(self.revalidate_ms().min(rest), self.error_ms().min(rest))
    }

    /// Whether it is past its ttl.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.ttl.is_some_and(|ttl| ttl.is_zero())
    }

    /// Whether it may be served now without waiting for a load.
    #[must_use]
    pub fn is_servable(&self) -> bool {
        !self.is_stale() || self.revalidate_ms() > 0
    }

    /// Whether it must not be served at all.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_stale() && self.windows == 0
    }
}

fn millis(window: Duration) -> u32 {
    u32::try_from(window.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

/// The entry of a key: a value or an absence, how long that may be served, and the origin's
/// metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The value, shared and not copied; `None` if the origin has no such key.
    pub value: Option<Bytes>,
    /// How long it may be served.
    pub freshness: Freshness,
    /// The metadata that a front door sends with the value.
    pub metadata: Metadata,
}

impl Entry {
    /// A value, fresh without end.
    pub fn value(value: impl Into<Bytes>) -> Self {
        Self {
            value: Some(value.into()),
            ..Self::default()
        }
    }

    /// An absence, which is not kept unless it gets a [freshness](Self::with_freshness).
    #[must_use]
    pub fn absent() -> Self {
        Self {
            freshness: Freshness::for_ttl(Duration::ZERO),
            ..Self::default()
        }
    }

    /// Sets its freshness.
    #[must_use]
    pub fn with_freshness(self, freshness: Freshness) -> Self {
        Self { freshness, ..self }
    }

    /// Sets the origin's metadata.
    #[must_use]
    pub fn with_metadata(self, metadata: Metadata) -> Self {
        Self { metadata, ..self }
    }
}

/// The result of an origin's load.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loaded {
    /// A value, an absence, or a confirmation that the known value is still valid.
    pub content: Content,
    /// How long it may be served, if the origin says so.
    pub freshness: Hint,
    /// The metadata that a front door sends with the value.
    pub metadata: Metadata,
}

/// An origin's statement on freshness; the group decides what it leaves open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hint {
    /// How long the value is fresh; zero if it must not be kept.
    pub ttl: Option<Duration>,
    /// How long after that it may be served while it is loaded again.
    pub stale_while_revalidate: Option<Duration>,
    /// How long after that it may be served if loading it again fails.
    pub stale_if_error: Option<Duration>,
}

impl Hint {
    /// Fresh for this ttl; the group decides the rest.
    #[must_use]
    pub fn ttl(ttl: Duration) -> Self {
        Self {
            ttl: Some(ttl),
            ..Self::default()
        }
    }

    /// Must not be kept at all.
    #[must_use]
    pub fn none() -> Self {
        Self {
            ttl: Some(Duration::ZERO),
            stale_while_revalidate: Some(Duration::ZERO),
            stale_if_error: Some(Duration::ZERO),
        }
    }

    /// Sets how long it is served after the ttl while it is loaded again.
    #[must_use]
    pub fn stale_while_revalidate(self, window: Duration) -> Self {
        Self {
            stale_while_revalidate: Some(window),
            ..self
        }
    }

    /// Sets how long it is served after the ttl if loading it again fails.
    #[must_use]
    pub fn stale_if_error(self, window: Duration) -> Self {
        Self {
            stale_if_error: Some(window),
            ..self
        }
    }
}

/// The content that an origin found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// The value.
    Value(Bytes),
    /// There is no such key.
    Absent,
    /// The value that [`Load::stale`](crate::Load::stale) describes is still valid.
    NotModified,
}

impl Loaded {
    /// A value.
    pub fn value(value: impl Into<Bytes>) -> Self {
        Self::of(Content::Value(value.into()))
    }

    /// There is no such key.
    #[must_use]
    pub fn absent() -> Self {
        Self::of(Content::Absent)
    }

    /// The value with the validators in [`Load::stale`](crate::Load::stale) is still valid. Only
    /// in answer to a load that has them.
    #[must_use]
    pub fn not_modified() -> Self {
        Self::of(Content::NotModified)
    }

    fn of(content: Content) -> Self {
        Self {
            content,
            freshness: Hint::default(),
            metadata: Metadata::default(),
        }
    }

    /// A value that is fresh for `ttl`, whatever the group's default is.
    pub fn with_ttl(value: impl Into<Bytes>, ttl: Duration) -> Self {
        Self::value(value).with_freshness(Hint::ttl(ttl))
    }

    /// Sets its freshness.
    #[must_use]
    pub fn with_freshness(self, freshness: Hint) -> Self {
        Self { freshness, ..self }
    }

    /// Sets the metadata that a front door sends.
    #[must_use]
    pub fn with_metadata(self, metadata: Metadata) -> Self {
        Self { metadata, ..self }
    }
}

impl<T: Into<Bytes>> From<T> for Loaded {
    fn from(value: T) -> Self {
        Self::value(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_limit_bounds_all_of_it() {
        let long = Freshness::for_ttl(secs(10))
            .stale_while_revalidate(secs(20))
            .stale_if_error(secs(100));
        let capped = long.at_most(secs(15));
        assert_eq!(capped.ttl, Some(secs(10)));
        assert_eq!(capped.revalidate_window(), secs(5));
        assert_eq!(capped.error_window(), secs(5));
        assert_eq!(
            Freshness::default().at_most(secs(1)),
            Freshness::for_ttl(secs(1))
        );
        assert_eq!(long.at_most(secs(200)), long);
    }

    #[test]
    fn what_it_is_good_for() {
        let fresh = Freshness::for_ttl(secs(1));
        assert!(fresh.is_servable() && !fresh.is_stale());
        let stale = Freshness::for_ttl(secs(0));
        assert!(stale.is_over() && !stale.is_servable());
        assert!(stale.stale_while_revalidate(secs(1)).is_servable());
        let kept = stale.stale_if_error(secs(1));
        assert!(!kept.is_over() && !kept.is_servable());
    }
}
