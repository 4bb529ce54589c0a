//! Every request has an answer of the right kind.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use bytes::Bytes;
use futures_util::StreamExt;
use gaggle_group::{ByteBudget, Group, Groups, Limits};
use gaggle_proto::peer::control_request::Request as Kind;
use gaggle_proto::peer::{
    self, BatchAnswer, BatchItem, BatchRequest, ControlRequest, HandOverRequest, HandedOver,
    HelloRequest, LeavingRequest, NewsRequest, PutRequest, RemoveRequest,
};
use http::{HeaderName, HeaderValue, Method, Uri};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::batch::{Frames, MAX_ITEMS};
use crate::hostile::{cases, corpus, nearly};

const BUDGET: u64 = 4 << 20;

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

/// A node with a group `g` whose values are their keys.
fn server() -> Arc<Server> {
    let limits = Limits {
        max_key: 100,
        max_value: 1_000,
        ..Limits::default()
    };
    let group = Group::builder("g")
        .limits(limits)
        .in_flight(ByteBudget::new(BUDGET, Duration::from_millis(1)))
        .origin_fn(|key: Bytes| async move { Ok::<_, std::io::Error>(Some(key)) })
        .build()
        .unwrap();
    Arc::new(Server {
        groups: Groups::new([group]).unwrap(),
        options: ServerOptions::default(),
    })
}

