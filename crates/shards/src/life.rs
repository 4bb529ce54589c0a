use std::time::Duration;

/// How long an entry of a store is of use, counted from when it is stored or was asked for.
///
/// The `ttl` is exact to the nanosecond. A store may keep the other three in milliseconds, rounded up, up to 2^32 of them (49
/// days).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Life {
    /// For so long it is fresh. `None`: without end, and then the other three have no meaning.
    pub ttl: Option<Duration>,
    /// After the `ttl`, for so long lookups still find it.
    pub serve_stale: Duration,
    /// After the `ttl`, for so long it is kept: only lookups that ask for all that is kept find it. The entry is gone once this
    /// and `serve_stale` are both over.
    pub keep_stale: Duration,
    /// In the last so much of the `ttl`, a lookup reports it as due for a refresh.
    pub refresh_ahead: Duration,
}

impl Life {
    /// Whether it is over as it begins.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.ttl == Some(Duration::ZERO) && self.serve_stale.is_zero() && self.keep_stale.is_zero()
    }
}
