use std::collections::BTreeSet;

use super::per_key::PerKey;
use crate::hit_ratio::{Access, Policy};

/// Greedy-Dual-Size-Frequency with a budget in bytes: the entry with the fewest uses for its bytes
/// leaves, and ages by what the last one to leave had (L. Cherkasova, "Improving WWW Proxies
/// Performance with Greedy-Dual-Size-Frequency Caching Policy", 1998).
pub(crate) struct Gdsf {
    states: PerKey<Option<State>>,
    /// Lowest priority first.
    order: BTreeSet<(Priority, u64)>,
    age: f64,
    held: u64,
    capacity: u64,
}

#[derive(Clone, Copy)]
struct State {
    uses: u32,
    size: u32,
    priority: Priority,
}

/// The bits of a number that is not negative: they have its order.
type Priority = u64;

impl Gdsf {
    pub(crate) fn of_bytes(capacity: u64) -> Self {
        Self {
            states: PerKey::default(),
            order: BTreeSet::new(),
            age: 0.0,
            held: 0,
            capacity,
        }
    }

    fn priority(&self, uses: u32, size: u32) -> Priority {
        (self.age + f64::from(uses) / f64::from(size)).to_bits()
    }

    fn place(&mut self, key: u64, uses: u32, size: u32) {
        let priority = self.priority(uses, size);
        self.order.insert((priority, key));
        self.states[key] = Some(State {
            uses,
            size,
            priority,
        });
    }

    fn evict(&mut self) {
        let Some((priority, key)) = self.order.pop_first() else {
            return;
        };
        self.age = f64::from_bits(priority);
        if let Some(state) = self.states[key].take() {
            self.held -= u64::from(state.size);
        }
    }
}

impl Policy for Gdsf {
    fn access(&mut self, access: Access) -> bool {
        let Access { key, size } = access;
        self.states.extend_to(key);
        if let Some(state) = self.states[key] {
            self.order.remove(&(state.priority, key));
            self.place(key, state.uses.saturating_add(1), state.size);
            return true;
        }
        if u64::from(size) <= self.capacity {
            while self.held + u64::from(size) > self.capacity {
                self.evict();
            }
            self.held += u64::from(size);
            self.place(key, 1, size);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hit_ratio::{Trace, replay};

    fn hits(accesses: &[(u64, u32)]) -> u64 {
        let trace = Trace::of(accesses.iter().copied());
        replay(&trace, &mut Gdsf::of_bytes(10)).hits()
    }

    #[test]
    fn of_two_used_alike_the_larger_leaves() {
        assert_eq!(hits(&[(0, 2), (1, 8), (2, 5), (0, 2), (2, 5)]), 2);
    }

    #[test]
    fn uses_make_up_for_size() {
        let used = [(0, 6); 7];
        let others = [(1, 4), (2, 4), (0, 6)];
        assert_eq!(hits(&[&used[..], &others[..]].concat()), 7);
    }

    #[test]
    fn a_popular_entry_ages() {
        let mut accesses = vec![(0, 5); 3];
        // Each of these is evicted by the next one and raises the age, until 0 is worth less.
        accesses.extend((1..20).map(|key| (key, 6)));
        accesses.push((0, 5));
        assert_eq!(hits(&accesses), 2);
    }
}
