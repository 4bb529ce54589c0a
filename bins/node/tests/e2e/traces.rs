//! Traces of real nodes, as a collector gets them: one trace from a client by way of two nodes to
//! the origin, whose decision counts, and nodes whose collector is down.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode as Status};
use prost::Message as _;
use reqwest::Method;
use tokio::net::TcpListener;

use crate::support::{Client, Cluster, Node, Setup, loopback, until};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENT: &str = "00f067aa0ba902b7";

/// What a request says of its trace.
fn traceparent(sampled: bool) -> String {
    format!("00-{TRACE}-{CLIENT}-{:02x}", u8::from(sampled))
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind((loopback(), 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    addr
}

/// A span, and the node that has sent it.
#[derive(Debug, Clone)]
struct Sent {
    node: String,
    span: Span,
}

impl Sent {
    fn attribute(&self, name: &str) -> String {
        value(&self.span.attributes, name)
    }
}

/// An attribute as text; empty where there is none.
fn value(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == name);
    let value = found.and_then(|attribute| attribute.value.clone()?.value);
    match value {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

/// Keeps all spans that it is sent.
struct Collector {
    addr: SocketAddr,
    spans: Arc<Mutex<Vec<Sent>>>,
}

impl Collector {
    async fn start() -> Self {
        let spans = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&spans);
        let app = Router::new().fallback(async move |uri: Uri, body: Bytes| {
            assert_eq!(uri.path(), "/v1/traces");
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            for of_node in request.resource_spans {
                let resource = of_node.resource.unwrap_or_default().attributes;
                assert_eq!(value(&resource, "service.name"), "gaggle");
                let version = value(&resource, "service.version");
                assert_eq!(version, env!("CARGO_PKG_VERSION"));
                let node = value(&resource, "service.instance.id");
                let spans = of_node
                    .scope_spans
                    .into_iter()
                    .flat_map(|scope| scope.spans);
                kept.lock().unwrap().extend(spans.map(|span| Sent {
                    node: node.clone(),
                    span,
                }));
            }
        });
        let addr = serve(app).await;
        Self { addr, spans }
    }

    /// The table of a node that traces so.
    fn table(&self, lines: &str) -> String {
        format!("[tracing]\nendpoint = \"http://{}\"\n{lines}\n", self.addr)
    }

    fn spans(&self) -> Vec<Sent> {
        self.spans.lock().unwrap().clone()
    }

    /// The spans of the client's trace.
    fn of_the_client(&self) -> Vec<Sent> {
        let mut spans = self.spans();
        spans.retain(|sent| hex(&sent.span.trace_id) == TRACE);
        spans
    }

    /// The span of that name below another one, in the client's trace, once it is there.
    async fn child(&self, name: &str, parent: &str) -> Sent {
        let mut found = None;
        until(name, async || {
            let mut spans = self.of_the_client().into_iter();
            found = spans
                .find(|sent| sent.span.name == name && hex(&sent.span.parent_span_id) == parent);
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    /// The same for so many spans.
    async fn children(&self, name: &str, parent: &str, count: usize) -> Vec<Sent> {
        let mut found = Vec::new();
        until(name, async || {
            found = self.of_the_client();
            found.retain(|sent| sent.span.name == name && hex(&sent.span.parent_span_id) == parent);
            found.len() == count
        })
        .await;
        found
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn id(sent: &Sent) -> String {
    hex(&sent.span.span_id)
}

/// An origin that notes the traces which it is asked in, by key.
struct Origin {
    addr: SocketAddr,
    traces: Arc<Mutex<HashMap<String, String>>>,
}

impl Origin {
    async fn start() -> Self {
        let traces = Arc::new(Mutex::new(HashMap::new()));
        let noted = Arc::clone(&traces);
        let app = Router::new().fallback(async move |uri: Uri, headers: HeaderMap| {
            let key = uri.path().trim_start_matches('/').to_owned();
            let trace = headers.get("traceparent").map(|it| it.to_str().unwrap());
            let trace = trace.unwrap_or_default().to_owned();
            let fails = key.starts_with("fails");
            noted.lock().unwrap().insert(key, trace);
            if fails {
                StatusCode::INTERNAL_SERVER_ERROR
            } else {
                StatusCode::OK
            }
        });
        Self {
            addr: serve(app).await,
            traces,
        }
    }

    fn table(&self) -> String {
        format!("kind = \"http\"\nurl = \"http://{}/{{key}}\"", self.addr)
    }

    fn trace_of(&self, key: &str) -> String {
        self.traces.lock().unwrap()[key].clone()
    }
}

/// The status of a request with that header.
async fn send(method: Method, addr: SocketAddr, path: &str, traceparent: &str, body: &str) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.request(method, format!("http://{addr}{path}"));
    let request = request.header("traceparent", traceparent);
    let answer = request.body(body.to_owned()).send().await.unwrap();
    answer.status().as_u16()
}

fn setup(origin: &Origin, tracing: String) -> Setup {
    Setup {
        origin: origin.table(),
        tables: tracing,
        ..Setup::default()
    }
}

/// A key of another node than the first, and that node's place.
async fn key_of_another(cluster: &Cluster, client: &Client) -> (String, usize) {
    for n in 0..100 {
        let key = format!("secret{n}");
        let owner = cluster.owner(client, key.as_bytes()).await;
        if owner != 0 {
            return (key, owner);
        }
    }
    panic!("one node owns all keys");
}

async fn one_trace(transport: &str) {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    // The client decides: without its word nothing would be recorded.
    let tracing = "follow-parents = true\nsample = 0.0\ninterval = \"20ms\"";
    let setup = setup(&origin, collector.table(tracing));
    let setup = setup.cluster(&format!("transport = \"{transport}\""));
    let cluster = Cluster::start(3, &setup).await;
    let client = Client::new();
    for node in &cluster.nodes {
        node.process.logged("the node is ready").await;
    }
    let (key, owner) = key_of_another(&cluster, &client).await;
    let (asked, owner) = (&cluster.nodes[0], &cluster.nodes[owner]);
    let path = format!("/v1/scores/{key}");
    let status = send(Method::GET, asked.api, &path, &traceparent(true), "").await;
    assert_eq!(status, 200);

    let get = collector.child("GET /v1/{group}/{key}", CLIENT).await;
    let fetch = collector.child("fetch", &id(&get)).await;
    let serve = collector.child("serve", &id(&fetch)).await;
    let load = collector.child("load", &id(&serve)).await;
    let at_origin = collector.child("origin", &id(&load)).await;
    for (sent, node, kind) in [
        (&get, asked, SpanKind::Server),
        (&fetch, asked, SpanKind::Client),
        (&serve, owner, SpanKind::Server),
        (&load, owner, SpanKind::Internal),
        (&at_origin, owner, SpanKind::Client),
    ] {
        assert_eq!(sent.node, node.ring_name(), "{sent:?}");
        assert_eq!(sent.span.kind, kind as i32, "{sent:?}");
    }
    for (name, expected) in [
        ("http.request.method", "GET"),
        ("http.route", "/v1/{group}/{key}"),
        ("http.response.status_code", "200"),
        ("group", "scores"),
    ] {
        assert_eq!(get.attribute(name), expected, "{name}");
    }
    // The origin sees the same trace, with the span of its own work as the parent.
    let seen = origin.trace_of(&key);
    assert_eq!(seen, format!("00-{TRACE}-{}-01", id(&at_origin)));
    // The pages of both nodes have the load as an example.
    for (node, source) in [(asked, "peer"), (owner, "origin")] {
        let exemplar = format!("source=\"{source}\"}} 1 # {{trace_id=\"{TRACE}\"}} ");
        let page = client.get(node.admin, "/metrics").await.text();
        let mut lines = page.lines();
        let of_it = |line: &str| {
            line.starts_with("gaggle_load_seconds_bucket{") && line.contains(&exemplar)
        };
        assert!(lines.any(of_it), "{page}");
    }

    // A hit makes no span, and neither does a client that does not want one.
    send(Method::GET, owner.api, &path, &traceparent(true), "").await;
    send(
        Method::GET,
        asked.api,
        "/v1/scores/other",
        &traceparent(false),
        "",
    )
    .await;
    // The keys of a batch go on with its trace.
    let (keys, batch) = (format!("{{\"keys\":[\"{key}-2\"]}}"), "POST /v1/{group}");
    send(
        Method::POST,
        asked.api,
        "/v1/scores",
        &traceparent(true),
        &keys,
    )
    .await;
    collector.child(batch, CLIENT).await;
    let of_gets = collector.of_the_client().into_iter();
    let of_gets = of_gets.filter(|sent| sent.span.name == get.span.name);
    assert_eq!(of_gets.count(), 1);
    let told = format!("{:?}", collector.spans());
    assert!(!told.contains("secret"), "a key: {told}");
}

#[tokio::test]
async fn one_trace_goes_from_the_client_by_way_of_two_nodes_to_the_origin() {
    one_trace("http").await;
}

#[tokio::test]
async fn one_trace_goes_on_over_grpc_as_well() {
    one_trace("grpc").await;
}

async fn a_removal_in_one_trace(transport: &str) {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let tracing = "follow-parents = true\nsample = 0.0\ninterval = \"20ms\"";
    let setup = setup(&origin, collector.table(tracing));
    let setup = setup.cluster(&format!("transport = \"{transport}\""));
    let cluster = Cluster::start(3, &setup).await;
    let client = Client::new();
    for node in &cluster.nodes {
        node.process.logged("the node is ready").await;
    }
    let (key, owner) = key_of_another(&cluster, &client).await;
    let (asked, owner) = (&cluster.nodes[0], &cluster.nodes[owner]);
    let (of_key, sampled) = (format!("/v1/scores/{key}"), traceparent(true));
    let put = send(Method::PUT, asked.admin, &of_key, &sampled, "630").await;
    assert_eq!(put, 200);
    let put = collector.child("PUT /v1/{group}/{key}", CLIENT).await;
    let given = collector.child("put", &id(&put)).await;
    let accepted = collector.child("accept", &id(&given)).await;
    assert_eq!(given.attribute("peer"), owner.ring_name());
    assert_eq!(accepted.node, owner.ring_name());

    let keys = format!("{{\"keys\":[\"{key}\",\"secret\"]}}");
    let several = "/v1/scores/remove".to_owned();
    let mut traced = vec![put];
    for (method, path, body, name) in [
        (
            Method::DELETE,
            of_key,
            String::new(),
            "DELETE /v1/{group}/{key}",
        ),
        (Method::POST, several, keys, "POST /v1/{group}/remove"),
        (
            Method::DELETE,
            "/v1/scores".to_owned(),
            String::new(),
            "DELETE /v1/{group}",
        ),
    ] {
        let removed = send(method, asked.admin, &path, &sampled, &body).await;
        assert_eq!(removed, 200, "{name}");
        traced.push(collector.child(name, CLIENT).await);
    }
    for write in &traced {
        let mut expected: Vec<_> = cluster.nodes.iter().map(Node::ring_name).collect();
        // The node that was asked removes without a request, and so does the owner of a value
        // that was put.
        let is_put = write.span.name == "PUT /v1/{group}/{key}";
        expected
            .retain(|name| *name != asked.ring_name() && !(is_put && *name == owner.ring_name()));
        expected.sort();
        let told = collector
            .children("remove", &id(write), expected.len())
            .await;
        let mut applied = Vec::new();
        for told in told {
            assert_eq!(told.node, asked.ring_name());
            let apply = collector.child("apply", &id(&told)).await;
            assert_eq!(apply.node, told.attribute("peer"));
            applied.push(apply.node);
        }
        applied.sort();
        assert_eq!(applied, expected, "{}", write.span.name);
    }
    let told = format!("{:?}", collector.spans());
    assert!(!told.contains("secret"), "a key: {told}");
}

#[tokio::test]
async fn one_trace_shows_a_removal_reach_every_node() {
    a_removal_in_one_trace("http").await;
}

#[tokio::test]
async fn one_trace_shows_a_removal_reach_every_node_over_grpc() {
    a_removal_in_one_trace("grpc").await;
}

#[tokio::test]
async fn the_node_decides_for_clients_it_does_not_trust_and_sends_its_last_spans_at_the_end() {
    let (collector, origin) = (Collector::start().await, Origin::start().await);
    let tracing = collector.table("sample = 1.0\ninterval = \"1h\"");
    let mut setup = setup(&origin, tracing);
    setup.node = "drain-timeout = \"2s\"".to_owned();
    let mut cluster = Cluster::start(1, &setup).await;
    let node = &mut cluster.nodes[0];
    node.process.logged("the node is ready").await;
    let (api, admin) = (node.api, node.admin);
    let unsampled = traceparent(false);
    let sent = send(
        Method::GET,
        api,
        "/api?key=Tom&group=scores",
        &unsampled,
        "",
    )
    .await;
    assert_eq!(sent, 200);
    assert_eq!(
        send(Method::GET, api, "/v1/scores/fails", &unsampled, "").await,
        502
    );
    assert_eq!(
        send(Method::PUT, admin, "/v1/scores/put", &unsampled, "630").await,
        200
    );
    assert_eq!(
        send(Method::DELETE, admin, "/v1/scores/put", &unsampled, "").await,
        200
    );
    // What cannot be read begins a trace, and is no reason to refuse the get.
    for (n, bad) in ["", "00-1-2-3", &traceparent(true).to_uppercase()]
        .iter()
        .enumerate()
    {
        let path = format!("/v1/scores/bad{n}");
        assert_eq!(send(Method::GET, api, &path, bad, "").await, 200);
    }
    node.process.signal("TERM");
    assert!(node.process.ended().await.success());

    let (traced, all) = (collector.of_the_client(), collector.spans());
    let mut names: Vec<_> = traced.iter().map(|sent| &*sent.span.name).collect();
    names.sort_unstable();
    let expected = [
        "DELETE /v1/{group}/{key}",
        "GET /api",
        "GET /v1/{group}/{key}",
        "PUT /v1/{group}/{key}",
        "load",
        "load",
        "origin",
        "origin",
    ];
    assert_eq!(names, expected, "{all:#?}");
    let others = all
        .iter()
        .filter(|sent| sent.span.parent_span_id.is_empty());
    assert_eq!(others.count(), 3, "{all:#?}");
    let failed = |name: &str| {
        let mut spans = traced.iter().filter(|sent| sent.span.name == name);
        let failed = |sent: &&Sent| {
            let status = sent.span.status.clone().unwrap_or_default();
            status.code == i32::from(Status::Error)
        };
        spans.find(failed).unwrap().attribute("error.type")
    };
    assert_eq!(failed("GET /v1/{group}/{key}"), "502");
    assert_eq!(failed("origin"), "500");
}

#[tokio::test]
async fn a_collector_that_is_down_or_hangs_costs_spans_and_no_more() {
    let origin = Origin::start().await;
    // One that nobody listens on, and one where connections are never taken.
    let gone = TcpListener::bind((loopback(), 0)).await.unwrap();
    let down = gone.local_addr().unwrap();
    drop(gone);
    let hanging = TcpListener::bind((loopback(), 0)).await.unwrap();
    for addr in [down, hanging.local_addr().unwrap()] {
        let tracing = format!(
            "[tracing]\nendpoint = \"http://{addr}\"\nsample = 1.0\nmax-queue = 4\nmax-batch = 4\n"
        );
        let mut setup = setup(&origin, tracing);
        setup.node = "drain-timeout = \"3s\"".to_owned();
        let mut cluster = Cluster::start(1, &setup).await;
        let client = Client::new();
        for n in 0..50 {
            let answer = client
                .key(&cluster.nodes[0], format!("key{n}").as_bytes())
                .await;
            assert_eq!(answer.status, 200);
        }
        let name = "gaggle_trace_spans_dropped_total";
        let dropped = client
            .metric(&cluster.nodes[0], name, &["queue_full"])
            .await;
        assert!(dropped > 0, "the queue is bounded");
        let process = &mut cluster.nodes[0].process;
        process.signal("TERM");
        assert!(process.ended().await.success());
        assert!(!process.has_logged("stopping takes too long: requests under way are cut"));
        assert!(process.lines_with("key1") == 0, "a key is in the log");
    }
}
