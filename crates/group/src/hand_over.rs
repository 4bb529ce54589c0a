//! The node that kept a key before the ring changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::Peer;

/// The node that kept a key before the ring changed: it is asked before the origin.
#[derive(Clone)]
pub struct Previous {
    /// Its handle.
    pub peer: Arc<dyn Peer>,
    /// Whether it is worth asking; shared by all keys that it kept.
    pub worth: Arc<Worth>,
}

/// Whether a node is worth asking for the keys that it kept. A node that has just restarted with
/// an empty memory, or that evicted the keys long ago, answers every request with "nothing", which
/// costs each load a round trip.
///
/// It is no longer worth asking after 256 requests of which fewer than one in fifty returned an
/// entry.
#[derive(Debug, Default)]
pub struct Worth {
    /// Requests in the upper half, those that returned an entry in the lower; both are halved as
    /// they grow.
    counts: AtomicU32,
}

const ASKED: u32 = 1 << 16;
const ENOUGH: u32 = 256;

impl Worth {
    /// Whether to ask.
    #[must_use]
    pub fn is_worth_asking(&self) -> bool {
        let counts = self.counts.load(Relaxed);
        let (asked, found) = (counts / ASKED, counts % ASKED);
        asked < ENOUGH || found * 50 >= asked
    }

    /// A request has returned an entry, or nothing.
    pub fn report(&self, found: bool) {
        let add = ASKED + u32::from(found);
        let counts = self.counts.fetch_add(add, Relaxed).wrapping_add(add);
        if counts / ASKED >= 2 * ENOUGH {
            // Only one of the threads that see this halves it. Concurrent additions are lost,
            // which does not matter.
            let halved = (counts / ASKED / 2) * ASKED + (counts % ASKED) / 2;
            let _ = self
                .counts
                .compare_exchange(counts, halved, Relaxed, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_has_nothing_is_soon_no_longer_asked() {
        let worth = Worth::default();
        let mut asked = 0;
        while worth.is_worth_asking() {
            worth.report(false);
            asked += 1;
        }
        assert_eq!(asked, 256);
    }

    #[test]
    fn a_node_that_has_one_in_twenty_is_asked_on() {
        let worth = Worth::default();
        for n in 0..1_000_000 {
            assert!(worth.is_worth_asking(), "{n}");
            worth.report(n % 20 == 0);
        }
        for _ in 0..10_000 {
            worth.report(false);
        }
        assert!(!worth.is_worth_asking());
    }
}
