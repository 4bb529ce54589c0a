//! A peer that is down, returns, or does not answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{Entry, Group, Groups, Peer, PeerError, Put, Verdict};
use gaggle_transport_grpc::{ClientOptions, GrpcTransport, router};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};

use crate::node::{LONG, Node, echo, fetch, fetch_within, new_id, removal, value, verdict};

fn is_unavailable<T>(result: &Result<T, PeerError>) -> bool {
    matches!(result, Err(PeerError::Unavailable { .. }))
}

async fn restart(addr: std::net::SocketAddr) -> Node {
    let groups = Groups::new([echo()]).unwrap();
    Node::serve_at(addr, router(groups, Default::default())).await
}

#[tokio::test]
async fn a_peer_that_is_gone_is_unavailable_until_it_is_back() {
    let node = Node::serve([echo()]).await;
    let peer = node.peer();
    assert_eq!(value(fetch(&peer, "before").await), "before");

    let addr = node.kill().await;
    for _ in 0..3 {
        let gone = fetch(&peer, "k").await;
        assert!(is_unavailable(&gone), "{gone:?}");
    }
    assert!(is_unavailable(&peer.ping().await));
    assert!(is_unavailable(&peer.remove("g", &removal(&[b"k"])).await));

    let _back = restart(addr).await;
    assert_eq!(value(fetch(&peer, "after").await), "after");
    peer.ping().await.unwrap();
}

/// The old connection is dead, and has not been used since. At worst one request fails.
#[tokio::test]
async fn a_restart_between_two_requests_costs_one_at_most() {
    let mut node = Node::serve([echo()]).await;
    let peer = node.peer();
    for round in 0..5 {
        value(fetch(&peer, "k").await);
        node = restart(node.kill().await).await;
        let first = fetch(&peer, "k").await;
        assert!(
            first.is_ok() || is_unavailable(&first),
            "round {round}: {first:?}"
        );
        assert_eq!(value(fetch(&peer, "k").await), "k", "round {round}");
    }
}

#[tokio::test]
async fn a_peer_that_dies_at_work_is_unavailable() {
    let (entered, mut at_origin) = mpsc::unbounded_channel();
    let group = Group::builder("g")
        .origin_fn(move |_: Bytes| {
            entered.send(()).unwrap();
            std::future::pending::<Result<Option<Bytes>, std::io::Error>>()
        })
        .build()
        .unwrap();
    let node = Node::serve([group]).await;
    let peer = node.peer();
    let asked = tokio::spawn(async move { fetch(&peer, "k").await });
    at_origin.recv().await.unwrap();
    node.kill().await;
    let broken = asked.await.unwrap();
    assert!(is_unavailable(&broken), "{broken:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_answers_is_given_up_at_the_deadline() {
    // Its backlog takes the connection, from which no program reads.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let soon = Duration::from_millis(20);
    let options = ClientOptions {
        ping_timeout: soon,
        remove_timeout: soon,
        ..ClientOptions::default()
    };
    let peer = GrpcTransport::new(options).peer(&url).unwrap();
    for result in [
        fetch_within(&peer, "k", soon).await.map(|_| ()),
        fetch_within(&peer, "k", Duration::ZERO).await.map(|_| ()),
        peer.remove("g", &removal(&[b"k"])).await,
        peer.ping().await,
    ] {
        assert!(is_unavailable(&result), "{result:?}");
    }
}

#[tokio::test]
async fn requests_beyond_the_bound_wait_no_longer_than_their_deadline() {
    let (entered, mut at_origin) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let group = Group::builder("g")
        .origin_fn({
            let gate = gate.clone();
            move |key: Bytes| {
                entered.send(key.clone()).unwrap();
                let gate = gate.clone();
                async move {
                    let _open = gate.acquire().await;
                    Ok::<_, std::io::Error>(Some(key))
                }
            }
        })
        .build()
        .unwrap();
    let node = Node::serve([group]).await;
    let peer = node.peer_with(ClientOptions {
        max_requests_per_peer: 1,
        ..Default::default()
    });

    let first = tokio::spawn({
        let peer = peer.clone();
        async move { fetch(&peer, "first").await }
    });
    at_origin.recv().await.unwrap();
    // Only this deadline is pending: the clock may jump to it.
    tokio::time::pause();
    let second = fetch_within(&peer, "second", Duration::from_millis(20)).await;
    tokio::time::resume();
    let shed = verdict(second);
    assert!(matches!(shed, Verdict::Shed { limit: 1, .. }), "{shed:?}");
    assert!(at_origin.try_recv().is_err(), "it was never sent");
    peer.ping().await.expect("a busy peer is alive");

    gate.add_permits(2);
    assert_eq!(value(first.await.unwrap()), "first");
    assert_eq!(
        value(fetch(&peer, "third").await),
        "third",
        "the slot is free again"
    );
}

#[tokio::test]
async fn a_request_that_no_peer_would_read_is_not_sent() {
    let node = Node::serve([echo()]).await;
    let peer = node.peer();
    let key = Bytes::from(vec![0; 1 << 20]);
    let entry = Entry::value("v");
    let put = Put::new("g", &key, &entry, new_id());
    let refused = [
        fetch(&peer, key.clone()).await.map(|_| ()),
        peer.put(put).await,
    ];
    for refused in refused {
        assert!(
            matches!(refused, Err(PeerError::Refused { .. })),
            "{refused:?}"
        );
    }
}

/// tonic starts a task for a connection; a peer is made wherever a configuration is read.
#[test]
fn a_peer_is_made_outside_of_a_runtime() {
    let transport = GrpcTransport::default();
    let peer = transport.peer("http://127.0.0.1:1/").unwrap();
    assert_eq!(peer.name(), "http://127.0.0.1:1/", "to the letter");
    let error = transport.peer("https://127.0.0.1:1").unwrap_err();
    assert!(error.to_string().contains("https://127.0.0.1:1"), "{error}");
}

/// As when a restarting peer, or a balancer in between, closes a connection that it has just
/// accepted.
#[tokio::test]
async fn a_connection_closed_before_its_first_request_is_replaced_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let peer = GrpcTransport::new(ClientOptions {
        connect_timeout: LONG,
        ..Default::default()
    })
    .peer(&url)
    .unwrap();

    let closed_twice = async {
        for _ in 0..2 {
            drop(listener.accept().await.unwrap());
        }
        listener
    };
    let (listener, failed) = tokio::join!(closed_twice, fetch(&peer, "k"));
    assert!(is_unavailable(&failed), "a second one is not: {failed:?}");

    let groups = Groups::new([echo()]).unwrap();
    let server = tokio::spawn(async move {
        drop(listener.accept().await.unwrap());
        axum::serve(listener, router(groups, Default::default())).await
    });
    assert_eq!(value(fetch(&peer, "k").await), "k");
    server.abort();
}
