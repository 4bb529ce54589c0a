//! The values of the origin that a bench serves: bytes that follow from the key.

use bytes::Bytes;

/// The value of a key. Any part of it can be made without the rest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value {
    seed: u64,
    size: u64,
}

impl Value {
    pub(super) fn of(key: &[u8], size: u64) -> Self {
        // FNV-1a.
        let seed = key.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
        });
        Self { seed, size }
    }

    pub(super) fn size(self) -> u64 {
        self.size
    }

    pub(super) fn bytes(self) -> Bytes {
        let mut bytes = Vec::with_capacity(usize::try_from(self.size).unwrap_or(0));
        for at in 0..self.size.div_ceil(8) {
            bytes.extend_from_slice(&self.word(at));
        }
        bytes.truncate(usize::try_from(self.size).unwrap_or(usize::MAX));
        bytes.into()
    }

    /// Whether the value has `chunk` after its first `at` bytes.
    pub(super) fn has(self, at: u64, chunk: &[u8]) -> bool {
        if chunk.len() as u64 > self.size.saturating_sub(at) {
            return false;
        }
        let (mut at, mut chunk) = (at, chunk);
        while !chunk.is_empty() {
            let word = self.word(at / 8);
            // Less than 8.
            let rest = &word[usize::try_from(at % 8).unwrap_or(0)..];
            let (part, behind) = chunk.split_at(rest.len().min(chunk.len()));
            if part != &rest[..part.len()] {
                return false;
            }
            at += part.len() as u64;
            chunk = behind;
        }
        true
    }

    /// Eight bytes: SplitMix64 (Steele, Lea and Flood, 2014), whose state at any step is a
    /// product.
    fn word(self, at: u64) -> [u8; 8] {
        let step = at.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut z = self.seed.wrapping_add(step);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)).to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_known_by_each_of_its_parts_and_no_other_passes_for_it() {
        let value = Value::of(b"key-1", 1003);
        let bytes = value.bytes();
        assert_eq!(bytes.len(), 1003);
        assert_eq!(bytes, Value::of(b"key-1", 1003).bytes());
        for (from, to) in [(0, 1003), (0, 0), (3, 4), (5, 27), (8, 16), (1000, 1003)] {
            assert!(value.has(from as u64, &bytes[from..to]), "{from}..{to}");
        }
        assert!(!value.has(0, &Value::of(b"key-2", 1003).bytes()));
        assert!(!value.has(1, &bytes[..1002]), "moved by a byte");
        assert!(!value.has(1000, b"abcd"), "over its end");
        let mut flipped = bytes.to_vec();
        flipped[1002] ^= 1;
        assert!(!value.has(0, &flipped));
    }

    #[test]
    fn sizes_from_none_on_are_exact() {
        for size in [0, 1, 7, 8, 9] {
            assert_eq!(Value::of(b"", size).bytes().len() as u64, size);
        }
    }
}
