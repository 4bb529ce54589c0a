//! A cache without values, which measures how well a setting would do.

use std::collections::VecDeque;

use super::setting::{Rules, Setting};
use crate::ghost::Ghost;

/// The keys of a sample that a cache of one setting would hold, each with the length of its entry.
///
/// It is searched linearly, as it is small: a few hundred words.
pub(super) struct Shadow {
    setting: Setting,
    small: Fifo,
    main: Fifo,
    /// The keys that have left `small`, the oldest first.
    ghost: VecDeque<u16>,
    /// The most keys that it holds, and the part of the small queue in that. This limit applies if
    /// most entries are far below the mean.
    keys: usize,
    keys_of_small: usize,
}

#[derive(Default)]
struct Fifo {
    slots: VecDeque<Slot>,
    /// The sum of their lengths.
    units: u32,
}

/// 23 bits of the key's tag, seven of the entry's length, two of its uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Slot(u32);

/// The unit of lengths: this many to the mean.
pub(super) const UNITS: u64 = 16;
const MEAN: u32 = 16;

const USES_BITS: u32 = 2;
const UNITS_BITS: u32 = 7;
const TAG_SHIFT: u32 = USES_BITS + UNITS_BITS;
const MAX_USES: u32 = 3;
const MAX_UNITS: u32 = (1 << UNITS_BITS) - 1;

/// A length in units, from 1 to 127.
pub(super) fn units(len: u64, mean: u64) -> u32 {
    let units = len.saturating_mul(UNITS) / mean.max(1);
    u32::try_from(units)
        .unwrap_or(MAX_UNITS)
        .clamp(1, MAX_UNITS)
}

impl Slot {
    fn new(tag: u32, units: u32) -> Self {
        Self(tag << TAG_SHIFT | units << USES_BITS)
    }

    fn is(self, tag: u32) -> bool {
        // Both shifted left, so that the highest bits are left out.
        self.0 >> TAG_SHIFT == tag << TAG_SHIFT >> TAG_SHIFT
    }

    fn units(self) -> u32 {
        self.0 >> USES_BITS & MAX_UNITS
    }

    fn uses(self) -> u32 {
        self.0 & MAX_USES
    }

    fn with_uses(self, uses: u32) -> Self {
        Self(self.0 & !MAX_USES | uses.min(MAX_USES))
    }

    #[expect(clippy::cast_possible_truncation, reason = "some bits of it")]
    fn mark(tag: u32) -> u16 {
        tag as u16
    }
}

impl Fifo {
    fn push(&mut self, slot: Slot) {
        self.units += slot.units();
        self.slots.push_back(slot);
    }

    fn pop(&mut self) -> Option<Slot> {
        let slot = self.slots.pop_front()?;
        self.units -= slot.units();
        Some(slot)
    }

    /// Records a use of a key; returns whether it is there.
    fn note_use(&mut self, tag: u32) -> bool {
        let at = position(&self.slots, |slot| slot.is(tag));
        let found = at.and_then(|at| self.slots.get_mut(at));
        found
            .map(|slot| *slot = slot.with_uses(slot.uses() + 1))
            .is_some()
    }

    fn reserve(&mut self, keys: usize) {
        self.slots
            .reserve_exact(keys.saturating_sub(self.slots.len()));
    }

    fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }
}

