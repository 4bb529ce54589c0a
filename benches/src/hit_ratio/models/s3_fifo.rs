use std::collections::VecDeque;

use super::per_key::PerKey;
use crate::hit_ratio::{Access, Policy};

/// S3-FIFO: a small queue of a tenth of the entries, a main queue, and a ghost of keys as large as
/// main (J. Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023).
pub(crate) struct S3Fifo {
    states: PerKey<State>,
    small: VecDeque<u64>,
    main: VecDeque<u64>,
    ghost: Ghost,
    small_target: usize,
    entries: usize,
    /// Until the first eviction, what the small queue's target has no room for goes to main.
    fills_main: bool,
}

#[derive(Clone, Copy, Default)]
struct State {
    held: bool,
    uses: u8,
    /// When its key came into the ghost; zero if it is not there.
    ghost: u64,
}

/// Keys in the order in which they left the small queue. One that was taken out leaves a place
/// that is passed over.
#[derive(Default)]
struct Ghost {
    order: VecDeque<(u64, u64)>,
    count: usize,
    stamp: u64,
}

/// Uses that are counted.
const MAX_USES: u8 = 3;
/// Uses in the small queue with which an entry goes on to main.
const TO_MAIN: u8 = 2;

impl S3Fifo {
    pub(crate) fn of_entries(entries: usize) -> Self {
        Self {
            states: PerKey::default(),
            small: VecDeque::new(),
            main: VecDeque::new(),
            ghost: Ghost::default(),
            small_target: (entries / 10).max(1),
            entries,
            fills_main: false,
        }
    }

    /// With a warm-up fill: as long as nothing was evicted, new entries go to main once the small
    /// queue has reached its target, as in libCacheSim. In the paper all of them pass through the
    /// small queue.
    pub(crate) fn with_fill(entries: usize) -> Self {
        Self {
            fills_main: true,
            ..Self::of_entries(entries)
        }
    }

    fn evict(&mut self) {
        if self.small.len() >= self.small_target || self.main.is_empty() {
            self.evict_small();
        } else {
            self.evict_main();
        }
    }

    /// Until one entry has left the cache, or the small queue is empty.
    fn evict_small(&mut self) {
        while let Some(key) = self.small.pop_front() {
            let state = &mut self.states[key];
            if state.uses >= TO_MAIN {
                state.uses = 0;
                self.main.push_back(key);
                if self.main.len() > self.entries - self.small_target {
                    return self.evict_main();
                }
            } else {
                state.held = false;
                return self.remember(key);
            }
        }
    }

    fn evict_main(&mut self) {
        while let Some(key) = self.main.pop_front() {
            let state = &mut self.states[key];
            if state.uses == 0 {
                state.held = false;
                return;
            }
            state.uses -= 1;
            self.main.push_back(key);
        }
    }

    fn remember(&mut self, key: u64) {
        let ghost = &mut self.ghost;
        ghost.stamp += 1;
        ghost.count += 1;
        ghost.order.push_back((key, ghost.stamp));
        self.states[key].ghost = ghost.stamp;
        while ghost.count > self.entries - self.small_target {
            let Some((key, stamp)) = ghost.order.pop_front() else {
                break;
            };
            if self.states[key].ghost == stamp {
                self.states[key].ghost = 0;
                ghost.count -= 1;
            }
        }
    }

    fn was_in_ghost(&mut self, key: u64) -> bool {
        let found = std::mem::take(&mut self.states[key].ghost) != 0;
        self.ghost.count -= usize::from(found);
        found
    }
}

impl Policy for S3Fifo {
    fn access(&mut self, access: Access) -> bool {
        let key = access.key;
        self.states.extend_to(key);
        if self.states[key].held {
            let uses = &mut self.states[key].uses;
            *uses = MAX_USES.min(*uses + 1);
            return true;
        }
        let known = self.was_in_ghost(key);
        self.fills_main &= self.small.len() + self.main.len() < self.entries;
        while self.small.len() + self.main.len() >= self.entries {
            self.evict();
        }
        let full = self.small.len() >= self.small_target;
        let queue = if known || full && self.fills_main {
            &mut self.main
        } else {
            &mut self.small
        };
        queue.push_back(key);
        let state = &mut self.states[key];
        (state.held, state.uses) = (true, 0);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hit_ratio::{Trace, replay};

    fn hits(keys: impl IntoIterator<Item = u64>) -> u64 {
        replay(&Trace::of_keys(keys), &mut S3Fifo::of_entries(10)).hits()
    }

    #[test]
    fn a_scan_does_not_displace_what_was_used_twice() {
        let popular = [0, 0, 0, 1, 1, 1];
        assert_eq!(hits(popular.into_iter().chain(2..100).chain([0, 1])), 6);
    }

    #[test]
    fn a_key_that_comes_back_out_of_the_ghost_goes_to_main() {
        // 0 leaves the full cache unused, comes back within nine evictions, and then survives a
        // scan.
        let keys = (0..12).chain([0]).chain(100..200).chain([0]);
        assert_eq!(hits(keys), 1);
    }

    #[test]
    fn a_fill_keeps_part_of_a_loop() {
        // 0 is in the small queue; 1 to 9 filled main before anything was evicted.
        let trace = Trace::of_keys((0..12).chain(0..12));
        assert_eq!(replay(&trace, &mut S3Fifo::with_fill(10)).hits(), 9);
        assert_eq!(replay(&trace, &mut S3Fifo::of_entries(10)).hits(), 0);
    }

    #[test]
    fn a_key_used_once_leaves_with_a_scan() {
        assert_eq!(hits([0, 0].into_iter().chain(1..100).chain([0])), 1);
    }
}
