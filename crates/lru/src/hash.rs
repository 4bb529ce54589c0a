use std::hash::{BuildHasher, Hasher, RandomState};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Builds [`Xxh3Hasher`]s; each `default()` has a random seed of its own, a clone has the same.
#[derive(Clone, Debug)]
pub struct Xxh3State {
    seed: u64,
}

impl Xxh3State {
    /// A fixed seed, where runs must repeat. Whoever knows it can make keys that collide.
    #[must_use]
    pub const fn with_seed(seed: u64) -> Self {
        Self { seed }
    }
}

impl Default for Xxh3State {
    fn default() -> Self {
        // std's keys come from the operating system: the one source of such without another dependency.
        Self::with_seed(RandomState::new().hash_one(0_u64))
    }
}

impl BuildHasher for Xxh3State {
    type Hasher = Xxh3Hasher;

    fn build_hasher(&self) -> Xxh3Hasher {
        Xxh3Hasher { state: self.seed }
    }
}

/// xxh3 (64 bits) of each part that is written, seeded with the hash of the parts before.
///
/// The crate's streaming hasher sets up more than half a kilobyte for each hash, most of it wasted on short keys; a chain
/// of one-shot hashes needs eight bytes. Its values depend on how the parts are cut, which [`Hasher`] allows, as equal
/// keys are cut equally: `[u8]`, `Vec<u8>`, `Box<[u8]>` and `Bytes` all write their length, then their bytes.
#[derive(Clone, Debug)]
pub struct Xxh3Hasher {
    state: u64,
}

impl Hasher for Xxh3Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.state = xxh3_64_with_seed(bytes, self.state);
    }

    fn finish(&self) -> u64 {
        self.state
    }
}

/// For the inner tables, whose keys are hashes already.
#[derive(Clone, Default)]
pub(crate) struct IdentityState;

impl BuildHasher for IdentityState {
    type Hasher = IdentityHasher;

    fn build_hasher(&self) -> IdentityHasher {
        IdentityHasher(0)
    }
}

pub(crate) struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not reached with u64 keys; right for any.
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn finish(&self) -> u64 {
        self.0
    }
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
