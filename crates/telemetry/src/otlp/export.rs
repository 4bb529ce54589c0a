//! Batches on their way to the collector.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use prost::Message as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{info, warn};

use super::client::{Client, Refused};
use super::queue::Queue;

/// How often a batch is sent, if the collector may take it later.
const ATTEMPTS: u32 = 4;
/// The wait before the second attempt; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The time that a batch may wait between its attempts: the sum of these pauses.
const ALL_PAUSES: Duration = Duration::from_millis(3_500);
/// For how long a collector is left alone at its own word, at most.
const MOST_ALONE: Duration = Duration::from_secs(60);

/// Sends spans to the collector: a future to be spawned.
#[must_use = "nothing is exported unless it runs"]
pub struct Exporter {
    pub(super) queue: Arc<Queue>,
    pub(super) client: Client,
    pub(super) service_name: String,
    pub(super) service_version: String,
    pub(super) resource_attributes: Vec<(String, String)>,
    pub(super) interval: Duration,
    /// Dropped as this ends, which tells that it has.
    pub(super) ended: watch::Sender<()>,
}

/// A program's exported traces: what became of its spans, and the wait for the last ones. Clones
/// speak of the same.
#[derive(Clone)]
pub struct Traces {
    pub(super) queue: Arc<Queue>,
    pub(super) ended: watch::Receiver<()>,
}

impl Traces {
    /// Spans that the collector has taken, since the start.
    pub fn exported(&self) -> u64 {
        self.queue.exported.load(Relaxed)
    }

    /// Spans that found no room in the queue, since the start.
    pub fn dropped(&self) -> u64 {
        self.queue.dropped.load(Relaxed)
    }

    /// Spans that the collector did not take, since the start.
    pub fn failed(&self) -> u64 {
        self.queue.failed.load(Relaxed)
    }

    /// Takes no more spans, and waits until the last ones are sent, but no longer than `within`.
    /// Returns whether the exporter has ended. For the end of a program.
    pub async fn finish(&self, within: Duration) -> bool {
        self.queue.close();
        let mut ended = self.ended.clone();
        let ended = async move { while ended.changed().await.is_ok() {} };
        timeout(within, ended).await.is_ok()
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces")
            .field("exported", &self.exported())
            .field("dropped", &self.dropped())
            .field("failed", &self.failed())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter")
            .field("service_name", &self.service_name)
            .finish_non_exhaustive()
    }
}

impl Exporter {
    /// Sends batches as they fill, and what there is at each interval, until
    /// [`Traces::finish`]. One request is under way at a time. `instance` tells the
    /// `service.instance.id`; it is asked before each batch, as a node may learn its name late.
    pub async fn run(self, instance: impl Fn() -> Arc<str> + Send) {
        let mut next = Instant::now() + self.interval;
        // Until then the collector wants to be left alone. Spans wait in the queue.
        let mut alone = Instant::now();
        // Whether the last batch was given up. Told when it changes.
        let mut down = false;
        loop {
            if Instant::now() < alone {
                // An error means that the time is over.
                let _ = timeout_at(alone, self.closed()).await;
            }
            let closed = self.queue.is_closed();
            let due = closed || self.queue.has_batch() || Instant::now() >= next;
            if !due {
                // An error means that the interval is over.
                let _ = timeout_at(next, self.queue.filled.notified()).await;
                continue;
            }
            next = Instant::now() + self.interval;
            let spans = self.queue.take();
            if spans.is_empty() {
                if closed {
                    return;
                }
                continue;
            }
            let count = spans.len() as u64;
            let body = encode(spans, &self.resource(&instance()));
            match self.send(body).await {
                Ok(answer) => {
                    let rejected = rejected(answer).min(count);
                    self.queue.failed.fetch_add(rejected, Relaxed);
                    self.queue.exported.fetch_add(count - rejected, Relaxed);
                    if std::mem::take(&mut down) {
                        info!("the collector takes spans again");
                    }
                }
                Err(Refused { reason, after, .. }) => {
                    alone = Instant::now() + after.unwrap_or_default().min(MOST_ALONE);
                    self.queue.failed.fetch_add(count, Relaxed);
                    if !std::mem::replace(&mut down, true) {
                        warn!(error = %reason, "the collector takes no spans; they are dropped");
                    }
                    if self.queue.is_closed() {
                        // It would not take the others either, and the program is to end.
                        self.give_up();
                        return;
                    }
                }
            }
        }
    }

