//! Peers that make false claims, and answers without an end: they count as failed, within bounds
//! of time and of bytes.

use std::net::SocketAddr;
use std::time::Duration;

use gaggle_group::{Entry, Fetch, Key, Peer, PeerError};
use gaggle_transport_http::{ClientOptions, Encoding};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use crate::clock::StoppedClock;
use crate::fake_peer::{FakePeer, Then};
use crate::support::{fetch_most, peer, peer_with};

const DEADLINE: Duration = Duration::from_secs(5);

fn is_refused(answer: &Result<Entry, PeerError>) -> bool {
    matches!(answer, Err(PeerError::Refused { .. }))
}

/// A peer that answers every request with this head, and then repeats this text: without or with a
/// pause before each.
async fn endless(head: &'static str, again: &'static str, pause: Option<Duration>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let _ = connection.read(&mut [0; 4_096]).await;
                let _ = connection.write_all(head.as_bytes()).await;
                loop {
                    match pause {
                        Some(pause) => sleep(pause).await,
                        None => tokio::task::yield_now().await,
                    }
                    if connection.write_all(again.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn ten_gibibytes_are_a_failed_peer_and_no_value_that_is_too_large() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n\x0a";
    for encoding in [Encoding::Protobuf, Encoding::Raw] {
        let options = ClientOptions {
            encoding,
            ..ClientOptions::default()
        };
        let fake = FakePeer::new([(head, Then::Hang)]).await;
        let answer = fetch_most(&peer_with(fake.address, options), "g", b"k", 8 << 20).await;
        assert!(is_refused(&answer), "{answer:?}");
    }
}

#[tokio::test]
async fn lengths_that_lie_are_a_failed_peer() {
    for body in [
        // A value longer than the message; of 2^63 bytes; a length without an end; a group that is
        // not closed.
        &b"\x0a\x7f630"[..],
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f630",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x0b\x0b\x0b\x0b\x0b\x0b",
    ] {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        let fake = FakePeer::once([head.as_bytes(), body].concat()).await;
        let answer = fetch_most(&peer(fake.address), "g", b"k", 8 << 20).await;
        assert!(is_refused(&answer), "{answer:?}");
    }
}

#[tokio::test]
async fn a_body_without_an_end_is_read_up_to_the_limit() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let more = "40\r\n0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n";
    let address = endless(head, more, None).await;
    let answer = fetch_most(&peer(address), "g", b"k", 100_000).await;
    assert!(is_refused(&answer), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn what_drips_is_cut_at_the_deadline() {
    let clock = StoppedClock::new();
    let second = Some(Duration::from_millis(900));
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let stated = "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n";
    let error = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 100000\r\n\r\n";
    for (head, again) in [
        // The head itself; a body in either form; an error's body; answers before the answer.
        ("HTTP/1.1 200 OK\r\n", "a: b\r\n"),
        (chunked, "1\r\nx\r\n"),
        (stated, "x"),
        (error, "x"),
        ("", "HTTP/1.1 100 Continue\r\n\r\n"),
        ("", "HTTP/1.1 103 Early Hints\r\n\r\n"),
    ] {
        let address = endless(head, again, second).await;
        let peer = peer(address);
        let (key, began) = (Key::from("k"), Instant::now());
        let answer = clock.run(peer.fetch(Fetch::new("g", &key, 8 << 20, DEADLINE)));
        let answer = answer.await;
        let took = began.elapsed();
        assert!(
            answer.is_err() && took <= DEADLINE,
            "{head}: {took:?} {answer:?}"
        );
        // A ping that drips is a sign of life, and costs no more than its own time.
        let began = Instant::now();
        let _ = clock.run(peer.ping()).await;
        assert!(began.elapsed() <= Duration::from_millis(400), "{head}");
    }
}

#[tokio::test]
async fn floods_of_heads_are_cut() {
    let flood = "x-flood: 0123456789012345678901234567890123456789012345678901234567890123\r\n";
    let address = endless("HTTP/1.1 200 OK\r\n", flood, None).await;
    let answer = fetch_most(&peer(address), "g", b"k", 8 << 20).await;
    assert!(
        matches!(answer, Err(PeerError::Unavailable { .. })),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_flood_of_answers_before_the_answer_ends_with_the_deadline() {
    let address = endless("", "HTTP/1.1 100 Continue\r\n\r\n", None).await;
    let key = Key::from("k");
    let soon = Duration::from_millis(100);
    let answer = peer(address).fetch(Fetch::new("g", &key, 9, soon)).await;
    assert!(
        matches!(answer, Err(PeerError::Unavailable { .. })),
        "{answer:?}"
    );
}
