use std::time::Duration;

/// How long an entry of a store is useful, counted from when it is stored or was requested.
///
/// The `ttl` is exact to the nanosecond. A store may keep the other three in milliseconds, rounded
/// up, up to 2^32 of them (49 days).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Life {
    /// How long it is fresh. `None`: without end, and then the other three have no effect.
    pub ttl: Option<Duration>,
    /// How long after the `ttl` lookups still find it.
    pub serve_stale: Duration,
    /// How long after the `ttl` it is kept: only lookups that request every kept entry find it.
    /// The entry is over once this and `serve_stale` have both passed.
    pub keep_stale: Duration,
    /// The last part of the `ttl`, in which a lookup reports it as due for a refresh.
    pub refresh_ahead: Duration,
}

impl Life {
    /// Whether it is over as soon as it begins.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.ttl == Some(Duration::ZERO) && self.serve_stale.is_zero() && self.keep_stale.is_zero()
    }
}
