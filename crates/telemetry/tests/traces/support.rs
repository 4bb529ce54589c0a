//! What is recorded, and two nodes of which one asks the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use axum::extract::Request;
use axum::http::Method;
use axum::middleware::{Next, from_fn};
use gaggle_group::{
    Group, GroupBuilder, Groups, Member, Peer, PeerRequests, Route, Router, SPAN_TARGET,
};
use gaggle_telemetry::OpenTelemetry;
use gaggle_transport_http::{ClientOptions, HttpTransport, ServerOptions, router};
use opentelemetry::trace::{SpanId, TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tokio::net::TcpListener;
use tokio::task::yield_now;
use tokio::time::timeout;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, registry};

/// Longer than anything here takes; what hangs fails.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Everything that this thread traces, for as long as this is there.
pub(crate) struct Traces {
    exporter: InMemorySpanExporter,
    _provider: SdkTracerProvider,
    _guard: DefaultGuard,
}

impl Traces {
    pub(crate) fn record() -> Self {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let only = EnvFilter::new(format!("info,{SPAN_TARGET}=debug"));
        Self {
            exporter,
            _provider: provider,
            _guard: registry().with(layer.with_filter(only)).set_default(),
        }
    }

    pub(crate) fn spans(&self) -> Spans {
        Spans(self.exporter.get_finished_spans().unwrap())
    }

    /// Once so many spans of these names have ended.
    pub(crate) async fn ended(&self, expected: &[(&str, usize)]) -> Spans {
        let all = async {
            loop {
                let spans = self.spans();
                if expected
                    .iter()
                    .all(|(name, count)| spans.all(name).len() >= *count)
                {
                    return spans;
                }
                yield_now().await;
            }
        };
        let ended = timeout(LONG, all).await;
        ended.unwrap_or_else(|_| panic!("{expected:?} in {:#?}", self.spans().0))
    }
}

pub(crate) struct Spans(pub(crate) Vec<SpanData>);

impl Spans {
    pub(crate) fn all(&self, name: &str) -> Vec<&SpanData> {
        self.0.iter().filter(|span| span.name == name).collect()
    }

    pub(crate) fn one(&self, name: &str) -> &SpanData {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name} in {:#?}", self.0);
        all[0]
    }
}

pub(crate) fn id(span: &SpanData) -> SpanId {
    span.span_context.span_id()
}

pub(crate) fn is_child(span: &SpanData, parent: &SpanData) -> bool {
    span.parent_span_id == id(parent)
        && span.span_context.trace_id() == parent.span_context.trace_id()
}

pub(crate) fn links(span: &SpanData) -> Vec<SpanId> {
    let links = span.links.iter();
    links.map(|link| link.span_context.span_id()).collect()
}

pub(crate) fn events(span: &SpanData) -> Vec<&str> {
    span.events.iter().map(|event| &*event.name).collect()
}

/// The node that owns all keys, and the one that asks it.
pub(crate) struct Nodes {
    pub(crate) asker: Group,
    pub(crate) owner: Group,
    /// Gets by requests of their own, and batches, that have reached the owner.
    pub(crate) alone: Arc<AtomicUsize>,
    pub(crate) batches: Arc<AtomicUsize>,
}

impl Nodes {
    pub(crate) async fn start(group: impl Fn() -> GroupBuilder) -> Self {
        let group = || group().propagation(Arc::new(OpenTelemetry));
        let owner = group().build().unwrap();
        let (alone, batches) = (Arc::default(), Arc::default());
        let counts: [Arc<AtomicUsize>; 2] = [Arc::clone(&alone), Arc::clone(&batches)];
        let app = router(
            Groups::new([owner.clone()]).unwrap(),
            ServerOptions::default(),
        );
        let app = app.layer(from_fn(move |request: Request, next: Next| {
            let is_batch = usize::from(request.method() == Method::POST);
            counts[is_batch].fetch_add(1, SeqCst);
            next.run(request)
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        let transport = HttpTransport::new(ClientOptions::default()).unwrap();
        let peer = transport.peer(&format!("http://{address}")).unwrap();
        let asker = group().router(Arc::new(AllTheirs(peer))).build().unwrap();
        Self {
            asker,
            owner,
            alone,
            batches,
        }
    }
}

/// Takes every key for the other node's.
struct AllTheirs(Arc<dyn Peer>);

impl Router for AllTheirs {
    fn route(&self, _key: &[u8]) -> Route {
        Route::Theirs(self.0.clone())
    }

    fn owner(&self, _key: &[u8]) -> Member {
        Member {
            address: "".into(),
            name: self.0.name().into(),
            is_self: false,
            up: true,
            requests: PeerRequests::default(),
        }
    }

    fn members(&self) -> Vec<Member> {
        vec![self.owner(b"")]
    }

    fn peers(&self) -> Vec<Arc<dyn Peer>> {
        vec![self.0.clone()]
    }

    fn digest(&self) -> String {
        String::new()
    }
}

/// Once it holds.
pub(crate) async fn until(what: impl Fn() -> bool) {
    let holds = async {
        while !what() {
            yield_now().await;
        }
    };
    timeout(LONG, holds).await.expect("it comes to hold");
}
