//! Reads a large object in several concurrent parts.
//!
//! The answer to the first request is read from its beginning on, as always. Meanwhile requests
//! for ranges read parts from the end backwards. Where they meet, the first answer is dropped.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::future::{try_join, try_join_all};
use futures_util::stream::{BoxStream, StreamExt as _};

use crate::seen::Head;

/// A part of the object, and the place in memory for it.
pub(crate) struct Part {
    /// Its number.
    index: usize,
    /// Where in the object it begins.
    start: usize,
    len: usize,
    bytes: BytesMut,
}

/// Why an object was not read completely.
#[derive(Debug)]
pub(crate) enum Unread {
    /// It was replaced.
    Changed,
    /// It has another length than announced.
    Length,
    /// The store failed; this is the head of its last answer.
    Store(Box<object_store::Error>, Head),
}

pub(crate) type Pieces = BoxStream<'static, Result<Bytes, Unread>>;

impl Part {
    pub(crate) fn range(&self) -> std::ops::Range<u64> {
        self.start as u64..(self.start + self.len) as u64
    }

    fn missing(&self) -> usize {
        self.len - self.bytes.len()
    }

    /// Fills the rest of the part from `pieces`, beginning with `left`, which is then the rest of
    /// the last piece.
    async fn fill(&mut self, pieces: &mut Pieces, left: &mut Bytes) -> Result<(), Unread> {
        while self.missing() > 0 {
            if left.is_empty() {
                *left = match pieces.next().await {
                    Some(piece) => piece?,
                    None => return Err(Unread::Length),
                };
            }
            let piece = left.split_to(left.len().min(self.missing()));
            self.bytes.extend_from_slice(&piece);
        }
        Ok(())
    }
}

/// The parts that are not being read yet, in order.
struct Untaken(Mutex<VecDeque<Part>>);

impl Untaken {
    /// Cuts one allocation of `len` bytes, so that the parts need not be copied together.
    fn new(len: usize, part_size: usize) -> Self {
        let mut rest = BytesMut::with_capacity(len);
        let mut parts = VecDeque::new();
        let mut start = 0;
        while start < len {
            let part_len = part_size.min(len - start);
            let after = rest.split_off(part_len);
            parts.push_back(Part {
                index: parts.len(),
                start,
                len: part_len,
                bytes: std::mem::replace(&mut rest, after),
            });
            start += part_len;
        }
        Self(Mutex::new(parts))
    }

    fn first(&self) -> Option<Part> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }

    fn last(&self) -> Option<Part> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_back()
    }
}

