//! The main cache, the hot cache and the known absences under one budget.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use gaggle_shards::Clock;

use crate::freshness::Shortened;
use crate::share::Share;
use crate::{Answer, Cached, Entry, Freshness, Inserted, PagedStore, Source, Store};

/// Two stores that share one capacity: while both together are over it, the hot one evicts if it
/// is larger than its [`Share`], and the main one otherwise. A small third store has the absences,
/// so that missing keys cannot evict values.
pub(crate) struct Tiers {
    pub(crate) main: Arc<dyn Store>,
    pub(crate) hot: Arc<dyn Store>,
    /// At most a fortieth of the capacity. Its values are empty.
    pub(crate) absent: PagedStore,
    /// While it is being lowered, the current intermediate value.
    capacity: AtomicU64,
    share: Share,
}

/// The cache that keeps a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tier {
    Main,
    Hot,
}

/// The entry of a key in memory.
#[derive(Debug)]
pub(crate) struct Remembered {
    pub(crate) answer: Answer,
    /// Whether it has to be loaded again, though it may be served.
    pub(crate) due: bool,
}

impl Remembered {
    #[inline]
    fn value(cached: Cached, source: Source) -> Self {
        Self {
            due: cached.due,
            answer: Answer {
                value: Some(cached.value),
                freshness: cached.freshness,
                metadata: cached.metadata,
                source,
                collapsed: false,
                failed_over: false,
            },
        }
    }

    fn absence(cached: &Cached) -> Self {
        Self {
            answer: Answer::new(
                Entry::absent().with_freshness(cached.freshness),
                Source::Main,
            ),
            due: cached.due,
        }
    }
}

impl Tiers {
    /// The share of the capacity for absences: one in this many.
    const ABSENT_ONE_IN: u64 = 40;
    /// The step by which the capacity is lowered: a concurrent insertion evicts no more than this
    /// for it.
    const STEP: u64 = 64 << 10;

    pub(crate) fn new(
        main: Arc<dyn Store>,
        hot: Arc<dyn Store>,
        capacity: u64,
        clock: Clock,
    ) -> Self {
        Self {
            main,
            hot,
            absent: PagedStore::new(capacity / Self::ABSENT_ONE_IN, clock),
            capacity: AtomicU64::new(capacity),
            share: Share::new(),
        }
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.capacity.load(Relaxed)
    }

