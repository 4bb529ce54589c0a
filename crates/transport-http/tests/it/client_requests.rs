//! The bytes that the client sends.

use bytes::Bytes;
use gaggle_group::{Fetch, Peer, PeerError, Verdict};
use gaggle_transport_http::{ClientOptions, HttpTransport};

use crate::clock::StoppedClock;
use crate::fake_peer::{Event, FakePeer, Then};
use crate::support::{LONG, fetch, found, peer, peer_with, removal};

const TOM: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n\x0a\x03630";

#[tokio::test]
async fn a_fetch_is_a_get_as_groupcache_sends_it_and_a_few_headers() {
    let mut fake = FakePeer::once(TOM).await;
    assert_eq!(
        fetch(&peer(fake.address), "scores", b"Tom").await.unwrap(),
        found("630")
    );

    let head = fake.request().await;
    let mut lines: Vec<&str> = head.trim_end().split("\r\n").collect();
    assert_eq!(lines.remove(0), "GET /_groupcache/scores/Tom HTTP/1.1");
    lines.sort_unstable();
    let host = format!("host: {}", fake.address);
    let [accept, deadline, forwarded, max_value, sent_host] = lines[..] else {
        panic!("{head}")
    };
    assert_eq!(
        (accept, forwarded, max_value, sent_host),
        (
            "accept: */*",
            "gaggle-forwarded: 1",
            "gaggle-max-value: 1048576",
            &*host
        ),
    );
    // The time left until the deadline, minus what the answer's way back may take.
    let millis: u128 = deadline
        .strip_prefix("gaggle-deadline-ms: ")
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..LONG.as_millis()).contains(&millis), "{millis}");
}

#[tokio::test]
async fn keys_and_groups_are_escaped_byte_by_byte() {
    let vectors: [(&str, &[u8], &str); 8] = [
        ("scores", b"a b+c", "scores/a%20b%2Bc"),
        ("scores", b"a/b//../c", "scores/a%2Fb%2F%2F..%2Fc"),
        ("scores", b"%41?#&=", "scores/%2541%3F%23%26%3D"),
        ("scores", "张三".as_bytes(), "scores/%E5%BC%A0%E4%B8%89"),
        ("scores", b"\0\xff-_.~", "scores/%00%FF-_.~"),
        ("scores", b"...", "scores/..."),
        ("scores", b"", "scores/"),
        ("two words", b"%", "two%20words/%25"),
    ];
    let mut fake = FakePeer::new(vectors.map(|_| (TOM, Then::Keep))).await;
    let options = ClientOptions {
        base_path: "/geecache/".parse().unwrap(),
        ..ClientOptions::default()
    };
    let peer = peer_with(fake.address, options);
    for (group, key, path) in vectors {
        fetch(&peer, group, key).await.unwrap();
        let head = fake.request().await;
        let line = head.split("\r\n").next().unwrap();
        assert_eq!(line, format!("GET /geecache/{path} HTTP/1.1"));
        assert!(!head.contains("gaggle-key"), "{head}");
    }
}

#[tokio::test]
async fn the_keys_that_urls_cannot_hold_travel_in_a_header() {
    let mut fake = FakePeer::new([(TOM, Then::Keep), (TOM, Then::Keep)]).await;
    let peer = peer(fake.address);
    for key in [".", ".."] {
        fetch(&peer, "scores", key.as_bytes()).await.unwrap();
        let head = fake.request().await;
        assert!(
            head.starts_with("GET /_groupcache/scores HTTP/1.1\r\n"),
            "{head}"
        );
        assert!(
            head.contains(&format!("\r\ngaggle-key: {key}\r\n")),
            "{head}"
        );
    }
}

#[tokio::test]
async fn a_group_that_would_change_the_path_is_refused_unsent() {
    let mut fake = FakePeer::once(TOM).await;
    let peer = peer(fake.address);
    for group in [".", ".."] {
        assert!(fetch(&peer, group, b"Tom").await.is_err());
        assert!(peer.remove(group, &removal(&[b"."])).await.is_err());
    }
    assert_eq!(fake.further_requests(), 0);
}

