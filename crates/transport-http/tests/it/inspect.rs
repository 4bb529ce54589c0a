//! An operator's questions to a node through another one.

use gaggle_group::{About, Group, Groups, HeldIn, Inspect, Inspected, Key, Peer, PeerError};
use gaggle_proto::inspect::MAX_ANSWER;
use gaggle_transport_http::{ClientOptions, ServerOptions, router};
use tokio::net::TcpListener;

use crate::fake_peer::{FakePeer, Then};
use crate::support::{echo, peer, peer_with, reason, scores, serve};

const CONTROL: &str = "gaggle-control: 1";

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn a_node_tells_how_it_is() {
    let groups = Groups::new([scores(), echo()]).unwrap();
    groups.set_about(|| {
        let mut about = About::default();
        about.version = "1.2.3".into();
        about.state = "ready".into();
        about.admin = Some("http://10.0.0.1:9990".into());
        about
    });
    groups.get("scores").unwrap().get("Tom").await.unwrap();
    let expected = groups.report();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = router(groups, ServerOptions::default());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let told = peer(address).inspect(Inspect::Report).await.unwrap();
    let Inspected::Report(told) = told else {
        panic!("{told:?}")
    };
    assert_eq!(told, expected);
    assert_eq!((&*told.groups[1].name, told.groups[1].gets), ("scores", 1));
}

#[tokio::test]
async fn a_node_tells_what_it_holds_and_counts_no_get() {
    let group = echo();
    let server = serve([group.clone()], ServerOptions::default()).await;
    let peer = peer(server);
    let held = async |group, key: &'static [u8]| {
        let key = Key::from_static(key);
        match peer.inspect(Inspect::Held { group, key: &key }).await {
            Ok(Inspected::Held(held)) => Ok(held),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        }
    };
    assert_eq!(held("echo", b"\xff\0").await.unwrap(), None);
    group.get(b"\xff\0").await.unwrap();
    let found = held("echo", b"\xff\0").await.unwrap().unwrap();
    assert_eq!(
        (found.tier, found.bytes, found.fresh),
        (HeldIn::Main, 2, None)
    );
    assert_eq!((group.stats().gets, group.stats().server_requests), (1, 0));
    let failure = held("nosuch", b"k").await.unwrap_err();
    assert!(matches!(failure, PeerError::Refused { .. }), "{failure:?}");
}

#[tokio::test]
async fn a_node_of_another_cluster_tells_nothing() {
    let of = |cluster: &str| ServerOptions {
        cluster: Some(cluster.into()),
        ..ServerOptions::default()
    };
    let server = serve([echo()], of("prod")).await;
    let options = ClientOptions {
        cluster: Some("test".into()),
        ..ClientOptions::default()
    };
    let failure = peer_with(server, options).inspect(Inspect::Report).await;
    let failure = failure.unwrap_err();
    assert!(reason(&failure).contains("421"), "{failure:?}");
}

#[tokio::test]
async fn nodes_that_know_no_such_question_are_told_from_those_that_are_gone() {
    let control = format!("{CONTROL}\r\n");
    // An older node, golang/groupcache, and another program.
    for (status, headers) in [
        ("400 Bad Request", &*control),
        ("400 Bad Request", ""),
        ("404 Not Found", ""),
        ("200 OK", ""),
    ] {
        let old = FakePeer::new([(answer(status, headers, b"bad request"), Then::Keep)]).await;
        let failure = peer(old.address).inspect(Inspect::Report).await;
        let failure = failure.unwrap_err();
        let is_refused = matches!(failure, PeerError::Refused { .. });
        assert!(
            is_refused && reason(&failure) == "it knows no such request",
            "{failure:?}"
        );
    }
    for (status, headers, said) in [
        ("401 Unauthorized", "", "requires a token"),
        ("503 Service Unavailable", &*control, "503"),
        ("404 Not Found", &*control, "404"),
    ] {
        let other = FakePeer::new([(answer(status, headers, b"no"), Then::Keep)]).await;
        let failure = peer(other.address).inspect(Inspect::Report).await;
        let failure = failure.unwrap_err();
        let is_refused = matches!(failure, PeerError::Refused { .. });
        assert!(is_refused && reason(&failure).contains(said), "{failure:?}");
    }
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let failure = peer(address).inspect(Inspect::Report).await.unwrap_err();
    assert!(
        matches!(failure, PeerError::Unavailable { .. }),
        "{failure:?}"
    );
}

#[tokio::test]
async fn answers_that_are_too_long_or_none_are_refused() {
    let control = format!("{CONTROL}\r\n");
    for body in [&[0; MAX_ANSWER + 1][..], b"\xff", b""] {
        let odd = FakePeer::new([(answer("200 OK", &control, body), Then::Keep)]).await;
        let failure = peer(odd.address).inspect(Inspect::Report).await;
        let failure = failure.unwrap_err();
        assert!(matches!(failure, PeerError::Refused { .. }), "{failure:?}");
    }
}

/// A request without a known question, as from a later release.
#[tokio::test]
async fn a_question_that_is_not_known_is_a_bad_request() {
    let server = serve(
        [Group::builder("g")
            .origin_fn(|key: Key| async move { Ok::<_, std::io::Error>(Some(key)) })
            .build()
            .unwrap()],
        ServerOptions::default(),
    )
    .await;
    let request = format!(
        "POST /_groupcache/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{CONTROL}\r\ncontent-length: 2\r\n\r\n\x3a\0"
    );
    let answer = crate::support::raw(server, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains(CONTROL), "{answer}");
}
