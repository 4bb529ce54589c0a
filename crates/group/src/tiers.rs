//! The main and the hot cache under one budget.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::{Cached, Inserted, Source, Store};

/// Two stores that share one capacity by golang/groupcache's rule: while both together are over it, the hot one gives way
/// if it is larger than an eighth of the main one, and the main one otherwise.
pub(crate) struct Tiers {
    pub(crate) main: Arc<dyn Store>,
    pub(crate) hot: Arc<dyn Store>,
    pub(crate) capacity: u64,
}

/// Where a value is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tier {
    Main,
    Hot,
}

impl Tiers {
    pub(crate) fn get(&self, key: &[u8]) -> Option<(Source, Cached)> {
        if let Some(cached) = self.main.get(key) {
            return Some((Source::Main, cached));
        }
        self.hot.get(key).map(|cached| (Source::Hot, cached))
    }

    pub(crate) fn peek(&self, key: &[u8]) -> Option<(Source, Cached)> {
        if let Some(cached) = self.main.peek(key) {
            return Some((Source::Main, cached));
        }
        self.hot.peek(key).map(|cached| (Source::Hot, cached))
    }

    /// Keeps a value in one tier; the other loses its copy, so that no key is in both.
    pub(crate) fn insert(
        &self,
        tier: Tier,
        key: &[u8],
        value: Bytes,
        ttl: Option<Duration>,
    ) -> Inserted {
        let (to, other) = match tier {
            Tier::Main => (&self.main, &self.hot),
            Tier::Hot => (&self.hot, &self.main),
        };
        other.remove(key);
        let fresh = match tier {
            Tier::Main => (key.len() + value.len()) as u64,
            Tier::Hot => 0,
        };
        let inserted = to.insert(key, value, ttl);
        self.balance(fresh);
        inserted
    }

    pub(crate) fn remove(&self, key: &[u8]) -> bool {
        // Both, whatever the first says.
        self.main.remove(key) | self.hot.remove(key)
    }

    /// `fresh` is the size of what main has just been given. Each turn evicts an entry or a few, so the loop ends; two threads
    /// here at once may evict more than needed.
    fn balance(&self, fresh: u64) {
        loop {
            let (main, hot) = (self.main.bytes(), self.hot.bytes());
            if main.saturating_add(hot) <= self.capacity {
                return;
            }
            // Where main holds next to nothing but one large new value, an eighth of main may be all of hot: groupcache
            // would throw the new value out. The smaller copies go first here. (By size, as to count entries would lock
            // every shard.)
            let little = fresh.saturating_add(fresh / 8 + NEXT_TO_NOTHING);
            let hot_gives = hot > main / 8 || main <= little;
            let (first, second) = if hot_gives {
                (&self.hot, &self.main)
            } else {
                (&self.main, &self.hot)
            };
            if !first.evict_one() && !second.evict_one() {
                return;
            }
        }
    }
}

/// The bookkeeping of an entry, and a page that a few small ones have begun, in bytes. (What an allocator rounds a value up
/// by, an eighth at most, comes on top.)
const NEXT_TO_NOTHING: u64 = 10 << 10;

#[cfg(test)]
mod tests {
    use gaggle_lru::Clock;

    use super::*;
    use crate::LruStore;

    const CAPACITY: u64 = 100 << 10;

    fn tiers() -> Tiers {
        let store = || Arc::new(LruStore::new(CAPACITY, Clock::monotonic()));
        Tiers {
            main: store(),
            hot: store(),
            capacity: CAPACITY,
        }
    }

    fn put(tiers: &Tiers, tier: Tier, key: &str, len: usize) {
        tiers.insert(tier, key.as_bytes(), vec![0; len].into(), None);
        assert!(tiers.main.bytes() + tiers.hot.bytes() <= CAPACITY);
    }

    #[test]
    fn a_large_new_value_outlives_the_copies_that_it_leaves_no_room_for() {
        let tiers = tiers();
        for n in 0..8 {
            put(&tiers, Tier::Hot, &format!("copy-{n}"), 1 << 10);
        }
        put(&tiers, Tier::Main, "large", 95 << 10);
        assert!(tiers.peek(b"large").is_some());
        assert!(tiers.hot.len() < 8);
    }

    #[test]
    fn few_copies_stay_while_main_turns_over() {
        let tiers = tiers();
        put(&tiers, Tier::Hot, "copy", 1 << 10);
        for n in 0..500 {
            put(&tiers, Tier::Main, &format!("own-{n}"), 1 << 10);
        }
        assert_eq!(
            tiers.peek(b"copy").map(|(source, _)| source),
            Some(Source::Hot)
        );
        assert!(tiers.peek(b"own-499").is_some());
    }
}
