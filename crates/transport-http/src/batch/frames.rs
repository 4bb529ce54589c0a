//! Messages out of a stream of bytes.

use bytes::{Buf, Bytes, BytesMut};

/// The longest varint, in bytes.
const MAX_VARINT: usize = 10;

/// No message is longer than this, whatever the asker would take, so that sums of lengths do not
/// overflow.
const MAX_LEN: u64 = 1 << 40;

/// The most memory that is allocated for a message before its bytes arrive.
const MAX_AHEAD: usize = 64 << 10;

/// Splits a stream that arrives in chunks into messages, each of which follows its length as a
/// varint. A message that is whole within a chunk is a slice of it.
#[derive(Debug)]
pub(crate) struct Frames {
    /// The longest message, in bytes.
    most: u64,
    /// A message whose end has not arrived yet, from its length on.
    partial: BytesMut,
    chunk: Bytes,
}

/// The stream is malformed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadFrame {
    #[error("the length of an answer is no number")]
    NoLength,
    #[error("an answer of {len} bytes is over the limit of {most}")]
    TooLong { len: u64, most: u64 },
}

impl Frames {
    /// Messages of at most `most` bytes.
    pub(crate) fn new(most: u64) -> Self {
        Self {
            most: most.min(MAX_LEN),
            partial: BytesMut::new(),
            chunk: Bytes::new(),
        }
    }

    /// Adds a chunk. To be called when [`next`](Self::next) has no more messages.
    pub(crate) fn add(&mut self, chunk: Bytes) {
        self.chunk = chunk;
    }

    /// The memory that is allocated for a message whose end has not arrived.
    #[cfg(test)]
    pub(crate) fn room(&self) -> usize {
        self.partial.capacity()
    }

    /// Whether everything that arrived belongs to complete messages.
    pub(crate) fn is_between(&self) -> bool {
        self.partial.is_empty() && self.chunk.is_empty()
    }

    /// The length of the message that has begun to arrive, including its length prefix; 0 between
    /// two messages.
    pub(crate) fn wanted(&self) -> usize {
        match self.frame(&self.partial) {
            Ok(Some((head, len))) => len.saturating_add(head),
            _ => 0,
        }
    }

    /// The next complete message; `None` if more bytes have to arrive first.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, BadFrame> {
        if self.partial.is_empty() {
            match self.frame(&self.chunk)? {
                Some((head, len)) if len <= self.chunk.len() - head => {
                    self.chunk.advance(head);
                    return Ok(Some(self.chunk.split_to(len)));
                }
                Some((head, len)) => {
                    let whole = len.saturating_add(head);
                    self.partial.reserve(whole.min(MAX_AHEAD));
                }
                None => {}
            }
            self.take(self.chunk.len());
            return Ok(None);
        }
        loop {
            match self.frame(&self.partial)? {
                Some((head, len)) => {
                    let whole = len.saturating_add(head);
                    self.take(whole - self.partial.len());
                    if self.partial.len() < whole {
                        return Ok(None);
                    }
                    let mut message = std::mem::take(&mut self.partial).freeze();
                    message.advance(head);
                    return Ok(Some(message));
                }
                // The length itself is cut in two.
                None if self.chunk.is_empty() => return Ok(None),
                None => self.take(1),
            }
        }
    }

    /// Moves up to that many bytes of the chunk to the partial message.
    fn take(&mut self, most: usize) {
        let taken = self.chunk.split_to(most.min(self.chunk.len()));
        self.partial.extend_from_slice(&taken);
    }

    /// The length of the length that `bytes` begin with, and the length itself; `None` if it is
    /// incomplete.
    fn frame(&self, bytes: &[u8]) -> Result<Option<(usize, usize)>, BadFrame> {
        let mut len = 0_u64;
        for (at, byte) in bytes.iter().take(MAX_VARINT).enumerate() {
            len |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                let fits = usize::try_from(len).ok().filter(|_| len <= self.most);
                let len = fits.ok_or(BadFrame::TooLong {
                    len,
                    most: self.most,
                })?;
                return Ok(Some((at + 1, len)));
            }
        }
        if bytes.len() < MAX_VARINT {
            Ok(None)
        } else {
            Err(BadFrame::NoLength)
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::encoding::encode_varint;

    use super::*;

    #[test]
    fn messages_come_out_however_the_stream_is_cut() {
        let sizes = [0, 1, 127, 128, 300, 0, 5_000, 2];
        let mut stream = Vec::new();
        for size in sizes {
            encode_varint(size as u64, &mut stream);
            stream.extend(std::iter::repeat_n(b'x', size));
        }
        for cut in [1, 2, 3, 7, 129, 1_000, stream.len()] {
            let mut frames = Frames::new(5_000);
            let mut got = Vec::new();
            for chunk in stream.chunks(cut) {
                frames.add(Bytes::copy_from_slice(chunk));
                while let Some(message) = frames.next().unwrap() {
                    got.push(message.len());
                }
            }
            assert_eq!(got, sizes, "{cut}");
            assert!(frames.is_between());
        }
    }

    #[test]
    fn what_is_no_stream_of_messages_is_an_error() {
        let next = |bytes: &'static [u8]| {
            let mut frames = Frames::new(9);
            frames.add(Bytes::from_static(bytes));
            frames.next()
        };
        assert_eq!(next(b"\x0a"), Err(BadFrame::TooLong { len: 10, most: 9 }));
        let mut frames = Frames::new(u64::MAX);
        frames.add(Bytes::from_static(b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f"));
        assert!(matches!(frames.next(), Err(BadFrame::TooLong { .. })));
        assert_eq!(next(&[0xff; 10]), Err(BadFrame::NoLength));
        assert_eq!(next(&[0xff; 9]), Ok(None));
    }

    #[test]
    fn a_cut_message_leaves_it_in_the_middle() {
        let mut frames = Frames::new(9);
        frames.add(Bytes::from_static(b"\x02ab\x03a"));
        assert_eq!(frames.next().unwrap().unwrap(), "ab");
        assert_eq!(frames.next(), Ok(None));
        assert!(!frames.is_between());
    }
}
