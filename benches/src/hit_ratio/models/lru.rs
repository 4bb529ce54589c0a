use lru::LruCache;

use crate::hit_ratio::{Access, Policy};

/// Strict LRU with a budget in bytes, by the `lru` crate. With sizes of 1 the budget is a number
/// of entries.
pub struct Lru {
    order: LruCache<u64, u32>,
    capacity: u64,
    held: u64,
    unit: bool,
}

impl Lru {
    /// Room for so many entries, whatever their size.
    #[must_use]
    pub fn of_entries(entries: usize) -> Self {
        Self::new(entries as u64, true)
    }

    /// Room for so many bytes of values.
    #[must_use]
    pub fn of_bytes(capacity: u64) -> Self {
        Self::new(capacity, false)
    }

    fn new(capacity: u64, unit: bool) -> Self {
        Self {
            order: LruCache::unbounded(),
            capacity,
            held: 0,
            unit,
        }
    }
}

impl Policy for Lru {
    fn access(&mut self, access: Access) -> bool {
        if self.order.get(&access.key).is_some() {
            return true;
        }
        let size = if self.unit { 1 } else { access.size };
        if u64::from(size) > self.capacity {
            return false;
        }
        self.order.put(access.key, size);
        self.held += u64::from(size);
        while self.held > self.capacity {
            let Some((_, size)) = self.order.pop_lru() else {
                break;
            };
            self.held -= u64::from(size);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hit_ratio::{Trace, replay};

    #[test]
    fn the_least_recently_used_entry_leaves() {
        // 0 is used again before 2 comes, so 1 leaves.
        let trace = Trace::of_keys([0, 1, 0, 2, 0, 1]);
        assert_eq!(replay(&trace, &mut Lru::of_entries(2)).hits(), 2);
    }

    #[test]
    fn a_large_value_displaces_several_small_ones() {
        let trace = Trace::of([(0, 1), (1, 1), (2, 3), (1, 1), (0, 1), (2, 3)]);
        // 2 pushes out 0; 1 is a hit; 0 pushes out 2.
        assert_eq!(replay(&trace, &mut Lru::of_bytes(4)).hits(), 1);
    }

    #[test]
    fn a_value_above_the_capacity_evicts_nothing() {
        let trace = Trace::of([(0, 1), (1, 9), (0, 1)]);
        assert_eq!(replay(&trace, &mut Lru::of_bytes(4)).hits(), 1);
    }
}
