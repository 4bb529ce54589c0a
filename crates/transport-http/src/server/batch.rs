//! The answer to a batch: a stream with each value as soon as it is ready.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec;

use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use gaggle_group::{
    Answer, Batch, BatchHandle, ByteBudget, Error, Group, Groups, Hold, Hop, Reservation, Serve,
    Served, TraceParent, Verdict,
};
use gaggle_proto::count;
use gaggle_proto::notices::carried;
use gaggle_proto::peer::{BatchItem, BatchRequest};
use gaggle_proto::terms::{Terms, of_value};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use hyper::body::{Body as HttpBody, Frame};
use prost::Message;
use tokio::task::JoinSet;

use super::body::{self, Bounds};
use super::refusal::{Refusal, no_group, shed};
use super::{hold, over};
use crate::batch::{self, MAX_ITEMS, MAX_REQUEST, Valueless};
use crate::bounds::check_count;
use crate::encoding::PROTOBUF_TYPE;
use crate::message::held;
use crate::terms::of_absence;

/// The bytes of answers that are gathered into one chunk: a write for each would cost more than
/// the copy.
const CHUNK: usize = 64 << 10;

/// A larger value would delay those behind it. It is fetched with a separate request.
const LARGE: usize = 64 << 10;

/// Values up to this size are copied into a chunk.
const SMALL: usize = 16 << 10;

/// Begins to answer the batch in `body`.
pub(super) async fn answer(
    groups: &Groups,
    body: Body,
    bounds: Bounds<'_>,
) -> Result<Response, Refusal> {
    let body::Read { bytes, reserved } = body::read(body, MAX_REQUEST, bounds)
        .await
        .map_err(|unread| Refusal::unread(unread, Refusal::BatchBody))?;
    let body = Bytes::from(bytes);
    // Counted before they are decoded, since a message can have very many small ones.
    let items = count(&body, &[1]).map_err(Refusal::BatchMessage)?;
    if items > MAX_ITEMS {
        return Err(Refusal::BatchItems(items));
    }
    check_count(&body, &[1, 5]).map_err(Refusal::Notice)?;
    let items = BatchRequest::decode(body)
        .map_err(Refusal::BatchMessage)?
        .items;
    let mut response = Response::new(Body::new(Answers {
        groups: groups.clone(),
        items: items.into_iter(),
        begun: 0,
        loads: JoinSet::new(),
        value: None,
        _request: reserved,
    }));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF_TYPE));
    Ok(response)
}

/// The result of one get, and its position.
type Ready = (u32, Result<Found, Valueless>);

struct Found {
    value: Bytes,
    minute_qps: Option<f64>,
    hold: Hold,
    terms: Terms,
}

/// The body of the answer. It asks the groups as it is read: values in memory are looked up when
/// there is room to write them, and about one chunk and one value are held at the same time.
///
/// A task waits for each load, and continues even if the client does not read. A value larger than
/// [`LARGE`] that the cache has stored is therefore released at once, and any other counts against
/// the budget from then on, or is shed. A slow key delays no other.
///
/// If it is dropped, as when the client has disconnected, it stops waiting; loads continue by
/// themselves.
struct Answers {
    groups: Groups,
    /// The gets that have not begun yet.
    items: vec::IntoIter<BatchItem>,
    begun: u32,
    /// The gets that are not in memory.
    loads: JoinSet<Ready>,
    /// A value whose answer's head is written.
    value: Option<Bytes>,
    /// The request, of which the keys are parts.
    _request: Option<Reservation>,
}

/// Answers that are written together.
#[derive(Default)]
struct Chunk {
    bytes: BytesMut,
    /// The holds of values that were copied.
    holds: Vec<Hold>,
}

impl Answers {
    /// Writes ready answers, until a chunk is full or a value follows that is not copied. Loaded
    /// values come first, so that no more gets are begun than can be written.
    fn fill(&mut self, chunk: &mut Chunk, cx: &mut Context<'_>) {
        self.write_loaded(chunk, cx);
        // Gets that begin now can ask an origin together, if it takes several keys.
        let batch = self.groups.iter().any(Group::loads_together);
        let batch = batch.then(Batch::new);
        while self.has_room(chunk) {
            let Some(item) = self.items.next() else { break };
            let index = self.begun;
            self.begun += 1;
            // A value in memory is ready at once, and needs no task.
            let mut serving = Box::pin(serve(
                self.groups.clone(),
                item,
                index,
                batch.as_ref().map(Batch::handle),
            ));
            match serving.as_mut().poll(cx) {
                Poll::Ready(ready) => self.write(ready, chunk),
                Poll::Pending => {
                    self.loads.spawn(serving);
                }
            }
        }
        // Once more, to be woken by the loads that have begun.
        self.write_loaded(chunk, cx);
    }

