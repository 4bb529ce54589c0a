use std::collections::BinaryHeap;

use crate::hit_ratio::{Access, Policy, Trace};

/// For entries of one size no policy has more hits: the entry whose next use is farthest off
/// leaves, or is not kept at all (L. A. Belady, "A study of replacement algorithms for a
/// virtual-storage computer", 1966).
pub(crate) struct Optimum {
    /// For each access, the position of the next one to its key, or `NEVER`.
    next: Vec<usize>,
    position: usize,
    /// The next use of each key that is held.
    held: Vec<Option<usize>>,
    /// By next use. An entry that differs from what `held` says is out of date.
    order: BinaryHeap<(usize, usize)>,
    count: usize,
    entries: usize,
}

const NEVER: usize = usize::MAX;

impl Optimum {
    /// It must be asked for the accesses of this trace, in order.
    pub(crate) fn of_entries(trace: &Trace, entries: usize) -> Self {
        let mut next = vec![NEVER; trace.accesses().len()];
        let mut later = vec![NEVER; trace.keys()];
        for (position, access) in trace.accesses().iter().enumerate().rev() {
            next[position] = std::mem::replace(&mut later[number(*access)], position);
        }
        Self {
            next,
            position: 0,
            held: vec![None; trace.keys()],
            order: BinaryHeap::new(),
            count: 0,
            entries,
        }
    }

    fn evict_farthest(&mut self) {
        while let Some((next, key)) = self.order.pop() {
            if self.held[key] == Some(next) {
                self.held[key] = None;
                self.count -= 1;
                return;
            }
        }
    }
}

impl Policy for Optimum {
    fn access(&mut self, access: Access) -> bool {
        let (key, next) = (number(access), self.next[self.position]);
        self.position += 1;
        let hit = self.held[key].replace(next).is_some();
        self.order.push((next, key));
        if !hit {
            self.count += 1;
            if self.count > self.entries {
                self.evict_farthest();
            }
        }
        hit
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "keys are numbered from zero"
)]
fn number(access: Access) -> usize {
    access.key as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hit_ratio::replay;

    fn hits(keys: &[u64], entries: usize) -> u64 {
        let trace = Trace::of_keys(keys.iter().copied());
        replay(&trace, &mut Optimum::of_entries(&trace, entries)).hits()
    }

    #[test]
    fn of_a_loop_one_larger_than_the_cache_part_stays() {
        // 0 and 1 stay throughout; 2 is never kept.
        assert_eq!(hits(&[0, 1, 2, 0, 1, 2, 0, 1, 2], 2), 4);
    }

    #[test]
    fn a_key_without_a_next_use_is_not_kept() {
        assert_eq!(hits(&[0, 1, 2, 3, 4, 0], 1), 1);
    }

    #[test]
    fn all_that_fits_is_hit() {
        assert_eq!(hits(&[0, 1, 0, 1, 0, 1], 2), 4);
    }
}