    /// The store whose capacity cannot change, if there is one.
    pub(crate) fn fixed(&self) -> Option<&'static str> {
        // A store that can change it returns true even for its current capacity.
        let capacity = self.capacity();
        let stores = [("main", &self.main), ("hot", &self.hot)];
        let fixed = stores
            .into_iter()
            .find(|(_, store)| !store.set_capacity(capacity));
        fixed.map(|(name, _)| name)
    }

    /// Changes the capacity of stores that are not [fixed](Self::fixed), one call at a time. A
    /// lower one is reached when this returns.
    pub(crate) fn set_capacity(&self, capacity: u64) {
        let absent: &dyn Store = &self.absent;
        absent.set_capacity(capacity / Self::ABSENT_ONE_IN);
        if capacity < self.capacity() {
            // The sum first: `balance` decides which store evicts.
            loop {
                let held = self.capacity().min(self.bytes());
                let next = held.saturating_sub(Self::STEP).max(capacity);
                self.capacity.store(next, Relaxed);
                self.balance(0);
                if next == capacity {
                    break;
                }
            }
        }
        self.main.set_capacity(capacity);
        self.hot.set_capacity(capacity);
        self.capacity.store(capacity, Relaxed);
    }

    /// Lowers the lifetimes of entries. `draw` returns the end of an entry that would end later
    /// than that. Returns the store that cannot do so, if there is one.
    pub(crate) fn shorten(
        &self,
        shortened: &Shortened,
        mut draw: impl FnMut(Duration) -> Duration,
    ) -> Option<&'static str> {
        if let Some(longest) = shortened.absent {
            if longest.is_zero() {
                self.absent.clear();
            } else {
                let longest = Freshness::for_ttl(longest);
                self.absent.shorten(longest, Duration::ZERO, &mut draw);
            }
        }
        let stores = [
            ("main", &self.main, shortened.main),
            ("hot", &self.hot, shortened.hot),
        ];
        let mut cannot = None;
        for (name, store, longest) in stores {
            if let Some((longest, ahead)) = longest
                && !store.shorten(longest, ahead, &mut draw)
            {
                cannot = Some(name);
            }
        }
        cannot
    }

    fn bytes(&self) -> u64 {
        let values = self.main.bytes().saturating_add(self.hot.bytes());
        values.saturating_add(self.absent.bytes())
    }

    /// Whether a new entry of that many bytes would fit without an eviction. A sixteenth of the
    /// capacity counts as taken: a full store evicts by the page, and so is a little below its
    /// capacity most of the time.
    pub(crate) fn has_room(&self, len: usize) -> bool {
        let capacity = self.capacity();
        let most = capacity - capacity / 16;
        self.bytes().saturating_add(len as u64) <= most
    }

    /// The entry of a key, if it may be served.
    #[inline]
    pub(crate) fn get(&self, key: &[u8]) -> Option<Remembered> {
        if let Some(cached) = self.main.get(key) {
            return Some(Remembered::value(cached, Source::Main));
        }
        if let Some(cached) = self.hot.get(key) {
            return Some(Remembered::value(cached, Source::Hot));
        }
        if self.absent.bytes() == 0 {
            return None;
        }
        self.absent
            .get(key)
            .map(|cached| Remembered::absence(&cached))
    }

    /// The entry of a key, even if it may only be served after a failed load.
    pub(crate) fn peek(&self, key: &[u8]) -> Option<Remembered> {
        if let Some(cached) = self.main.peek(key) {
            return Some(Remembered::value(cached, Source::Main));
        }
        if let Some(cached) = self.hot.peek(key) {
            return Some(Remembered::value(cached, Source::Hot));
        }
        if self.absent.bytes() == 0 {
            return None;
        }
        self.absent
            .peek(key)
            .map(|cached| Remembered::absence(&cached))
    }

    /// Keeps a value in one tier and removes it from the others, so that no key is in two.
    pub(crate) fn insert(
        &self,
        tier: Tier,
        key: &[u8],
        cached: Cached,
        refresh_ahead: Duration,
    ) -> Inserted {
        let (to, other) = match tier {
            Tier::Main => (&self.main, &self.hot),
            Tier::Hot => (&self.hot, &self.main),
        };
        other.remove(key);
        self.forget_absence(key);
        let fresh = match tier {
            Tier::Main => (key.len() + cached.value.len()) as u64,
            Tier::Hot => 0,
        };
        let inserted = to.insert(key, cached, refresh_ahead);
        self.balance(fresh);
        inserted
    }

    /// Keeps an absence; a previous value is dropped.
    pub(crate) fn insert_absence(&self, key: &[u8], cached: Cached) {
        self.main.remove(key);
        self.hot.remove(key);
        self.absent.insert(key, cached, Duration::ZERO);
        self.balance(0);
    }

    pub(crate) fn remove(&self, key: &[u8]) -> bool {
        // All of them, whatever the first returns.
        self.main.remove(key) | self.hot.remove(key) | self.forget_absence(key)
    }

    fn forget_absence(&self, key: &[u8]) -> bool {
        self.absent.bytes() > 0 && self.absent.remove(key)
    }

    pub(crate) fn clear(&self) {
        self.main.clear();
        self.hot.clear();
        self.absent.clear();
    }

    /// `fresh` is the size of the value just stored in main. Each step evicts an entry or a few,
    /// so the loop ends; two concurrent threads may evict more than needed.
    fn balance(&self, fresh: u64) {
        loop {
            let (main, hot) = (self.main.bytes(), self.hot.bytes());
            let all = main.saturating_add(hot).saturating_add(self.absent.bytes());
            if all <= self.capacity() {
                return;
            }
            let recalls = [self.main.recalls(), self.hot.recalls()];
            self.share.adapt(recalls, [main, hot]);
            // If main holds almost nothing but one large new value, the share may be more than all
            // of hot, and the new value would be evicted. The smaller copies are evicted first
            // here. (By size, as counting entries would lock every shard.)
            let little = fresh.saturating_add(fresh / 8 + NEXT_TO_NOTHING);
            let hot_gives = hot > self.share.of(self.capacity()) || main <= little;
            // Absences last, and only if a new value leaves no room even for them.
            let absent: &dyn Store = &self.absent;
            let order = if hot_gives && main > little {
                [&*self.hot, &*self.main, absent]
            } else if hot_gives {
                [&*self.hot, absent, &*self.main]
            } else {
                [&*self.main, &*self.hot, absent]
            };
            if !order.iter().any(|store| store.evict_one()) {
                return;
            }
        }
    }
}