/// Reads an object of `len` bytes whose first answer gives `pieces`. `ask` asks for a part; at
/// most `others` of its answers are read at a time.
pub(crate) async fn read_parts<F>(
    mut pieces: Pieces,
    len: usize,
    part_size: usize,
    others: usize,
    ask: impl Fn(std::ops::Range<u64>) -> F + Sync,
) -> Result<Bytes, Unread>
where
    F: Future<Output = Result<Pieces, Unread>> + Send,
{
    let untaken = Untaken::new(len, part_size);
    let from_the_start = async {
        let (mut done, mut left) = (Vec::new(), Bytes::new());
        while let Some(mut part) = untaken.first() {
            part.fill(&mut pieces, &mut left).await?;
            done.push(part);
        }
        Ok(done)
    };
    let from_the_end = async || {
        let mut done = Vec::new();
        while let Some(mut part) = untaken.last() {
            let mut pieces = ask(part.range()).await?;
            let mut left = Bytes::new();
            part.fill(&mut pieces, &mut left).await?;
            // The answer is read to its end, so that its connection can be used again.
            if !left.is_empty() || pieces.next().await.is_some() {
                return Err(Unread::Length);
            }
            done.push(part);
        }
        Ok(done)
    };
    let others = try_join_all((0..others).map(|_| from_the_end()));
    let (first, others) = try_join(from_the_start, others).await?;
    let mut parts: Vec<Part> = first
        .into_iter()
        .chain(others.into_iter().flatten())
        .collect();
    parts.sort_unstable_by_key(|part| part.index);
    let mut whole = BytesMut::new();
    for part in parts {
        whole.unsplit(part.bytes);
    }
    Ok(whole.freeze())
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use futures_util::stream;

    use super::*;

    fn object(len: usize) -> Vec<u8> {
        (0_u8..251).cycle().take(len).collect()
    }

    fn pieces(bytes: &[u8], size: usize) -> Pieces {
        let pieces: Vec<_> = bytes.chunks(size).map(Bytes::copy_from_slice).collect();
        stream::iter(pieces.into_iter().map(Ok)).boxed()
    }

    fn slice(object: &[u8], range: Range<u64>) -> &[u8] {
        &object[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
    }

    #[tokio::test]
    async fn parts_of_any_size_make_the_object_in_one_allocation() {
        for (len, part_size, others, piece) in [
            (1, 1, 1, 1),
            (1000, 1000, 3, 7),
            (1000, 300, 3, 7),
            (1001, 100, 1, 1000),
            (1000, 100, 0, 13),
            (1000, 1, 3, 13),
        ] {
            let whole = object(len);
            let ask = async |range| Ok(pieces(slice(&whole, range), piece));
            let first = pieces(&whole, piece);
            let read = read_parts(first, len, part_size, others, ask).await;
            assert_eq!(read.unwrap(), whole, "{len} {part_size} {others} {piece}");
        }
    }

    /// Counts for as long as it lives.
    struct Counted<'a>(&'a AtomicUsize);

    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Relaxed);
        }
    }

    #[tokio::test]
    async fn a_first_answer_that_is_slow_is_left_to_the_others_so_many_at_a_time() {
        static NOW: AtomicUsize = AtomicUsize::new(0);
        let whole = object(1000);
        let (asked, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        // Its second piece arrives once nothing else is left to read.
        let first = pieces(&whole, 100);
        let first = first
            .enumerate()
            .then(|(at, piece)| async move {
                for _ in 0..at * 1000 {
                    tokio::task::yield_now().await;
                }
                piece
            })
            .boxed();
        let ask = async |range| {
            asked.fetch_add(1, Relaxed);
            most.fetch_max(NOW.fetch_add(1, Relaxed) + 1, Relaxed);
            let counted = Counted(&NOW);
            tokio::task::yield_now().await;
            let pieces = pieces(slice(&whole, range), 9);
            let pieces = pieces.map(move |piece| {
                let _ = &counted;
                piece
            });
            Ok(pieces.boxed())
        };
        let read = read_parts(first, 1000, 100, 2, ask).await;
        assert_eq!(read.unwrap(), whole);
        assert_eq!(asked.load(Relaxed), 8);
        assert_eq!((most.load(Relaxed), NOW.load(Relaxed)), (2, 0));
    }

    #[tokio::test]
    async fn an_answer_of_another_length_or_none_is_an_error() {
        let whole = object(1000);
        for longer in [false, true] {
            let ask = async |range: Range<u64>| {
                let mut part = slice(&whole, range).to_vec();
                if longer {
                    part.push(0);
                } else {
                    part.pop();
                }
                Ok(pieces(&part, 1000))
            };
            let first = stream::pending().boxed();
            let read = read_parts(first, 1000, 100, 2, ask).await;
            assert!(matches!(read, Err(Unread::Length)));
        }
        let ask = async |_| Err(Unread::Changed);
        let first = stream::pending().boxed();
        let read = read_parts(first, 1000, 100, 2, ask).await;
        assert!(matches!(read, Err(Unread::Changed)));
        let ask = async |range| Ok(pieces(slice(&whole, range), 9));
        let first = pieces(&whole[..50], 50);
        let read = read_parts(first, 1000, 1000, 0, ask).await;
        assert!(matches!(read, Err(Unread::Length)));
    }
}
