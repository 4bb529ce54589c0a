//! The terms of a get, if they differ from the default.

use std::time::Duration;

/// The terms of a get that misses: [`Group::lookup_missed_on`](crate::Group::lookup_missed_on).
/// The default is that of any get.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Terms {
    /// How long the caller waits, if that is less than the group's limit. The load belongs to no
    /// caller: it continues for its other waiters, and for the cache.
    pub within: Option<Duration>,
    /// Whether it is left out of the count of gets: the caller needs information about the key,
    /// and not the value. A load that it starts is counted.
    pub uncounted: bool,
}

impl Terms {
    /// Sets how long the caller waits.
    #[must_use]
    pub fn within(self, wait: Duration) -> Self {
        Self {
            within: Some(wait),
            ..self
        }
    }

    /// Leaves it out of the count of gets.
    #[must_use]
    pub fn uncounted(self) -> Self {
        Self {
            uncounted: true,
            ..self
        }
    }
}
