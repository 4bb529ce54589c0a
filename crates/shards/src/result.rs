use std::time::Duration;

/// A value found, with the time it has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit<V> {
    /// The value, cloned.
    pub value: V,
    /// How much longer it is fresh; `None` where it does not expire. Zero only where a store serves it
    /// [stale](crate::Life::serve_stale).
    pub ttl: Option<Duration>,
}

/// What became of an insertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Insertion {
    /// Stored; the key was not there.
    Added,
    /// Stored in place of the key's older value.
    Overwrote,
    /// Not stored, as it is heavier than the whole capacity, or has a note that is longer than the store takes. Nothing
    /// was evicted for it, but an older value of its key, which would now be stale, was removed.
    Refused {
        /// What it would have weighed, in bytes with the overhead.
        weight: u64,
        /// What the cache may hold, in bytes.
        capacity: u64,
    },
    /// Not stored, as its life was over as it came: a `ttl` of zero, and no time to serve or keep it stale. Nothing was
    /// evicted for it, but an older value of its key was removed.
    Expired,
}

impl Insertion {
    /// Whether the value was stored.
    #[must_use]
    pub fn is_stored(self) -> bool {
        matches!(self, Self::Added | Self::Overwrote)
    }
}

/// The weigher for keys and values that are bytes or text: the sum of their lengths.
pub fn byte_len<K: AsRef<[u8]> + ?Sized, V: AsRef<[u8]> + ?Sized>(key: &K, value: &V) -> u64 {
    (key.as_ref().len() as u64).saturating_add(value.as_ref().len() as u64)
}
