use std::io::IoSlice;

use hyper::body::{Buf, Bytes};

use crate::activity::Unwritten;

/// Bytes of a response, which report to their connection how much of them is written, and that
/// they are dropped. On HTTP/1.1 they are plain bytes.
pub(crate) struct Piece {
    bytes: Bytes,
    unwritten: Option<Unwritten>,
}

impl Piece {
    pub(super) fn new(bytes: Bytes, unwritten: Option<Unwritten>) -> Self {
        Self { bytes, unwritten }
    }

    fn written(&self, bytes: usize) {
        if let Some(unwritten) = &self.unwritten {
            unwritten.written(bytes);
        }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn chunks_vectored<'a>(&'a self, dst: &mut [IoSlice<'a>]) -> usize {
        self.bytes.chunks_vectored(dst)
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.written(count);
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        let taken = self.bytes.copy_to_bytes(length);
        self.written(length);
        taken
    }
}
