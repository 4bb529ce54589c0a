//! The keys that are requested most, for operators.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::Duration;

use crate::{Clock, Key};

/// One get in this many is counted, at random.
const ONE_IN: u32 = 64;

/// Longer keys are not counted, in bytes.
const MAX_KEY: usize = 1 << 10;

/// The time in which a count falls to 1/e.
const TIME_CONSTANT: Duration = Duration::from_secs(120);

const BUCKETS: usize = 32;

/// Places in a bucket.
const PLACES: usize = 8;

thread_local! {
    /// How many gets this thread skips before it counts one. All groups share it, like the
    /// thread's random numbers: it only decides which gets are counted.
    static PASSED_OVER: Cell<u32> = const { Cell::new(0) };
}

/// A sketch of the keys that are requested most.
///
/// It sees one get in 64. The gap to the next one is random, so that no pattern in the order of
/// the gets decides which keys are seen. Counts fall to 1/e in two minutes.
///
/// 256 keys have a place each, in buckets of eight that a hash of the key selects. A key without a
/// place takes that of the smallest count in its bucket and continues from that count
/// (Space-Saving: Metwally, Agrawal and El Abbadi, 2005). The inherited count only decides about
/// places; the reported rate is what was counted for the key itself, so no key is reported to be
/// hotter than it is.
///
/// A place keeps up to 1 KiB of key, so the sketch of a group takes 276 KiB at most. A get never
/// waits for it: if another thread holds the bucket, the get is not counted.
pub(crate) struct Popular {
    clock: Clock,
    /// Allocated with the first get that is counted.
    sketch: OnceLock<Sketch>,
}

struct Sketch {
    began: Duration,
    buckets: [Mutex<Bucket>; BUCKETS],
}

#[derive(Default)]
struct Bucket {
    /// The time of the counts.
    as_of: Duration,
    /// Gets that were counted here, of any key.
    all: f64,
    places: [Place; PLACES],
}

#[derive(Default)]
struct Place {
    hash: u64,
    key: Vec<u8>,
    /// The count by which keys compete, including the inherited one.
    rank: f64,
    /// The key's own count.
    count: f64,
}

/// The keys of a group that are requested most: [`Group::hot_keys`](crate::Group::hot_keys).
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct HotKeys {
    /// The size of the sample: the gets that were counted, each with less weight the longer ago it
    /// was.
    pub sampled: f64,
    /// The hottest first.
    pub keys: Vec<HotKey>,
}

/// A key that is requested often.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HotKey {
    /// The key.
    pub key: Key,
    /// The gets of it per second, by callers here and by peers.
    pub gets_per_second: f64,
    /// Their share of the group's gets, from 0 to 1.
    pub share: f64,
}

impl Popular {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            sketch: OnceLock::new(),
        }
    }

    /// A key was requested.
    #[inline]
    pub(crate) fn asked(&self, key: &[u8]) {
        let counts = PASSED_OVER.with(|left| match left.get().checked_sub(1) {
            Some(fewer) => {
                left.set(fewer);
                false
            }
            None => {
                left.set(fastrand::u32(0..2 * ONE_IN - 1));
                true
            }
        });
        if counts {
            self.count(key);
        }
    }

    #[cold]
    fn count(&self, key: &[u8]) {
        if key.len() > MAX_KEY {
            return;
        }
        let now = self.clock.now();
        let sketch = self.sketch.get_or_init(|| Sketch::new(now));
        let hash = hash(key);
        if let Some(mut bucket) = try_lock(sketch.bucket(hash)) {
            bucket.decay(now);
            bucket.count(hash, key);
        }
    }

    /// At most `most` keys, the hottest first.
    pub(crate) fn hottest(&self, most: usize) -> HotKeys {
        let Some(sketch) = self.sketch.get() else {
            return HotKeys::default();
        };
        let now = self.clock.now();
        let mut sampled = 0.0;
        let mut found: Vec<(f64, Key)> = Vec::with_capacity(BUCKETS * PLACES);
        for bucket in &sketch.buckets {
            let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
            bucket.decay(now);
            sampled += bucket.all;
            let taken = bucket.places.iter().filter(|place| place.count > 0.0);
            found.extend(taken.map(|place| (place.count, Key::copy_from_slice(&place.key))));
        }
        found.sort_unstable_by(|(a, one), (b, other)| b.total_cmp(a).then(one.cmp(other)));
        found.truncate(most);
        // The count that a steady rate would have reached by now.
        let constant = TIME_CONSTANT.as_secs_f64();
        let age = now.saturating_sub(sketch.began).as_secs_f64().max(1.0);
        let seconds = constant * (1.0 - (-age / constant).exp());
        let keys = found.into_iter().map(|(count, key)| HotKey {
            key,
            gets_per_second: count * f64::from(ONE_IN) / seconds,
            share: if sampled > 0.0 { count / sampled } else { 0.0 },
        });
        HotKeys {
            sampled,
            keys: keys.collect(),
        }
    }
}

impl Sketch {
    fn new(now: Duration) -> Self {
        Self {
            began: now,
            buckets: std::array::from_fn(|_| {
                Mutex::new(Bucket {
                    as_of: now,
                    ..Bucket::default()
                })
            }),
        }
    }

