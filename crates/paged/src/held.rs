use bytes::Bytes;

use crate::Life;

/// The whole entry of a key in a [`PagedCache`](crate::PagedCache).
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
    /// The note that was stored with it; empty if there was none.
    pub note: Bytes,
    /// The rest of its lifetime. `ttl`: the time left, zero if it is stale. `serve_stale` and
    /// `keep_stale`: counted from the end of the `ttl`, or from now if it is stale.
    /// `refresh_ahead`: as stored.
    pub life: Life,
    /// Whether it is fresh, with at most the `refresh_ahead` of its lifetime left.
    pub due: bool,
}
