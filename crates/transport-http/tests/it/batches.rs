//! Concurrent gets of one peer share requests, without harm to any of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use bytes::Bytes;
use futures_util::future::join_all;
use gaggle_group::{Entry, Group, Groups, Limits, Loaded, PeerError, Verdict};
use gaggle_transport_http::{Batching, ClientOptions, Encoding, HttpPeer, ServerOptions, router};
use http::Method;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::support::{LONG, absent, echo, fetch, fetch_most, found, peer_with, scores, serve};

/// One request is sent alone, and later gets wait until it is answered, however long that takes.
/// They are then sent as a batch, however few they are.
pub(crate) fn one_at_once() -> Batching {
    Batching {
        requests_at_once: 1,
        smallest_batch: 1,
        longest_wait: LONG,
        ..Batching::default()
    }
}

/// A peer that is known to take batches.
pub(crate) async fn batching(address: SocketAddr, batching: Batching) -> Arc<HttpPeer> {
    let options = ClientOptions {
        batching: Some(batching),
        ..ClientOptions::default()
    };
    let peer = peer_with(address, options);
    let _ = fetch(&peer, "nobody", b"").await;
    peer
}

/// All gets at once. With [`one_at_once`] the first is sent, if the last one before it was alone,
/// and the others wait for it.
pub(crate) async fn together(
    peer: &HttpPeer,
    gets: &[(&str, &[u8])],
) -> Vec<Result<Entry, PeerError>> {
    let gets = gets.iter().map(|(group, key)| fetch(peer, group, key));
    timeout(LONG, join_all(gets))
        .await
        .expect("all are answered")
}

/// What a server was asked.
#[derive(Default)]
pub(crate) struct Asked {
    gets: AtomicUsize,
    batches: AtomicUsize,
}

impl Asked {
    pub(crate) fn take(&self) -> (usize, usize) {
        (self.gets.swap(0, SeqCst), self.batches.swap(0, SeqCst))
    }
}

