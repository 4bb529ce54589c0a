//! Bodies with a message that draw on a budget before they are read.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{ByteBudget, OverBudget, Reservation};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::Status;

/// The length of a message's prefix: one byte for compression, and four for its length.
const HEAD: usize = 5;

type Reserving = Pin<Box<dyn Future<Output = Result<Reservation, OverBudget>> + Send>>;

type BoxError = Box<dyn Error + Send + Sync>;

/// A body with one message. tonic allocates as many bytes as the message's head states; this
/// reserves them before tonic sees the head.
pub(crate) struct Counted<B> {
    body: B,
    budget: Option<ByteBudget>,
    /// The longest message, in bytes. tonic refuses a longer one, so nothing is reserved for it.
    most: usize,
    /// The error of the body if there is no room.
    no_room: fn(OverBudget) -> BoxError,
    /// The whole body must have arrived by this time.
    until: Option<Pin<Box<Sleep>>>,
    /// The part of the head that has arrived.
    head: [u8; HEAD],
    seen: usize,
    /// A frame that waits for room for the message that it begins.
    begun: Option<(Bytes, Reserving)>,
    reserved: Option<Reservation>,
}

impl<B> Counted<B> {
    /// The body of an answer.
    pub(crate) fn answer(body: B, budget: Option<ByteBudget>, most: usize) -> Self {
        Self {
            body,
            budget,
            most,
            no_room: |over| over.into(),
            until: None,
            head: [0; HEAD],
            seen: 0,
            begun: None,
            reserved: None,
        }
    }

    /// The body of a request, which has to arrive completely within that time, however steadily it
    /// arrives.
    pub(crate) fn request(
        body: B,
        budget: Option<ByteBudget>,
        most: usize,
        within: Duration,
    ) -> Self {
        Self {
            no_room: |over| Status::resource_exhausted(over.to_string()).into(),
            until: Some(Box::pin(sleep(within))),
            ..Self::answer(body, budget, most)
        }
    }

    /// Reads the head of the message; returns the reservation to wait for, once the head is
    /// complete.
    fn look(&mut self, frame: &[u8]) -> Option<Reserving> {
        let budget = self.budget.as_ref()?;
        if self.seen == HEAD {
            return None;
        }
        let missing = frame.len().min(HEAD - self.seen);
        self.head[self.seen..self.seen + missing].copy_from_slice(&frame[..missing]);
        self.seen += missing;
        let [_, len @ ..] = self.head;
        let len = usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX);
        if self.seen < HEAD || len < ByteBudget::SMALL || len > self.most {
            return None;
        }
        let budget = budget.clone();
        Some(Box::pin(async move { budget.reserve(len as u64).await }))
    }
}

impl<B> HttpBody for Counted<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if let Some(until) = &mut this.until
            && until.as_mut().poll(cx).is_ready()
        {
            let late = Status::aborted("the request did not come in time");
            return Poll::Ready(Some(Err(late.into())));
        }
        if this.begun.is_none() {
            let frame = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => return Poll::Ready(None),
            };
            let data = match frame.into_data() {
                Ok(data) => data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            };
            match this.look(&data) {
                None => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Some(reserving) => this.begun = Some((data, reserving)),
            }
        }
        let Some((_, reserving)) = &mut this.begun else {
            return Poll::Ready(None);
        };
        let reserved = ready!(reserving.as_mut().poll(cx));
        let begun = this.begun.take().map(|(data, _)| data);
        match reserved {
            Ok(reserved) => {
                this.reserved = Some(reserved);
                Poll::Ready(begun.map(|data| Ok(Frame::data(data))))
            }
            Err(over) => Poll::Ready(Some(Err((this.no_room)(over)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.begun.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The reservation of an answer. It travels from the service to the body as an extension, which
/// must be cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Reserved {
    _reserved: Arc<Reservation>,
}

impl Reserved {
    pub(crate) fn new(reserved: Reservation) -> Self {
        Self {
            _reserved: Arc::new(reserved),
        }
    }
}

/// The body of an answer whose bytes are reserved until they are written. The body itself ends
/// earlier: a connection takes the last bytes out of it, and writes them when the other side
/// reads.
pub(crate) struct Held<B> {
    body: B,
    reserved: Reserved,
}

impl<B> Held<B> {
    pub(crate) fn new(body: B, reserved: Reserved) -> Self {
        Self { body, reserved }
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Held<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let held = |bytes| {
            let reserved = self.reserved.clone();
            Bytes::from_owner(HeldBytes {
                bytes,
                _reserved: reserved,
            })
        };
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(held))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

struct HeldBytes {
    bytes: Bytes,
    _reserved: Reserved,
}

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
