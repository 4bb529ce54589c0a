//! A buffer for a value of a known length: it takes at most twice as much memory as the bytes that
//! have arrived, whatever length was announced.

use bytes::Bytes;

/// The most bytes that are allocated for an announced length.
const FIRST: usize = 64 << 10;

/// Bytes that are being read.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    len: usize,
}

/// More bytes arrived than were announced.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overflow;

impl Buffer {
    /// A buffer for `len` bytes. Allocates nothing.
    pub(crate) fn new(len: usize) -> Self {
        Self {
            bytes: Vec::new(),
            len,
        }
    }

    /// How many bytes are still to come.
    pub(crate) fn missing(&self) -> usize {
        self.len - self.bytes.len()
    }

    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), Overflow> {
        if piece.len() > self.missing() {
            return Err(Overflow);
        }
        let needed = self.bytes.len() + piece.len();
        if needed > self.bytes.capacity() {
            let doubled = self.bytes.capacity().saturating_mul(2).max(FIRST);
            let capacity = needed.max(doubled.min(self.len));
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// The bytes in an allocation of their size.
    pub(crate) fn finish(self) -> Bytes {
        self.bytes.into_boxed_slice().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_is_allocated_as_it_is_kept() {
        const LEN: usize = 8 << 20;
        let mut buffer = Buffer::new(LEN);
        assert_eq!(buffer.bytes.capacity(), 0);
        while buffer.missing() > 0 {
            buffer.push(&[7; 1 << 14]).unwrap();
            assert!(buffer.bytes.capacity() <= (2 * buffer.bytes.len()).max(FIRST));
        }
        assert_eq!(buffer.push(b"x"), Err(Overflow));
        assert_eq!(buffer.bytes.capacity(), LEN);
        assert_eq!(buffer.finish().len(), LEN);
    }
}
