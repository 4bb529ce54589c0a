//! The freshness of an answer and the origin's metadata survive the hop, alone and in a batch.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use gaggle_group::{Entry, Field, FreshnessPolicy, Group, Hint, Loaded, Metadata, PeerError};
use gaggle_transport_http::{ClientOptions, Encoding, HttpPeer, ServerOptions};

use crate::fake_peer::FakePeer;
use crate::support::{absent, ask, fetch, found, peer, peer_with, reason, serve};

const HOUR: Duration = Duration::from_secs(3_600);

fn metadata() -> Metadata {
    Metadata::default()
        .with(Field::ContentType, "text/html; charset=utf-8")
        .with(Field::ETag, "\"100% ü\"")
        .with_age(Duration::from_secs(7))
}

/// `plain` has no terms; `full` all of them; `gone` is absent for an hour, and `never` just so.
fn told() -> Group {
    let policy = FreshnessPolicy {
        ttl_jitter: 0.0,
        ..FreshnessPolicy::default()
    };
    Group::builder("told")
        .freshness(policy)
        .origin_fn(|key: Bytes| async move {
            let hint = Hint::ttl(HOUR)
                .stale_while_revalidate(2 * HOUR)
                .stale_if_error(3 * HOUR);
            Ok::<_, std::io::Error>(Some(match &key[..] {
                b"full" => Loaded::value("630")
                    .with_freshness(hint)
                    .with_metadata(metadata()),
                b"gone" => Loaded::absent().with_freshness(Hint::ttl(HOUR)),
                b"never" => Loaded::absent(),
                _ => Loaded::value("630"),
            }))
        })
        .build()
        .unwrap()
}

fn is_about_an_hour(ttl: Option<Duration>) {
    let ttl = ttl.expect("a time to live");
    assert!(ttl <= HOUR && ttl > HOUR / 2, "{ttl:?}");
}

fn check(answers: [Result<Entry, PeerError>; 4]) {
    let [plain, full, gone, never] = answers.map(Result::unwrap);
    assert_eq!(plain, found("630"));
    assert_eq!(full.value.unwrap(), "630");
    is_about_an_hour(full.freshness.ttl);
    assert_eq!(full.freshness.revalidate_window(), 2 * HOUR);
    assert_eq!(full.freshness.error_window(), 3 * HOUR);
    assert_eq!(full.metadata.as_bytes(), metadata().as_bytes());
    assert!(full.metadata.age().unwrap() >= Duration::from_secs(7));
    assert_eq!(gone.value, None);
    is_about_an_hour(gone.freshness.ttl);
    assert_eq!(never, absent(), "of no use beyond this answer");
}

const KEYS: [&[u8]; 4] = [b"plain", b"full", b"gone", b"never"];

async fn one_by_one(peer: &HttpPeer) -> [Result<Entry, PeerError>; 4] {
    let [a, b, c, d] = KEYS;
    [
        fetch(peer, "told", a).await,
        fetch(peer, "told", b).await,
        fetch(peer, "told", c).await,
        fetch(peer, "told", d).await,
    ]
}

#[tokio::test]
async fn alone() {
    for encoding in [Encoding::Protobuf, Encoding::Raw] {
        let options = ServerOptions {
            encoding,
            ..ServerOptions::default()
        };
        let server = serve([told()], options).await;
        let options = ClientOptions {
            encoding,
            batching: None,
            ..ClientOptions::default()
        };
        let peer = peer_with(server, options);
        // Loaded, and then from memory.
        for _ in 0..2 {
            check(one_by_one(&peer).await);
        }
    }
}

#[tokio::test]
async fn in_a_batch() {
    let group = told();
    let server = serve([group.clone()], ServerOptions::default()).await;
    let peer = peer(server);
    // The first answer says that batches are taken.
    fetch(&peer, "told", b"plain").await.unwrap();
    for _ in 0..2 {
        // One more is sent first, by itself.
        let keys = [b"ahead".as_slice()].into_iter().chain(KEYS);
        let gets = keys.map(|key| fetch(&peer, "told", key));
        let mut answers = join_all(gets).await;
        answers.remove(0).unwrap();
        check(answers.try_into().unwrap());
    }
}

#[tokio::test]
async fn the_headers_are_there_only_where_they_say_something() {
    let server = serve([told()], ServerOptions::default()).await;
    let plain = ask(server, "GET /_groupcache/told/plain", "").await;
    assert!(!plain.contains("gaggle-"), "{plain}");
    let never = ask(server, "GET /_groupcache/told/never", "").await;
    assert_eq!(never.matches("gaggle-").count(), 1, "{never}");
    let gone = ask(server, "GET /_groupcache/told/gone", "").await;
    assert!(gone.starts_with("HTTP/1.1 404 "), "{gone}");
    assert!(gone.contains("\r\ngaggle-ttl-ms: "), "{gone}");
    let full = ask(server, "GET /_groupcache/told/full", "").await;
    for line in [
        "gaggle-stale-while-revalidate-ms: 7200000",
        "gaggle-stale-if-error-ms: 10800000",
        "gaggle-age-ms: 7000",
        "gaggle-metadata: %01%00%18text%2Fhtml",
    ] {
        assert!(full.contains(&format!("\r\n{line}")), "{line}: {full}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    for (status, body) in [("200 OK", "\x0a\x03630"), ("404 Not Found", "")] {
        for bad in [
            "gaggle-ttl-ms: soon",
            "gaggle-ttl-ms: 1\r\ngaggle-stale-if-error-ms: -1",
            "gaggle-age-ms: 1.5",
            "gaggle-metadata: %01",
        ] {
            let fake = FakePeer::once(format!(
                "HTTP/1.1 {status}\r\ngaggle-verdict: not-found\r\n{bad}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ))
            .await;
            let failure = fetch(&peer(fake.address), "told", b"k").await.unwrap_err();
            assert!(matches!(failure, PeerError::Refused { .. }), "{failure:?}");
            assert!(reason(&failure).contains(", but "), "{failure}");
        }
    }
}
