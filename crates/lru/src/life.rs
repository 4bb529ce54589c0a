use std::time::Duration;

/// How long an entry of a [`ByteCache`](crate::ByteCache) is of use, counted from when it is stored or was asked for.
///
/// The `ttl` is exact to the nanosecond. The other three are kept in milliseconds, rounded up, and end at 2^32 of them
/// (49 days).
///
/// ```
/// use std::time::Duration;
/// use bytes::Bytes;
/// use gaggle_lru::{ByteCache, Clock, Life, Options};
///
/// let clock = Clock::manual();
/// let cache = ByteCache::new(Options { clock: clock.clone(), ..Options::default() });
/// let second = Duration::from_secs(1);
/// let life = Life {
///     ttl: Some(60 * second),
///     serve_stale: 10 * second,
///     keep_stale: 600 * second,
///     refresh_ahead: 5 * second,
/// };
/// cache.insert_entry(b"Tom", Bytes::from_static(b"630"), &life, b"version 7");
///
/// clock.advance(55 * second);
/// let held = cache.hold(b"Tom").unwrap();
/// assert!(held.due && held.life.ttl == Some(5 * second));
/// clock.advance(14 * second); // stale since nine seconds
/// assert_eq!(cache.hold(b"Tom").unwrap().life.serve_stale, second);
/// clock.advance(second);
/// assert_eq!(cache.hold(b"Tom"), None);
/// assert_eq!(cache.hold_any(b"Tom").unwrap().note, &b"version 7"[..]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Life {
    /// For so long it is fresh. `None`: without end, and then the other three have no meaning.
    pub ttl: Option<Duration>,
    /// After the `ttl`, for so long lookups still find it.
    pub serve_stale: Duration,
    /// After the `ttl`, for so long [`hold_any`](crate::ByteCache::hold_any) still finds it. The entry is gone once this
    /// and `serve_stale` are both over.
    pub keep_stale: Duration,
    /// In the last so much of the `ttl`, a lookup reports it as [due](crate::Held::due).
    pub refresh_ahead: Duration,
}

impl Life {
    /// Whether it is over as it begins.
    pub(crate) fn is_nothing(&self) -> bool {
        self.ttl == Some(Duration::ZERO) && self.serve_stale.is_zero() && self.keep_stale.is_zero()
    }
}
