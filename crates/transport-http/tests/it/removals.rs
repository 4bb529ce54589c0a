//! Removals: with a request, of one key, of many, of a group, and those that a node missed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use futures_util::future::join_all;
use gaggle_group::{Entry, Fetch, Group, Key, Notice, Peer, PeerError, RemovalId, Scope};
use gaggle_transport_http::{HttpPeer, ServerOptions};

use crate::support::{LONG, ask, fetch, found, new_id, peer, removal, serve};

/// A group whose value is the number of its load.
fn counted() -> Group {
    let loads = AtomicUsize::new(0);
    Group::builder("counted")
        .origin_fn(move |_: Bytes| {
            let load = loads.fetch_add(1, SeqCst) + 1;
            async move { Ok::<_, std::io::Error>(Some(load.to_string())) }
        })
        .build()
        .unwrap()
}

async fn serving(group: &Group) -> (SocketAddr, Arc<HttpPeer>) {
    let server = serve([group.clone()], ServerOptions::default()).await;
    (server, peer(server))
}

/// A get that carries removals.
async fn after(peer: &HttpPeer, key: &[u8], removals: &[RemovalId]) -> Result<Entry, PeerError> {
    let key = Key::copy_from_slice(key);
    let fetch = Fetch::new("counted", &key, 99, LONG).after(removals);
    let fetched = peer.fetch(fetch).await;
    fetched.map(|fetched| fetched.entry)
}

#[tokio::test]
async fn a_get_tells_of_removals() {
    let (_, peer) = serving(&counted()).await;
    let ids = [new_id(), new_id()];
    assert_eq!(after(&peer, b"k", &[]).await.unwrap(), found("1"));
    assert_eq!(after(&peer, b"k", &[]).await.unwrap(), found("1"));
    assert_eq!(after(&peer, b"k", &ids).await.unwrap(), found("2"));
    assert_eq!(after(&peer, b"k", &ids).await.unwrap(), found("2"), "known");
}

#[tokio::test]
async fn each_get_of_a_batch_carries_its_own_removals() {
    let group = counted();
    let (_, peer) = serving(&group).await;
    let keys: Vec<Key> = (0..8).map(|n| Key::from(format!("k{n}"))).collect();
    let mut before = Vec::new();
    for key in &keys {
        before.push(after(&peer, key, &[]).await.unwrap());
    }
    let ids = [new_id()];
    let gets = keys.iter().enumerate().map(|(n, key)| {
        let removals = if n % 2 == 1 { &ids[..] } else { &[] };
        after(&peer, key, removals)
    });
    for (n, entry) in join_all(gets).await.into_iter().enumerate() {
        assert_eq!(entry.unwrap() == before[n], n % 2 == 0, "{n}");
    }
    assert_eq!(group.stats().removals, 4);
}

#[tokio::test]
async fn bad_names_of_removals_are_refused() {
    let (server, _) = serving(&counted()).await;
    for (line, header) in [
        ("GET /_groupcache/counted/k", "gaggle-removals"),
        ("DELETE /_groupcache/counted/k", "gaggle-removal"),
    ] {
        let bad = ask(server, line, &format!("{header}: 0123456789abcdef-0\r\n")).await;
        assert!(bad.starts_with("HTTP/1.1 400 "), "{bad}");
        let text = format!("bad request: the header {header} names no removal\n");
        assert!(bad.ends_with(&text), "{bad}");
    }
    // Behind the eighth nothing is read.
    let names = "0123456789abcdef-1 ".repeat(8) + "and so on";
    let good = ask(
        server,
        "GET /_groupcache/counted/k",
        &format!("gaggle-removals: {names}\r\n"),
    )
    .await;
    assert!(good.starts_with("HTTP/1.1 200 OK\r\n"), "{good}");
}

#[tokio::test]
async fn one_key_is_removed_once_by_its_name() {
    let group = counted();
    let (server, peer) = serving(&group).await;
    let notice = removal(&[b"k"]);
    assert_eq!(fetch(&peer, "counted", b"k").await.unwrap(), found("1"));
    peer.remove("counted", &notice).await.unwrap();
    assert_eq!(fetch(&peer, "counted", b"k").await.unwrap(), found("2"));
    peer.remove("counted", &notice).await.unwrap();
    assert_eq!(fetch(&peer, "counted", b"k").await.unwrap(), found("2"));
    assert_eq!(group.stats().removals, 1, "the second time it was known");
    // A removal by another program has no name, and is never known.
    for load in ["3", "4"] {
        ask(server, "DELETE /_groupcache/counted/k", "").await;
        assert_eq!(fetch(&peer, "counted", b"k").await.unwrap(), found(load));
    }
    assert_eq!(group.stats().removals, 1);
}

#[tokio::test]
async fn many_keys_and_whole_groups_are_removed_in_one_request() {
    let group = counted();
    let (_, peer) = serving(&group).await;
    for key in ["a", "b", "c", "d"] {
        group.get(key).await.unwrap();
    }
    let two = removal(&[b"a", b"b"]);
    for _ in 0..2 {
        peer.remove("counted", &two).await.unwrap();
        assert!(group.cached("a").is_none() && group.cached("b").is_none());
        assert!(group.cached("c").is_some());
        assert_eq!(group.stats().removals, 1);
    }
    peer.remove("counted", &removal(&[])).await.unwrap();
    assert!(group.cached("c").is_some());
    let all = Notice {
        id: new_id(),
        scope: Scope::Group,
    };
    peer.remove("counted", &all).await.unwrap();
    assert!(group.cached("c").is_none() && group.cached("d").is_none());

    for notice in [&two, &all] {
        let failure = peer.remove("nobody", notice).await.unwrap_err();
        assert!(matches!(failure, PeerError::Refused { .. }), "{failure:?}");
        assert!(failure.to_string().contains("no such group"), "{failure}");
    }
}

#[tokio::test]
async fn a_removal_too_large_to_be_told_removes_the_group() {
    let group = counted();
    let (_, peer) = serving(&group).await;
    group.get("other").await.unwrap();
    let large = vec![b'k'; 60_000];
    let keys: Vec<&[u8]> = std::iter::repeat_n(&large[..], 40).collect();
    // As many as fit are sent as single keys.
    peer.remove("counted", &removal(&keys[..30])).await.unwrap();
    assert!(group.cached("other").is_some());
    peer.remove("counted", &removal(&keys)).await.unwrap();
    assert!(group.cached("other").is_none());
}

#[tokio::test]
async fn a_long_key_is_removed_though_no_url_holds_it() {
    let group = counted();
    let (_, peer) = serving(&group).await;
    let long = vec![0xff; 60_000];
    peer.remove("counted", &removal(&[&long])).await.unwrap();
    assert_eq!(group.stats().removals, 1);
}
