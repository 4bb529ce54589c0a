//! Traces of OpenTelemetry, from a client by way of two nodes to the origin. Each test has a
//! thread of its own, and all that runs in it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{
    Entry, Error, Group, Hop, Limits, Load, Loaded, Origin, OriginError, Serve, TraceParent,
    async_trait,
};
use gaggle_telemetry::OpenTelemetry;
use opentelemetry::Value;
use opentelemetry::trace::{SpanId, SpanKind, Status, TraceId};
use tokio::sync::watch;
use tracing::{Instrument, info, info_span};

use crate::support::{Nodes, Traces, events, id, is_child, links, until};

/// Loads each key once the gate is open, and tells of it before and after.
fn gated(open: &watch::Sender<bool>) -> impl Fn() -> gaggle_group::GroupBuilder + use<> {
    let open = open.clone();
    move || {
        let open = open.clone();
        Group::builder("scores").origin_fn(move |key: Bytes| {
            let mut open = open.subscribe();
            async move {
                info!("asking the disk");
                open.wait_for(|open| *open)
                    .await
                    .map_err(io::Error::other)?;
                info!("the disk has answered");
                Ok::<_, io::Error>(Some(key))
            }
        })
    }
}

#[tokio::test]
async fn a_trace_goes_from_the_client_to_the_origin_and_waiters_are_linked() {
    let traces = Traces::record();
    let gate = watch::Sender::new(false);
    let nodes = Nodes::start(gated(&gate)).await;
    let get = |group: &Group, span| {
        let group = group.clone();
        tokio::spawn(async move { group.get("secret").await }.instrument(span))
    };
    let client = get(&nodes.asker, info_span!("client"));
    until(|| nodes.owner.stats().loads_in_flight == 1).await;
    let second = get(&nodes.asker, info_span!("second"));
    let local = get(&nodes.owner, info_span!("local"));
    until(|| nodes.asker.stats().collapsed + nodes.owner.stats().collapsed == 2).await;
    gate.send_replace(true);
    for got in [client, second, local] {
        assert_eq!(got.await.unwrap().unwrap(), "secret");
    }

    let names = [
        "client", "second", "local", "fetch", "serve", "load", "origin",
    ];
    let spans = traces.ended(&names.map(|name| (name, 1))).await;
    let [client, second, local, fetch, serve, load, origin] = names.map(|name| spans.one(name));
    assert!(is_child(fetch, client));
    assert!(is_child(serve, fetch) && serve.parent_span_is_remote);
    assert!(is_child(load, serve));
    assert!(is_child(origin, load));
    let kinds = [&fetch.span_kind, &serve.span_kind];
    assert_eq!(kinds, [&SpanKind::Client, &SpanKind::Server]);
    assert_eq!(events(origin), ["asking the disk", "the disk has answered"]);

    // Those who have joined a flight are in traces of their own, which lead there.
    assert_eq!(links(second), [id(fetch)]);
    assert_eq!(links(local), [id(load)]);
    let ids = [client, second, local].map(|span| span.span_context.trace_id());
    assert_eq!(HashSet::from(ids).len(), 3);
    assert!(links(client).is_empty());

    let told = format!("{:?}", spans.0);
    assert!(told.contains("scores"), "the group's name");
    assert!(!told.contains("secret"), "the key");

    // Both nodes have an example of a load in the client's trace.
    let trace = client.span_context.trace_id().to_bytes();
    for exemplars in [
        nodes.asker.stats().peer.exemplars,
        nodes.owner.stats().origin.exemplars,
    ] {
        assert_eq!(exemplars.len(), 1);
        assert_eq!(exemplars[0].trace_id, trace);
    }

    // A hit has no span.
    assert_eq!(nodes.owner.get("secret").await.unwrap(), "secret");
    let hit = Serve::new(b"secret", Hop::Forwarded);
    let parent = TraceParent::new([1; 16], [1; 8], 1);
    nodes.owner.serve(hit.traced(parent)).await.unwrap();
    assert_eq!(traces.spans().0.len(), names.len());
}

