//! Reading the body of an answer, within bounds.

use std::time::Duration;

use bytes::BytesMut;
use http::header::TRANSFER_ENCODING;
use reqwest::Response;
use tokio::time::timeout;

/// Why a body was not read to its end. The connection is then closed, since the rest is still on its way.
#[derive(Debug)]
pub(super) enum BodyError {
    /// It is longer than it may be.
    TooLong {
        /// Its length in bytes, where the peer has stated it.
        stated: Option<u64>,
    },
    /// Its end cannot be told from a broken connection.
    NoEnd,
    /// Nothing came for that long.
    Stalled(Duration),
    /// The connection broke.
    Broken(reqwest::Error),
}

/// All of a body, at most `cap` bytes. Every byte is copied once, into a buffer of the stated length: the chunks that
/// come are slices of network buffers which may be many times as large, and must not live on in a cache.
pub(super) async fn read(
    mut response: Response,
    cap: u64,
    pause: Duration,
) -> Result<BytesMut, BodyError> {
    let stated = response.content_length();
    if stated.is_some_and(|stated| stated > cap) {
        return Err(BodyError::TooLong { stated });
    }
    if stated.is_none() && !response.headers().contains_key(TRANSFER_ENCODING) {
        return Err(BodyError::NoEnd);
    }
    let mut body = BytesMut::with_capacity(usize::try_from(stated.unwrap_or(0)).unwrap_or(0));
    loop {
        let next = timeout(pause, response.chunk())
            .await
            .map_err(|_| BodyError::Stalled(pause))?;
        let Some(chunk) = next.map_err(BodyError::Broken)? else {
            return Ok(body);
        };
        if (body.len() as u64).saturating_add(chunk.len() as u64) > cap {
            return Err(BodyError::TooLong { stated });
        }
        body.extend_from_slice(&chunk);
    }
}

/// What comes of a body within its first `most` bytes, for a message. Reading a short one to its end keeps the
/// connection for the next request.
pub(super) async fn start(mut response: Response, most: usize, pause: Duration) -> Vec<u8> {
    let mut start = Vec::new();
    while start.len() < most {
        match timeout(pause, response.chunk()).await {
            Ok(Ok(Some(chunk))) => {
                let taken = chunk.len().min(most - start.len());
                start.extend_from_slice(&chunk[..taken]);
            }
            Ok(Ok(None) | Err(_)) | Err(_) => break,
        }
    }
    start
}
