//! Reading the body of a request, within bounds.

use axum::body::Body;
use bytes::BytesMut;
use futures_util::StreamExt;
use hyper::body::Body as _;

/// The most room that is made for a body before its bytes come.
const MAX_AHEAD: usize = 1 << 20;

/// All of a body in one buffer; `None` if it is longer than `cap`, or breaks off.
pub(super) async fn read(body: Body, cap: usize) -> Option<BytesMut> {
    // By the stated length, where there is one: then nothing is read of a body that is too long.
    let stated = usize::try_from(body.size_hint().lower()).ok()?;
    if stated > cap {
        return None;
    }
    let mut read = BytesMut::with_capacity(stated.min(MAX_AHEAD));
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.ok()?;
        let len = read.len() + chunk.len();
        if len > cap {
            return None;
        }
        if len > read.capacity() {
            // The rest at once, as its beginning has come.
            read.reserve(stated.max(len) - read.len());
        }
        read.extend_from_slice(&chunk);
    }
    Some(read)
}
