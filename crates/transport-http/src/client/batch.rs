//! One batch: its request, and the answers one by one.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{
    BadMetadata, ByteBudget, Fetched, OverBudget, PeerError, Reservation, TraceParent, Verdict,
};
use gaggle_proto::millis;
use gaggle_proto::notices::put_id;
use gaggle_proto::peer::batch_answer::Result as Kind;
use gaggle_proto::peer::{BatchAnswer, BatchItem, BatchRequest, Value};
use gaggle_proto::terms;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use prost::Message;
use reqwest::{Request, Response};
use tokio::select;
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

use super::asker::{Asker, MAX_ERROR, useful};
use super::queue::{Brought, Item, Slot};
use super::{body, failure};
use crate::batch::{self, Frames};
use crate::{Encoding, headers};

/// How long before its deadline a get is notified that it was not sent, so that it does not count
/// the peer as silent.
const LAST_WORD: Duration = Duration::from_millis(2);

/// Asks for all of `items`. Ends with the last answer, or when all waiters have been dropped.
pub(super) async fn run(items: Vec<Item>, slot: Slot) {
    let Some(until) = items.iter().map(|item| item.until).max() else {
        return;
    };
    let asker = Arc::clone(slot.asker());
    let mut batch = Batch::new(&asker, items, until);
    // A get that still waits then has reached its own deadline.
    let _ = timeout_at(until, batch.run(slot)).await;
}

pub(super) struct Batch<'a> {
    asker: &'a Asker,
    /// The gets in the order of the request; `None` once they have an answer.
    items: Vec<Option<Item>>,
    /// The number of gets without an answer.
    left: usize,
    /// The latest deadline of the gets.
    until: Instant,
}

impl<'a> Batch<'a> {
    pub(super) fn new(asker: &'a Asker, items: Vec<Item>, until: Instant) -> Self {
        Self {
            asker,
            left: items.len(),
            items: items.into_iter().map(Some).collect(),
            until,
        }
    }

    async fn run(&mut self, slot: Slot) {
        let Some(_slot) = self.slot().await else {
            return;
        };
        if let Some(message) = self.message() {
            self.asker.batches().sent(self.left);
            self.exchange(message, slot).await;
        }
    }

