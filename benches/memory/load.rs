//! What all contenders are filled with.

use bytes::Bytes;

/// A stretch of the run: keys of its own, one after the other, until they and their values come to
/// twice the budget.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Values of 100 bytes.
    Small,
    /// Values of 100 bytes to 100 kB: as many from 100 to 200 bytes as from 50 to 100 kB.
    Mixed,
}

impl Phase {
    /// In the order in which one process goes through them.
    pub(crate) const ALL: [Self; 2] = [Self::Small, Self::Mixed];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Mixed => "mixed",
        }
    }

    pub(crate) fn key(self, n: u64) -> String {
        match self {
            Self::Small => format!("key-{n:08}"),
            Self::Mixed => format!("mix-{n:08}"),
        }
    }

    /// The phase and the number of a key.
    pub(crate) fn of(key: &[u8]) -> Option<(Self, u64)> {
        let key = std::str::from_utf8(key).ok()?;
        Self::ALL.into_iter().find_map(|phase| {
            let n = key.get(4..)?.parse().ok()?;
            (phase.key(n) == key).then_some((phase, n))
        })
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "53 bits, and lengths up to 100,000"
    )]
    pub(crate) fn value_len(self, n: u64) -> usize {
        match self {
            Self::Small => 100,
            Self::Mixed => {
                let share = (scramble(n) >> 11) as f64 / (1_u64 << 53) as f64;
                (100.0 * 1000_f64.powf(share)) as usize
            }
        }
    }

    /// In a buffer of exactly its length, as a client's response body is.
    pub(crate) fn value(self, n: u64) -> Bytes {
        Bytes::from(vec![b'a' + (n % 26) as u8; self.value_len(n)])
    }

    /// The bytes of a key and its value.
    pub(crate) fn payload(self, n: u64) -> u64 {
        (self.key(n).len() + self.value_len(n)) as u64
    }

    /// How many keys it takes until they and their values come to twice the budget.
    pub(crate) fn keys(self, budget: u64) -> u64 {
        let mut left = 2 * budget;
        (0..)
            .find(|n| {
                let done = left == 0;
                left = left.saturating_sub(self.payload(*n));
                done
            })
            .unwrap_or_default()
    }
}

/// SplitMix64 (G. L. Steele et al., "Fast Splittable Pseudorandom Number Generators", 2014), its
/// state after `n` steps from a fixed seed: a number that depends on `n` alone, and is easily made
/// in another language too.
fn scramble(n: u64) -> u64 {
    let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(630);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
