//! Reads a body within a limit, as long as its pieces keep arriving.

use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{ByteBudget, OverBudget};
use http_body_util::BodyExt as _;
use hyper::body::Body;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::buffer::Buffer;

/// The bounds of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds<'a> {
    /// The most bytes.
    pub(crate) limit: u64,
    /// The longest wait for the next piece.
    pub(crate) patience: Duration,
    /// The budget of its bytes while they are read.
    pub(crate) budget: Option<&'a ByteBudget>,
}

/// Why a body was not read to its end.
#[derive(Debug)]
pub(crate) enum Unread<E> {
    TooLarge { len: Option<u64> },
    OverBudget(OverBudget),
    Silent(Elapsed),
    Broken(E),
}

/// Reads the whole body, and calls `heard` with each piece. The announced length of a body is
/// reserved in the budget at once, and allocated as the bytes arrive.
pub(crate) async fn fill<'a, B>(
    mut body: B,
    bounds: Bounds<'a>,
    mut heard: impl FnMut(),
) -> Result<Buffer<'a>, Unread<B::Error>>
where
    B: Body<Data = Bytes> + Unpin,
{
    let Bounds {
        limit,
        patience,
        budget,
    } = bounds;
    let declared = body.size_hint().exact();
    if declared.is_some_and(|len| len > limit) {
        return Err(Unread::TooLarge { len: declared });
    }
    let buffer = Buffer::new(declared, limit, budget).await;
    let mut buffer = buffer.map_err(Unread::OverBudget)?;
    loop {
        let piece = match timeout(patience, body.frame()).await {
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Ok(Some(Err(error))) => return Err(Unread::Broken(error)),
            Ok(None) => return Ok(buffer),
            Err(elapsed) => return Err(Unread::Silent(elapsed)),
        };
        if (buffer.len() + piece.len()) as u64 > limit {
            return Err(Unread::TooLarge { len: None });
        }
        buffer.push(&piece).await.map_err(Unread::OverBudget)?;
        heard();
    }
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