#[tokio::test]
async fn a_removal_and_a_put_take_their_trace_to_the_other_node() {
    let traces = Traces::record();
    let nodes = Nodes::start(gated(&watch::Sender::new(true))).await;
    let asker = &nodes.asker;
    let one = asker.remove("secret").instrument(info_span!("one"));
    assert!(one.await.missed.is_empty());
    let many = asker.remove_many(&["secret", "other"]);
    assert!(many.instrument(info_span!("many")).await.missed.is_empty());
    let all = asker.remove_group().instrument(info_span!("all"));
    assert!(all.await.missed.is_empty());
    let value = Entry::value("630");
    let put = asker.put("secret", value).instrument(info_span!("given"));
    assert!(put.await.unwrap().missed.is_empty());
    // Nothing that is traced has caused it.
    assert!(asker.remove("alone").await.missed.is_empty());

    let names = [("remove", 3), ("apply", 3), ("put", 1), ("accept", 1)];
    let spans = traces.ended(&names).await;
    assert_eq!(spans.0.len(), 8 + 4, "{:#?}", spans.0);
    for (cause, keys) in [("one", Some(1)), ("many", Some(2)), ("all", None)] {
        let cause = spans.one(cause);
        let mut told = spans.all("remove").into_iter();
        let told = told.find(|told| is_child(told, cause)).unwrap();
        let applied = spans.all("apply").into_iter();
        let applied: Vec<_> = applied.filter(|span| is_child(span, told)).collect();
        assert_eq!(applied.len(), 1);
        assert!(applied[0].parent_span_is_remote);
        assert_eq!(
            [&told.span_kind, &applied[0].span_kind],
            [&SpanKind::Client, &SpanKind::Server]
        );
        for span in [told, applied[0]] {
            let of_keys = span.attributes.iter().find(|it| it.key.as_str() == "keys");
            assert_eq!(of_keys.map(|it| it.value.clone()), keys.map(Value::I64));
        }
    }
    let (put, accept) = (spans.one("put"), spans.one("accept"));
    assert!(is_child(put, spans.one("given")) && is_child(accept, put));
    assert!(!format!("{:?}", spans.0).contains("secret"), "a key");
}

#[tokio::test]
async fn a_peer_that_cannot_be_told_is_a_failure_in_the_trace() {
    let traces = Traces::record();
    let nodes = Nodes::start(gated(&watch::Sender::new(true))).await;
    // It has no such group.
    let other = Group::builder("other")
        .origin_fn(|key: Bytes| async move { Ok::<_, io::Error>(Some(key)) })
        .router(nodes.asker.router())
        .propagation(Arc::new(OpenTelemetry))
        .build()
        .unwrap();
    let removal = other.remove("secret").instrument(info_span!("client"));
    assert_eq!(removal.await.missed.len(), 1);
    let spans = traces.ended(&[("client", 1), ("remove", 1)]).await;
    let told = spans.one("remove");
    assert!(matches!(told.status, Status::Error { .. }), "{told:?}");
    let mut attributes = told.attributes.iter();
    let kind = attributes.find(|it| it.key.as_str() == "error.type");
    assert_eq!(kind.unwrap().value, Value::from("refused"));
    assert!(spans.all("apply").is_empty());
}

