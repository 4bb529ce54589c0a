use std::hash::{BuildHasher, Hasher, RandomState};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Builds [`Xxh3Hasher`]s; each `default()` has a random seed of its own, a clone has the same.
#[derive(Clone, Debug)]
pub struct Xxh3State {
    seed: u64,
}

impl Xxh3State {
    /// A fixed seed, for reproducible runs. Anyone who knows it can make keys that collide.
    #[must_use]
    pub const fn with_seed(seed: u64) -> Self {
        Self { seed }
    }
}

impl Default for Xxh3State {
    fn default() -> Self {
        // std's keys come from the operating system: the one source of such without another
        // dependency.
        Self::with_seed(RandomState::new().hash_one(0_u64))
    }
}

impl BuildHasher for Xxh3State {
    type Hasher = Xxh3Hasher;

    #[inline]
    fn build_hasher(&self) -> Xxh3Hasher {
        Xxh3Hasher { state: self.seed }
    }
}

/// xxh3 (64 bits) of each part that is written, seeded with the hash of the parts before. A
/// `usize`, which usually is the length of the slice that follows, is mixed into that seed by two
/// multiplications, folded as in wyhash (Wang Yi).
///
/// The crate's streaming hasher sets up more than half a kilobyte for each hash, most of it wasted
/// on short keys; a chain of one-shot hashes needs eight bytes. Its values depend on how the parts
/// are cut, which [`Hasher`] allows, as equal keys are cut equally: `[u8]`, `Vec<u8>`, `Box<[u8]>`
/// and `Bytes` all write their length, then their bytes.
#[derive(Clone, Debug)]
pub struct Xxh3Hasher {
    state: u64,
}

impl Hasher for Xxh3Hasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.state = xxh3_64_with_seed(bytes, self.state);
    }

    // Hashing the length of a slice took as long as hashing its bytes. The second multiplication
    // is for callers that use a `usize` as their whole key: one multiplication leaves the low bits
    // of consecutive numbers too regular.
    #[inline]
    fn write_usize(&mut self, n: usize) {
        self.state = fold(fold(self.state ^ n as u64, ODD[0]) ^ self.state, ODD[1]);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.state
    }
}

/// The fractions of the golden ratio and of the square root of two: odd, and about as many bits
/// set as not.
const ODD: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0x6a09_e667_f3bc_c909];

/// Both halves of the product.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the halves are what is wanted"
)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Builds [`IdentityHasher`]s: for tables whose keys are hashes already.
#[derive(Clone, Debug, Default)]
pub struct IdentityState;

impl BuildHasher for IdentityState {
    type Hasher = IdentityHasher;

    #[inline]
    fn build_hasher(&self) -> IdentityHasher {
        IdentityHasher(0)
    }
}

/// Returns a `u64` unchanged, and hashes everything else by xxh3.
#[derive(Clone, Debug)]
pub struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not reached with u64 keys; correct for any.
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

/// The index of the shard for a hash; `mask` is the number of shards, a power of two up to 1024,
/// minus one.
///
/// Uses high bits, but not the seven highest: the shard's own table distinguishes the entries of a
/// group of slots by those, and they must not be the same throughout a shard. The low bits choose
/// the group.
#[must_use]
#[inline]
pub fn shard_of(hash: u64, mask: usize) -> usize {
    (hash >> (64 - 7 - 10)) as usize & mask
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn owned_and_borrowed_keys_hash_alike() {
        let state = Xxh3State::default();
        for len in [0_usize, 1, 3, 8, 16, 17, 128, 129, 240, 241, 1024, 5000] {
            let bytes: Vec<u8> = (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let hash = state.hash_one(bytes.as_slice());
            assert_eq!(state.hash_one(&bytes), hash, "Vec of {len}");
            assert_eq!(
                state.hash_one(bytes.clone().into_boxed_slice()),
                hash,
                "Box of {len}"
            );
            assert_eq!(state.hash_one(Bytes::from(bytes)), hash, "Bytes of {len}");
        }
        assert_eq!(state.hash_one("Tom"), state.hash_one(String::from("Tom")));
    }

    /// Shard, group of slots and tag come from different bits of the hash: each must spread
    /// numbers in a row.
    #[test]
    fn numbers_spread_in_all_bits() {
        let state = Xxh3State::default();
        for stride in [1_usize, 8, 64, 4096, 65_536] {
            for shift in [0, 7, 16, 24, 32, 47, 57] {
                let mut counts = [0_u32; 128];
                for n in 0..12_800_usize {
                    let bits = state.hash_one(n * stride) >> shift & 127;
                    counts[usize::try_from(bits).unwrap()] += 1;
                }
                // 100 each; the standard deviation is 10.
                let (least, most) = (counts.iter().min(), counts.iter().max());
                assert!(
                    least > Some(&40) && most < Some(&160),
                    "{stride} {shift}: {least:?} to {most:?}"
                );
            }
        }
    }

    #[test]
    fn parts_do_not_run_together() {
        let state = Xxh3State::with_seed(7);
        assert_ne!(state.hash_one(("ab", "c")), state.hash_one(("a", "bc")));
        assert_ne!(
            state.hash_one([b"ab".as_slice(), b"c"]),
            state.hash_one([b"a".as_slice(), b"bc"])
        );
    }

    #[test]
    fn seeds_differ_between_instances_and_not_between_clones() {
        let one = Xxh3State::default();
        assert_ne!(one.hash_one("key"), Xxh3State::default().hash_one("key"));
        assert_eq!(one.hash_one("key"), one.clone().hash_one("key"));
    }
}