pub(crate) async fn counting(groups: impl IntoIterator<Item = Group>) -> (SocketAddr, Arc<Asked>) {
    let asked = Arc::new(Asked::default());
    let counts = asked.clone();
    let count = from_fn(move |request: Request, next: Next| {
        let count = match *request.method() {
            Method::POST => &counts.batches,
            _ => &counts.gets,
        };
        count.fetch_add(1, SeqCst);
        next.run(request)
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = router(Groups::new(groups).unwrap(), ServerOptions::default()).layer(count);
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, asked)
}

#[tokio::test]
async fn a_crowd_needs_few_requests_and_each_gets_its_own_value() {
    let (server, asked) = counting([echo()]).await;
    let peer = batching(server, Batching::default()).await;
    asked.take();
    let mut keys: Vec<Vec<u8>> = (0..1_000)
        .map(|n| format!("key-{n}").into_bytes())
        .collect();
    keys.extend(
        [
            &b""[..],
            b".",
            b"..",
            b"a/../b",
            b"\0",
            b"\xff\xfe",
            b"%41+ ",
            b"\r\n",
        ]
        .map(Vec::from),
    );
    let gets: Vec<(&str, &[u8])> = keys.iter().map(|key| ("echo", &key[..])).collect();
    for _ in 0..2 {
        let answers = together(&peer, &gets).await;
        for (answer, key) in answers.into_iter().zip(&keys) {
            assert_eq!(answer.unwrap(), found(key.clone()));
        }
        let (alone, batches) = asked.take();
        assert!(
            (1..100).contains(&batches),
            "{alone} gets, {batches} batches"
        );
        assert!(alone < 100, "{alone} gets, {batches} batches");
    }
    // No state is left: the next get is alone again, and is sent as a single request.
    fetch(&peer, "echo", b"Tom").await.unwrap();
    assert_eq!(asked.take(), (1, 0));
}

#[tokio::test]
async fn batches_serve_rings_of_either_encoding() {
    let options = ServerOptions {
        encoding: Encoding::Raw,
        base_path: "/_gocache/".parse().unwrap(),
        ..ServerOptions::default()
    };
    let peer = peer_with(
        serve([scores()], options).await,
        ClientOptions {
            encoding: Encoding::Raw,
            base_path: "/_gocache/".parse().unwrap(),
            batching: Some(one_at_once()),
            ..ClientOptions::default()
        },
    );
    fetch(&peer, "scores", b"Tom").await.unwrap();
    let gets: [(&str, &[u8]); 3] = [
        ("scores", b"Tom"),
        ("scores", b"empty"),
        ("scores", b"Kesa"),
    ];
    let answers = together(&peer, &gets).await;
    let [tom, empty, kesa] = &answers[..] else {
        panic!("{answers:?}")
    };
    assert_eq!(tom.as_ref().unwrap(), &found("630"));
    assert_eq!(empty.as_ref().unwrap(), &found(""));
    assert_eq!(kesa.as_ref().unwrap(), &absent());
}

#[tokio::test]
async fn batching_can_be_off() {
    let (server, asked) = counting([echo()]).await;
    let options = ClientOptions {
        batching: None,
        ..ClientOptions::default()
    };
    let peer = peer_with(server, options);
    fetch(&peer, "echo", b"Tom").await.unwrap();
    together(&peer, &[("echo", &b"Tom"[..]); 20]).await;
    assert_eq!(asked.take(), (21, 0));
}

#[tokio::test]
async fn each_get_of_a_batch_has_its_own_failure() {
    let moody = Group::builder("moody")
        .limits(Limits {
            max_key: 4,
            max_value: 4,
            ..Limits::default()
        })
        .origin_fn(|key: Bytes| async move {
            match &key[..] {
                b"fail" => Err("disk\non fire"),
                b"big" => Ok(Some("12345")),
                b"four" => Ok(Some("1234")),
                b"boom" => panic!("a bug"),
                _ => Ok(None),
            }
        })
        .build()
        .unwrap();
    let (server, asked) = counting([moody]).await;
    let peer = batching(server, one_at_once()).await;
    asked.take();
    let gets: [(&str, &[u8]); 8] = [
        ("moody", b"four"),
        ("moody", b"fail"),
        ("moody", b"big"),
        ("moody", b"none"),
        ("nobody", b"four"),
        ("moody", b"12345"),
        ("moody", b"boom"),
        ("moody", b"four"),
    ];
    let (batch, small) = tokio::join!(
        biased;
        together(&peer, &gets),
        fetch_most(&peer, "moody", b"four", 3),
    );
    assert_eq!(asked.take(), (1, 1));
    let verdict = |at: usize| match &batch[at] {
        Err(PeerError::Verdict { verdict, .. }) => verdict.clone(),
        other => panic!("{at}: {other:?}"),
    };
    assert_eq!(*batch[0].as_ref().unwrap(), found("1234"));
    assert_eq!(
        verdict(1),
        Verdict::OriginFailed {
            message: "the reason is in the log of the node that asked it".into()
        }
    );
    assert_eq!(
        verdict(2),
        Verdict::ValueTooLarge {
            len: Some(5),
            limit: 4
        }
    );
    assert_eq!(*batch[3].as_ref().unwrap(), absent());
    match &batch[4] {
        Err(PeerError::Refused { reason, .. }) => assert_eq!(&**reason, "it has no such group"),
        other => panic!("{other:?}"),
    }
    assert_eq!(verdict(5), Verdict::KeyTooLong { limit: 4 });
    assert!(matches!(verdict(6), Verdict::OriginFailed { .. }));
    assert_eq!(*batch[7].as_ref().unwrap(), found("1234"));
    match small {
        Err(PeerError::Verdict { verdict, .. }) => {
            assert_eq!(
                verdict,
                Verdict::ValueTooLarge {
                    len: Some(4),
                    limit: 3
                }
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_time_to_live_comes_along() {
    let ttl = Duration::from_secs(3_600);
    let group = Group::builder("echo")
        .origin_fn(move |key: Bytes| async move {
            Ok::<_, std::io::Error>(Some(Loaded::with_ttl(key, ttl)))
        })
        .build()
        .unwrap();
    let (server, _) = counting([group]).await;
    let peer = batching(server, one_at_once()).await;
    for answer in together(&peer, &[("echo", b"Tom"), ("echo", b"Sam")]).await {
        let left = answer.unwrap().freshness.ttl.expect("a time to live");
        assert!(left <= ttl && left > ttl / 2, "{left:?}");
    }
}

#[tokio::test]
async fn large_values_come_through_from_one_load_each() {
    // The first group keeps them, and they are fetched from its cache. Values as large do not fit
    // into the second.
    for (capacity, alone) in [(64 << 20, 1 + 3), (1 << 10, 1)] {
        let loads = Arc::new(AtomicUsize::new(0));
        let group = Group::builder("sized")
            .capacity(capacity)
            .origin_fn({
                let loads = loads.clone();
                move |key: Bytes| {
                    loads.fetch_add(1, SeqCst);
                    async move {
                        let len: usize = std::str::from_utf8(&key)?.parse()?;
                        let value: Bytes = (0..=250).cycle().take(len).collect();
                        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Some(value))
                    }
                }
            })
            .build()
            .unwrap();
        let (server, asked) = counting([group]).await;
        let peer = batching(server, one_at_once()).await;
        asked.take();
        let lens = [1, 0, 16_384, 16_385, 65_536, 65_537, 300_000, 1_000_000];
        let keys = lens.map(|len: usize| len.to_string());
        let gets = keys.each_ref().map(|key| ("sized", key.as_bytes()));
        for (answer, len) in together(&peer, &gets).await.into_iter().zip(lens) {
            let value: Bytes = (0..=250).cycle().take(len).collect();
            assert_eq!(answer.unwrap(), found(value), "{len}");
        }
        assert_eq!(loads.load(SeqCst), lens.len());
        assert_eq!(asked.take(), (alone, 1));
    }
}
