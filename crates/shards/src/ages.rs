use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The age of each shard's oldest entry: decides which shard evicts.
///
/// If a shard evicted only for its own insertions, it would stop evicting once it held all of its
/// keys, and its size would be a matter of chance. Eviction of the oldest entry of all, whichever
/// shard it is in, makes the shards together one list in the order of age: each shard has the
/// share that its traffic deserves, and a shard that holds less than that evicts nothing until it
/// is as old as the others again.
///
/// Age is counted in insertions into the order of any shard, with 32 bits: if more than four
/// thousand million entries are held (some terabytes), the shards' ages are no longer compared
/// correctly, which costs hits and nothing more.
#[derive(Debug)]
pub struct Ages {
    now: AtomicU32,
    oldest: Box<[AtomicU64]>,
}

/// The state of a shard's oldest entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oldest {
    /// The shard is empty.
    Nothing,
    /// It was inserted at that time.
    Since(u32),
    /// It has been written to since that time: it comes after all that are not open.
    OpenSince(u32),
}

const OPEN: u64 = 1 << 32;
const NOTHING: u64 = u64::MAX;

impl Ages {
    /// For this many shards, all empty.
    #[must_use]
    pub fn new(shards: usize) -> Self {
        Self {
            now: AtomicU32::new(0),
            oldest: (0..shards).map(|_| AtomicU64::new(NOTHING)).collect(),
        }
    }

    /// The number of shards.
    #[must_use]
    #[inline]
    pub fn shards(&self) -> usize {
        self.oldest.len()
    }

    // Relaxed throughout: an age that is reported late costs at most an eviction in another order.

    /// The time for an entry that is inserted as the youngest.
    #[inline]
    pub fn next(&self) -> u32 {
        self.now.fetch_add(1, Ordering::Relaxed)
    }

    /// The time for an entry that is moved to the young end.
    #[inline]
    pub fn now(&self) -> u32 {
        self.now.load(Ordering::Relaxed)
    }

    /// Sets a shard's oldest entry.
    #[inline]
    pub fn tell(&self, shard: usize, oldest: Oldest) {
        let word = match oldest {
            Oldest::Nothing => NOTHING,
            Oldest::Since(time) => u64::from(time),
            Oldest::OpenSince(time) => u64::from(time) | OPEN,
        };
        let kept = &self.oldest[shard];
        // Usually it is unchanged, and its cache line stays shared with all readers.
        if kept.load(Ordering::Relaxed) != word {
            kept.store(word, Ordering::Relaxed);
        }
    }

    /// The age of the oldest entry of all. Zero if all are open.
    pub fn span(&self) -> u32 {
        let now = self.now();
        let age = |kept: &AtomicU64| match u32::try_from(kept.load(Ordering::Relaxed)) {
            Ok(since) => now.wrapping_sub(since),
            // Open, or empty.
            Err(_) => 0,
        };
        self.oldest.iter().map(age).max().unwrap_or_default()
    }

    /// The shard with the oldest of all.
    pub fn oldest(&self) -> usize {
        let now = self.now();
        let oldest = (0..self.shards()).max_by_key(|&shard| self.age(shard, now));
        oldest.unwrap_or_default()
    }

    /// Whether any shard has an entry that is not open.
    pub fn has_closed(&self) -> bool {
        let is_closed = |kept: &AtomicU64| kept.load(Ordering::Relaxed) & OPEN == 0;
        self.oldest.iter().any(is_closed)
    }

    /// Whether all shards are empty.
    pub fn is_empty(&self) -> bool {
        let is_empty = |kept: &AtomicU64| kept.load(Ordering::Relaxed) == NOTHING;
        self.oldest.iter().all(is_empty)
    }

    /// Whether all other shards are empty.
    pub fn is_alone(&self, shard: usize) -> bool {
        let is_empty = |other: &AtomicU64| other.load(Ordering::Relaxed) == NOTHING;
        let (before, rest) = self.oldest.split_at(shard);
        before.iter().chain(rest.iter().skip(1)).all(is_empty)
    }

    /// The shard that has to evict for an insertion into the shard `home`: `home` itself if it is
    /// due.
    pub fn due(&self, home: usize) -> usize {
        let now = self.now();
        let oldest = self.oldest();
        if self.is_nearly(home, oldest, now) {
            home
        } else {
            oldest
        }
    }

    /// Whether a shard's oldest entry is the oldest of all, or nearly so.
    pub fn is_due(&self, home: usize) -> bool {
        self.is_nearly(home, self.oldest(), self.now())
    }

    /// Within an eighth: the lock of `home` is held or has just been, and its cache lines are
    /// near.
    fn is_nearly(&self, home: usize, oldest: usize, now: u32) -> bool {
        let (mine, most) = (self.age(home, now), self.age(oldest, now));
        mine >= most - most / 8
    }

    /// The key for sorting: entries that are not open first, empty shards last.
    fn age(&self, shard: usize, now: u32) -> u64 {
        let word = self.oldest[shard].load(Ordering::Relaxed);
        if word == NOTHING {
            return 0;
        }
        #[expect(clippy::cast_possible_truncation, reason = "the lower half of it")]
        let age = u64::from(now.wrapping_sub(word as u32));
        if word & OPEN == 0 {
            age << 32 | u64::from(u32::MAX)
        } else {
            age.max(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_gives_and_its_own_shard_if_nearly_as_old() {
        let ages = Ages::new(4);
        ages.now.store(100, Ordering::Relaxed);
        ages.tell(1, Oldest::Since(0));
        ages.tell(2, Oldest::Since(10));
        ages.tell(3, Oldest::Since(50));
        assert_eq!(ages.oldest(), 1);
        assert_eq!([0, 1, 2, 3].map(|home| ages.due(home)), [1, 1, 2, 1]);
        assert_eq!(ages.span(), 100);
        assert!(ages.is_due(2) && !ages.is_due(3) && !ages.is_due(0));
    }

    #[test]
    fn what_is_open_comes_last_but_before_nothing() {
        let ages = Ages::new(3);
        ages.now.store(100, Ordering::Relaxed);
        ages.tell(1, Oldest::OpenSince(0));
        assert_eq!((ages.oldest(), ages.span()), (1, 0));
        ages.tell(2, Oldest::Since(99));
        assert_eq!((ages.oldest(), ages.due(1)), (2, 2));
    }

    #[test]
    fn time_goes_round() {
        let ages = Ages::new(2);
        ages.now.store(5, Ordering::Relaxed);
        ages.tell(0, Oldest::Since(u32::MAX - 5));
        ages.tell(1, Oldest::Since(1));
        assert_eq!((ages.oldest(), ages.span()), (0, 11));
    }
}
