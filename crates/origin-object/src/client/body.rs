//! A body with a timeout for each piece.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use object_store::client::{HttpError, HttpErrorKind};
use tokio::time::{Instant, Sleep, sleep};

/// A body that fails if its next piece does not arrive in time. Its reader's own time does not
/// count.
pub(super) struct Patient {
    body: Incoming,
    patience: Duration,
    wait: Pin<Box<Sleep>>,
    waits: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("no more of the body within {0:?}")]
struct Silent(Duration);

impl Patient {
    pub(super) fn new(body: Incoming, patience: Duration) -> Self {
        Self {
            body,
            patience,
            wait: Box::pin(sleep(patience)),
            waits: false,
        }
    }
}

impl Body for Patient {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.waits = false;
            let failed = |error| HttpError::new(kind_of(&error), error);
            return Poll::Ready(frame.map(|frame| frame.map_err(failed)));
        }
        if !this.waits {
            this.waits = true;
            // A deadline that overflows never passes.
            if let Some(deadline) = Instant::now().checked_add(this.patience) {
                this.wait.as_mut().reset(deadline);
            }
        }
        ready!(this.wait.as_mut().poll(cx));
        let silent = Silent(this.patience);
        Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::Timeout, silent))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How an exchange failed.
pub(super) fn kind_of(error: &hyper::Error) -> HttpErrorKind {
    if error.is_timeout() {
        HttpErrorKind::Timeout
    } else if error.is_parse() || error.is_user() {
        HttpErrorKind::Decode
    } else {
        // Of a closed connection, or one that was reset.
        HttpErrorKind::Interrupted
    }
}
