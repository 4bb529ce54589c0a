//! Spans that have ended and wait to be exported.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::{Array, Context, KeyValue, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use tokio::sync::Notify;

/// Bytes of spans that wait, at most: of their texts, and so much for each span besides.
const MOST_BYTES: usize = 8 << 20;
const BYTES_OF_A_SPAN: usize = 512;

/// A bounded queue. What does not fit is dropped and counted.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Spans that may wait.
    most: usize,
    /// Spans at which the exporter is woken.
    batch: usize,
    /// Wakes the exporter.
    pub(super) filled: Notify,
    pub(super) exported: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) failed: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    spans: VecDeque<(usize, SpanData)>,
    bytes: usize,
    /// Whether no more spans are taken.
    closed: bool,
}

impl Queue {
    pub(super) fn new(most: usize, batch: usize) -> Self {
        Self {
            state: Mutex::default(),
            most,
            batch,
            filled: Notify::new(),
            exported: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    fn push(&self, span: SpanData) {
        let size = size(&span);
        let mut state = self.lock();
        let full = state.spans.len() >= self.most || state.bytes + size > MOST_BYTES;
        if state.closed || full {
            drop(state);
            self.dropped.fetch_add(1, Relaxed);
            return;
        }
        state.bytes += size;
        state.spans.push_back((size, span));
        let is_batch = state.spans.len() == self.batch;
        drop(state);
        if is_batch {
            self.filled.notify_one();
        }
    }

    /// The oldest spans, as many as fit into a batch.
    pub(super) fn take(&self) -> Vec<SpanData> {
        let mut state = self.lock();
        let most = self.batch.min(state.spans.len());
        let taken: Vec<_> = state.spans.drain(..most).collect();
        state.bytes -= taken.iter().map(|(size, _)| size).sum::<usize>();
        taken.into_iter().map(|(_, span)| span).collect()
    }

    /// Whether there is a whole batch.
    pub(super) fn has_batch(&self) -> bool {
        self.lock().spans.len() >= self.batch
    }

    /// Whether no more spans are taken.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Takes no more spans.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of the queue that spans come in by.
#[derive(Debug)]
pub(super) struct Incoming(pub(super) Arc<Queue>);

impl SpanProcessor for Incoming {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            self.0.push(span);
        }
    }

    /// The exporter's owner flushes, and can wait without a thread.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// About how many bytes a span takes.
fn size(span: &SpanData) -> usize {
    let events = span.events.iter();
    let events = events.map(|event| event.name.len() + sizes(&event.attributes));
    let links = span.links.iter().map(|link| sizes(&link.attributes));
    let more: usize = events.chain(links).map(|size| size + 64).sum();
    BYTES_OF_A_SPAN + span.name.len() + sizes(&span.attributes) + more
}

fn sizes(attributes: &[KeyValue]) -> usize {
    let value = |value: &Value| match value {
        Value::String(text) => text.as_str().len(),
        Value::Array(Array::String(texts)) => texts.iter().map(|text| text.as_str().len()).sum(),
        _ => 8,
    };
    let attributes = attributes.iter();
    attributes
        .map(|one| one.key.as_str().len() + value(&one.value) + 32)
        .sum()
}
