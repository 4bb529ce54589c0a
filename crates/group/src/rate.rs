//! How often peers fetch a key from its owner.

use std::hash::{DefaultHasher, Hasher};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::Clock;

/// Estimates the rate of each key's requests, in requests per minute, in bounded memory.
///
/// A request counts 1 when it arrives, and less and less afterwards: 1/e after a minute. The sum
/// for a key is its rate. A key with steady requests shows 63 % of its rate after one minute and
/// 95 % after three.
///
/// Keys compete for places by the rule of Space-Saving (Metwally, Agrawal and El Abbadi, 2005): a
/// key without a place takes the one whose count is smallest, and continues from that count, so
/// that a key with a higher rate than that is never without a place for long. The inherited count
/// only decides about places: the reported rate is what was counted for the key itself. Therefore
/// no rate is too high (except for keys whose hashes collide, about one pair in 2^32), keys that
/// keep their place are exact, and any other shows little more than the current request.
///
/// The places are in buckets of eight, which a hash of the key selects. A request locks one bucket
/// for a few dozen instructions. A sketch such as count-min needs no lock, but reports rates that
/// are too high for rare keys: the more requests there are in all, the higher. The requester has
/// to know that a key is rare.
pub(crate) struct Rates {
    clock: Clock,
    /// A power of two.
    count: usize,
    /// Allocated with the first request: a node without peers needs none.
    buckets: OnceLock<Box<[Mutex<Bucket>]>>,
}

/// Places in a bucket.
const PLACES: usize = 8;

#[derive(Debug, Default)]
struct Bucket {
    /// The time of the counts, in tenths of a second.
    as_of: u32,
    /// A part of the hash of each place's key.
    tags: [u32; PLACES],
    /// The count by which keys compete, including the inherited one.
    ranks: [f32; PLACES],
    /// The key's own count.
    rates: [f32; PLACES],
}

impl Rates {
    /// Bytes of the group's capacity for each place. A place takes 14 bytes.
    const BYTES_OF_A_PLACE: u64 = 4 << 10;
    const FEWEST: u64 = 1 << 10;
    const MOST: u64 = 1 << 17;

    /// For a group of that capacity in bytes: at least 1,024 places (14 KiB) and at most 131,072
    /// (1.8 MB).
    pub(crate) fn new(capacity: u64, clock: Clock) -> Self {
        let places = (capacity / Self::BYTES_OF_A_PLACE).clamp(Self::FEWEST, Self::MOST);
        // The bounds are powers of two, so every value between them fits.
        let count = usize::try_from(places).unwrap_or(usize::MAX / 2) / PLACES;
        Self {
            clock,
            count: count.next_power_of_two(),
            buckets: OnceLock::new(),
        }
    }

    /// Counts a request for the key, and returns the key's rate with it: at least 1, at most 2^24,
    /// in requests per minute.
    pub(crate) fn count(&self, key: &[u8]) -> f64 {
        let mut hasher = DefaultHasher::new();
        hasher.write(key);
        let hash = hasher.finish();
        let buckets = self
            .buckets
            .get_or_init(|| (0..self.count).map(|_| Mutex::default()).collect());
        let (at, tag) = split(hash);
        let now = tenths(self.clock.now());
        let mut bucket = buckets[at & (self.count - 1)]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        bucket.decay(now);
        f64::from(bucket.count(tag))
    }
}

/// The halves of a hash: the bucket, and the key within it.
#[expect(clippy::cast_possible_truncation, reason = "either half is one half")]
fn split(hash: u64) -> (usize, u32) {
    ((hash >> 32) as usize, hash as u32)
}

fn tenths(now: Duration) -> u32 {
    u32::try_from(now.as_millis() / 100).unwrap_or(u32::MAX)
}

impl Bucket {
    /// Tenths of a second in which a count falls to 1/e.
    const TIME_CONSTANT: f32 = 600.0;

