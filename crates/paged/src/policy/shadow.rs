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
    /// The part of `main`, its oldest, that is obsolete since a shift.
    obsolete: u32,
}

/// What a shadow has for a key that is accessed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lookup {
    Miss,
    /// A key that was not accessed since the mark.
    Old,
    /// A key that was; and whether this is its first use.
    Recent {
        is_first: bool,
    },
}

#[derive(Default)]
struct Fifo {
    slots: VecDeque<Slot>,
    /// The sum of their lengths.
    units: u32,
}

/// 22 bits of the key's tag, one for a request since the mark, seven of the entry's length, two of
/// its uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Slot(u32);

/// The unit of lengths: this many to the mean.
pub(super) const UNITS: u64 = 16;
const MEAN: u32 = 16;

const USES_BITS: u32 = 2;
const UNITS_BITS: u32 = 7;
const IS_RECENT: u32 = 1 << (USES_BITS + UNITS_BITS);
const TAG_SHIFT: u32 = USES_BITS + UNITS_BITS + 1;
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
    /// Recent, as it is stored when it is accessed.
    fn new(tag: u32, units: u32) -> Self {
        Self(tag << TAG_SHIFT | IS_RECENT | units << USES_BITS)
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

    fn is_recent(self) -> bool {
        self.0 & IS_RECENT != 0
    }

    fn lookup(self) -> Lookup {
        if self.is_recent() {
            let is_first = self.uses() == 0;
            Lookup::Recent { is_first }
        } else {
            Lookup::Old
        }
    }

    fn used(self) -> Self {
        Self(self.with_uses(self.uses() + 1).0 | IS_RECENT)
    }

    fn marked(self) -> Self {
        Self(self.0 & !IS_RECENT)
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

    /// Records a use of a key; returns what it was before, if it is there.
    fn note_use(&mut self, tag: u32) -> Option<Lookup> {
        let at = position(&self.slots, |slot| slot.is(tag))?;
        let slot = self.slots.get_mut(at)?;
        let lookup = slot.lookup();
        *slot = slot.used();
        Some(lookup)
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
            obsolete: 0,
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

    /// An access to a key in a shadow of `room` units. A miss stores the key.
    pub(super) fn access(&mut self, tag: u32, units: u32, room: u32) -> Lookup {
        let found = self.main.note_use(tag);
        if let Some(found) = found.or_else(|| self.small.note_use(tag)) {
            return found;
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
        Lookup::Miss
    }

    /// From now on all keys are old until they are accessed.
    pub(super) fn mark(&mut self) {
        for slots in [&mut self.small.slots, &mut self.main.slots] {
            slots.iter_mut().for_each(|slot| *slot = slot.marked());
        }
    }

    /// Whether at least half of the main queue is old.
    pub(super) fn is_mostly_old(&self) -> bool {
        let slots = &self.main.slots;
        let recent = slots.iter().filter(|slot| slot.is_recent()).count();
        2 * recent <= slots.len()
    }

    /// Gives up what is in the main queue, as the cache does after a shift.
    pub(super) fn shift(&mut self) {
        self.obsolete = self.main.units;
    }

    /// Whether some of that is still there.
    pub(super) fn has_obsolete(&self) -> bool {
        self.obsolete > 0
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
        while self.is_small_full(room)
            && let Some(oldest) = self.small.slots.front()
            && self.main.units + oldest.units() <= self.part_of_main(room)
        {
            if self.main.slots.len() < self.keys - self.keys_of_small {
                let oldest = self.small.pop();
                oldest.into_iter().for_each(|slot| self.main.push(slot));
            } else if !(self.has_obsolete() && self.evict_from_main()) {
                break;
            }
        }
    }

    /// The part of the main queue; what is obsolete does not count.
    fn part_of_main(&self, room: u32) -> u32 {
        room - self.target(room).min(room) + self.obsolete
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
        let from_small = self.is_small_full(room) && self.small.slots.len() > 1;
        if from_small || self.main.slots.is_empty() {
            self.evict_from_small()
        } else {
            self.evict_from_main()
        }
    }

    fn evict_from_small(&mut self) -> bool {
        let Some(slot) = self.small.pop() else {
            return false;
        };
        if self.rules().passes(slot.uses().into(), slot.units().into()) {
            self.main.push(slot.with_uses(0));
        } else {
            self.remember(slot);
        }
        true
    }

    fn evict_from_main(&mut self) -> bool {
        let Some(slot) = self.main.pop() else {
            self.obsolete = 0;
            return false;
        };
        let (uses, units) = (slot.uses(), slot.units());
        let price = if self.has_obsolete() {
            Rules::PRICE_OF_OBSOLETE
        } else {
            self.rules().price(units.into())
        };
        self.obsolete = self.obsolete.saturating_sub(units);
        let price = u32::try_from(price).unwrap_or(u32::MAX);
        if let Some(left) = uses.checked_sub(price) {
            self.main.push(slot.with_uses(left));
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
            hits += usize::from(shadow.access(key, MEAN, 100 * MEAN) != Lookup::Miss);
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
    fn after_a_shift_new_keys_take_the_place_of_old_ones_at_once() {
        // Of each setting with a small queue: otherwise a shift changes little.
        for setting in &SETTINGS[..3] {
            let mut shadow = Shadow::new(*setting);
            shadow.reserve(128);
            let bytes = shadow.bytes();
            let access = |shadow: &mut Shadow, key| shadow.access(key, MEAN, 100 * MEAN);
            for key in (0..90).chain(0..90).chain(0..90) {
                access(&mut shadow, key);
            }
            shadow.mark();
            assert!(shadow.is_mostly_old());
            assert_eq!(access(&mut shadow, 80), Lookup::Old);
            assert_eq!(access(&mut shadow, 80), Lookup::Recent { is_first: false });
            shadow.shift();
            for key in 1_000..1_100 {
                assert_eq!(access(&mut shadow, key), Lookup::Miss);
            }
            let kept = (1_000..1_100).filter(|key| access(&mut shadow, *key) != Lookup::Miss);
            // The rest is what was in the small queue.
            assert!(kept.count() >= 60);
            assert_eq!(shadow.bytes(), bytes, "as reserved");
        }
    }

    #[test]
    fn lengths_and_uses_do_not_touch_the_tag() {
        for tag in [0, 1, u32::MAX >> TAG_SHIFT] {
            let slot = Slot::new(tag, MAX_UNITS).with_uses(7);
            assert!(slot.is_recent() && !slot.marked().is_recent() && slot.marked().is(tag));
            assert!(slot.is(tag) && !slot.is(tag ^ 1));
            assert_eq!((slot.units(), slot.uses()), (MAX_UNITS, MAX_USES));
        }
        assert_eq!(
            [units(0, 100), units(100, 100), units(u64::MAX, 1)],
            [1, 16, 127]
        );
    }
}
