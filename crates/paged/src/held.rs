use bytes::Bytes;

use crate::Life;

/// All that a [`PagedCache`](crate::PagedCache) has of a key.
///
/// ```
/// use std::time::Duration;
/// use bytes::Bytes;
/// use gaggle_paged::{PagedCache, Clock, Life, Options};
///
/// let clock = Clock::manual();
/// let cache = PagedCache::new(Options { clock: clock.clone(), ..Options::default() });
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
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Held {
    /// The value.
    pub value: Bytes,
    /// What was stored with it; empty if nothing was.
    pub note: Bytes,
    /// What is left of its life. `ttl`: the time left, zero where it is stale. `serve_stale` and `keep_stale`: counted from
    /// the end of the `ttl`, or from now where it is stale. `refresh_ahead`: as stored.
    pub life: Life,
    /// Whether it is fresh, but no longer than the `refresh_ahead` of its life.
    pub due: bool,
}