    /// Decays the counts to that moment. In steps of a tenth of a second: in shorter ones, the
    /// factor would be lost to rounding.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a part in 2^24 is of no account"
    )]
    fn decay(&mut self, now: u32) {
        let passed = now.saturating_sub(self.as_of);
        if passed == 0 {
            return;
        }
        self.as_of = now;
        let factor = (-(passed as f32) / Self::TIME_CONSTANT).exp();
        for count in self.ranks.iter_mut().chain(&mut self.rates) {
            *count *= factor;
        }
    }

    /// Counts a request for the key with that tag, and returns its rate.
    fn count(&mut self, tag: u32) -> f32 {
        let place = self.tags.iter().position(|other| *other == tag);
        let place = place.unwrap_or_else(|| {
            let least = self.least();
            (self.tags[least], self.rates[least]) = (tag, 0.0);
            least
        });
        self.ranks[place] += 1.0;
        self.rates[place] += 1.0;
        self.rates[place]
    }

    /// The place whose count is smallest.
    fn least(&self) -> usize {
        (1..PLACES).fold(0, |least, place| {
            if self.ranks[place] < self.ranks[least] {
                place
            } else {
                least
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rates(capacity: u64) -> (Rates, Clock) {
        let clock = Clock::manual();
        (Rates::new(capacity, clock.clone()), clock)
    }

    #[test]
    fn a_steady_rate_is_reported_per_minute_after_some_minutes() {
        let (rates, clock) = rates(0);
        let mut told = 0.0;
        for _ in 0..5 * 60 {
            for _ in 0..20 {
                told = rates.count(b"hot");
            }
            clock.advance(SECOND);
        }
        assert!((1_150.0..=1_250.0).contains(&told), "{told} of 1200");
        assert!(rates.count(b"other") < 1.01);
    }

    #[test]
    fn a_rate_falls_to_a_third_within_a_minute_and_to_nothing_within_an_hour() {
        let (rates, clock) = rates(0);
        for _ in 0..1_000 {
            rates.count(b"k");
        }
        clock.advance(60 * SECOND);
        let told = rates.count(b"k");
        assert!((360.0..=380.0).contains(&told), "{told}");
        clock.advance(60 * 60 * SECOND);
        assert!((1.0..1.01).contains(&rates.count(b"k")));
    }

    #[test]
    fn many_short_pauses_decay_as_one_long_one() {
        let (rates, clock) = rates(0);
        for _ in 0..1_000 {
            rates.count(b"k");
        }
        for _ in 0..60_000 {
            clock.advance(Duration::from_millis(1));
            rates.count(b"k");
        }
        // 1,000 of a minute ago, and 60,000 evenly since.
        let told = rates.count(b"k");
        let expected = 1_000.0 / std::f64::consts::E + 60_000.0 * (1.0 - 1.0 / std::f64::consts::E);
        assert!((told / expected - 1.0).abs() < 0.01, "{told}, {expected}");
    }

    #[test]
    fn a_million_keys_take_no_more_room_and_hide_no_hot_key() {
        let (rates, clock) = rates(0);
        let mut told = 0.0;
        for n in 0..1_000_000_u32 {
            let rare = rates.count(&n.to_be_bytes());
            assert!(rare < 1.01, "never asked for before: {rare}");
            if n % 100 == 0 {
                told = rates.count(b"hot");
            }
            // 1,000 requests a second.
            if n % 1_000 == 0 {
                clock.advance(SECOND);
            }
        }
        assert_eq!(rates.buckets.get().map(|all| all.len()), Some(128));
        assert!((540.0..=620.0).contains(&told), "{told} of 600");
    }

    #[test]
    fn a_key_that_becomes_hot_takes_the_place_of_one_that_was() {
        let (rates, clock) = rates(0);
        // All places are taken by keys of 60 a minute each.
        for _ in 0..300 {
            for n in 0..2_048_u32 {
                rates.count(&n.to_be_bytes());
            }
            clock.advance(SECOND);
        }
        let mut told = 0.0;
        for _ in 0..120 {
            for n in 0..2_048_u32 {
                rates.count(&n.to_be_bytes());
            }
            for _ in 0..10 {
                told = rates.count(b"hot");
            }
            clock.advance(SECOND);
        }
        assert!((480.0..=600.0).contains(&told), "{told} of 600");
    }

    #[test]
    fn places_follow_the_capacity_within_bounds() {
        for (capacity, places) in [
            (0, 1 << 10),
            (64 << 20, 1 << 14),
            (100 << 20, 1 << 15),
            (u64::MAX, 1 << 17),
        ] {
            let (rates, _) = rates(capacity);
            assert_eq!(rates.count * PLACES, places, "{capacity}");
        }
        assert!(size_of::<Mutex<Bucket>>() <= 14 * PLACES);
    }

    #[test]
    fn the_sum_over_threads_is_whole() {
        let (rates, _) = rates(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        rates.count(b"k");
                    }
                });
            }
        });
        assert!((4_000.5..4_001.5).contains(&rates.count(b"k")));
    }
}
