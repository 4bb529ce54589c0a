//! Control requests to peers that do not support them.

use gaggle_group::{Entry, Key, Known, Notice, Peer, PeerError, Put, Scope};

use crate::fake_peer::{FakePeer, Then};
use crate::support::{new_id, peer, removal};

/// golang/groupcache's, GeeCache's and older Gaggle nodes', other servers', and a value to
/// whatever is asked.
const STRANGE: [&str; 5] = [
    "HTTP/1.1 400 Bad Request\r\ncontent-length: 12\r\n\r\nbad request\n",
    "HTTP/1.1 404 Not Found\r\ncontent-length: 10\r\n\r\nnot found\n",
    "HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n",
    "HTTP/1.1 501 Not Implemented\r\ncontent-length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n\x0a\x03630",
];

const REMOVED: &str = "HTTP/1.1 200 OK\r\ngaggle-removed: 1\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn they_tell_no_news_and_take_no_values() {
    for strange in STRANGE {
        let mut fake = FakePeer::new([(strange, Then::Keep); 4]).await;
        let peer = peer(fake.address);
        let news = peer.news("scores", &Known::default(), "http://me").await;
        assert_eq!(news.unwrap(), None, "{strange}");
        let head = fake.request().await;
        assert!(
            head.starts_with("POST /_groupcache/ HTTP/1.1\r\n"),
            "{head}"
        );
        assert!(head.contains("\r\ngaggle-control: 1\r\n"), "{head}");

        let (key, small) = (Key::from("Tom"), Entry::value("630"));
        let large = Entry::value(vec![0; 100_000]);
        for entry in [&small, &large] {
            let put = Put::new("scores", &key, entry, new_id());
            let failure = peer.put(put).await.unwrap_err();
            assert!(matches!(failure, PeerError::Refused { .. }), "{failure:?}");
        }
        let all = Notice {
            id: new_id(),
            scope: Scope::Group,
        };
        let failure = peer.remove("scores", &all).await.unwrap_err();
        assert!(matches!(failure, PeerError::Refused { .. }), "{failure:?}");
    }
}

#[tokio::test]
async fn many_keys_are_removed_from_them_one_by_one() {
    let steps = [STRANGE[0], REMOVED, REMOVED].map(|answer| (answer, Then::Keep));
    let mut fake = FakePeer::new(steps).await;
    peer(fake.address)
        .remove("scores", &removal(&[b"Tom", b"Sam"]))
        .await
        .unwrap();
    assert!(fake.request().await.starts_with("POST /_groupcache/ "));
    let mut lines = Vec::new();
    for _ in 0..2 {
        let head = fake.request().await;
        assert!(!head.contains("gaggle-removal:"), "{head}");
        lines.push(head.split("\r\n").next().unwrap().to_owned());
    }
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "DELETE /_groupcache/scores/Sam HTTP/1.1",
            "DELETE /_groupcache/scores/Tom HTTP/1.1"
        ]
    );
    // golang's server reads the second as a get.
    let steps = [STRANGE[0], REMOVED, STRANGE[4]].map(|answer| (answer, Then::Keep));
    let fake = FakePeer::new(steps).await;
    let notice = removal(&[b"Tom", b"Sam"]);
    assert!(peer(fake.address).remove("scores", &notice).await.is_err());
}

#[tokio::test]
async fn a_failure_says_nothing_of_what_a_peer_knows() {
    for status in ["502 Bad Gateway", "503 Service Unavailable"] {
        let fake = FakePeer::once(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")).await;
        let peer = peer(fake.address);
        let news = peer.news("scores", &Known::default(), "").await;
        assert!(matches!(news, Err(PeerError::Refused { .. })), "{news:?}");
    }
}

#[tokio::test]
async fn news_that_cannot_be_read_are_refused() {
    let many = "\x0a\0".repeat((1 << 18) + 1);
    for (headers, body) in [
        ("", "text"),
        ("", "\x0a\x00"),
        ("", &*many),
        ("content-length: 4194305\r\n", ""),
    ] {
        let length = format!("content-length: {}\r\n", body.len());
        let headers = if headers.is_empty() { &length } else { headers };
        let answer = format!("HTTP/1.1 200 OK\r\ngaggle-control: 1\r\n{headers}\r\n{body}");
        let fake = FakePeer::once(answer).await;
        let peer = peer(fake.address);
        let news = peer.news("scores", &Known::default(), "").await;
        assert!(matches!(news, Err(PeerError::Refused { .. })), "{news:?}");
    }
}

#[tokio::test]
async fn a_value_is_given_again_where_the_peer_had_just_closed_the_connection() {
    let done = "HTTP/1.1 200 OK\r\ngaggle-control: 1\r\ncontent-length: 0\r\n\r\n";
    for len in [3, 100_000] {
        let steps = [(done, Then::Keep), ("", Then::Close), (done, Then::Keep)];
        let fake = FakePeer::new(steps).await;
        let peer = peer(fake.address);
        let (key, entry) = (Key::from("Tom"), Entry::value(vec![0; len]));
        for _ in 0..2 {
            let put = Put::new("scores", &key, &entry, new_id());
            peer.put(put).await.unwrap();
        }
    }
}
