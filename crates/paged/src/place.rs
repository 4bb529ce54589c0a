use std::sync::atomic::{AtomicU64, Ordering};

/// The place of an entry, as the index keeps it, in one word: 28 bits of the key's hash, two for
/// the uses, 24 for the block and ten for the place in it.
///
/// The uses are here because a hit reads this word anyway, and an eviction has to look it up
/// anyway.
#[derive(Debug)]
pub(crate) struct Place(AtomicU64);

/// The location of an entry: the number of a block and, in a page, the offset of the record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Location(u64);

/// The part of a key's hash that the index keeps. Keys with the same tag are distinguished by
/// comparing them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tag(u32);

const OFFSET_BITS: u32 = 10;
const BLOCK_BITS: u32 = 24;
const LOCATION_BITS: u32 = OFFSET_BITS + BLOCK_BITS;
const TAG_BITS: u32 = 28;
const TAG_SHIFT: u32 = u64::BITS - TAG_BITS;
const USE: u64 = 1 << LOCATION_BITS;
const USES: u64 = 3 * USE;

impl Tag {
    /// How many bits it has.
    pub(crate) const BITS: u32 = TAG_BITS;

    /// The low bits: the shard is chosen by higher ones.
    #[inline]
    pub(crate) fn of(hash: u64) -> Self {
        Self((hash & ((1 << TAG_BITS) - 1)) as u32)
    }

    #[inline]
    pub(crate) fn to_bits(self) -> u32 {
        self.0
    }

    #[inline]
    pub(crate) fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The hash for the table: it takes the group of slots from the low bits and its own tag from
    /// the seven highest, which overlap only beyond two million entries in a shard.
    #[inline]
    pub(crate) fn hash(self) -> u64 {
        u64::from(self.0) | u64::from(self.0) << TAG_SHIFT
    }
}

impl Location {
    /// The number of block numbers in a shard.
    pub(crate) const MAX_BLOCKS: usize = 1 << BLOCK_BITS;
    /// Records begin at multiples of this, in bytes.
    pub(crate) const GRANULARITY: usize = 4;
    /// The largest page in which every record has an offset, in bytes.
    pub(crate) const MAX_PAGE: usize = Self::GRANULARITY << OFFSET_BITS;

    #[inline]
    pub(crate) fn new(block: u32, offset: usize) -> Self {
        debug_assert!(offset < Self::MAX_PAGE && offset.is_multiple_of(Self::GRANULARITY));
        Self(u64::from(block) << OFFSET_BITS | (offset / Self::GRANULARITY) as u64)
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "24 bits")]
    pub(crate) fn block(self) -> u32 {
        (self.0 >> OFFSET_BITS) as u32
    }

    /// In bytes.
    #[inline]
    pub(crate) fn offset(self) -> usize {
        (self.0 & ((1 << OFFSET_BITS) - 1)) as usize * Self::GRANULARITY
    }
}

impl Place {
    /// With one, a key used a thousand times is evicted as soon as a key used once.
    pub(crate) const MAX_USES: u64 = 3;

    #[inline]
    pub(crate) fn new(tag: Tag, uses: u64, location: Location) -> Self {
        let uses = uses.min(Self::MAX_USES) * USE;
        Self(AtomicU64::new(
            u64::from(tag.0) << TAG_SHIFT | uses | location.0,
        ))
    }

    #[inline]
    fn word(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn tag(&self) -> Tag {
        Tag((self.word() >> TAG_SHIFT) as u32)
    }

    #[inline]
    pub(crate) fn location(&self) -> Location {
        Location(self.word() & (USE - 1))
    }

    #[inline]
    pub(crate) fn uses(&self) -> u64 {
        (self.word() & USES) / USE
    }

    /// Records a use, and returns whether that is news. Writes only then, and without a
    /// read-modify-write, which is many times more expensive: of two hits at the same instant one
    /// may be lost. Only the uses change while the lock is shared.
    #[inline]
    pub(crate) fn note_use(&self) -> bool {
        let word = self.word();
        let is_news = word & USES < Self::MAX_USES * USE;
        if is_news {
            self.0.store(word + USE, Ordering::Relaxed);
        }
        is_news
    }

    /// Sets the number of uses.
    pub(crate) fn set_uses(&mut self, uses: u64) {
        let word = self.0.get_mut();
        *word = (*word & !USES) | (uses.min(Self::MAX_USES) * USE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_do_not_touch_each_other() {
        let tag = Tag::of(u64::MAX);
        let last = Location::new(
            (1 << BLOCK_BITS) - 1,
            Location::MAX_PAGE - Location::GRANULARITY,
        );
        for (tag, location) in [(tag, Location::new(0, 0)), (Tag::of(0), last), (tag, last)] {
            let mut place = Place::new(tag, 0, location);
            for uses in [0, 1, 2, 3, 3] {
                assert_eq!(
                    (place.tag(), place.location(), place.uses()),
                    (tag, location, uses)
                );
                place.note_use();
            }
            assert!(!place.note_use());
            place.set_uses(1);
            assert_eq!(place.uses(), 1);
            assert_eq!((place.tag(), place.location()), (tag, location));
        }
        assert_eq!((last.block(), last.offset()), (0xff_ffff, 4092));
    }
}