impl Shadow {
    pub(super) fn new(setting: Setting) -> Self {
        Self {
            setting,
            small: Fifo::default(),
            main: Fifo::default(),
            ghost: VecDeque::new(),
            keys: 0,
            keys_of_small: 0,
        }
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> u64 {
        let ghost = self.ghost.capacity() * size_of::<u16>();
        (self.small.bytes() + self.main.bytes() + ghost) as u64
    }

    /// Reserves memory for this many keys, so that an access allocates nothing.
    pub(super) fn reserve(&mut self, keys: usize) {
        let small = match self.setting.small {
            0 => 0,
            percent => (keys * usize::from(percent) / 100).max(1),
        };
        self.small.reserve(small + 2);
        self.main.reserve(keys - small + 2);
        let ghosts = Ghost::keys_for(keys) + 1;
        self.ghost
            .reserve_exact(ghosts.saturating_sub(self.ghost.len()));
        (self.keys, self.keys_of_small) = (keys, small);
    }

    /// An access to a key in a shadow of `room` units; returns whether it hits. A miss stores the
    /// key.
    pub(super) fn access(&mut self, tag: u32, units: u32, room: u32) -> bool {
        if self.main.note_use(tag) || self.small.note_use(tag) {
            return true;
        }
        let slot = Slot::new(tag, units);
        if self.recall(tag) || self.setting.small == 0 {
            self.main.push(slot);
        } else {
            self.small.push(slot);
        }
        self.fill_main(room);
        while (self.small.units + self.main.units > room || self.len() > self.keys)
            && self.evict(room)
        {}
        false
    }

    fn len(&self) -> usize {
        self.small.slots.len() + self.main.slots.len()
    }

    /// The part of the small queue: that of its setting, but at least one entry.
    fn target(&self, room: u32) -> u32 {
        match self.setting.small {
            0 => 0,
            percent => (room * u32::from(percent) / 100).max(MEAN),
        }
    }

    fn is_small_full(&self, room: u32) -> bool {
        let by_number = self.len() >= self.keys && self.small.slots.len() > self.keys_of_small;
        by_number || self.small.units > self.target(room)
    }

    /// Moves the oldest of the small queue to the main queue while the small one is over its part
    /// and the main one is not full, as the cache does.
    fn fill_main(&mut self, room: u32) {
        let part = room - self.target(room).min(room);
        while self.is_small_full(room)
            && let Some(oldest) = self.small.slots.front()
            && self.main.units + oldest.units() <= part
            && self.main.slots.len() < self.keys - self.keys_of_small
            && let Some(slot) = self.small.pop()
        {
            self.main.push(slot);
        }
    }

    fn rules(&self) -> Rules {
        Rules {
            setting: self.setting,
            mean: MEAN,
        }
    }

    /// Takes out the oldest of the queue that is too large, or lets it stay; returns whether there
    /// was one.
    fn evict(&mut self, room: u32) -> bool {
        let rules = self.rules();
        let from_small = self.is_small_full(room) && self.small.slots.len() > 1;
        let (slot, from_small) = if from_small || self.main.slots.is_empty() {
            (self.small.pop(), true)
        } else {
            (self.main.pop(), false)
        };
        let Some(slot) = slot else { return false };
        let (uses, units) = (slot.uses(), slot.units());
        if from_small {
            if rules.passes(uses.into(), units.into()) {
                self.main.push(slot.with_uses(0));
            } else {
                self.remember(slot);
            }
        } else {
            let price = u32::try_from(rules.price(units.into())).unwrap_or(u32::MAX);
            if let Some(left) = uses.checked_sub(price) {
                self.main.push(slot.with_uses(left));
            }
        }
        true
    }

    /// As many as the cache remembers for each hundred that it holds.
    fn remember(&mut self, slot: Slot) {
        while self.ghost.len() >= Ghost::keys_for(self.len()).max(1) {
            self.ghost.pop_front();
        }
        self.ghost.push_back(Slot::mark(slot.0 >> TAG_SHIFT));
    }

    fn recall(&mut self, tag: u32) -> bool {
        let mark = Slot::mark(tag);
        let at = position(&self.ghost, |kept| kept == mark);
        at.and_then(|at| self.ghost.remove(at)).is_some()
    }
}

/// The place of the first slot for which `is` returns true. Checks several at a time, without a
/// branch for each: usually there is none.
fn position<T: Copy>(slots: &VecDeque<T>, is: impl Fn(T) -> bool) -> Option<usize> {
    const AT_A_TIME: usize = 32;
    let (first, second) = slots.as_slices();
    let within = |slots: &[T]| {
        let chunks = slots.chunks(AT_A_TIME);
        let (n, chunk) = chunks
            .enumerate()
            .find(|(_, chunk)| chunk.iter().fold(false, |any, slot| any | is(*slot)))?;
        let at = chunk.iter().position(|slot| is(*slot))?;
        Some(n * AT_A_TIME + at)
    };
    within(first).or_else(|| Some(first.len() + within(second)?))
}

#[cfg(test)]
mod tests {
    use super::super::setting::SETTINGS;
    use super::*;

    fn hits(setting: usize, keys: impl IntoIterator<Item = u32>) -> usize {
        let mut shadow = Shadow::new(SETTINGS[setting]);
        shadow.reserve(128);
        let (bytes, mut hits) = (shadow.bytes(), 0);
        for key in keys {
            hits += usize::from(shadow.access(key, MEAN, 100 * MEAN));
            assert!(shadow.small.units + shadow.main.units <= 100 * MEAN);
        }
        assert_eq!(shadow.bytes(), bytes, "as reserved");
        hits
    }

    #[test]
    fn a_loop_that_does_not_fit_is_for_a_tiny_small_queue() {
        let turns = || (0..20).flat_map(|_| 0..150);
        assert_eq!(hits(3, turns()), 0, "as CLOCK has it");
        let hits = hits(0, turns());
        assert!(
            hits > 1_200,
            "{hits} of 3,000, of which a cache of 100 can have 1,900"
        );
    }

    #[test]
    fn a_set_that_moves_on_is_for_a_large_one() {
        // Each key is asked for again a while later, and then no more.
        let keys = || (0..5_000).flat_map(|n: u32| [n + 30, n]);
        let hits = [0, 2, 3].map(|setting| hits(setting, keys()));
        assert!(hits[0] * 10 < hits[2] && hits[1] > 4_000, "{hits:?}");
    }

    #[test]
    fn lengths_and_uses_do_not_touch_the_tag() {
        for tag in [0, 1, u32::MAX >> TAG_SHIFT] {
            let slot = Slot::new(tag, MAX_UNITS).with_uses(7);
            assert!(slot.is(tag) && !slot.is(tag ^ 1));
            assert_eq!((slot.units(), slot.uses()), (MAX_UNITS, MAX_USES));
        }
        assert_eq!(
            [units(0, 100), units(100, 100), units(u64::MAX, 1)],
            [1, 16, 127]
        );
    }
}
