use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{BoxError, body::Body};
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::activity::Open;

/// On HTTP/2 a response is handed over in pieces of this size, in bytes, each when the client has taken the one before.
/// It is what a client must take within the stall timeout. The protocol's own frames are smaller (16 KiB).
const PIECE: usize = 64 * 1024;

/// A handler read a request's body, and the client sent nothing for [`Options::stall_timeout`](crate::Options).
#[derive(Debug, thiserror::Error)]
#[error("the client sent nothing of the request's body for {} ms", .after.as_millis())]
pub struct BodyStalled {
    /// How long the handler waited.
    pub after: Duration,
}

/// A request's body. Only a reader starts its clock: a handler that does something else first costs the client nothing.
struct Request {
    body: Incoming,
    stall_timeout: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

/// A response's body, which tells its request whose turn it is.
pub(crate) struct Response {
    body: Body,
    rest: Bytes,
    open: Open,
}

// === impl Request ===

/// `body`, for a handler to read.
pub(crate) fn request(body: Incoming, stall_timeout: Duration) -> Body {
    if body.is_end_stream() {
        return Body::empty();
    }
    Body::new(Request {
        body,
        stall_timeout,
        waiting: None,
    })
}

impl HttpBody for Request {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.waiting = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let after = self.stall_timeout;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(after)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Some(Err(BodyStalled { after }.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl Response ===

impl Response {
    pub(crate) fn new(body: Body, open: Open) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            open,
        }
    }

    fn piece(&mut self, mut data: Bytes) -> Frame<Bytes> {
        if self.open.is_http2() && data.len() > PIECE {
            self.rest = data.split_off(PIECE);
        }
        Frame::data(data)
    }
}

impl HttpBody for Response {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            let piece = self.piece(rest);
            self.open.clients_turn();
            return Poll::Ready(Some(Ok(piece)));
        }
        self.open.our_turn();
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            end => return Poll::Ready(end),
        };
        let frame = match frame.into_data() {
            Ok(data) => self.piece(data),
            Err(trailers) => trailers,
        };
        self.open.clients_turn();
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let held = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let mut hint = self.body.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint.set_lower(hint.lower().saturating_add(held));
        hint
    }
}
