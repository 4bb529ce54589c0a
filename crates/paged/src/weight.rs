//! The weights of the budget, in bytes: the sizes that an allocator gives.

use crate::block::Slot;
use crate::order::Link;
use crate::place::Place;

/// A block of memory of that length, as allocators with eight sizes to each doubling round it up.
/// mimalloc and jemalloc have four, glibc more: this is in between.
pub(crate) fn allocated(len: usize) -> u64 {
    let step = if len <= 128 {
        16
    } else {
        1 << ((len - 1).ilog2() - 3)
    };
    (len as u64).next_multiple_of(step)
}

/// The state that several `Bytes` of one buffer share: its address, its capacity, their number.
pub(crate) const SHARED: u64 = 32;

/// How full the index is at least when it grows: 13/16 of its slots.
pub(crate) const FULLEST: (usize, usize) = (13, 16);

/// The weight of an entry in the index: a slot and its control byte, in a table at its emptiest
/// after growing.
pub(crate) const ENTRY: u64 = ((size_of::<Place>() + 1) * 2 * FULLEST.1).div_ceil(FULLEST.0) as u64;

/// The weight of a block without its content: its slot and its link in the order, each in an array
/// up to an eighth longer than needed.
pub(crate) const BLOCK: u64 = ((size_of::<Slot>() + size_of::<Link>()) * 9).div_ceil(8) as u64;

/// A page of that many bytes, without its entries' places in the index.
pub(crate) fn page(len: usize) -> u64 {
    allocated(len) + SHARED + BLOCK
}

/// An open page: a buffer of records and one of values.
pub(crate) fn open(buffer: usize) -> u64 {
    2 * allocated(buffer) + BLOCK
}

/// A block of its own for an entry, without its place in the index.
pub(crate) fn single(key: usize, value: usize) -> u64 {
    allocated(key)
        .saturating_add(allocated(value))
        .saturating_add(SHARED + BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_rounded_to_eight_sizes_a_doubling() {
        for (len, size) in [
            (0, 0),
            (1, 16),
            (128, 128),
            (129, 144),
            (256, 256),
            (257, 288),
            (3_585, 3_840),
            (4_096, 4_096),
            (4_097, 4_608),
            (100_000, 106_496),
        ] {
            assert_eq!(allocated(len), size, "{len}");
        }
        assert!(allocated(usize::MAX / 2) > u64::MAX / 2 - 1);
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn the_shares_are_known() {
        // A slot of 64 bytes, a link of twelve, and an eighth of both.
        assert_eq!((ENTRY, BLOCK), (23, 86));
    }
}