    fn bucket(&self, hash: u64) -> &Mutex<Bucket> {
        // The remainder is less than 32.
        let at = usize::try_from(hash % BUCKETS as u64).unwrap_or(0);
        &self.buckets[at]
    }
}

impl Bucket {
    fn decay(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.as_of);
        // In steps: in shorter ones the factor would be 1 after rounding.
        if passed < Duration::from_millis(100) {
            return;
        }
        self.as_of = now;
        let factor = (-passed.as_secs_f64() / TIME_CONSTANT.as_secs_f64()).exp();
        self.all *= factor;
        for place in &mut self.places {
            place.rank *= factor;
            place.count *= factor;
        }
    }

    fn count(&mut self, hash: u64, key: &[u8]) {
        self.all += 1.0;
        let holds = |place: &Place| place.hash == hash && place.count > 0.0 && place.key == key;
        let at = match self.places.iter().position(holds) {
            Some(at) => at,
            None => {
                let least = self.least();
                let place = &mut self.places[least];
                place.hash = hash;
                place.key.clear();
                place.key.extend_from_slice(key);
                place.count = 0.0;
                least
            }
        };
        self.places[at].rank += 1.0;
        self.places[at].count += 1.0;
    }

    fn least(&self) -> usize {
        (1..PLACES).fold(0, |least, at| {
            if self.places[at].rank < self.places[least].rank {
                at
            } else {
                least
            }
        })
    }
}

fn hash(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(key);
    hasher.finish()
}

fn try_lock(bucket: &Mutex<Bucket>) -> Option<MutexGuard<'_, Bucket>> {
    match bucket.try_lock() {
        Ok(bucket) => Some(bucket),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn popular() -> (Popular, Clock) {
        let clock = Clock::manual();
        (Popular::new(clock.clone()), clock)
    }

    fn named(keys: &HotKeys) -> Vec<&[u8]> {
        keys.keys.iter().map(|hot| &*hot.key).collect()
    }

    #[test]
    fn the_hottest_come_first_with_their_rates_and_shares() {
        let (popular, clock) = popular();
        for second in 0..60_u32 {
            for n in 0..100_u32 {
                // 50, 30 and 20 in a second that are counted.
                let key: &[u8] = match n {
                    0..50 => b"a",
                    50..80 => b"b",
                    _ => &second.to_be_bytes(),
                };
                popular.count(key);
            }
            clock.advance(SECOND);
        }
        let hot = popular.hottest(2);
        assert_eq!(named(&hot), [b"a", b"b"]);
        for (hot, (rate, share)) in hot.keys.iter().zip([(3_200.0, 0.5), (1_920.0, 0.3)]) {
            assert!((hot.gets_per_second / rate - 1.0).abs() < 0.02, "{hot:?}");
            assert!((hot.share - share).abs() < 0.01, "{hot:?}");
        }
    }

    #[test]
    fn a_hot_key_is_found_among_many_rare_ones_and_no_rare_one_is_reported() {
        let (popular, clock) = popular();
        for n in 0..100_000_u32 {
            popular.count(&n.to_be_bytes());
            if n % 100 == 0 {
                popular.count(b"hot");
            }
            if n % 1_000 == 0 {
                clock.advance(SECOND);
            }
        }
        let hot = popular.hottest(20);
        assert_eq!(hot.keys.len(), 20);
        assert_eq!(&*hot.keys[0].key, b"hot");
        // 10 of 1,010 in a second.
        assert!((hot.keys[0].share - 0.0099).abs() < 0.001, "{hot:?}");
        assert!(hot.keys[1].gets_per_second < 64.0, "{:?}", hot.keys[1]);
    }

    #[test]
    fn what_is_asked_for_no_more_gives_way() {
        let (popular, clock) = popular();
        for _ in 0..1_000 {
            popular.count(b"then");
        }
        clock.advance(15 * 60 * SECOND);
        for _ in 0..10 {
            popular.count(b"now");
        }
        let hot = popular.hottest(1);
        assert_eq!(named(&hot), [b"now"]);
        assert!(hot.sampled < 11.0, "{}", hot.sampled);
    }

    #[test]
    fn keys_that_are_too_long_and_buckets_in_use_are_passed_over() {
        let (popular, _clock) = popular();
        popular.count(&[0; MAX_KEY + 1]);
        assert_eq!(popular.hottest(9), HotKeys::default());
        popular.count(&[0; MAX_KEY]);
        popular.count(b"k");
        let sketch = popular.sketch.get().unwrap();
        let held = sketch.bucket(hash(b"k")).lock().unwrap();
        popular.count(b"k");
        drop(held);
        let hot = popular.hottest(9);
        assert_eq!((hot.keys.len(), hot.sampled), (2, 2.0));
    }

    #[test]
    fn about_one_get_in_sixty_four_is_counted_whatever_their_order() {
        let (popular, _clock) = popular();
        // A pattern as long as the mean gap.
        for n in 0..640_000_u32 {
            popular.asked(&(n % ONE_IN).to_be_bytes());
        }
        let hot = popular.hottest(usize::MAX);
        assert!(
            (9_000.0..11_000.0).contains(&hot.sampled),
            "{}",
            hot.sampled
        );
        assert_eq!(hot.keys.len(), 64);
        assert!(hot.keys[0].share < 0.04, "{:?}", hot.keys[0]);
    }
}