    fn write_loaded(&mut self, chunk: &mut Chunk, cx: &mut Context<'_>) {
        while self.has_room(chunk) {
            match self.loads.poll_join_next(cx) {
                Poll::Ready(Some(Ok(ready))) => self.write(ready, chunk),
                // It panicked, or the runtime is shutting down: its key has no answer, and the
                // client notices that.
                Poll::Ready(Some(Err(_))) => {}
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
    }

    fn has_room(&self, chunk: &Chunk) -> bool {
        chunk.bytes.len() < CHUNK && self.value.is_none()
    }

    fn write(&mut self, (index, outcome): Ready, chunk: &mut Chunk) {
        let out = &mut chunk.bytes;
        match outcome {
            Ok(Found {
                value,
                minute_qps,
                hold,
                terms,
            }) => {
                if value.len() <= SMALL {
                    batch::put_value(index, &value, &terms, minute_qps, out);
                    if value.len() >= ByteBudget::SMALL {
                        chunk.holds.push(hold);
                    }
                } else {
                    batch::put_value_head(index, value.len(), &terms, minute_qps, out);
                    self.value = Some(held(value, hold));
                }
            }
            Err(valueless) => batch::put_valueless(index, valueless, out),
        }
    }
}

impl HttpBody for Answers {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(value) = self.value.take() {
            return Poll::Ready(Some(Ok(Frame::data(value))));
        }
        let mut chunk = Chunk::default();
        self.fill(&mut chunk, cx);
        if !chunk.bytes.is_empty() {
            let bytes = chunk.bytes.freeze();
            Poll::Ready(Some(Ok(Frame::data(held(bytes, chunk.holds)))))
        } else if self.is_end_stream() {
            Poll::Ready(None)
        } else {
            Poll::Pending
        }
    }

    fn is_end_stream(&self) -> bool {
        self.items.len() == 0 && self.loads.is_empty() && self.value.is_none()
    }
}

async fn serve(groups: Groups, item: BatchItem, index: u32, batch: Option<BatchHandle>) -> Ready {
    let Some(group) = groups.get(&item.group) else {
        let reason = no_group(item.group.as_bytes());
        return (index, Err(Valueless::Refused(reason)));
    };
    let wait = item.deadline_ms.map(Duration::from_millis);
    let removals = match carried(item.removals) {
        Ok(removals) => removals,
        Err(bad) => return (index, Err(Valueless::Refused(bad.to_string()))),
    };
    let request = Serve::new(&item.key, Hop::Forwarded);
    let request = request.within(wait).after(&removals).with(batch.as_ref());
    let request = request
        .kept_only(item.kept_only)
        .traced(TraceParent::parse(&item.traceparent));
    let outcome = match group.serve(request).await {
        Ok(Served {
            answer:
                Answer {
                    value,
                    freshness,
                    metadata,
                    ..
                },
            minute_qps,
            ..
        }) => match value.map(|value| (over(value.len(), item.max_value), value)) {
            None => Err(Valueless::NotFound(of_absence(freshness, &metadata))),
            Some((Some((len, limit)), _)) => Err(Valueless::Failed(Verdict::ValueTooLarge {
                len: Some(len),
                limit,
            })),
            // A value that no cache stored would be loaded again.
            Some((None, value)) if value.len() > LARGE && group.holds(&item.key) => {
                Err(Valueless::Separately)
            }
            Some((None, value)) => match hold(group, &value).await {
                Ok(hold) => Ok(Found {
                    value,
                    minute_qps,
                    hold,
                    terms: of_value(freshness, &metadata),
                }),
                Err(over) => Err(Valueless::Failed(shed(&over))),
            },
        },
        Err(error) => Err(valueless(&error)),
    };
    (index, outcome)
}

fn valueless(error: &Error) -> Valueless {
    match Verdict::of(error) {
        None => Valueless::NotFound(Terms::default()),
        Some(Verdict::NotKept) => Valueless::NotKept,
        // This node is shutting down, which says nothing about the key.
        Some(_) if matches!(error, Error::Cancelled { .. }) => {
            Valueless::Refused(error.to_string())
        }
        Some(verdict) => Valueless::Failed(verdict),
    }
}
