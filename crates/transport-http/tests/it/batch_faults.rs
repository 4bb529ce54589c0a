//! Peers whose answers to batches are malformed, or that no longer take batches.

use gaggle_group::{Entry, PeerError};
use gaggle_transport_http::{Batching, ClientOptions};

use crate::batches::{batching, one_at_once, together};
use crate::clock::StoppedClock;
use crate::fake_peer::{Event, FakePeer, Then};
use crate::support::{fetch, found, peer_with, reason};

/// An answer to a get from a peer that takes batches.
const TOM: &str = "HTTP/1.1 200 OK\r\ngaggle-batch: 1\r\ncontent-length: 5\r\n\r\n\x0a\x03630";
/// The same from one that does not.
const PLAIN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n\x0a\x03630";
const HEAD: &str = "HTTP/1.1 200 OK\r\ngaggle-batch: 1\r\ntransfer-encoding: chunked\r\n\r\n";
const END: &str = "0\r\n\r\n";

const GETS: [(&str, &[u8]); 4] = [
    ("scores", b"first"),
    ("scores", b"a"),
    ("scores", b"b"),
    ("scores", b"c"),
];

fn chunk(bytes: &str) -> String {
    format!("{:x}\r\n{bytes}\r\n", bytes.len())
}

/// The value 630 for the get at that place in a batch.
fn answer(index: char) -> String {
    format!("\x09\x08{index}\x12\x05\x0a\x03630")
}

/// Four gets, the first of which goes alone. Returns the results of the other three with that
/// answer to their batch.
async fn three(batch: &str, then: Then) -> [Result<Entry, PeerError>; 3] {
    let steps = [(TOM, Then::Keep), (TOM, Then::Keep), (batch, then)];
    let mut fake = FakePeer::new(steps).await;
    let peer = batching(fake.address, one_at_once()).await;
    let mut answers = together(&peer, &GETS).await;
    assert_eq!(answers.remove(0).unwrap(), found("630"));
    for line in ["GET ", "GET ", "POST /_groupcache/ HTTP/1.1\r\n"] {
        let head = loop {
            if let Event::Request(_, head) = fake.event().await {
                break head;
            }
        };
        assert!(head.starts_with(line), "{head}");
    }
    answers.try_into().unwrap()
}

fn unavailable(answer: &Result<Entry, PeerError>) -> bool {
    matches!(answer, Err(PeerError::Unavailable { .. }))
}

fn refused(answer: &Result<Entry, PeerError>) -> bool {
    matches!(answer, Err(PeerError::Refused { .. }))
}

#[tokio::test]
async fn a_stream_that_breaks_off_fails_the_rest_alone() {
    let cut = answer('\0');
    let (whole, half) = (answer('\x01'), &cut[..5]);
    for batch in [
        format!("{HEAD}{}", chunk(&whole)),
        format!("{HEAD}{}{}", chunk(&whole), chunk(half)),
        format!("{HEAD}{}", chunk(&format!("{whole}{half}"))),
        format!("{HEAD}{}{END}", chunk(&whole)),
        format!("{HEAD}{}{}{END}", chunk(&whole[..1]), chunk(&whole[1..])),
    ] {
        for then in [Then::Close, Then::Reset] {
            let [a, b, c] = three(&batch, then).await;
            // A reset may overtake what was sent before it.
            if !matches!(then, Then::Reset) {
                assert_eq!(b.unwrap(), found("630"), "{batch:?}");
            }
            assert!(unavailable(&a) && unavailable(&c), "{batch:?}: {a:?} {c:?}");
        }
    }
}

