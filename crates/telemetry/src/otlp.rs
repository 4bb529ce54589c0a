//! Traces sent to a collector by OTLP over HTTP.
//!
//! [`layer`] makes a layer for the program's subscriber, and an [`Exporter`] to be spawned. Spans
//! of the read path that have ended go into a bounded queue, from which the exporter sends
//! batches. A collector that is slow or down costs spans, which are counted, and nothing else.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use gaggle_telemetry::{LogOptions, OtlpOptions, logging, otlp};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = OtlpOptions {
//!     endpoint: "http://127.0.0.1:4318".into(),
//!     ..OtlpOptions::default()
//! };
//! let (layer, exporter) = otlp::layer(&options)?;
//! let log = logging::init_with(&LogOptions::default(), layer)?;
//! let traces = exporter.traces();
//! tokio::spawn(exporter.run(|| Arc::from("node-1")));
//! // Before the program ends:
//! traces.finish(Duration::from_secs(2)).await;
//! log.flush(Duration::from_millis(250));
//! # Ok(()) }
//! ```
//!
//! # Which traces
//!
//! A trace that begins here is recorded with the probability [`OtlpOptions::sample`]. Between
//! nodes the decision of the node that asks is followed. The decision of a client is followed only
//! with [`OtlpOptions::follow_parents`]: otherwise whoever reaches the front door could have every
//! request recorded. The identity of the client's trace is kept in both cases.
//!
//! # Trade-offs
//!
//! * Environment variables of OpenTelemetry (`OTEL_*`) set nothing here: a program reads its
//!   configuration itself. [`resource_attributes`] reads the text of one of them.
//! * OTLP over gRPC and in JSON, compression, and metrics over OTLP are not offered.
//! * Spans have the group's name and the length of the key, and never the key. Events at `info`
//!   and above become events of the span that they stand in. Those at `debug` may hold keys, and
//!   do not.
//! * While spans are exported each miss makes its spans, whether or not they are recorded.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gaggle_group::SPAN_TARGET;
use opentelemetry::InstrumentationScope;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanLimits};
use tokio::sync::watch;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use self::client::Client;
use self::queue::{Incoming, Queue};
use self::sampler::Sampler;
use crate::logging::BoxedLayer;

mod client;
mod export;
mod queue;
mod sampler;

pub use export::{Exporter, Traces};

/// Attributes, events and links of one span, and attributes of one of these, at most.
const MOST_OF_A_SPAN: u32 = 64;

/// Attributes of the resource, which each request repeats, and their bytes, at most.
const MOST_OF_RESOURCE: usize = 64;
const MOST_BYTES_OF_RESOURCE: usize = 4 << 10;

/// Reads attributes of a resource as the variable `OTEL_RESOURCE_ATTRIBUTES` has them:
/// `team=a,deployment.environment.name=production`. Names and values may be percent-encoded; other
/// names and values than those of UTF-8 cannot be.
///
/// ```
/// let read = gaggle_telemetry::otlp::resource_attributes("team=a%2Cb, tier=1")?;
/// assert_eq!(read, [("team".into(), "a,b".into()), ("tier".into(), "1".into())]);
/// # Ok::<(), gaggle_telemetry::OtlpError>(())
/// ```
///
/// # Errors
///
/// If the text is no such list.
pub fn resource_attributes(text: &str) -> Result<Vec<(String, String)>, OtlpError> {
    let bad = || {
        let reason = "expected a list such as team=a,tier=1, with other characters percent-encoded";
        OtlpError::new("resource_attributes", reason)
    };
    let pairs = text.split(',').map(str::trim);
    let pairs = pairs.filter(|pair| !pair.is_empty());
    let read = pairs.map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let name = decoded(name.trim())?;
        Some((name, decoded(value.trim())?)).filter(|(name, _)| !name.is_empty())
    });
    read.collect::<Option<_>>().ok_or_else(bad)
}

/// A text without its percent-encoding.
fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// Where traces go, and which.
#[derive(Debug, Clone, PartialEq)]
pub struct OtlpOptions {
    /// The base URL of the collector, such as `http://127.0.0.1:4318`: traces are sent to
    /// `/v1/traces` below it. Must be set.
    pub endpoint: String,
    /// A file with headers for each request, one a line, as in `authorization: Bearer …`. It is
    /// read once. Default none.
    pub headers_file: Option<PathBuf>,
    /// A PEM file of the authorities that are trusted over https. Default: the machine's.
    pub ca: Option<PathBuf>,
    /// The part of traces that is recorded, from 0 to 1. Default 0.01.
    pub sample: f64,
    /// Whether a client's decision to record a trace, or not to, is followed. Default no.
    pub follow_parents: bool,
    /// `service.name`. Default `gaggle`.
    pub service_name: String,
    /// `service.version`. Default none.
    pub service_version: String,
    /// Other attributes of the resource: names and values. One that the other options or the
    /// exporter set is left out. Default none.
    pub resource_attributes: Vec<(String, String)>,
    /// How long a request to the collector may take. Default 10 s.
    pub timeout: Duration,
    /// How often spans are sent that fill no batch. Default 5 s.
    pub interval: Duration,
    /// Spans that wait, at most; and 8 MiB of them. Default 2048.
    pub max_queue: usize,
    /// Spans in one request, at most. Default 512.
    pub max_batch: usize,
}

