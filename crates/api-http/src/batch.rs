//! Many keys in one request: a request costs far more than the key in it.

use std::future::poll_fn;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use gaggle_group::{Group, TraceParent};

use crate::FrontOptions;
use crate::held::{counted, counted_at_once};
use crate::patience::Patience;
use crate::reply::{self, Refusal};

mod answers;
mod asked;
mod row;

use answers::Answers;
pub(crate) use asked::Batch;

/// Text that is written before a client gets any, in bytes: an answer of no more is sent in one
/// piece, with its length.
const FIRST: usize = 256 << 10;

/// Begins to answer. What is in memory is in the first piece; the rest is a stream, which asks for
/// more keys as it is read.
pub(crate) async fn answer(
    group: &Group,
    options: &FrontOptions,
    trace: Option<TraceParent>,
    wait: Option<Duration>,
    body: Body,
) -> Result<Response, Refusal> {
    let patience = wait.and_then(Patience::of);
    let batch = Batch::read(body, group, options).await?;
    let mut answers = Answers::new(group, options, trace, patience, batch);
    let first = poll_fn(|cx| answers.poll_piece(cx, FIRST)).await;
    let first = if answers.holds_bytes() {
        // It may be these that leave no room: only an answer that is written gives it back.
        counted_at_once(group, first)
    } else {
        counted(group, first, patience).await?
    };
    let body = if answers.is_over() {
        Body::from(first)
    } else {
        Body::new(answers.after(first))
    };
    Ok(reply::document(StatusCode::OK, body))
}