struct Answered {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// The answer to a request, read to its end. In any case, nothing stays reserved.
fn answered(
    method: &Method,
    target: &[u8],
    headers: &[(HeaderName, HeaderValue)],
    body: &[u8],
) -> Option<Answered> {
    // An invalid target is refused before it reaches this code.
    let uri = Uri::try_from(target).ok()?;
    let mut request = Request::new(Body::from(body.to_vec()));
    *request.method_mut() = method.clone();
    *request.uri_mut() = uri;
    request.headers_mut().extend(headers.iter().cloned());
    let server = server();
    let answered = runtime().block_on(async {
        let response = handle(State(Arc::clone(&server)), request).await;
        let (head, body) = response.into_parts();
        let mut chunks = body.into_data_stream();
        let mut body = Vec::new();
        while let Some(chunk) = chunks.next().await {
            body.extend_from_slice(&chunk.unwrap());
        }
        Answered {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        }
    });
    assert_eq!(budget(&server.groups).unwrap().used(), 0);
    Some(answered)
}

fn get(target: &[u8], headers: &[(HeaderName, HeaderValue)]) {
    for method in [Method::GET, Method::DELETE, Method::POST] {
        if let Some(answer) = answered(&method, target, headers, b"") {
            let expected = [200, 400, 404, 413, 414, 504];
            assert!(expected.contains(&answer.status), "{}", answer.status);
        }
    }
}

fn post(kind: &HeaderName, body: &[u8]) -> Answered {
    let headers = [(kind.clone(), headers::ONE)];
    answered(&Method::POST, b"/_groupcache/", &headers, body).unwrap()
}

fn batch(body: &[u8]) {
    let answer = post(&headers::BATCH, body);
    if answer.status != 200 {
        assert!([400, 413].contains(&answer.status), "{}", answer.status);
        return;
    }
    let items = BatchRequest::decode(body).unwrap().items.len();
    assert!(items <= MAX_ITEMS);
    let mut frames = Frames::new(1 << 20);
    frames.add(answer.body.into());
    let mut seen = vec![false; items];
    while let Some(message) = frames.next().unwrap() {
        let answer = BatchAnswer::decode(message).unwrap();
        assert!(answer.result.is_some());
        let seen = &mut seen[usize::try_from(answer.index).unwrap()];
        assert!(!std::mem::replace(seen, true), "one answer for each");
    }
    assert!(frames.is_between() && seen.iter().all(|seen| *seen));
}

fn control(body: &[u8]) {
    let answer = post(&headers::CONTROL, body);
    assert!(answer.headers.contains_key(headers::CONTROL));
    let expected = [200, 400, 404, 413, 414];
    assert!(expected.contains(&answer.status), "{}", answer.status);
}

fn item(group: &str, key: &str) -> BatchItem {
    BatchItem {
        group: group.into(),
        key: Bytes::copy_from_slice(key.as_bytes()),
        max_value: Some(9),
        deadline_ms: Some(100),
        removals: vec![id()],
        kept_only: key == "kept",
        traceparent: match key {
            "Tom" => "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into(),
            _ => Bytes::new(),
        },
    }
}

fn id() -> peer::RemovalId {
    peer::RemovalId {
        issuer: 7,
        number: 1,
    }
}

fn batches() -> Vec<Vec<u8>> {
    let items = [item("g", "Tom"), item("g", "kept"), item("nobody", "")];
    let batches = [&items[..], &items[..1], &[]];
    let batches = batches.map(|items| BatchRequest {
        items: items.to_vec(),
    });
    batches.iter().map(Message::encode_to_vec).collect()
}

fn controls() -> Vec<Vec<u8>> {
    let entry = Some(peer::Entry {
        value: Some("630".into()),
        ttl_ms: Some(5),
        ..peer::Entry::default()
    });
    let group = || "g".to_owned();
    let instance = Some(peer::Instance {
        started_ms: 1,
        id: 2,
    });
    let requests = [
        Kind::Remove(RemoveRequest {
            group: group(),
            key: Bytes::new(),
            notice: Some(peer::Notice {
                id: Some(id()),
                keys: vec!["a".into(), "b".into()],
                all: false,
            }),
        }),
        Kind::Put(PutRequest {
            group: group(),
            key: "Tom".into(),
            id: Some(id()),
            entry: entry.clone(),
        }),
        Kind::News(NewsRequest {
            group: group(),
            known: vec![id()],
            follower: "http://node".into(),
        }),
        Kind::HandOver(HandOverRequest {
            group: group(),
            entries: vec![HandedOver {
                key: "Tom".into(),
                entry,
            }],
            known: vec![id()],
        }),
        Kind::Leaving(LeavingRequest {
            node: "node:80".into(),
            gone_within_ms: Some(5),
            instance,
            number: 3,
        }),
        Kind::Hello(HelloRequest {
            hello: Some(peer::Hello {
                instance,
                name: "node:80".into(),
                groups: vec!["g".into()],
                ..peer::Hello::default()
            }),
        }),
    ];
    let requests = requests.map(|request| ControlRequest {
        request: Some(request),
    });
    requests.iter().map(Message::encode_to_vec).collect()
}

#[test]
fn the_corpus_is_answered() {
    for (name, input) in corpus("target") {
        println!("{name}");
        get(input.trim_ascii_end(), &[]);
    }
    for (name, input) in corpus("batch-request") {
        println!("{name}");
        batch(&input);
    }
    for (name, input) in corpus("control-request") {
        println!("{name}");
        control(&input);
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_target_is_answered(rest in vec(any::<u8>(), 0..80), below in any::<bool>()) {
        let base = if below { &b"/_groupcache/g/"[..] } else { b"/" };
        get(&[base, &rest].concat(), &[]);
    }

    #[test]
    fn escapes_are_read_or_refused(key in "[%+/.a-f0-9g]{0,40}", group in "[%a-g.]{0,3}") {
        get(format!("/_groupcache/{group}/{key}").as_bytes(), &[]);
    }

    #[test]
    fn any_header_is_read_or_refused(
        which in 0_usize..7,
        value in prop_oneof![vec(any::<u8>(), 0..60), "[0-9a-f -]{0,60}".prop_map(String::into_bytes)],
    ) {
        let names = [
            headers::DEADLINE_MS,
            headers::MAX_VALUE,
            headers::KEY,
            headers::REMOVALS,
            headers::REMOVAL,
            headers::KEPT,
            headers::FORWARDED,
        ];
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            let header = [(names[which].clone(), value)];
            get(b"/_groupcache/g/Tom", &header);
            get(b"/_groupcache/g", &header);
        }
    }

    #[test]
    fn any_batch_is_answered(body in nearly(batches())) {
        batch(&body);
    }

    #[test]
    fn any_control_request_is_answered(body in nearly(controls())) {
        control(&body);
    }
}