impl Default for OtlpOptions {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            headers_file: None,
            ca: None,
            sample: 0.01,
            follow_parents: false,
            service_name: "gaggle".to_owned(),
            service_version: String::new(),
            resource_attributes: Vec::new(),
            timeout: Duration::from_secs(10),
            interval: Duration::from_secs(5),
            max_queue: 2048,
            max_batch: 512,
        }
    }
}

impl OtlpOptions {
    /// Whether the options can be used, as far as they can tell: no file is opened.
    ///
    /// # Errors
    ///
    /// If one of them cannot.
    pub fn check(&self) -> Result<(), OtlpError> {
        client::traces_of(&self.endpoint)?;
        if !(0.0..=1.0).contains(&self.sample) {
            return Err(OtlpError::new("sample", "expected a number from 0 to 1"));
        }
        if self.max_batch == 0 || self.max_batch > self.max_queue {
            let queue = self.max_queue;
            let reason = format!("expected 1 to the longest queue, which is {queue}");
            return Err(OtlpError::new("max_batch", reason));
        }
        let attributes = &self.resource_attributes;
        let bytes: usize = attributes
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        if attributes.len() > MOST_OF_RESOURCE || bytes > MOST_BYTES_OF_RESOURCE {
            let reason = format!(
                "expected at most {MOST_OF_RESOURCE} of them, of {MOST_BYTES_OF_RESOURCE} bytes together"
            );
            return Err(OtlpError::new("resource_attributes", reason));
        }
        Ok(())
    }

    /// The same, and whether the files can be used that they name.
    ///
    /// # Errors
    ///
    /// If one of them cannot.
    pub fn check_files(&self) -> Result<(), OtlpError> {
        self.check()?;
        Client::new(self).map(drop)
    }
}

/// Why traces cannot be exported. Has nothing of a secret.
#[derive(Debug, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct OtlpError {
    field: &'static str,
    reason: String,
}

impl OtlpError {
    fn new(field: &'static str, reason: impl Into<String>) -> Self {
        Self {
            field,
            reason: reason.into(),
        }
    }

    /// The field of [`OtlpOptions`] that is wrong.
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// What is wrong with it.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl Exporter {
    /// What becomes of the spans, and the wait for the last ones.
    #[must_use]
    pub fn traces(&self) -> Traces {
        Traces {
            queue: Arc::clone(&self.queue),
            ended: self.ended.subscribe(),
        }
    }
}

/// A layer that records the spans of the read path, with a filter of its own, and what sends them.
/// Groups need [`OpenTelemetry`](crate::OpenTelemetry) for a trace to go on from node to node.
///
/// # Errors
///
/// If an option cannot be used, or a file cannot be read.
pub fn layer<S>(options: &OtlpOptions) -> Result<(BoxedLayer<S>, Exporter), OtlpError>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    options.check()?;
    let client = Client::new(options)?;
    let queue = Arc::new(Queue::new(options.max_queue, options.max_batch));
    // All that the environment could set is set here.
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler {
            ratio: options.sample,
            follow_parents: options.follow_parents,
        })
        .with_span_limits(SpanLimits {
            max_events_per_span: MOST_OF_A_SPAN,
            max_attributes_per_span: MOST_OF_A_SPAN,
            max_links_per_span: MOST_OF_A_SPAN,
            max_attributes_per_event: MOST_OF_A_SPAN,
            max_attributes_per_link: MOST_OF_A_SPAN,
        })
        // The exporter tells the resource, once the node knows its name.
        .with_resource(Resource::builder_empty().build())
        .with_span_processor(Incoming(Arc::clone(&queue)))
        .build();
    let scope = InstrumentationScope::builder("gaggle").with_version(env!("CARGO_PKG_VERSION"));
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer_with_scope(scope.build()))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(is_told).with_max_level_hint(LevelFilter::DEBUG))
        .boxed();
    let exporter = Exporter {
        queue,
        client,
        service_name: options.service_name.clone(),
        service_version: options.service_version.clone(),
        resource_attributes: options.resource_attributes.clone(),
        interval: options.interval,
        ended: watch::Sender::new(()),
    };
    Ok((layer, exporter))
}

/// Spans of the read path, and events that have no keys.
fn is_told(metadata: &Metadata<'_>) -> bool {
    if metadata.is_span() {
        metadata.target() == SPAN_TARGET
    } else {
        *metadata.level() <= LevelFilter::INFO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_the_standard_has_them() {
        let read = |text| resource_attributes(text).ok();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read(""), Some(vec![]));
        let expected = vec![pair("a.b", "c=d"), pair("e", ""), pair("f g", "h,é")];
        assert_eq!(read(" a.b = c=d ,e=,,f%20g=h%2c%C3%A9"), Some(expected));
        for bad in ["a", "=b", "a=%", "a=%4", "a=%+1", "a=%zz", "a=%ff", "a=1,b"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
