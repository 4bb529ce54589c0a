//! Keys, values, and the order in which the keys are asked for.

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Zipf};

/// Of all random choices here.
const SEED: u64 = 630;

/// Keys `key-000000`, `key-000001`, …, each with a value of its own.
///
/// Of its own, since clones of one `Bytes` share one counter: two threads that clone values of
/// different keys would meet at it, which they do not in a cache.
pub struct Workload {
    entries: Vec<(Box<[u8]>, Bytes)>,
}

impl Workload {
    /// The length of every value, in bytes.
    pub const VALUE_BYTES: usize = 100;

    /// That many keys.
    pub fn new(keys: usize) -> Self {
        let entries = (0..keys)
            .map(|n| {
                let value = format!("{n:0width$}", width = Self::VALUE_BYTES);
                (
                    format!("key-{n:06}").into_bytes().into_boxed_slice(),
                    Bytes::from(value),
                )
            })
            .collect();
        Self { entries }
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The key and the value at a position drawn from [`Draws`] over the same number of keys.
    pub fn entry(&self, at: u32) -> (&[u8], &Bytes) {
        let (key, value) = &self.entries[at as usize];
        (key, value)
    }

    /// All of them, in order.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &Bytes)> + Clone {
        self.entries.iter().map(|(key, value)| (&**key, value))
    }
}

/// Positions of keys in the order in which they are asked for, drawn beforehand and repeated for
/// ever.
#[derive(Clone)]
pub struct Draws {
    drawn: Box<[u32]>,
    at: usize,
}

impl Draws {
    const COUNT: usize = 1 << 18;

    /// Zipf's law: the key of rank r is asked for in proportion to r^-`exponent`. Which key has
    /// which rank is drawn too, so that keys asked for often do not lie side by side in memory. At
    /// most `u32::MAX` keys.
    ///
    /// `turn` tells the threads of one bench apart: the ranks are the same, the draws are not.
    ///
    /// # Panics
    ///
    /// If there are no keys, or `exponent` is negative.
    #[expect(
        clippy::expect_used,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a bench is called with constants; a sample is a whole number from 1 to the number of keys"
    )]
    pub fn zipf(keys: usize, exponent: f64, turn: u64) -> Self {
        let mut by_rank: Vec<u32> = (0..keys as u32).collect();
        by_rank.shuffle(&mut SmallRng::seed_from_u64(SEED));
        let law = Zipf::new(keys as f64, exponent).expect("keys, and an exponent of 0 or more");
        Self::draw(turn, |dice| by_rank[law.sample(dice) as usize - 1])
    }

    /// Every key as often as any other; `turn` as in [`zipf`](Self::zipf).
    ///
    /// # Panics
    ///
    /// If there are no keys.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a bench is called with constants"
    )]
    pub fn uniform(keys: usize, turn: u64) -> Self {
        Self::draw(turn, |dice| dice.random_range(0..keys as u32))
    }

    fn draw(turn: u64, mut one: impl FnMut(&mut SmallRng) -> u32) -> Self {
        let mut dice = SmallRng::seed_from_u64(SEED + 1 + turn);
        Self {
            drawn: (0..Self::COUNT).map(|_| one(&mut dice)).collect(),
            at: 0,
        }
    }

    /// The next one. Not an iterator, since it never ends and costs no `Option`.
    #[expect(clippy::should_implement_trait, reason = "see above")]
    #[inline]
    pub fn next(&mut self) -> u32 {
        self.at = (self.at + 1) % Self::COUNT;
        self.drawn[self.at]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn counts(mut draws: Draws) -> Vec<usize> {
        let mut counts = HashMap::new();
        for _ in 0..Draws::COUNT {
            *counts.entry(draws.next()).or_insert(0) += 1;
        }
        let mut counts: Vec<usize> = counts.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        counts
    }

    #[test]
    fn zipf_is_as_steep_as_its_exponent_says() {
        let harmonic: f64 = (1..=10_000).map(|rank| f64::from(rank).powf(-0.99)).sum();
        let counts = counts(Draws::zipf(10_000, 0.99, 0));
        for (rank, power) in [
            (1_u32, 1.0),
            (2, 2_f64.powf(-0.99)),
            (10, 10_f64.powf(-0.99)),
        ] {
            let (seen, due) = (
                counts[rank as usize - 1] as f64,
                Draws::COUNT as f64 * power / harmonic,
            );
            assert!(
                (seen / due - 1.0).abs() < 0.1,
                "rank {rank}: {seen}, should be {due}"
            );
        }
    }

    #[test]
    fn uniform_draws_favour_no_key() {
        let counts = counts(Draws::uniform(100, 0));
        assert_eq!(counts.len(), 100);
        assert!(counts[0] < counts[99] * 5 / 4, "{counts:?}");
    }

    #[test]
    fn turns_differ_and_runs_do_not() {
        let draw = |turn| Draws::zipf(1_000, 0.99, turn).drawn;
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
