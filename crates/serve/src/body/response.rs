use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::body::Body;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};

use super::piece::Piece;
use crate::activity::Open;

/// On HTTP/2 a response is passed on in pieces of this size, in bytes, each when the client has
/// taken the previous one. The protocol's own frames are smaller (16 KiB).
const PIECE: usize = 64 * 1024;

/// A response's body, which reports to its request whether the server or the client has to act.
pub(crate) struct Response {
    body: Body,
    rest: Bytes,
    open: Open,
}

impl Response {
    pub(crate) fn new(body: Body, open: Open) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            open,
        }
    }

    fn piece(&mut self, mut data: Bytes) -> Piece {
        if self.open.is_http2() && data.len() > PIECE {
            self.rest = data.split_off(PIECE);
        }
        let unwritten = self.open.clients_turn(data.len());
        Piece::new(data, unwritten)
    }
}

impl HttpBody for Response {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, axum::Error>>> {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            let piece = self.piece(rest);
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        self.open.our_turn();
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => return Poll::Ready(None),
        };
        if frame.is_trailers() {
            self.open.clients_turn(0);
        }
        Poll::Ready(Some(Ok(frame.map_data(|data| self.piece(data)))))
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
