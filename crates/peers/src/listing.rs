//! Statistics of the requests for the list of members.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Statistics of the requests to a [`Discovery`](crate::Discovery) for the list of members. All
/// are zero without such requests, as with a list that does not change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiscoveryStats {
    /// Lists that were obtained.
    pub lists: u64,
    /// Requests that failed.
    pub failures: u64,
    /// The nodes on the last list, with this one if it is listed.
    pub nodes: usize,
    /// How long ago the last list was obtained; `None` before the first one.
    pub age: Option<Duration>,
}

#[derive(Debug, Default)]
pub(crate) struct Listing(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    stats: DiscoveryStats,
    last: Option<Instant>,
}

impl Listing {
    pub(crate) fn obtained(&self, nodes: usize) {
        self.kept(|kept| {
            kept.stats.lists += 1;
            kept.stats.nodes = nodes;
            kept.last = Some(Instant::now());
        });
    }

    pub(crate) fn failed(&self) {
        self.kept(|kept| kept.stats.failures += 1);
    }

    pub(crate) fn stats(&self) -> DiscoveryStats {
        self.kept(|kept| DiscoveryStats {
            age: kept.last.map(|last| last.elapsed()),
            ..kept.stats
        })
    }

    fn kept<T>(&self, look: impl FnOnce(&mut Kept) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_failure_leaves_the_last_list_and_its_age() {
        let listing = Listing::default();
        assert_eq!(listing.stats(), DiscoveryStats::default());
        listing.obtained(3);
        tokio::time::advance(Duration::from_secs(7)).await;
        listing.failed();
        let stats = listing.stats();
        assert_eq!((stats.lists, stats.failures, stats.nodes), (1, 1, 3));
        assert_eq!(stats.age, Some(Duration::from_secs(7)));
    }
}