/// The bookkeeping of an entry, and a page that a few small ones have begun, in bytes. (The
/// allocator's rounding of a value, an eighth at most, is added.)
const NEXT_TO_NOTHING: u64 = 10 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: u64 = 100 << 10;

    fn tiers() -> Tiers {
        let store = || Arc::new(PagedStore::new(CAPACITY, Clock::monotonic()));
        Tiers::new(store(), store(), CAPACITY, Clock::monotonic())
    }

    fn put(tiers: &Tiers, tier: Tier, key: &str, len: usize) {
        put_within(tiers, tier, key, len, CAPACITY);
    }

    fn put_within(tiers: &Tiers, tier: Tier, key: &str, len: usize, capacity: u64) {
        let cached = Cached::new(vec![0; len], Freshness::default());
        tiers.insert(tier, key.as_bytes(), cached, Duration::ZERO);
        assert!(bytes(tiers) <= capacity);
    }

    fn bytes(tiers: &Tiers) -> u64 {
        tiers.main.bytes() + tiers.hot.bytes() + tiers.absent.bytes()
    }

    #[test]
    fn a_large_new_value_outlives_the_copies_that_it_leaves_no_room_for() {
        let tiers = tiers();
        for n in 0..8 {
            put(&tiers, Tier::Hot, &format!("copy-{n}"), 1 << 10);
        }
        put(&tiers, Tier::Main, "large", 95 << 10);
        assert!(tiers.peek(b"large").is_some());
        assert!(tiers.hot.len() < 8);
    }

    #[test]
    fn few_copies_stay_while_main_turns_over() {
        let tiers = tiers();
        put(&tiers, Tier::Hot, "copy", 1 << 10);
        for n in 0..500 {
            put(&tiers, Tier::Main, &format!("own-{n}"), 1 << 10);
        }
        let found = tiers.peek(b"copy").map(|found| found.answer.source);
        assert_eq!(found, Some(Source::Hot));
        assert!(tiers.peek(b"own-499").is_some());
    }

    #[test]
    fn a_storm_of_absences_takes_a_fortieth() {
        let tiers = tiers();
        for n in 0..60 {
            put(&tiers, Tier::Main, &format!("own-{n}"), 1 << 10);
        }
        for n in 0..10_000 {
            let minute = Freshness::for_ttl(Duration::from_secs(60));
            tiers.insert_absence(format!("nobody-{n}").as_bytes(), Cached::new("", minute));
            assert!(tiers.absent.bytes() <= CAPACITY / 40 && bytes(&tiers) <= CAPACITY);
        }
        assert_eq!(tiers.main.len(), 60);
        assert!(
            tiers
                .get(b"nobody-9999")
                .is_some_and(|found| found.answer.value.is_none())
        );
    }

    #[test]
    fn a_capacity_is_shared_as_before_when_it_has_become_less() {
        let tiers = tiers();
        for n in 0..60 {
            put(&tiers, Tier::Main, &format!("own-{n}"), 1 << 10);
        }
        for n in 0..10 {
            put(&tiers, Tier::Hot, &format!("copy-{n}"), 1 << 10);
        }
        let full = bytes(&tiers);
        assert_eq!(tiers.fixed(), None);
        tiers.set_capacity(full);
        assert_eq!((bytes(&tiers), tiers.capacity()), (full, full));
        tiers.set_capacity(full / 2);
        assert!(bytes(&tiers) <= full / 2 && bytes(&tiers) > full / 2 - (4 << 10));
        let (main, hot) = (tiers.main.bytes(), tiers.hot.bytes());
        assert!(hot > 0 && hot <= main / 8 + (2 << 10), "{main}, {hot}");
        // Each store by itself as well: a value that can never fit evicts nothing.
        let len = tiers.main.len();
        let large = Cached::new(vec![0; 60 << 10], Freshness::default());
        let refused = tiers.insert(Tier::Main, b"large", large, Duration::ZERO);
        assert_eq!((refused, tiers.main.len()), (Inserted::Refused, len));
        tiers.set_capacity(4 * full);
        for n in 100..250 {
            put_within(&tiers, Tier::Main, &format!("own-{n}"), 1 << 10, 4 * full);
        }
        assert_eq!(tiers.main.len(), len + 150);
    }

    #[test]
    fn copies_that_are_missed_get_more_room_than_values_that_nobody_misses() {
        const CAPACITY: u64 = 2 << 20;
        let store = || Arc::new(PagedStore::new(CAPACITY, Clock::monotonic()));
        let tiers = Tiers::new(store(), store(), CAPACITY, Clock::monotonic());
        let mut own = 0;
        let mut share_after = |rounds: usize| {
            for n in 0..rounds * 4_000 {
                // Own values arrive once each; copies arrive repeatedly, more of them than a ninth
                // has room for.
                own += 1;
                put_within(&tiers, Tier::Main, &format!("own-{own}"), 100, CAPACITY);
                let copy = format!("copy-{}", n % 4_000);
                if tiers.get(copy.as_bytes()).is_none() {
                    put_within(&tiers, Tier::Hot, &copy, 100, CAPACITY);
                }
            }
            tiers.hot.bytes() as f64 / CAPACITY as f64
        };
        let (early, late) = (share_after(5), share_after(30));
        assert!(early < 0.15 && late > 1.2 * early, "{early}, then {late}");
    }

    #[test]
    fn no_key_is_a_value_and_an_absence() {
        let tiers = tiers();
        put(&tiers, Tier::Main, "k", 10);
        tiers.insert_absence(b"k", Cached::new("", Freshness::default()));
        assert!(
            tiers
                .get(b"k")
                .is_some_and(|found| found.answer.value.is_none())
        );
        put(&tiers, Tier::Hot, "k", 10);
        assert!(
            tiers
                .get(b"k")
                .is_some_and(|found| found.answer.value.is_some())
        );
        assert!(tiers.remove(b"k") && tiers.get(b"k").is_none());
    }
}
