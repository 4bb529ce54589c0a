//! Every answer is a value, or a failure of the right kind.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{Key, PeerError};
use gaggle_proto::peer::batch_answer::Result as Kind;
use gaggle_proto::peer::{self, BatchAnswer, NewsResponse, NotFound, NotKept, Value};
use gaggle_proto::terms::{absence, value as entry};
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::HttpTransport;
use super::asker::Asker;
use super::batch::Batch;
use super::queue::{Brought, Item};
use crate::batch::Frames;
use crate::bounds::read_news;
use crate::headers::Reported;
use crate::hostile::{cases, corpus, nearly};
use crate::{ClientOptions, Encoding, message, terms};

/// The largest value that is requested, in bytes.
const MAX_VALUE: u64 = 100;

/// The messages in a stream that arrives in these chunks, and whether it ends without an error.
fn framed(stream: &[u8], chunks: &[usize]) -> (Vec<Bytes>, bool) {
    let mut frames = Frames::new(1 << 20);
    let (mut messages, mut rest, mut at) = (Vec::new(), stream, 0);
    while !rest.is_empty() {
        let len = chunks.get(at % chunks.len().max(1)).copied().unwrap_or(7);
        let (chunk, behind) = rest.split_at(len.clamp(1, rest.len()));
        (rest, at) = (behind, at + 1);
        frames.add(Bytes::copy_from_slice(chunk));
        loop {
            match frames.next() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(_) => return (messages, false),
            }
        }
        // Room for the bytes that arrived, and for little more of the claimed length.
        assert!(frames.room() <= (64 << 10).max(2 * stream.len()) + 64);
    }
    let whole = frames.is_between();
    (messages, whole)
}

/// The results of a batch of three gets with a stream.
fn batch(stream: &[u8], chunks: &[usize]) {
    let transport = HttpTransport::new(ClientOptions::default()).unwrap();
    let asker = Arc::new(Asker::new(transport, "peer:80", "http://peer"));
    let until = Instant::now() + Duration::from_secs(1);
    let (items, answers): (Vec<_>, Vec<_>) = (0..3)
        .map(|n| {
            let (answer, receiver) = oneshot::channel();
            let item = Item {
                group: "g".into(),
                key: Key::from(format!("key-{n}")),
                max_value: MAX_VALUE,
                until,
                removals: Vec::new(),
                kept_only: false,
                trace: None,
                budget: None,
                answer,
            };
            (item, receiver)
        })
        .unzip();
    let mut batch = Batch::new(&asker, items, until);
    for message in framed(stream, chunks).0 {
        if let Err(failure) = batch.hand_out(message) {
            assert!(matches!(failure, PeerError::Refused { .. }));
            batch.fail(&failure);
            break;
        }
    }
    drop(batch);
    for mut answer in answers {
        match answer.try_recv() {
            Ok(Brought::Answer(Ok(fetched))) => {
                let len = fetched.entry.value.map_or(0, |value| value.len());
                assert!(len as u64 <= MAX_VALUE);
            }
            Ok(Brought::Answer(Err(PeerError::Unavailable { .. }))) => panic!("it is there"),
            Ok(_) | Err(_) => {}
        }
    }
}

fn value(body: &[u8]) {
    let len = body.len();
    if let Ok((value, _)) = message::decode(Encoding::Protobuf, body.to_vec()) {
        assert!(value.len() <= len);
    }
}

fn news(body: &[u8]) {
    if let Ok(news) = read_news(Bytes::copy_from_slice(body)) {
        assert!(news.notices.len() + news.unlisted.len() <= body.len());
        assert!(news.followers.len() <= 256);
    }
}

fn answers() -> Vec<Vec<u8>> {
    let results = [
        Kind::Value(Value {
            value: "630".into(),
            ttl_ms: Some(5),
            metadata: vec![1, 0, 1, b'x'].into(),
            ..Value::default()
        }),
        Kind::NotFound(NotFound::default()),
        Kind::NotKept(NotKept {}),
    ];
    let mut all = Vec::new();
    for (index, result) in (0..).zip(results) {
        let answer = BatchAnswer {
            index,
            result: Some(result),
        };
        all.push(answer.encode_length_delimited_to_vec());
    }
    all.push(all.concat());
    all
}

fn told() -> Vec<Vec<u8>> {
    let id = peer::RemovalId {
        issuer: 7,
        number: 1,
    };
    let news = NewsResponse {
        notices: vec![peer::Notice {
            id: Some(id),
            keys: vec!["a".into()],
            all: false,
        }],
        unlisted: vec![id],
        more: true,
        followers: vec!["http://node".into()],
    };
    vec![news.encode_to_vec()]
}

#[test]
fn the_corpus_is_read() {
    for (name, input) in corpus("batch-answers") {
        println!("{name}");
        for chunks in [&[1][..], &[3, 5], &[usize::MAX]] {
            batch(&input, chunks);
        }
    }
    for (name, input) in corpus("value") {
        println!("{name}");
        value(&input);
    }
    for (name, input) in corpus("news") {
        println!("{name}");
        news(&input);
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_stream_is_answers_or_a_failure(
        stream in nearly(answers()),
        chunks in vec(1_usize..50, 1..5),
    ) {
        prop_assert_eq!(framed(&stream, &chunks), framed(&stream, &[usize::MAX]));
        batch(&stream, &chunks);
    }

    #[test]
    fn any_body_is_a_value_or_a_failure(body in nearly(vec![b"\x0a\x03630".to_vec()])) {
        value(&body);
    }

    #[test]
    fn any_body_is_news_or_a_failure(body in nearly(told())) {
        news(&body);
    }

    #[test]
    fn any_headers_are_terms_and_a_verdict_or_a_failure(
        headers in vec((0_usize..9, prop_oneof![
            "[0-9a-zA-Z%-]{0,30}".prop_map(String::into_bytes),
            vec(any::<u8>(), 0..30),
        ]), 0..9),
        text in any::<String>(),
    ) {
        let names = [
            "gaggle-ttl-ms",
            "gaggle-stale-while-revalidate-ms",
            "gaggle-stale-if-error-ms",
            "gaggle-age-ms",
            "gaggle-metadata",
            "gaggle-verdict",
            "gaggle-limit",
            "gaggle-len",
            "gaggle-after-ms",
        ];
        let mut map = HeaderMap::new();
        for (which, value) in headers {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                map.insert(HeaderName::from_static(names[which]), value);
            }
        }
        if let Ok(read) = terms::read(&map) {
            let _ = entry(Bytes::new(), &read);
            let _ = absence(&read);
        }
        let _ = Reported::read(&map, &text);
    }
}
