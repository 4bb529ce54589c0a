use lru::LruCache;

use super::sketch::Sketch;
use crate::hit_ratio::{Access, Policy};

/// W-TinyLFU: what leaves an LRU window displaces the victim of the main part only if it was used
/// more, by a sketch that ages (G. Einziger et al., "TinyLFU: A Highly Efficient Cache Admission
/// Policy", 2017). The main part is a segmented LRU, four fifths of it for entries that were used
/// again. As in Caffeine's simulator, with a window that stays as it is.
pub(crate) struct TinyLfu {
    sketch: Sketch,
    window: LruCache<u64, ()>,
    probation: LruCache<u64, ()>,
    protected: LruCache<u64, ()>,
    window_entries: usize,
    protected_entries: usize,
    entries: usize,
}

impl TinyLfu {
    /// The window's share is in percent.
    pub(crate) fn of_entries(entries: usize, window: usize) -> Self {
        let window_entries = (entries * window / 100).max(1);
        Self {
            sketch: Sketch::of_entries(entries),
            window: LruCache::unbounded(),
            probation: LruCache::unbounded(),
            protected: LruCache::unbounded(),
            window_entries,
            protected_entries: (entries - window_entries) * 4 / 5,
            entries,
        }
    }

    fn is_hit(&mut self, key: u64) -> bool {
        if self.window.get(&key).is_some() || self.protected.get(&key).is_some() {
            return true;
        }
        if self.probation.pop(&key).is_none() {
            return false;
        }
        self.protected.put(key, ());
        if self.protected.len() > self.protected_entries
            && let Some((demoted, ())) = self.protected.pop_lru()
        {
            self.probation.put(demoted, ());
        }
        true
    }

    /// The oldest entry of the window goes on to main, if there is room or it is worth more than
    /// what leaves for it.
    fn leave_window(&mut self) {
        let Some((candidate, ())) = self.window.pop_lru() else {
            return;
        };
        let held = self.window.len() + self.probation.len() + self.protected.len();
        if held < self.entries {
            self.probation.put(candidate, ());
            return;
        }
        let Some((&victim, ())) = self.probation.peek_lru() else {
            return;
        };
        if self.sketch.count(candidate) > self.sketch.count(victim) {
            self.probation.pop_lru();
            self.probation.put(candidate, ());
        }
    }
}

impl Policy for TinyLfu {
    fn access(&mut self, access: Access) -> bool {
        let key = access.key;
        self.sketch.increment(key);
        let hit = self.is_hit(key);
        if !hit {
            self.window.put(key, ());
            if self.window.len() > self.window_entries {
                self.leave_window();
            }
        }
        hit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hit_ratio::{Trace, replay};

    fn hits(keys: impl IntoIterator<Item = u64>) -> u64 {
        replay(&Trace::of_keys(keys), &mut TinyLfu::of_entries(10, 1)).hits()
    }

    #[test]
    fn a_scan_does_not_displace_what_was_used_more() {
        let popular = (0..9).chain(0..9);
        assert_eq!(hits(popular.chain(100..150).chain(0..9)), 18);
    }

    #[test]
    fn a_key_used_more_than_the_victim_is_admitted() {
        // Ten keys fill the cache; 20 is asked for three times, with another key between to push
        // it out of the window.
        let keys = (0..10).chain([20, 30, 20, 31, 20]);
        assert_eq!(hits(keys), 1);
    }
}
