//! Reading the body of an answer, within bounds.

use std::time::Duration;

use gaggle_group::{ByteBudget, OverBudget, Reservation};
use http::header::TRANSFER_ENCODING;
use reqwest::Response;
use tokio::time::timeout;

use crate::room::Room;

/// Why a body was not read to its end. The connection is then closed, since the rest is still
/// arriving.
#[derive(Debug)]
pub(super) enum BodyError {
    /// It is longer than it may be.
    TooLong {
        /// The most bytes that it may have.
        cap: u64,
    },
    /// Its end cannot be distinguished from a broken connection.
    NoEnd,
    /// No bytes arrived for that long.
    Stalled(Duration),
    /// The connection broke.
    Broken(reqwest::Error),
    /// There is no room for it here.
    NoRoom(OverBudget),
}

/// All of a body, at most `cap` bytes, and its reservation. Every byte is copied once, into a
/// buffer of the stated length: the received chunks are slices of network buffers that may be many
/// times as large, and a cache must not keep those alive.
pub(super) async fn read(
    mut response: Response,
    cap: u64,
    pause: Duration,
    budget: Option<&ByteBudget>,
) -> Result<(Vec<u8>, Option<Reservation>), BodyError> {
    let stated = response.content_length();
    if stated.is_some_and(|stated| stated > cap) {
        return Err(BodyError::TooLong { cap });
    }
    if stated.is_none() && !response.headers().contains_key(TRANSFER_ENCODING) {
        return Err(BodyError::NoEnd);
    }
    let len = |len| usize::try_from(len).unwrap_or(usize::MAX);
    let mut room = match stated {
        Some(stated) => Room::at_once(len(stated), budget)
            .await
            .map_err(BodyError::NoRoom)?,
        None => Room::as_it_comes(0, len(cap), budget),
    };
    loop {
        let next = timeout(pause, response.chunk())
            .await
            .map_err(|_| BodyError::Stalled(pause))?;
        let Some(chunk) = next.map_err(BodyError::Broken)? else {
            return Ok(room.into_parts());
        };
        if (room.len() as u64).saturating_add(chunk.len() as u64) > cap {
            return Err(BodyError::TooLong { cap });
        }
        room.add(&chunk).await.map_err(BodyError::NoRoom)?;
    }
}

/// Reads at most the first `most` bytes of a body within that time, for an error message. Reading
/// a short body to its end keeps the connection for the next request.
pub(super) async fn start(mut response: Response, most: usize, within: Duration) -> Vec<u8> {
    let mut start = Vec::new();
    // The limit is for the whole body: a slow sender could use the full time for each byte.
    let read = timeout(within, async {
        while start.len() < most {
            let Ok(Some(chunk)) = response.chunk().await else {
                break;
            };
            let taken = chunk.len().min(most - start.len());
            start.extend_from_slice(&chunk[..taken]);
        }
    });
    // The bytes that have arrived by then are enough.
    let _ = read.await;
    start
}
