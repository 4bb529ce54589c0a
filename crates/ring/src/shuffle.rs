//! The order in which one member prefers the slots.

use xxhash_rust::xxh3::xxh3_128;

/// Number of slots, as a power of two. Frozen: another number gives another placement.
pub(crate) const SLOT_BITS: u32 = 22;
/// Number of slots that keys fall into.
pub(crate) const SLOTS: u32 = 1 << SLOT_BITS;
const MASK: u32 = SLOTS - 1;
const FOLD: u32 = SLOT_BITS / 2;

/// A permutation of the slots, selected by a member's name: slot to rank, 0 is preferred most.
///
/// Two rounds of "multiply by an odd number, fold the high half onto the low half", each step a
/// bijection on 22 bits. One multiplication alone would be a lattice, in which some pairs of
/// members avoid or shadow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shuffle {
    pub(crate) first: u32,
    pub(crate) add: u32,
    pub(crate) second: u32,
    pub(crate) flip: u32,
}

/// The same permutation from rank to slot; two modular inverses are precomputed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unshuffle {
    forward: Shuffle,
    first: u32,
    second: u32,
}

impl Shuffle {
    pub(crate) fn of(member: &str) -> Self {
        let bytes = xxh3_128(member.as_bytes()).to_le_bytes();
        let [add, first, flip, second] = [0, 4, 8, 12]
            .map(|at| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]));
        Self {
            first: first | 1,
            add,
            second: second | 1,
            flip,
        }
    }

    /// The member's rank for this slot: 0 preferred most, `SLOTS - 1` least.
    #[inline(always)]
    pub(crate) fn rank(self, slot: u32) -> u32 {
        let mut x = slot.wrapping_mul(self.first).wrapping_add(self.add) & MASK;
        x ^= x >> FOLD;
        x = (x ^ self.flip).wrapping_mul(self.second) & MASK;
        x ^ (x >> FOLD)
    }

    pub(crate) fn inverse(self) -> Unshuffle {
        Unshuffle {
            forward: self,
            first: invert(self.first),
            second: invert(self.second),
        }
    }
}

impl Unshuffle {
    /// The slot that has this rank for the member.
    #[inline(always)]
    pub(crate) fn slot(self, rank: u32) -> u32 {
        // Folding by half the width is its own inverse.
        let mut x = rank ^ (rank >> FOLD);
        x = (x.wrapping_mul(self.second) ^ self.forward.flip) & MASK;
        x ^= x >> FOLD;
        x.wrapping_sub(self.forward.add).wrapping_mul(self.first) & MASK
    }
}

/// The inverse of an odd number modulo 2³², by Newton's iteration: 3 right bits, then 6, 12, 24, 48.
fn invert(odd: u32) -> u32 {
    (0..4).fold(odd, |x, _| {
        x.wrapping_mul(2u32.wrapping_sub(odd.wrapping_mul(x)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_is_a_permutation_and_its_inverse_undoes_it() {
        for member in ["", "a", "http://10.0.0.1:8001"] {
            let shuffle = Shuffle::of(member);
            let inverse = shuffle.inverse();
            for rank in (0..SLOTS).step_by(997).chain([1, SLOTS - 1]) {
                let slot = inverse.slot(rank);
                assert!(slot < SLOTS);
                assert_eq!(shuffle.rank(slot), rank, "{member} {rank}");
            }
        }
    }

    #[test]
    fn inverses_of_odd_numbers() {
        for odd in [1, 3, 5, 7, 0xdead_beef, u32::MAX] {
            assert_eq!(invert(odd).wrapping_mul(odd), 1);
        }
    }
}
