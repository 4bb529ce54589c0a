//! How main entries and hot copies share a group's capacity.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The part of the capacity that the hot copies may have while the rest is in use.
///
/// It begins with a ninth, golang/groupcache's rule: an eighth of what main has. From there it
/// follows what each of the two would gain from more room. A store counts how often it stores a
/// value that it had evicted recently ([`Store::recalls`](crate::Store::recalls)): with a little
/// more room that value would still have been there. The two are compared by recalls per byte, as
/// ARC (Megiddo and Modha, FAST 2003) compares recency and frequency by its ghosts. A value
/// missing in main costs a load from the origin, and a missing copy costs a hop, so the former
/// counts for more.
pub(crate) struct Share {
    /// In 1,024ths of the capacity.
    hot: AtomicU64,
    /// The recalls of both stores at the last check.
    seen: [AtomicU64; 2],
}

impl Share {
    const WHOLE: u64 = 1 << 10;
    const FIRST: u64 = Self::WHOLE / 9;
    const LEAST: u64 = Self::WHOLE / 64;
    const MOST: u64 = Self::WHOLE / 2;
    /// How much it changes at a check, in 1,024ths.
    const STEP: u64 = 4;
    /// How many recalls are compared at a check.
    const SAMPLE: u64 = 256;
    /// The cost of a load from the origin, in hops.
    const LOAD_IN_HOPS: u64 = 4;

    pub(crate) fn new() -> Self {
        Self {
            hot: AtomicU64::new(Self::FIRST),
            seen: Default::default(),
        }
    }

    /// The part of `capacity` that the copies may have, in bytes.
    pub(crate) fn of(&self, capacity: u64) -> u64 {
        capacity / Self::WHOLE * self.hot.load(Relaxed)
            + capacity % Self::WHOLE * self.hot.load(Relaxed) / Self::WHOLE
    }

    /// Compares the recalls of main and of the copies, and the bytes that each holds. Of two
    /// concurrent calls, one may do nothing.
    pub(crate) fn adapt(&self, recalls: [u64; 2], bytes: [u64; 2]) {
        let seen = [self.seen[0].load(Relaxed), self.seen[1].load(Relaxed)];
        let news = [0, 1].map(|n| recalls[n].saturating_sub(seen[n]));
        if news[0] + news[1] < Self::SAMPLE {
            return;
        }
        for (kept, now) in self.seen.iter().zip(recalls) {
            kept.store(now, Relaxed);
        }
        // Gains per byte: both multiplied by the bytes of both, so that nothing is divided.
        let gain = |news: u64, other: u64| u128::from(news) * u128::from(other.max(1));
        let main = gain(news[0] * Self::LOAD_IN_HOPS, bytes[1]);
        let hot = gain(news[1], bytes[0]);
        let old = self.hot.load(Relaxed);
        // The difference must be at least a quarter: a nearly right share stays.
        let new = if hot * 4 > main * 5 {
            (old + Self::STEP).min(Self::MOST)
        } else if main * 4 > hot * 5 {
            old.saturating_sub(Self::STEP).max(Self::LEAST)
        } else {
            old
        };
        self.hot.store(new, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: u64 = 1 << 20;

    #[test]
    fn copies_begin_with_a_ninth() {
        let hot = Share::new().of(CAPACITY);
        assert!((CAPACITY / 10..CAPACITY / 8).contains(&hot), "{hot}");
        assert_eq!(Share::new().of(9), 0);
        assert!(Share::new().of(1 << 48) > 1 << 44);
    }

    #[test]
    fn who_lacks_more_for_each_byte_gets_more_within_bounds() {
        let share = Share::new();
        let held = [900_000, 100_000];
        let mut recalls = [0, 0];
        for _ in 0..1_000 {
            recalls[1] += 300;
            share.adapt(recalls, held);
        }
        assert_eq!(share.of(CAPACITY), CAPACITY / 2);
        for _ in 0..1_000 {
            recalls[0] += 300;
            share.adapt(recalls, held);
        }
        assert_eq!(share.of(CAPACITY), CAPACITY / 64);
    }

    #[test]
    fn a_load_is_worth_four_hops() {
        let share = Share::new();
        let before = share.of(CAPACITY);
        // As many recalls for each byte, weighted by their cost.
        share.adapt([1_000, 4_000], [500_000, 500_000]);
        assert_eq!(share.of(CAPACITY), before);
        share.adapt([2_000, 9_100], [500_000, 500_000]);
        assert!(share.of(CAPACITY) > before);
    }

    #[test]
    fn a_few_recalls_say_nothing() {
        let share = Share::new();
        let before = share.of(CAPACITY);
        share.adapt([0, 255], [1, 1]);
        assert_eq!(share.of(CAPACITY), before);
        share.adapt([0, 256], [1, 1]);
        assert!(share.of(CAPACITY) > before);
    }
}
