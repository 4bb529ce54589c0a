//! Bodies of requests, read to their end within bounds.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::reply::Refusal;

/// Reads at most `limit` bytes within `wait`; a longer body is refused by `over`.
///
/// What is returned holds no more memory than its length, as it may be kept: a frame can be a part of a larger buffer.
pub(crate) async fn read(
    body: Body,
    limit: usize,
    wait: Duration,
    over: impl FnOnce() -> Refusal,
) -> Result<Bytes, Refusal> {
    let read = async {
        let mut body = Limited::new(body, limit);
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            // A frame without data has trailers, which nobody reads.
            if let Ok(data) = frame?.into_data() {
                bytes.extend_from_slice(&data);
            }
        }
        Ok::<_, axum::BoxError>(bytes)
    };
    match timeout(wait, read).await {
        Ok(Ok(bytes)) => Ok(Bytes::from(bytes.into_boxed_slice())),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(over()),
        Ok(Err(error)) => Err(Refusal::bad_request(format!("the body broke off: {error}"))),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("the body did not arrive within {wait:?}"),
        )),
    }
}
