use std::time::Duration;

/// A value found, with the time it has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit<V> {
    /// The value, cloned.
    pub value: V,
    /// How much longer it is fresh; `None` if it does not expire. Zero only if a store serves it
    /// [stale](crate::Life::serve_stale).
    pub ttl: Option<Duration>,
}

/// The result of an insertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Insertion {
    /// Stored; the key was new.
    Added,
    /// Stored in place of the key's older value.
    Overwrote,
    /// Not stored, because it is heavier than the whole capacity, or has a note that is longer
    /// than the store accepts. Nothing was evicted for it, but an older value of its key, which
    /// would now be stale, was removed.
    Refused {
        /// What it would have weighed, in bytes with the overhead.
        weight: u64,
        /// The capacity of the cache, in bytes.
        capacity: u64,
    },
    /// Not stored, because its lifetime was already over: a `ttl` of zero, and no time to serve or
    /// keep it stale. Nothing was evicted for it, but an older value of its key was removed.
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
