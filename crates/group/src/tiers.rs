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
        let inserted = to.insert(key, value, ttl);
        self.balance();
        inserted
    }

    pub(crate) fn remove(&self, key: &[u8]) -> bool {
        // Both, whatever the first says.
        self.main.remove(key) | self.hot.remove(key)
    }

    /// Each turn evicts one entry, so the loop ends; two threads here at once may evict one entry more than needed.
    fn balance(&self) {
        loop {
            let (main, hot) = (self.main.bytes(), self.hot.bytes());
            if main.saturating_add(hot) <= self.capacity {
                return;
            }
            // Where main holds one large new value, an eighth of main may be all of hot: groupcache would throw the
            // new value out. The smaller copies go first here.
            let hot_gives = hot > main / 8 || self.main.len() <= 1;
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
