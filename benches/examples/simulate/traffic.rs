//! Who asks for what: keys by rank, and how often each is asked for.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand_distr::{Distribution, Zipf};

pub(crate) const EXPONENT: f64 = 0.99;

/// `key-0000000`, `key-0000001`, …: the one asked for most comes first. Hashing scatters them over
/// the members.
pub(crate) struct Traffic {
    keys: Vec<[u8; Traffic::KEY_BYTES]>,
    shares: Vec<f64>,
    law: Zipf<f64>,
}

impl Traffic {
    const KEY_BYTES: usize = 11;

    /// At most ten million keys, by Zipf's law.
    pub(crate) fn zipf(keys: usize) -> Result<Self, Box<dyn std::error::Error>> {
        let mut shares: Vec<f64> = (1..=keys)
            .map(|rank| (rank as f64).powf(-EXPONENT))
            .collect();
        let sum: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share /= sum);
        let keys: Vec<_> = (0..keys)
            .map(|at| format!("key-{at:07}").into_bytes().try_into())
            .collect::<Result<_, _>>()
            .map_err(|_| "a key of another length")?;
        let law = Zipf::new(keys.len() as f64, EXPONENT)?;
        Ok(Self { keys, shares, law })
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn key(&self, at: usize) -> &[u8] {
        &self.keys[at]
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.keys.iter().map(<[u8; Self::KEY_BYTES]>::as_slice)
    }

    /// Of all gets, the share that asks for this key.
    pub(crate) fn share(&self, at: usize) -> f64 {
        self.shares[at]
    }

    /// An endless sequence of gets at one member's front door, from its own seed.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a sample is a whole number from 1 to the number of keys"
    )]
    pub(crate) fn gets(&self, seed: u64) -> impl Iterator<Item = usize> {
        let mut dice = SmallRng::seed_from_u64(seed);
        std::iter::repeat_with(move || self.law.sample(&mut dice) as usize - 1)
    }

    /// Where a key has been seen by its bytes alone.
    pub(crate) fn position(key: &[u8]) -> Option<usize> {
        std::str::from_utf8(key.strip_prefix(b"key-")?)
            .ok()?
            .parse()
            .ok()
    }
}
