use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{BoxError, body::Body};
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{later::later, options::Options, pace::Pace};

/// A handler read a request's body, and the client sent nothing for [`Options::stall_timeout`].
#[derive(Debug, thiserror::Error)]
#[error("the client sent nothing of the request's body for {} ms", .after.as_millis())]
pub struct BodyStalled {
    /// How long the handler waited.
    pub after: Duration,
}

/// A handler read a request's body, and the client sent it at less than [`Options::min_rate`], so
/// that [`Options::body_timeout`] passed with waiting.
#[derive(Debug, thiserror::Error)]
#[error("the client sent the request's body at less than {min_rate} bytes a second for {} ms", .after.as_millis())]
#[non_exhaustive]
pub struct BodyTooSlow {
    /// How long the handler waited in total since the rate was last high enough.
    pub after: Duration,
    /// The required rate, in bytes a second.
    pub min_rate: u32,
}

/// The clocks of a request's body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    stall_timeout: Duration,
    body_timeout: Duration,
    min_rate: u32,
}

/// A request's body. Only a reader starts its clocks: the time of a handler that does something
/// else first does not count against the client.
struct Request {
    body: Incoming,
    limits: Limits,
    pace: Pace,
    waiting: Option<Waiting>,
}

/// For bytes that have not arrived.
struct Waiting {
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

/// `body`, for a handler to read.
pub(crate) fn request(body: Incoming, limits: Limits) -> Body {
    if body.is_end_stream() {
        return Body::empty();
    }
    Body::new(Request {
        body,
        limits,
        pace: Pace::new(limits.body_timeout, limits.min_rate),
        waiting: None,
    })
}

impl Limits {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            stall_timeout: options.stall_timeout,
            body_timeout: options.body_timeout,
            min_rate: options.min_rate,
        }
    }
}

impl Request {
    fn too_long(&self) -> BoxError {
        if self.pace.left() < self.limits.stall_timeout {
            BodyTooSlow {
                after: self.limits.body_timeout,
                min_rate: self.limits.min_rate,
            }
            .into()
        } else {
            BodyStalled {
                after: self.limits.stall_timeout,
            }
            .into()
        }
    }
}

impl HttpBody for Request {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            if let Some(waiting) = self.waiting.take() {
                self.pace.waited(waiting.since.elapsed());
            }
            if let Some(Ok(frame)) = &frame
                && let Some(data) = frame.data_ref()
            {
                self.pace.moved(data.len());
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let most = self.limits.stall_timeout.min(self.pace.left());
        let waiting = self.waiting.get_or_insert_with(|| {
            let since = Instant::now();
            Waiting {
                since,
                timer: Box::pin(sleep_until(later(since, most))),
            }
        });
        ready!(waiting.timer.as_mut().poll(cx));
        Poll::Ready(Some(Err(self.too_long())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