    /// Takes a slot for a request; `None` if all waiters have been dropped. Gets that reach their
    /// deadline first are shed: they were never sent, and say nothing about the peer's health.
    async fn slot(&mut self) -> Option<SemaphorePermit<'a>> {
        let asker = self.asker;
        if let Ok(slot) = asker.slots.try_acquire() {
            return Some(slot);
        }
        let mut slot = pin!(asker.slots.acquire());
        loop {
            let first = self.items.iter().flatten().map(|item| item.until).min()?;
            let last_word = first.checked_sub(LAST_WORD).unwrap_or(first);
            if let Ok(slot) = timeout_at(last_word, slot.as_mut()).await {
                // Err would mean that the semaphore is closed, which never happens.
                return slot.ok();
            }
            let full = asker.full(asker.options().max_requests_per_peer);
            let now = Instant::now();
            for item in &mut self.items {
                let late = item.take_if(|item| item.until <= now + LAST_WORD);
                if let Some(item) = late {
                    let _ = item.answer.send(Brought::Answer(Err(full.clone())));
                }
            }
        }
    }

    /// The request for the gets that still wait; `None` if there are none.
    fn message(&mut self) -> Option<Bytes> {
        let now = Instant::now();
        self.items.retain(
            |item| matches!(item, Some(item) if !item.answer.is_closed() && item.until > now),
        );
        self.left = self.items.len();
        if self.left == 0 {
            return None;
        }
        let items = self.items.iter_mut().flatten().map(|item| BatchItem {
            group: std::mem::take(&mut item.group),
            key: item.key.clone(),
            max_value: Some(item.max_value),
            deadline_ms: Some(millis(useful(item.until - now))),
            removals: item.removals.iter().map(|id| put_id(*id)).collect(),
            kept_only: item.kept_only,
            traceparent: traceparent(item.trace),
        });
        let message = BatchRequest {
            items: items.collect(),
        };
        Some(message.encode_to_vec().into())
    }

    async fn exchange(&mut self, message: Bytes, slot: Slot) {
        let began = Instant::now();
        let asker = self.asker;
        let sent = select! {
            sent = asker.send(|| asking(asker, message.clone()), Some(self.until)) => sent,
            () = deserted(&mut self.items) => return,
        };
        let response = match sent {
            Ok(response) => response,
            Err(failure) => return self.fail(&failure),
        };
        if !self.asker.learn(response.headers()) || response.status() != StatusCode::OK {
            // A different node has replaced the one that took batches.
            self.separate();
            drop(slot);
            body::start(response, MAX_ERROR, self.asker.options().read_timeout).await;
        } else if let Err(failure) = self.read(response, slot, began).await {
            self.fail(&failure);
        }
    }

    /// Delivers the answers as they arrive.
    async fn read(
        &mut self,
        mut response: Response,
        slot: Slot,
        began: Instant,
    ) -> Result<(), PeerError> {
        let budget = self.items.iter().flatten();
        let budget = budget.filter_map(|item| item.budget.clone()).next();
        let mut reserved = None;
        let pause = self.asker.options().read_timeout;
        let most = self.items.iter().flatten().map(|item| item.max_value).max();
        let mut frames = Frames::new(most.unwrap_or(0).saturating_add(batch::OVERHEAD));
        let mut slot = Some(slot);
        while self.left > 0 {
            let between = frames.is_between();
            // Between two answers the peer may be waiting for an origin, which does not count as
            // silence.
            let attempt = (!between).then(|| self.asker.attempt(self.until));
            let chunk = select! {
                chunk = response.chunk() => chunk,
                () = deserted(&mut self.items) => return Ok(()),
                () = stalled(pause, between) => {
                    let reason = format!("nothing arrived for {pause:?} in the middle of an answer");
                    return Err(self.asker.broken(reason, began));
                }
            };
            let chunk = chunk.map_err(|error| {
                let cause = failure::cause(&error);
                let reason = format!("broke off in the middle of a batch: {cause}");
                self.asker.broken(reason, began)
            })?;
            match attempt {
                Some(attempt) => {
                    attempt.answered();
                }
                None => self.asker.heard(),
            }
            let Some(chunk) = chunk else {
                return Err(self
                    .asker
                    .unavailable("a batch ended before its last answer"));
            };
            frames.add(chunk);
            loop {
                match frames.next() {
                    Ok(Some(message)) => self.hand_out(message)?,
                    Ok(None) => break,
                    Err(bad) => return Err(self.asker.refused(format!("status 200, but {bad}"))),
                }
            }
            let room = select! {
                room = room(&frames, reserved, budget.as_ref()) => room,
                () = deserted(&mut self.items) => return Ok(()),
            };
            reserved = match room {
                Ok(reserved) => reserved,
                // It is not known yet which get it is for, and the answers after it may be small.
                // With single requests, only the gets without room are shed.
                Err(_over) => {
                    self.separate();
                    return Ok(());
                }
            };
            // Answers that take longer than the first ones wait for origins.
            slot.take();
        }
        // The body is read to its end, so that the connection can serve the next request.
        let _ = timeout(pause, response.chunk()).await;
        Ok(())
    }

    pub(super) fn hand_out(&mut self, message: Bytes) -> Result<(), PeerError> {
        let answer = BatchAnswer::decode(message).map_err(|error| {
            self.asker
                .refused(format!("status 200, but no protobuf: {error}"))
        })?;
        let index = usize::try_from(answer.index).unwrap_or(usize::MAX);
        let Some(item) = self.items.get_mut(index).and_then(Option::take) else {
            return Err(self
                .asker
                .refused("status 200, but an answer to no request of the batch"));
        };
        self.left -= 1;
        let brought = self.brought(answer.result, &item);
        // Err means that the caller has been dropped.
        let _ = item.answer.send(brought);
        Ok(())
    }

    fn brought(&self, result: Option<Kind>, item: &Item) -> Brought {
        Brought::Answer(match result {
            Some(Kind::Value(found)) => self.found(found, item.max_value),
            Some(Kind::NotFound(terms)) => {
                self.understood(terms::absence(&terms).map(Fetched::from))
            }
            Some(Kind::Failure(failed)) => Err(match batch::read_failure(failed) {
                Some(verdict) => self.asker.verdict(verdict),
                None => self.asker.refused("a failure of a kind unknown here"),
            }),
            Some(Kind::Refused(refused)) => {
                let (peer, reason) = (self.asker.name(), refused.reason.as_bytes());
                let known = failure::known(peer, reason, &item.key);
                Err(self
                    .asker
                    .refused(known.unwrap_or("it gives a reason unknown here")))
            }
            Some(Kind::NotKept(_)) => Err(self.asker.verdict(Verdict::NotKept)),
            Some(Kind::Separately(_)) => return Brought::Separately,
            None => Err(self.asker.refused("an answer of a kind unknown here")),
        })
    }

    fn found(&self, message: Value, max_value: u64) -> Result<Fetched, PeerError> {
        let len = message.value.len() as u64;
        if len > max_value {
            return Err(self.asker.oversized(len, max_value));
        }
        // Copied: a small value must not keep the network's buffer alive.
        self.understood(terms::fetched(message, |value| {
            Bytes::copy_from_slice(&value)
        }))
    }

    fn understood(&self, answer: Result<Fetched, BadMetadata>) -> Result<Fetched, PeerError> {
        answer.map_err(|bad| self.asker.refused(format!("status 200, but {bad}")))
    }

    /// Makes the gets without an answer use separate requests.
    fn separate(&mut self) {
        for item in self.items.iter_mut().filter_map(Option::take) {
            let _ = item.answer.send(Brought::Separately);
        }
        self.left = 0;
    }

    /// Fails the gets without an answer.
    pub(super) fn fail(&mut self, failure: &PeerError) {
        for item in self.items.iter_mut().filter_map(Option::take) {
            let _ = item.answer.send(Brought::Answer(Err(failure.clone())));
        }
        self.left = 0;
    }
}

