//! Every message is read, or is a failure of the right kind.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{ByteBudget, Group, Groups, Limits, PeerError};
use gaggle_proto::notices;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;
use tokio::runtime::Builder;
use tonic::{Code, Request, Status};

use crate::ServerOptions;
use crate::client::outcome::fetched;
use crate::codec::{Bounds, decode};
use crate::server::Served;
use crate::wire::peers_server::Peers;
use crate::wire::{
    self, Entry, GetRequest, GetResponse, HandOverRequest, HandedOver, HelloRequest,
    LeavingRequest, NewsRequest, NewsResponse, Notice, PutRequest, RemovalId, RemoveRequest, Value,
    get_response::Result as Outcome,
};

/// As many cases as `PROPTEST_CASES` says. Failures belong in the corpus, so no other record of
/// them is kept.
fn cases() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let files = std::fs::read_dir(folder).unwrap().map(|file| {
        let file = file.unwrap();
        let name = file.file_name().to_string_lossy().into_owned();
        (name, std::fs::read(file.path()).unwrap())
    });
    files.collect()
}

/// Any bytes, or one of these messages with a few bytes changed and perhaps its end cut off.
fn nearly(messages: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changed = (
        proptest::sample::select(messages),
        vec(any::<(Index, u8)>(), 0..4),
        proptest::option::of(any::<Index>()),
    );
    let changed = changed.prop_map(|(mut message, changes, cut)| {
        for (at, byte) in changes {
            if !message.is_empty() {
                let at = at.index(message.len());
                message[at] = byte;
            }
        }
        if let Some(cut) = cut {
            message.truncate(cut.index(message.len() + 1));
        }
        message
    });
    prop_oneof![1 => vec(any::<u8>(), 0..600), 3 => changed]
}

fn read<T: Message + Default + Bounds>(bytes: &[u8]) -> Option<T> {
    match decode(Bytes::copy_from_slice(bytes)) {
        Ok(message) => Some(message),
        Err(status) => {
            let expected = [Code::Internal, Code::InvalidArgument, Code::OutOfRange];
            assert!(expected.contains(&status.code()), "{status}");
            None
        }
    }
}

/// Sends a node every request that the bytes can be read as.
fn served(bytes: &[u8]) {
    let limits = Limits {
        max_key: 100,
        max_value: 1_000,
        ..Limits::default()
    };
    let group = Group::builder("g")
        .limits(limits)
        .in_flight(ByteBudget::new(4 << 20, Duration::from_millis(1)))
        .origin_fn(|key: Bytes| async move { Ok::<_, std::io::Error>(Some(key)) })
        .build()
        .unwrap();
    let served = Served::new(Groups::new([group]).unwrap(), ServerOptions::default());
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(async {
        if let Some(message) = read::<GetRequest>(bytes) {
            check(served.get(Request::new(message)).await);
        }
        if let Some(message) = read::<RemoveRequest>(bytes) {
            check(served.remove(Request::new(message)).await);
        }
        if let Some(message) = read::<PutRequest>(bytes) {
            check(served.put(Request::new(message)).await);
        }
        if let Some(message) = read::<NewsRequest>(bytes) {
            check(served.news(Request::new(message)).await);
        }
        if let Some(message) = read::<HandOverRequest>(bytes) {
            check(served.hand_over(Request::new(message)).await);
        }
        if let Some(message) = read::<LeavingRequest>(bytes) {
            check(served.leaving(Request::new(message)).await);
        }
        if let Some(message) = read::<HelloRequest>(bytes) {
            check(served.hello(Request::new(message)).await);
        }
    });
}

fn check<T>(answer: Result<T, Status>) {
    if let Err(status) = answer {
        let expected = [Code::NotFound, Code::InvalidArgument];
        assert!(expected.contains(&status.code()), "{status}");
    }
}

/// How an asker interprets an answer.
fn asked(bytes: &[u8]) {
    if let Some(message) = read::<GetResponse>(bytes) {
        match fetched(message, 100, &"http://peer".into()) {
            Ok(fetched) => assert!(fetched.entry.value.is_none_or(|value| value.len() <= 100)),
            Err(failure) => assert!(!matches!(failure, PeerError::Unavailable { .. })),
        }
    }
    if let Some(message) = read::<NewsResponse>(bytes)
        && let Ok(news) = notices::news(message)
    {
        assert!(news.followers.len() <= 256);
    }
}

fn requests() -> Vec<Vec<u8>> {
    let id = RemovalId {
        issuer: 7,
        number: 1,
    };
    let group = || "g".to_owned();
    let entry = Some(Entry {
        value: Some("630".into()),
        ttl_ms: Some(5),
        ..Entry::default()
    });
    let instance = Some(wire::Instance {
        started_ms: 1,
        id: 2,
    });
    vec![
        GetRequest {
            group: group(),
            key: "Tom".into(),
            max_value: Some(9),
            removals: vec![id],
            kept_only: false,
        }
        .encode_to_vec(),
        RemoveRequest {
            group: group(),
            key: Bytes::new(),
            notice: Some(Notice {
                id: Some(id),
                keys: vec!["a".into()],
                all: false,
            }),
        }
        .encode_to_vec(),
        PutRequest {
            group: group(),
            key: "Tom".into(),
            id: Some(id),
            entry: entry.clone(),
        }
        .encode_to_vec(),
        HandOverRequest {
            group: group(),
            entries: vec![HandedOver {
                key: "Tom".into(),
                entry,
            }],
            known: vec![id],
        }
        .encode_to_vec(),
        LeavingRequest {
            node: "node:80".into(),
            gone_within_ms: Some(5),
            instance,
            number: 3,
        }
        .encode_to_vec(),
        HelloRequest {
            hello: Some(wire::Hello {
                instance,
                name: "node:80".into(),
                groups: vec!["g".into()],
                ..wire::Hello::default()
            }),
        }
        .encode_to_vec(),
    ]
}

fn answers() -> Vec<Vec<u8>> {
    let value = Value {
        value: "630".into(),
        ttl_ms: Some(5),
        ..Value::default()
    };
    let results = [
        Outcome::Value(value),
        Outcome::NotFound(wire::NotFound::default()),
        Outcome::NotKept(wire::NotKept {}),
    ];
    let answers = results.map(|result| GetResponse {
        result: Some(result),
    });
    answers.iter().map(Message::encode_to_vec).collect()
}

#[test]
fn the_corpus_is_read() {
    for (name, input) in corpus("messages") {
        println!("{name}");
        served(&input);
        asked(&input);
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_request_is_answered(bytes in nearly(requests())) {
        served(&bytes);
    }

    #[test]
    fn any_answer_is_a_value_or_a_failure(bytes in nearly(answers())) {
        asked(&bytes);
    }
}
