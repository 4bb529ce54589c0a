//! The keys that have recently left the small queue, by a few bits of each: a key that is inserted
//! again soon is stored directly in the main queue.

use crate::place::Tag;

/// A bucket: a mark of each key, and in the last slot how many marks were ever written, modulo
/// [`MARKS`]. A cache line.
type Bucket = [u16; MARKS + 1];

const MARKS: usize = 31;

/// A first-in, first-out memory of keys, in buckets that each overwrite their own oldest mark.
///
/// A mark has sixteen bits of the key's tag. Another key is mistaken for a remembered one in about
/// one lookup of two thousand, which costs only a place in the main queue.
#[derive(Default)]
pub(crate) struct Ghost {
    buckets: Vec<Bucket>,
}

/// An empty slot: no key has this mark.
const EMPTY: u16 = 0;

impl Ghost {
    /// How many keys are remembered for each hundred that are held. With fewer, a key is forgotten
    /// before it is requested again; with more, keys requested at long intervals displace keys
    /// requested often.
    const KEYS_PER_HUNDRED: usize = 135;

    /// Its bytes.
    pub(crate) fn bytes(&self) -> u64 {
        (self.buckets.capacity() * size_of::<Bucket>()) as u64
    }

    /// Remembers a key that has left a shard with `held` entries.
    pub(crate) fn remember(&mut self, tag: Tag, held: usize) {
        self.grow(held);
        let mark = mark(tag);
        if let Some([marks @ .., written]) = self.bucket(tag)
            && let Some(oldest) = marks.get_mut(usize::from(*written))
        {
            *oldest = mark;
            *written = if usize::from(*written) + 1 < MARKS {
                *written + 1
            } else {
                0
            };
        }
    }

    /// Whether a key is remembered; the call forgets it.
    pub(crate) fn recall(&mut self, tag: Tag) -> bool {
        let mark = mark(tag);
        let Some([marks @ .., _]) = self.bucket(tag) else {
            return false;
        };
        // All of them, without a branch for each: usually it is not there, and several are
        // compared at a time.
        let is_there = marks.iter().fold(false, |any, kept| any | (*kept == mark));
        if is_there && let Some(kept) = marks.iter_mut().find(|kept| **kept == mark) {
            *kept = EMPTY;
        }
        is_there
    }

    /// Reduces the buckets to at most twice what `held` entries need.
    pub(crate) fn shrink(&mut self, held: usize) {
        let need = Self::buckets_for(held);
        if need < self.buckets.len().div_ceil(2) {
            self.resize(need);
        }
    }

    /// Grows to as many buckets as `held` entries need, or an eighth more. A shard calls this as
    /// it fills, so that its size grows in small steps, and not all at the first evicted key.
    pub(crate) fn grow(&mut self, held: usize) {
        let need = Self::buckets_for(held);
        if need > self.buckets.len() {
            self.resize(need + need / 8);
        }
    }

    /// How many keys a cache of this many entries remembers.
    pub(crate) fn keys_for(held: usize) -> usize {
        held.saturating_mul(Self::KEYS_PER_HUNDRED) / 100
    }

    fn buckets_for(held: usize) -> usize {
        // None for so few that one bucket would be a large part of their size.
        Self::keys_for(held) / MARKS
    }

    /// Keys are in the order of their tags, so that a bucket of the new size takes over the bucket
    /// that its keys were in. A mark in a bucket that its key does not belong to is never looked
    /// up, and is overwritten in time.
    fn resize(&mut self, buckets: usize) {
        let old = self.buckets.len();
        let of = |n: usize| self.buckets.get(n * old / buckets).copied();
        let new = (0..buckets).map(|n| of(n).unwrap_or_default()).collect();
        self.buckets = new;
    }

    fn bucket(&mut self, tag: Tag) -> Option<&mut Bucket> {
        let at = (u64::from(tag.to_bits()) * self.buckets.len() as u64) >> Tag::BITS;
        self.buckets.get_mut(usize::try_from(at).ok()?)
    }
}

/// The low bits; the high ones choose the bucket.
fn mark(tag: Tag) -> u16 {
    #[expect(clippy::cast_possible_truncation, reason = "the low bits of it")]
    let bits = tag.to_bits() as u16;
    bits.max(EMPTY + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(n: u64) -> Tag {
        // Any mixing will do.
        Tag::of(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20)
    }

    #[test]
    fn what_left_of_late_is_recalled_once() {
        let mut ghost = Ghost::default();
        assert!(!ghost.recall(tag(0)));
        for n in 0..10_000 {
            ghost.remember(tag(n), 1_000);
        }
        let recalled = |ghost: &mut Ghost, from: u64| {
            (from..from + 500).filter(|n| ghost.recall(tag(*n))).count()
        };
        assert!(recalled(&mut ghost, 9_500) > 480);
        assert!(recalled(&mut ghost, 9_500) < 5, "forgotten");
        assert!(recalled(&mut ghost, 0) < 5, "long ago");
        assert!(recalled(&mut ghost, 20_000) < 5, "never there");
    }

    #[test]
    fn it_takes_three_bytes_for_each_entry_at_most() {
        let mut ghost = Ghost::default();
        for held in 1_000..20_000 {
            ghost.remember(tag(held as u64), held);
            assert!(ghost.bytes() <= 4 * held as u64 + 64);
        }
        assert!(ghost.bytes() < 66_000, "{}", ghost.bytes());
        ghost.shrink(1_000);
        assert_eq!(ghost.bytes(), 43 * 64);
        ghost.shrink(0);
        assert_eq!(ghost.bytes(), 0);
    }

    #[test]
    fn growing_forgets_little() {
        let mut ghost = Ghost::default();
        for n in 0..400 {
            ghost.remember(tag(n), 1_000);
        }
        ghost.remember(tag(400), 3_000);
        let recalled = (0..400).filter(|n| ghost.recall(tag(*n))).count();
        assert!(recalled > 320, "{recalled}");
    }
}