/// A request with a batch.
fn asking(asker: &Asker, message: Bytes) -> Result<Request, PeerError> {
    let mut request = Request::new(Method::POST, asker.base()?);
    let headers = request.headers_mut();
    headers.insert(headers::FORWARDED, headers::ONE);
    headers.insert(headers::BATCH, headers::ONE);
    headers.insert(CONTENT_TYPE, Encoding::Protobuf.content_type());
    *request.body_mut() = Some(message.into());
    Ok(request)
}

/// The text of a trace; without a trace it is empty.
fn traceparent(trace: Option<TraceParent>) -> Bytes {
    trace.map_or_else(Bytes::new, |trace| Bytes::from(trace.to_string()))
}

/// The reservation for the answer that has begun to arrive, if it is not small.
async fn room(
    frames: &Frames,
    reserved: Option<Reservation>,
    budget: Option<&ByteBudget>,
) -> Result<Option<Reservation>, OverBudget> {
    let wanted = frames.wanted();
    let (Some(budget), true) = (budget, wanted >= ByteBudget::SMALL) else {
        return Ok(None);
    };
    match reserved {
        Some(reserved) if reserved.bytes() == wanted as u64 => Ok(Some(reserved)),
        other => {
            drop(other);
            budget.reserve(wanted as u64).await.map(Some)
        }
    }
}

/// Resolves when all waiters have been dropped.
async fn deserted(items: &mut [Option<Item>]) {
    for item in items.iter_mut().flatten() {
        item.answer.closed().await;
    }
}

async fn stalled(pause: Duration, between: bool) {
    if between {
        pending::<()>().await;
    } else {
        tokio::time::sleep(pause).await;
    }
}