#[tokio::test]
async fn what_is_no_answer_fails_the_rest_alone() {
    for bad in [
        answer('\x01'),
        answer('\x03'),
        "\x04text".to_owned(),
        "\u{7f}".repeat(20) + &"\0".repeat(200),
        "\x7f\x08\x00".to_owned() + &"x".repeat(125),
    ] {
        let batch = format!("{HEAD}{}{END}", chunk(&(answer('\x01') + &bad)));
        let [a, b, c] = three(&batch, Then::Keep).await;
        assert_eq!(b.unwrap(), found("630"));
        assert!(refused(&a) && refused(&c), "{bad:?}: {a:?} {c:?}");
    }
    // An unknown kind of answer affects one get only.
    let batch = format!(
        "{HEAD}{}{END}",
        chunk(&(answer('\0') + "\x04\x08\x01\x7a\x00" + &answer('\x02')))
    );
    let [a, b, c] = three(&batch, Then::Keep).await;
    assert!(refused(&b), "{b:?}");
    assert_eq!((a.unwrap(), c.unwrap()), (found("630"), found("630")));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_hangs_in_the_middle_of_an_answer_is_given_up() {
    let clock = StoppedClock::new();
    let start = &answer('\0')[..5];
    let batch = format!("{HEAD}{}{}", chunk(&answer('\x01')), chunk(start));
    let steps = [(TOM, Then::Keep), (TOM, Then::Keep), (&batch, Then::Hang)];
    let fake = FakePeer::new(steps).await;
    let options = ClientOptions {
        read_timeout: std::time::Duration::from_millis(700),
        batching: Some(one_at_once()),
        ..ClientOptions::default()
    };
    let peer = peer_with(fake.address, options);
    fetch(&peer, "scores", b"Tom").await.unwrap();
    let answers = clock.run(together(&peer, &GETS)).await;
    assert_eq!(*answers[2].as_ref().unwrap(), found("630"));
    for late in [&answers[1], &answers[3]] {
        let failure = late.as_ref().unwrap_err();
        assert_eq!(
            reason(failure),
            "nothing arrived for 700ms in the middle of an answer"
        );
    }
}

#[tokio::test]
async fn a_peer_that_takes_no_batches_is_asked_as_ever() {
    let mut fake = FakePeer::new([(PLAIN, Then::Keep); 21]).await;
    let peer = batching(fake.address, one_at_once()).await;
    for answer in together(&peer, &[GETS[0]; 20]).await {
        assert_eq!(answer.unwrap(), found("630"));
    }
    for _ in 0..21 {
        let head = fake.request().await;
        assert!(head.starts_with("GET /_groupcache/"), "{head}");
        assert!(!head.contains("gaggle-batch"), "{head}");
    }
}

#[tokio::test]
async fn a_peer_that_takes_no_more_batches_is_asked_for_each_key_once() {
    // golang/groupcache answers 400: there is no key in the path. A proxy in between might answer
    // 200.
    for no in [
        "HTTP/1.1 400 Bad Request\r\ncontent-length: 12\r\n\r\nbad request\n",
        PLAIN,
    ] {
        let mut steps = vec![(TOM, Then::Keep), (TOM, Then::Keep), (no, Then::Keep)];
        steps.extend([(PLAIN, Then::Keep); 20]);
        let mut fake = FakePeer::new(steps).await;
        let peer = batching(fake.address, one_at_once()).await;
        for _ in 0..2 {
            for answer in together(&peer, &GETS).await {
                assert_eq!(answer.unwrap(), found("630"));
            }
        }
        let mut lines = Vec::new();
        for _ in 0..3 + 3 + 4 {
            let head = fake.request().await;
            lines.push(head.split_once(" HTTP/1.1").unwrap().0.to_owned());
        }
        assert_eq!(lines[2], "POST /_groupcache/");
        lines[3..6].sort_unstable();
        assert_eq!(
            lines[3..6],
            ["a", "b", "c"].map(|key| format!("GET /_groupcache/scores/{key}"))
        );
        assert!(lines[6..].iter().all(|line| line.starts_with("GET ")));
        assert_eq!(fake.further_requests(), 0);
    }
}

#[tokio::test]
async fn a_batch_is_sent_again_if_it_meets_a_connection_that_is_just_closed() {
    let all: String = ['\x02', '\0', '\x01'].map(answer).concat();
    let batch = format!("{HEAD}{}{END}", chunk(&all));
    let steps = [
        (TOM, Then::Keep),
        (TOM, Then::Keep),
        ("", Then::Close),
        (&batch, Then::Keep),
        (TOM, Then::Keep),
    ];
    let mut fake = FakePeer::new(steps).await;
    let peer = batching(fake.address, one_at_once()).await;
    for answer in together(&peer, &GETS).await {
        assert_eq!(answer.unwrap(), found("630"));
    }
    // The connection of the batch can be used for the next request.
    fetch(&peer, "scores", b"Tom").await.unwrap();
    let mut connections = Vec::new();
    for _ in 0..5 {
        let Event::Request(connection, _) = fake.event().await else {
            panic!("closed")
        };
        connections.push(connection);
    }
    assert_eq!(connections[3], connections[4]);
}

#[tokio::test]
async fn a_batch_that_nobody_waits_for_is_given_up() {
    let batch = format!("{HEAD}{}", chunk(&answer('\x01')));
    let steps = [(TOM, Then::Keep), (TOM, Then::Keep), (&batch, Then::Hang)];
    let mut fake = FakePeer::new(steps).await;
    let peer = batching(fake.address, one_at_once()).await;
    let get = |(group, key)| {
        let peer = peer.clone();
        tokio::spawn(async move { fetch(&peer, group, key).await })
    };
    let [first, gets @ ..] = GETS;
    let first = get(first);
    let [a, b, c] = gets.map(get);
    first.await.unwrap().unwrap();
    b.await.unwrap().unwrap();
    for _ in 0..3 {
        assert!(matches!(fake.event().await, Event::Request(..)));
    }
    a.abort();
    c.abort();
    assert!(matches!(fake.event().await, Event::Closed(_)));
}

#[tokio::test]
async fn options_under_which_no_batch_could_leave_are_refused() {
    for (requests_at_once, max_waiting) in [(0, 1), (1, 0)] {
        let options = ClientOptions {
            batching: Some(Batching {
                requests_at_once,
                max_waiting,
                ..Batching::default()
            }),
            ..ClientOptions::default()
        };
        assert!(gaggle_transport_http::HttpTransport::new(options).is_err());
    }
}
