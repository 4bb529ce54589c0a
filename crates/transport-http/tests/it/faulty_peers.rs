//! Faulty peers: their answers are never values, and the kind of failure is right.

use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{Fetch, Peer, PeerError};
use gaggle_transport_http::{ClientOptions, Encoding};
use tokio::net::TcpListener;

use crate::clock::StoppedClock;
use crate::fake_peer::{Event, FakePeer, Then};
use crate::support::{fetch, fetch_most, found, peer, peer_with, reason, removal};

const TOM: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n\x0a\x03630";

fn unavailable(failure: &PeerError) -> bool {
    matches!(failure, PeerError::Unavailable { .. })
}

fn raw_options() -> ClientOptions {
    ClientOptions {
        encoding: Encoding::Raw,
        ..ClientOptions::default()
    }
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let peer = peer(address);
    let failure = fetch(&peer, "scores", b"Kesa").await.unwrap_err();
    assert!(unavailable(&failure), "{failure:?}");
    assert!(
        reason(&failure).starts_with("cannot connect: "),
        "{failure}"
    );
    assert!(!failure.to_string().contains("Kesa"), "{failure}");
    assert_eq!(&**failure.peer(), peer.name());
    assert!(unavailable(&peer.ping().await.unwrap_err()));
    assert!(unavailable(
        &peer
            .remove("scores", &removal(&[b"Kesa"]))
            .await
            .unwrap_err()
    ));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_value() {
    let stated = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n\x0a\x03630";
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n\x0a\x03630\r\n";
    for answer in [stated, chunked] {
        for then in [Then::Close, Then::Reset] {
            for options in [ClientOptions::default(), raw_options()] {
                let fake = FakePeer::new([(answer, then)]).await;
                let failure = fetch(&peer_with(fake.address, options), "scores", b"Tom")
                    .await
                    .unwrap_err();
                assert!(unavailable(&failure), "{then:?}: {failure:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_body_whose_end_is_not_stated_is_no_value() {
    // HTTP/1.0: a connection that broke after any of these bytes would look the same.
    for (answer, options) in [
        ("HTTP/1.0 200 OK\r\n\r\n", ClientOptions::default()),
        (
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n630",
            raw_options(),
        ),
    ] {
        let fake = FakePeer::once(answer).await;
        let failure = fetch(&peer_with(fake.address, options), "scores", b"Tom")
            .await
            .unwrap_err();
        assert!(matches!(failure, PeerError::Refused { .. }), "{failure:?}");
    }
}

#[tokio::test]
async fn bad_protobuf_is_no_value() {
    for body in [
        "630",
        "\x0a\x09630",
        "\x0a\x03630\x0a",
        "<html>not a cache</html>",
    ] {
        let len = body.len();
        let fake = FakePeer::once(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {len}\r\n\r\n{body}"
        ))
        .await;
        let failure = fetch(&peer(fake.address), "scores", b"Tom")
            .await
            .unwrap_err();
        assert!(matches!(failure, PeerError::Refused { .. }), "{failure:?}");
    }
}

#[tokio::test]
async fn protobuf_is_no_raw_value() {
    let fake = FakePeer::once(
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 5\r\n\r\n\x0a\x03630",
    )
    .await;
    let failure = fetch(&peer_with(fake.address, raw_options()), "scores", b"Tom")
        .await
        .unwrap_err();
    assert!(matches!(failure, PeerError::Refused { .. }), "{failure:?}");
}

#[tokio::test]
async fn what_is_not_http_is_no_value() {
    let fake = FakePeer::once("-ERR unknown command\r\n").await;
    assert!(unavailable(
        &fetch(&peer(fake.address), "scores", b"Tom")
            .await
            .unwrap_err()
    ));
}

#[tokio::test]
async fn too_long_a_body_is_not_read_and_its_connection_not_used_again() {
    let mut endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..1_000 {
        endless.extend_from_slice(b"400\r\n");
        endless.extend_from_slice(&[b'x'; 0x400]);
        endless.extend_from_slice(b"\r\n");
    }
    let stated = b"HTTP/1.1 200 OK\r\ncontent-length: 9000000000000000000\r\n\r\nxxxx".to_vec();
    for answer in [endless, stated] {
        let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n630".to_vec();
        let mut fake = FakePeer::new([(answer, Then::Hang), (ok, Then::Keep)]).await;
        let peer = peer_with(fake.address, raw_options());
        let failure = fetch_most(&peer, "scores", b"Tom", 2_000).await;
        let failure = failure.unwrap_err();
        assert!(matches!(failure, PeerError::Refused { .. }), "{failure:?}");
        let expected = "status 200, but a body of more than 2000 bytes";
        assert_eq!(reason(&failure), expected);
        assert_eq!(fetch(&peer, "scores", b"Tom").await.unwrap(), found("630"));
        let mut events = [fake.event().await, fake.event().await, fake.event().await];
        events.sort_by_key(|event| matches!(event, Event::Closed(_)));
        assert!(
            matches!(
                events,
                [Event::Request(0, _), Event::Request(1, _), Event::Closed(0)]
            ),
            "{events:?}"
        );
    }
}

#[tokio::test]
async fn a_value_one_byte_over_is_distinguished_from_one_that_fits() {
    let fake = FakePeer::new([(TOM, Then::Keep), (TOM, Then::Keep)]).await;
    let peer = peer(fake.address);
    assert_eq!(
        fetch_most(&peer, "scores", b"Tom", 3).await.unwrap(),
        found("630")
    );
    // A peer that follows the protocol says so instead of sending it.
    let failure = fetch_most(&peer, "scores", b"Tom", 2).await.unwrap_err();
    assert!(matches!(failure, PeerError::Refused { .. }), "{failure:?}");
    let expected = "status 200, but a value of 3 bytes, where 2 were asked for";
    assert_eq!(reason(&failure), expected);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_hangs_costs_the_deadline_and_its_connection() {
    let clock = StoppedClock::new();
    let key = Bytes::from_static(b"Tom");
    for answer in [
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n\x0a",
    ] {
        let mut fake = FakePeer::new([(answer, Then::Hang)]).await;
        let deadline = Duration::from_millis(300);
        let fetch = Fetch::new("scores", &key, 9, deadline);
        let peer = peer(fake.address);
        let failure = clock.run(peer.fetch(fetch)).await.unwrap_err();
        assert!(unavailable(&failure), "{failure:?}");
        assert_eq!(reason(&failure), "no answer within 300ms");
        fake.request().await;
        assert_eq!(
            fake.event().await,
            Event::Closed(0),
            "the peer need not answer any more"
        );
    }
    let fake = FakePeer::new([("", Then::Hang), ("", Then::Hang)]).await;
    let options = ClientOptions {
        ping_timeout: Duration::from_millis(500),
        remove_timeout: Duration::from_millis(500),
        ..ClientOptions::default()
    };
    let peer = peer_with(fake.address, options);
    let removal = removal(&[b"Tom"]);
    let ping = clock.run(peer.ping()).await.unwrap_err();
    let removed = clock.run(peer.remove("scores", &removal)).await;
    assert!(unavailable(&ping) && unavailable(&removed.unwrap_err()));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_pauses_is_given_up_before_the_deadline() {
    let clock = StoppedClock::new();
    let start = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n\x0a\x03";
    let fake = FakePeer::new([(start, Then::Hang)]).await;
    let options = ClientOptions {
        read_timeout: Duration::from_millis(700),
        ..ClientOptions::default()
    };
    let peer = peer_with(fake.address, options);
    let failure = clock.run(fetch(&peer, "scores", b"Tom"));
    let failure = failure.await.unwrap_err();
    assert!(unavailable(&failure), "{failure:?}");
    assert_eq!(
        reason(&failure),
        "nothing arrived for 700ms in the middle of a body"
    );
}

#[tokio::test]
async fn a_connection_closed_between_requests_goes_unnoticed() {
    // The worst moment: the peer closes just as the request arrives, in order or with a reset.
    for then in [Then::Close, Then::Reset] {
        let mut fake = FakePeer::new([(TOM, Then::Keep), ("", then), (TOM, Then::Keep)]).await;
        let peer = peer(fake.address);
        for _ in 0..2 {
            assert_eq!(
                fetch(&peer, "scores", b"Tom").await.unwrap(),
                found("630"),
                "{then:?}"
            );
        }
        assert_eq!(fake.further_requests(), 3);
    }
    // A peer that closes after each answer, without saying so.
    let fake = FakePeer::new([(TOM, Then::Close); 20]).await;
    let peer = peer(fake.address);
    for _ in 0..10 {
        assert_eq!(fetch(&peer, "scores", b"Tom").await.unwrap(), found("630"));
    }
}

#[tokio::test]
async fn a_peer_that_keeps_closing_is_asked_twice_and_no_more() {
    let mut fake = FakePeer::new([("", Then::Close); 9]).await;
    assert!(unavailable(
        &fetch(&peer(fake.address), "scores", b"Tom")
            .await
            .unwrap_err()
    ));
    assert_eq!(fake.further_requests(), 2);
}

#[tokio::test]
async fn an_error_leaves_the_connection_for_the_next_request() {
    let no = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 3\r\n\r\nno\n";
    let mut fake = FakePeer::new([(no, Then::Keep), (TOM, Then::Keep)]).await;
    let peer = peer(fake.address);
    assert!(fetch(&peer, "scores", b"Tom").await.is_err());
    assert_eq!(fetch(&peer, "scores", b"Tom").await.unwrap(), found("630"));
    for _ in 0..2 {
        assert!(matches!(fake.event().await, Event::Request(0, _)));
    }
}
