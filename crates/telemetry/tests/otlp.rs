//! Spans on their way to a collector: what it is sent, and what becomes of spans where it is slow,
//! down or refuses them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use gaggle_group::SPAN_TARGET;
use gaggle_telemetry::{LogFormat, LogOptions, OtlpError, OtlpOptions, Traces, logging, otlp};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::subscriber::DefaultGuard;
use tracing::{debug, debug_span, info, span_enabled};
use tracing_subscriber::prelude::*;

/// Longer than anything here takes; what hangs fails.
const LONG: Duration = Duration::from_secs(20);

/// What the collector does with a request.
#[derive(Clone, Copy)]
enum Does {
    Answer(u16),
    /// Refuses, and wants to be left alone for so many seconds.
    Busy(u16, u64),
    Reject(i64),
    Hang,
}

#[derive(Default)]
struct Seen {
    requests: Vec<(Uri, HeaderMap, ExportTraceServiceRequest)>,
    plan: VecDeque<Does>,
}

struct Collector {
    endpoint: String,
    seen: Arc<Mutex<Seen>>,
    count: watch::Receiver<usize>,
}

impl Collector {
    /// Does so with the first requests, and takes all others.
    async fn start(plan: &[Does]) -> Self {
        let seen = Arc::new(Mutex::new(Seen {
            plan: plan.iter().copied().collect(),
            ..Seen::default()
        }));
        let (told, count) = watch::channel(0);
        let shared = Arc::clone(&seen);
        let app = Router::new().fallback(move |uri: Uri, headers: HeaderMap, body: Bytes| {
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            let does = {
                let mut seen = shared.lock().unwrap();
                seen.requests.push((uri, headers, request));
                seen.plan.pop_front().unwrap_or(Does::Answer(200))
            };
            told.send_modify(|count| *count += 1);
            answer(does)
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            endpoint,
            seen,
            count,
        }
    }

    /// Once it has seen so many requests.
    async fn requests(&self, count: usize) {
        let mut seen = self.count.clone();
        let seen = seen.wait_for(|seen| *seen >= count);
        timeout(LONG, seen).await.expect("in time").unwrap();
    }

    /// The spans of all requests.
    fn spans(&self) -> Vec<Span> {
        let seen = self.seen.lock().unwrap();
        let requests = seen.requests.iter().map(|(.., request)| request);
        let resources = requests.flat_map(|request| &request.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }
}

async fn answer(does: Does) -> Response {
    match does {
        Does::Answer(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Does::Busy(status, seconds) => {
            let status = StatusCode::from_u16(status).unwrap();
            (status, [("retry-after", seconds.to_string())]).into_response()
        }
        Does::Reject(rejected_spans) => ExportTraceServiceResponse {
            partial_success: Some(ExportTracePartialSuccess {
                rejected_spans,
                error_message: "too old".to_owned(),
            }),
        }
        .encode_to_vec()
        .into_response(),
        Does::Hang => std::future::pending().await,
    }
}

fn options(endpoint: &str) -> OtlpOptions {
    OtlpOptions {
        endpoint: endpoint.to_owned(),
        sample: 1.0,
        service_version: "1.2.3".to_owned(),
        ..OtlpOptions::default()
    }
}

/// This thread's traces are exported so for as long as the guard is there.
fn export(options: &OtlpOptions) -> (Traces, DefaultGuard) {
    let (layer, exporter) = otlp::layer(options).unwrap();
    let guard = tracing_subscriber::registry().with(layer).set_default();
    let traces = exporter.traces();
    tokio::spawn(exporter.run(|| Arc::from("node-1")));
    (traces, guard)
}

fn span() {
    debug_span!(target: SPAN_TARGET, "load", group = "scores").in_scope(|| {
        info!("asking the origin");
        debug!(key = "secret", "a key");
    });
}

#[tokio::test]
async fn a_collector_gets_spans_with_their_resource_and_the_headers_of_the_file() {
    let collector = Collector::start(&[]).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, "authorization: Bearer s3cret\n").unwrap();
    let attributes = [
        ("team", "a"),
        ("service.version", "9"),
        ("service.name", "b"),
    ];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let (traces, _guard) = export(&OtlpOptions {
        headers_file: Some(file.path().to_owned()),
        resource_attributes: attributes.to_vec(),
        ..options(&collector.endpoint)
    });
    span();
    // Of another target.
    debug_span!("other").in_scope(|| info!("something"));
    assert!(traces.finish(LONG).await);
    assert_eq!(
        (traces.exported(), traces.dropped(), traces.failed()),
        (1, 0, 0)
    );
    let spans = collector.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].name, "load");
    let events: Vec<_> = spans[0].events.iter().map(|event| &*event.name).collect();
    assert_eq!(events, ["asking the origin"]);
    let seen = collector.seen.lock().unwrap();
    let (uri, headers, request) = &seen.requests[0];
    assert_eq!(uri.path(), "/v1/traces");
    assert_eq!(headers["content-type"], "application/x-protobuf");
    assert_eq!(headers["authorization"], "Bearer s3cret");
    let resource = request.resource_spans[0].resource.clone().unwrap();
    let told: BTreeMap<_, _> = resource
        .attributes
        .into_iter()
        .map(|attribute| {
            let value = attribute.value.and_then(|value| value.value);
            let Some(any_value::Value::StringValue(value)) = value else {
                panic!("{value:?}")
            };
            (attribute.key, value)
        })
        .collect();
    let expected = [
        ("service.instance.id", "node-1"),
        ("service.name", "gaggle"),
        ("service.version", "1.2.3"),
        ("team", "a"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(told, BTreeMap::from(expected));
    assert!(!format!("{request:?}").contains("secret"), "the key");
}

#[tokio::test]
async fn a_whole_batch_is_sent_at_once_and_what_does_not_fit_is_dropped() {
    let collector = Collector::start(&[Does::Hang]).await;
    let (traces, _guard) = export(&OtlpOptions {
        max_batch: 4,
        max_queue: 8,
        interval: Duration::from_secs(3600),
        ..options(&collector.endpoint)
    });
    for _ in 0..4 {
        span();
    }
    // The collector keeps these four, and eight wait meanwhile.
    collector.requests(1).await;
    for _ in 0..11 {
        span();
    }
    assert_eq!((traces.exported(), traces.dropped()), (0, 3));
}

#[tokio::test]
async fn a_batch_that_may_be_taken_later_is_sent_again_and_one_that_is_refused_is_not() {
    let collector = Collector::start(&[Does::Answer(503), Does::Answer(200), Does::Answer(400)]);
    let collector = collector.await;
    let (traces, _guard) = export(&OtlpOptions {
        max_batch: 1,
        ..options(&collector.endpoint)
    });
    span();
    collector.requests(2).await;
    span();
    collector.requests(3).await;
    assert!(traces.finish(LONG).await);
    assert_eq!((traces.exported(), traces.failed()), (1, 1));
    assert_eq!(collector.seen.lock().unwrap().requests.len(), 3);
}

/// Once so many spans have not been taken.
async fn failed(traces: &Traces, count: u64) {
    let failed = async {
        while traces.failed() < count {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, failed).await.expect("in time");
}

#[tokio::test]
async fn a_collector_that_is_busy_for_long_is_left_alone() {
    for status in [429, 503] {
        let collector = Collector::start(&[Does::Busy(status, 3_600)]).await;
        let (traces, _guard) = export(&OtlpOptions {
            max_batch: 1,
            interval: Duration::from_millis(1),
            ..options(&collector.endpoint)
        });
        span();
        // It is not sent again.
        failed(&traces, 1).await;
        span();
        // This one waits, and is sent at the end of the program.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(collector.seen.lock().unwrap().requests.len(), 1);
        assert!(traces.finish(LONG).await);
        assert_eq!((traces.exported(), traces.failed()), (1, 1));
        assert_eq!(collector.seen.lock().unwrap().requests.len(), 2);
    }
}

#[tokio::test]
async fn a_collector_that_is_busy_for_a_moment_gets_the_batch_again() {
    let collector = Collector::start(&[Does::Busy(429, 0), Does::Busy(503, 0)]).await;
    let (traces, _guard) = export(&OtlpOptions {
        max_batch: 1,
        ..options(&collector.endpoint)
    });
    span();
    collector.requests(3).await;
    assert!(traces.finish(LONG).await);
    assert_eq!((traces.exported(), traces.failed()), (1, 0));
}

#[tokio::test]
async fn spans_that_a_collector_rejects_count_as_not_taken() {
    let collector = Collector::start(&[Does::Reject(2)]).await;
    let (traces, _guard) = export(&options(&collector.endpoint));
    for _ in 0..3 {
        span();
    }
    assert!(traces.finish(LONG).await);
    assert_eq!((traces.exported(), traces.failed()), (1, 2));
}

#[tokio::test]
async fn the_end_waits_neither_for_a_collector_that_is_down_nor_for_one_that_hangs() {
    // A port that nobody listens on.
    let down = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", down.local_addr().unwrap());
    drop(down);
    let (traces, guard) = export(&options(&endpoint));
    span();
    assert!(traces.finish(LONG).await, "one attempt, and no more");
    assert_eq!((traces.exported(), traces.failed()), (0, 1));
    drop(guard);

    let hangs = Collector::start(&[Does::Hang]).await;
    let (traces, _guard) = export(&options(&hangs.endpoint));
    span();
    assert!(!traces.finish(Duration::from_millis(50)).await);
    // What comes after the end is dropped.
    span();
    assert_eq!(traces.dropped(), 1);
}

#[tokio::test]
async fn nothing_is_sent_of_traces_that_are_not_sampled() {
    let collector = Collector::start(&[]).await;
    let (traces, _guard) = export(&OtlpOptions {
        sample: 0.0,
        ..options(&collector.endpoint)
    });
    span();
    assert!(traces.finish(LONG).await);
    assert!(collector.spans().is_empty());
    assert_eq!(
        (traces.exported(), traces.dropped(), traces.failed()),
        (0, 0, 0)
    );
}

#[test]
fn options_that_cannot_be_used_are_refused_by_their_field() {
    let good = || options("http://127.0.0.1:4318");
    let refused = |options: &OtlpOptions| -> OtlpError { options.check_files().unwrap_err() };
    good().check_files().unwrap();
    for sample in [-0.1, 1.1, f64::NAN] {
        let field = refused(&OtlpOptions { sample, ..good() });
        assert_eq!(field.field(), "sample");
    }
    for (max_batch, max_queue) in [(0, 8), (9, 8)] {
        let field = refused(&OtlpOptions {
            max_batch,
            max_queue,
            ..good()
        });
        assert_eq!(field.field(), "max_batch");
    }
    let many = vec![("a".to_owned(), "b".to_owned()); 65];
    let long = vec![("a".to_owned(), "b".repeat(4 << 10))];
    for resource_attributes in [many, long] {
        let field = refused(&OtlpOptions {
            resource_attributes,
            ..good()
        });
        assert_eq!(field.field(), "resource_attributes");
    }
    let missing = Some("/no/such/file".into());
    let headers = refused(&OtlpOptions {
        headers_file: missing.clone(),
        ..good()
    });
    assert_eq!(headers.field(), "headers_file");
    let ca = refused(&OtlpOptions {
        ca: missing,
        ..good()
    });
    assert_eq!(ca.field(), "ca");
}

/// Lines as they are written.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_is_the_same_beside_exported_traces() {
    let collector = Collector::start(&[]).await;
    let (layer, exporter) = otlp::layer(&options(&collector.endpoint)).unwrap();
    let lines = Lines::default();
    let format = LogOptions {
        format: LogFormat::Json,
        interval: None,
        ..LogOptions::default()
    };
    let (log_layer, log) = logging::layer(&format, lines.clone()).unwrap();
    let subscriber = tracing_subscriber::registry().with(layer).with(log_layer);
    let guard = subscriber.set_default();
    for _ in 0..100 {
        span();
        // Whether a span is enabled is asked for without a span that follows.
        assert!(span_enabled!(target: SPAN_TARGET, tracing::Level::DEBUG));
        info!("a line");
    }
    log.set_level("off").unwrap();
    span();
    assert!(log.flush(LONG));
    drop(guard);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.matches("asking the origin").count(), 100, "{text}");
    assert_eq!(text.matches("a line").count(), 100);
    assert!(!text.contains("\"spans\""), "a span is told: {text}");
    let traces = exporter.traces();
    tokio::spawn(exporter.run(|| Arc::from("")));
    assert!(traces.finish(LONG).await);
    assert_eq!(traces.exported(), 101);
}