#[tokio::test]
async fn each_key_of_a_batch_keeps_its_trace() {
    const KEYS: usize = 20;
    let traces = Traces::record();
    let nodes = Nodes::start(gated(&watch::Sender::new(true))).await;
    // The first answer tells that the peer takes batches.
    let first = nodes.asker.get("first").instrument(info_span!("first"));
    first.await.unwrap();
    assert_eq!(traces.ended(&[("serve", 1)]).await.all("serve").len(), 1);

    let keys: Vec<_> = (0..KEYS).map(|n| n.to_string()).collect();
    let client = info_span!("client");
    let answers = nodes.asker.get_many(&keys).instrument(client).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(nodes.alone.load(SeqCst), 1);
    assert_eq!(nodes.batches.load(SeqCst), 1, "all of them in one request");

    let expected = ["fetch", "serve", "load", "origin"].map(|name| (name, 1 + KEYS));
    let spans = traces
        .ended(&[&expected[..], &[("client", 1)]].concat())
        .await;
    let client = spans.one("client");
    let children = |name: &str, parents: &[SpanId]| {
        let all = spans.all(name).into_iter();
        let of_them = all.filter(|span| {
            let is_of_trace = span.span_context.trace_id() == client.span_context.trace_id();
            is_of_trace && parents.contains(&span.parent_span_id)
        });
        let of_them: Vec<_> = of_them.collect();
        let parents: HashSet<_> = of_them.iter().map(|span| span.parent_span_id).collect();
        (
            parents.len(),
            of_them.into_iter().map(id).collect::<Vec<_>>(),
        )
    };
    let (parents, fetches) = children("fetch", &[id(client)]);
    assert_eq!((parents, fetches.len()), (1, KEYS));
    let mut above = fetches;
    for name in ["serve", "load", "origin"] {
        let (parents, spans) = children(name, &above);
        assert_eq!(
            (parents, spans.len()),
            (KEYS, KEYS),
            "{name}: each of its own"
        );
        above = spans;
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_origin_logs_after_its_load_was_given_up_stands_inside_of_its_span() {
    let traces = Traces::record();
    let gate = watch::Sender::new(false);
    let limits = Limits {
        load_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let group = gated(&gate)().limits(limits).build().unwrap();
    let late = group.get("key").instrument(info_span!("client")).await;
    assert!(matches!(late, Err(Error::Deadline { .. })));
    gate.send_replace(true);
    let spans = traces
        .ended(&[("client", 1), ("load", 1), ("origin", 1)])
        .await;
    let [client, load, origin] = ["client", "load", "origin"].map(|name| spans.one(name));
    assert!(is_child(load, client) && is_child(origin, load));
    assert_eq!(events(origin), ["asking the disk", "the disk has answered"]);
    assert_eq!(events(load), ["the origin did not answer in time"]);
}

/// Takes all keys at once.
struct Together;

#[async_trait]
impl Origin for Together {
    async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError> {
        Ok(Loaded::from(load.key.clone()))
    }

    fn max_batch(&self) -> usize {
        10
    }

    async fn load_many(&self, loads: &[Load<'_>]) -> Vec<Result<Loaded, OriginError>> {
        info!(keys = loads.len(), "all at once");
        let loads = loads.iter();
        loads.map(|load| Ok(load.key.clone().into())).collect()
    }
}

#[tokio::test]
async fn loads_that_ask_the_origin_together_are_linked() {
    let traces = Traces::record();
    let group = Group::builder("scores").origin(Together).build().unwrap();
    let many = group.get_many(&["a", "b", "c"]);
    let answers = many.instrument(info_span!("client")).await;
    assert!(answers.iter().all(Result::is_ok));
    let expected = [("client", 1), ("load", 3), ("origin", 1)];
    let spans = traces.ended(&expected).await;
    let (origin, loads) = (spans.one("origin"), spans.all("load"));
    assert_eq!(events(origin), ["all at once"]);
    assert!(loads.iter().all(|load| is_child(load, spans.one("client"))));
    let (leaders, others): (Vec<_>, Vec<_>) =
        loads.into_iter().partition(|load| is_child(origin, load));
    let [leader] = leaders[..] else {
        panic!("one of the loads asks")
    };
    let linked: HashSet<_> = links(leader).into_iter().collect();
    assert_eq!(linked, others.iter().map(|load| id(load)).collect());
    for other in others {
        assert_eq!(links(other), [id(leader)]);
    }
}

#[tokio::test]
async fn a_request_without_a_trace_begins_one_and_one_with_a_trace_goes_on() {
    let traces = Traces::record();
    let group = Group::builder("scores")
        .origin_fn(|key: Bytes| async move { Ok::<_, io::Error>(Some(key)) })
        .propagation(Arc::new(OpenTelemetry))
        .build()
        .unwrap();
    let parent: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        .parse()
        .unwrap();
    let with = Serve::new(b"with", Hop::Forwarded).traced(Some(parent));
    group.serve(with).await.unwrap();
    let spans = traces.ended(&[("serve", 1), ("load", 1)]).await;
    let serve = spans.one("serve");
    let trace = serve.span_context.trace_id();
    assert_eq!(trace, TraceId::from_bytes(parent.trace_id()));
    assert_eq!(serve.parent_span_id, SpanId::from_bytes(parent.parent_id()));
    group
        .serve(Serve::new(b"without", Hop::Forwarded))
        .await
        .unwrap();
    let spans = traces.ended(&[("serve", 2), ("load", 2)]).await;
    let without = spans.all("serve")[1];
    assert_eq!(without.parent_span_id, SpanId::INVALID);
    assert_ne!(without.span_context.trace_id(), trace);
}