    async fn send(&self, body: Bytes) -> Result<Bytes, Refused> {
        let mut pause = FIRST_PAUSE;
        let mut left = ALL_PAUSES;
        for _ in 1..ATTEMPTS {
            let refused = match self.client.send(body.clone()).await {
                Err(refused) if refused.again && !self.queue.is_closed() => refused,
                sent => return sent,
            };
            let wait = wait(pause, refused.after);
            if wait > left {
                // Sooner than the collector wants it, or later than the batch may wait.
                return Err(refused);
            }
            tokio::select! {
                () = sleep(wait) => {}
                () = self.closed() => {}
            }
            left -= wait;
            pause *= 2;
        }
        self.client.send(body).await
    }

    /// Once no more spans are taken.
    async fn closed(&self) {
        while !self.queue.is_closed() {
            self.queue.filled.notified().await;
        }
    }

    fn give_up(&self) {
        loop {
            let spans = self.queue.take().len() as u64;
            if spans == 0 {
                return;
            }
            self.queue.failed.fetch_add(spans, Relaxed);
        }
    }

    fn resource(&self, instance: &str) -> ResourceAttributesWithSchema {
        let mut attributes = vec![KeyValue::new("service.name", self.service_name.clone())];
        if !self.service_version.is_empty() {
            let version = self.service_version.clone();
            attributes.push(KeyValue::new("service.version", version));
        }
        if !instance.is_empty() {
            attributes.push(KeyValue::new("service.instance.id", instance.to_owned()));
        }
        for (name, value) in &self.resource_attributes {
            if !attributes.iter().any(|known| known.key.as_str() == name) {
                attributes.push(KeyValue::new(name.clone(), value.clone()));
            }
        }
        let resource = Resource::builder_empty().with_attributes(attributes);
        (&resource.build()).into()
    }
}

/// The wait before the next attempt: as the collector says, if it says so.
fn wait(pause: Duration, after: Option<Duration>) -> Duration {
    after.map_or(pause, |after| after.max(FIRST_PAUSE))
}

fn encode(spans: Vec<SpanData>, resource: &ResourceAttributesWithSchema) -> Bytes {
    let request = ExportTraceServiceRequest {
        resource_spans: group_spans_by_resource_and_scope(spans, resource),
    };
    request.encode_to_vec().into()
}

/// How many spans of a batch the collector has not taken.
fn rejected(answer: Bytes) -> u64 {
    let answer = ExportTraceServiceResponse::decode(answer).ok();
    let partial = answer.and_then(|answer| answer.partial_success);
    let Some(partial) = partial.filter(|partial| partial.rejected_spans > 0) else {
        return 0;
    };
    warn!(
        spans = partial.rejected_spans,
        error = %partial.error_message,
        "the collector has rejected spans"
    );
    u64::try_from(partial.rejected_spans).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The waits of a batch that is never taken.
    fn waits(after: Option<u64>) -> Vec<u64> {
        let (mut left, mut waits) = (ALL_PAUSES, Vec::new());
        for n in 0..ATTEMPTS - 1 {
            let wait = wait(FIRST_PAUSE * 2_u32.pow(n), after.map(Duration::from_secs));
            if wait > left {
                break;
            }
            left -= wait;
            waits.push(u64::try_from(wait.as_millis()).unwrap());
        }
        waits
    }

    #[test]
    fn what_a_collector_says_takes_the_place_of_a_pause_within_their_sum() {
        assert_eq!(waits(None), [500, 1_000, 2_000]);
        assert_eq!(waits(Some(0)), [500, 500, 500]);
        assert_eq!(waits(Some(1)), [1_000, 1_000, 1_000]);
        assert_eq!(waits(Some(2)), [2_000]);
        assert_eq!(waits(Some(3)), [3_000]);
        assert!(waits(Some(4)).is_empty());
        assert!(waits(Some(u64::MAX)).is_empty());
    }
}