#[tokio::test]
async fn a_key_too_long_for_any_url_is_refused_and_not_told() {
    let key = vec![b'k'; 100_000];
    let fake = FakePeer::once(TOM).await;
    let failure = fetch(&peer(fake.address), "scores", &key)
        .await
        .unwrap_err();
    assert!(matches!(failure, PeerError::Refused { .. }), "{failure:?}");
    assert!(!failure.to_string().contains("kkk"), "{failure}");
}

#[tokio::test]
async fn the_name_is_the_base_url_to_the_letter_and_the_address_ends_without_a_slash() {
    let fakes = [FakePeer::once(TOM).await, FakePeer::once(TOM).await];
    let transport = HttpTransport::new(ClientOptions::default()).unwrap();
    for (mut fake, (suffix, path)) in fakes
        .into_iter()
        .zip([("/", ""), ("/far/away/", "/far/away")])
    {
        let url = format!("HTTP://{}{suffix}", fake.address);
        let peer = transport.peer(&url).unwrap();
        assert_eq!(peer.name(), url);
        fetch(&peer, "scores", b"Tom").await.unwrap();
        let expected = format!("GET {path}/_groupcache/scores/Tom HTTP/1.1\r\n");
        assert!(fake.request().await.starts_with(&expected));
    }
}

#[tokio::test]
async fn a_removal_is_a_marked_delete_and_done_only_if_the_peer_says_so() {
    let plain = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let done = "HTTP/1.1 200 OK\r\ngaggle-removed: 1\r\ncontent-length: 0\r\n\r\n";
    let absent = "HTTP/1.1 404 Not Found\r\ngaggle-verdict: not-found\r\ncontent-length: 0\r\n\r\n";
    let mut fake = FakePeer::new([done, plain, absent].map(|answer| (answer, Then::Keep))).await;
    let peer = peer(fake.address);
    let key = removal(&[b"a b"]);
    peer.remove("scores", &key).await.unwrap();
    let head = fake.request().await;
    assert!(
        head.starts_with("DELETE /_groupcache/scores/a%20b HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\ngaggle-forwarded: 1\r\n"), "{head}");
    let name = format!("\r\ngaggle-removal: {}\r\n", key.id);
    assert!(head.contains(&name), "{head}");
    assert!(
        peer.remove("scores", &key).await.is_err(),
        "golang takes DELETE for a get"
    );
    assert!(peer.remove("scores", &key).await.is_err());
}

#[tokio::test]
async fn any_answer_to_a_ping_is_a_sign_of_life() {
    let answers = [
        "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 3\r\n\r\nno\n",
        "HTTP/1.1 301 Moved Permanently\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n",
    ];
    let mut fake = FakePeer::new(answers.map(|answer| (answer, Then::Keep))).await;
    let peer = peer(fake.address);
    for _ in answers {
        peer.ping().await.unwrap();
        match fake.event().await {
            Event::Request(0, head) => assert!(head.starts_with("GET /_groupcache/ HTTP/1.1\r\n")),
            other => panic!("not on the one connection: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_are_under_way_than_allowed_and_pings_pass_by() {
    let clock = StoppedClock::new();
    let hang = ("", Then::Hang);
    let alive = (
        "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
        Then::Close,
    );
    let mut fake = FakePeer::new([hang, alive, (TOM, Then::Close)]).await;
    let options = ClientOptions {
        max_requests_per_peer: 1,
        ..ClientOptions::default()
    };
    let peer = peer_with(fake.address, options);
    let holder = tokio::spawn({
        let peer = peer.clone();
        async move { fetch(&peer, "scores", b"Tom").await }
    });
    fake.request().await;

    let key = Bytes::from_static(b"Tom");
    let deadline = std::time::Duration::from_millis(500);
    let waited = clock.run(peer.fetch(Fetch::new("scores", &key, 9, deadline)));
    let waited = waited.await;
    let Err(PeerError::Verdict { verdict, .. }) = waited else {
        panic!("{waited:?}")
    };
    assert!(
        matches!(verdict, Verdict::Shed { limit: 1, .. }),
        "{verdict}"
    );
    peer.ping().await.unwrap();
    assert!(
        fake.request().await.starts_with("GET /_groupcache/ "),
        "the second fetch was not sent"
    );

    holder.abort();
    assert_eq!(
        fetch(&peer, "scores", b"Tom").await.unwrap(),
        found("630"),
        "the slot is free again"
    );
}
