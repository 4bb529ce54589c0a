//! Reading a body, no more of it than allowed and no longer than it keeps coming.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

/// Why a body was not read to its end.
#[derive(Debug)]
pub(crate) enum Unread<E> {
    TooLarge { len: Option<u64> },
    Silent(Elapsed),
    Broken(E),
}

/// Reads the whole body, at most `limit` bytes, into an allocation of exactly its size. `patience` is the longest wait
/// for the next piece.
pub(crate) async fn read_whole<B>(
    mut body: B,
    limit: u64,
    patience: Duration,
) -> Result<Bytes, Unread<B::Error>>
where
    B: Body<Data = Bytes> + Unpin,
{
    let declared = body.size_hint().exact();
    if declared.is_some_and(|len| len > limit) {
        return Err(Unread::TooLarge { len: declared });
    }
    let mut value = Vec::new();
    value.reserve_exact(
        declared
            .and_then(|len| usize::try_from(len).ok())
            .unwrap_or(0),
    );
    loop {
        let piece = match timeout(patience, body.frame()).await {
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Ok(Some(Err(error))) => return Err(Unread::Broken(error)),
            Ok(None) => return Ok(exactly(value)),
            Err(elapsed) => return Err(Unread::Silent(elapsed)),
        };
        if (value.len() + piece.len()) as u64 > limit {
            return Err(Unread::TooLarge { len: None });
        }
        value.extend_from_slice(&piece);
    }
}

/// The bytes in an allocation of their size. An allocator may shrink one in place and leave it as large as it was, so that
/// what has much room to spare is copied.
fn exactly(value: Vec<u8>) -> Bytes {
    let spare = value.capacity() - value.len();
    if spare > value.len() / 8 {
        Bytes::copy_from_slice(&value)
    } else {
        value.into_boxed_slice().into()
    }
}
