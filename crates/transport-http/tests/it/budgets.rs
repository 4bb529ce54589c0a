//! Bytes in flight: what is read and what is being written draws on a budget, and is shed where
//! there is no room.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{ByteBudget, Entry, Fetch, Group, GroupBuilder, Key, Peer, PeerError, Verdict};
use gaggle_transport_http::{Encoding, HttpPeer, ServerOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::batches::{batching, one_at_once, together};
use crate::fake_peer::{FakePeer, Then};
use crate::support::{LONG, ask, peer, serve};

const SOON: Duration = Duration::from_millis(10);

fn is_shed(answer: &Result<Entry, PeerError>) -> bool {
    matches!(
        answer,
        Err(PeerError::Verdict {
            verdict: Verdict::Shed { limit: 0, .. },
            ..
        })
    )
}

/// A group whose values have the length that their keys state.
fn sized() -> GroupBuilder {
    Group::builder("sized").origin_fn(|key: Bytes| async move {
        let len: usize = std::str::from_utf8(&key)?.parse()?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Some(vec![7; len]))
    })
}

async fn within(peer: &HttpPeer, len: usize, budget: &ByteBudget) -> Result<Entry, PeerError> {
    let key = Key::from(len.to_string());
    let fetch = Fetch::new("sized", &key, 8 << 20, LONG);
    let fetched = peer.fetch(fetch.within(Some(budget))).await;
    fetched.map(|fetched| fetched.entry)
}

#[tokio::test]
async fn a_value_that_is_read_draws_on_the_askers_budget() {
    let server = serve([sized().build().unwrap()], ServerOptions::default()).await;
    let peer = peer(server);
    let budget = ByteBudget::new(1 << 20, SOON);
    for (len, fits) in [
        (0, true),
        (100, true),
        (1_000_000, true),
        (2_000_000, false),
    ] {
        let answer = within(&peer, len, &budget).await;
        if fits {
            assert_eq!(answer.unwrap().value.unwrap().len(), len);
        } else {
            assert!(is_shed(&answer), "{answer:?}");
        }
        assert_eq!(budget.used(), 0);
    }
    assert!(budget.peak() >= 1_000_000);
    // Small ones need no room.
    let _all = budget.reserve(1 << 20).await.unwrap();
    within(&peer, 100, &budget).await.unwrap();
    assert!(is_shed(&within(&peer, 10_000, &budget).await));
}

#[tokio::test]
async fn a_length_that_is_stated_is_reserved_before_anything_comes() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 8000000\r\n\r\n";
    let fake = FakePeer::new([(answer, Then::Hang)]).await;
    let peer = peer(fake.address);
    let budget = ByteBudget::new(16 << 20, SOON);
    let asked = tokio::spawn({
        let budget = budget.clone();
        async move { within(&peer, 1, &budget).await }
    });
    until(|| budget.used() == 8_000_000).await;
    asked.abort();
    until(|| budget.used() == 0).await;
}

#[tokio::test]
async fn so_does_one_in_a_batch() {
    // A value as large does not fit into the cache, so it is sent in the batch itself.
    let group = sized().capacity(1 << 10).build().unwrap();
    let server = serve([group], ServerOptions::default()).await;
    let peer = batching(server, one_at_once()).await;
    let budget = ByteBudget::new(1 << 20, SOON);
    let (first, small, large) = tokio::join!(
        within(&peer, 1, &budget),
        within(&peer, 1_000, &budget),
        within(&peer, 2_000_000, &budget),
    );
    assert_eq!(first.unwrap().value.unwrap().len(), 1);
    assert_eq!(small.unwrap().value.unwrap().len(), 1_000);
    assert!(is_shed(&large), "{large:?}");
    assert_eq!(budget.used(), 0);
    let (first, fits) = tokio::join!(within(&peer, 2, &budget), within(&peer, 900_000, &budget));
    assert_eq!(first.unwrap().value.unwrap().len(), 2);
    assert_eq!(fits.unwrap().value.unwrap().len(), 900_000);
    assert_eq!(budget.used(), 0);
}

/// A peer that takes batches, and answers one with the beginning of half a million bytes. All
/// other requests have the value 630.
async fn large_in_a_batch() -> (FakePeer, Arc<HttpPeer>) {
    let value = b"HTTP/1.1 200 OK\r\ngaggle-batch: 1\r\ncontent-length: 5\r\n\r\n\x0a\x03630";
    let batch = b"HTTP/1.1 200 OK\r\ngaggle-batch: 1\r\ntransfer-encoding: chunked\r\n\r\n\
                  4\r\n\xa0\xc2\x1e\x08\r\n";
    let mut steps = vec![(value.to_vec(), Then::Keep); 2];
    steps.push((batch.to_vec(), Then::Hang));
    steps.extend(vec![(value.to_vec(), Then::Keep); 3]);
    let fake = FakePeer::new(steps).await;
    let peer = batching(fake.address, one_at_once()).await;
    (fake, peer)
}

#[tokio::test]
async fn keys_of_a_batch_after_one_without_room_are_asked_for_singly() {
    let (_fake, peer) = large_in_a_batch().await;
    let budget = ByteBudget::new(100_000, SOON);
    let answers = tokio::join!(
        within(&peer, 1, &budget),
        within(&peer, 2, &budget),
        within(&peer, 3, &budget),
        within(&peer, 4, &budget),
    );
    for answer in [answers.0, answers.1, answers.2, answers.3] {
        assert_eq!(answer.unwrap(), Entry::value("630"));
    }
    assert_eq!(budget.refused(), 1, "the batch");
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn a_batch_that_waits_for_room_is_given_up_with_its_last_caller() {
    let (_fake, peer) = large_in_a_batch().await;
    let budget = ByteBudget::new(1 << 20, 10 * LONG);
    let _all = budget.reserve(1 << 20).await.unwrap();
    let gets = [1, 2, 3].map(|len| {
        let (peer, budget) = (peer.clone(), budget.clone());
        tokio::spawn(async move {
            let key = Key::from(len.to_string());
            let fetch = Fetch::new("sized", &key, 8 << 20, 10 * LONG);
            peer.fetch(fetch.within(Some(&budget))).await
        })
    });
    until(|| budget.waiting() == 1).await;
    for get in gets {
        get.abort();
    }
    until(|| budget.waiting() == 0).await;
}

/// A node with that many bytes of budget, and the values of these lengths in its cache.
async fn holding(bytes: u64, lens: &[usize], encoding: Encoding) -> (Group, std::net::SocketAddr) {
    let budget = ByteBudget::new(bytes, SOON);
    let group = sized().in_flight(budget).build().unwrap();
    for len in lens {
        group.get(len.to_string()).await.unwrap();
    }
    let options = ServerOptions {
        encoding,
        ..ServerOptions::default()
    };
    let server = serve([group.clone()], options).await;
    (group, server)
}

#[tokio::test]
async fn values_that_no_client_reads_are_bounded_and_others_shed() {
    const LEN: usize = 6_000_000;
    for encoding in [Encoding::Raw, Encoding::Protobuf] {
        let lens = [LEN, LEN + 1, LEN + 2];
        let (group, server) = holding(15_000_000, &lens, encoding).await;
        let budget = group.in_flight();
        // Readers that ask and do not read.
        let mut slow = Vec::new();
        for len in [LEN, LEN + 1, LEN] {
            let mut connection = TcpStream::connect(server).await.unwrap();
            let get = format!("GET /_groupcache/sized/{len} HTTP/1.1\r\nhost: x\r\n\r\n");
            connection.write_all(get.as_bytes()).await.unwrap();
            let mut first = [0; 12];
            let read = timeout(LONG, connection.read_exact(&mut first)).await;
            read.unwrap().unwrap();
            assert_eq!(&first, b"HTTP/1.1 200");
            slow.push(connection);
        }
        // A value that is sent twice counts once. Both values count until they are written, in
        // whichever buffer they are.
        assert_eq!(budget.used(), 2 * LEN as u64 + 1);
        let refused = ask(server, &format!("GET /_groupcache/sized/{}", LEN + 2), "").await;
        assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
        assert!(
            refused.contains("\r\ngaggle-verdict: shed\r\n"),
            "{refused}"
        );
        assert!(refused.contains("\r\nretry-after: 1\r\n"), "{refused}");
        // A small value, or one that counts already, is not shed.
        let small = ask(server, "GET /_groupcache/sized/99", "").await;
        assert!(small.starts_with("HTTP/1.1 200 "), "{small}");
        drop(slow);
        until(|| budget.used() == 0).await;
    }
}

#[tokio::test]
async fn in_a_batch_what_has_no_room_is_shed_by_itself() {
    let (group, server) = holding(40_000, &[20_000, 30_000, 50_000, 100], Encoding::Protobuf).await;
    let peer = batching(server, one_at_once()).await;
    let gets = ["9", "100", "20000", "50000", "30000"].map(|len| ("sized", len.as_bytes()));
    let answers = together(&peer, &gets).await;
    for (answer, len) in answers.iter().zip([9, 100, 20_000]) {
        let value = answer.as_ref().unwrap().value.as_ref();
        assert_eq!(value.unwrap().len(), len);
    }
    assert!(is_shed(&answers[3]), "{:?}", answers[3]);
    until(|| group.in_flight().used() == 0).await;
}

#[tokio::test]
async fn request_bodies_draw_on_the_servers_budget_as_they_come() {
    let (group, server) = holding(300_000, &[], Encoding::Protobuf).await;
    let budget = group.in_flight();
    let head = "POST /_groupcache/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                gaggle-batch: 1\r\ncontent-length: 1000000\r\n\r\n";
    // States a large length and sends nothing: takes no room.
    let mut silent = TcpStream::connect(server).await.unwrap();
    silent.write_all(head.as_bytes()).await.unwrap();
    // Sends a part.
    let mut half = TcpStream::connect(server).await.unwrap();
    half.write_all(head.as_bytes()).await.unwrap();
    half.write_all(&[0; 100_000]).await.unwrap();
    until(|| budget.used() >= 100_000).await;
    assert!(budget.used() <= 262_144, "{}", budget.used());
    // Has no room in addition to that.
    let mut whole = head.as_bytes().to_vec();
    whole.resize(head.len() + 1_000_000, 0);
    let mut refused = TcpStream::connect(server).await.unwrap();
    // The answer arrives before everything is sent, so sending may fail.
    let _ = refused.write_all(&whole).await;
    let mut answer = [0; 12];
    refused.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 503");
    drop((silent, half));
    until(|| budget.used() == 0).await;
}

#[tokio::test]
async fn a_batch_of_slow_and_large_keys_holds_no_more_than_is_in_the_budget() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let budget = ByteBudget::new(4 << 20, SOON);
    let group = Group::builder("sized")
        .capacity(1 << 10)
        .in_flight(budget.clone())
        .origin_fn({
            let gate = gate.clone();
            move |key: Bytes| {
                let gate = gate.clone();
                async move {
                    if key.starts_with(b"slow") {
                        gate.acquire().await?.forget();
                        return Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Some(vec![7; 9]));
                    }
                    // Not ready at once: its get is a task of its own then.
                    yield_now().await;
                    Ok(Some(vec![7; 1 << 20]))
                }
            }
        })
        .build()
        .unwrap();
    let server = serve([group], ServerOptions::default()).await;
    // Thirty values of a mebibyte that no cache takes, behind a key that is slow.
    let item = |key: &str| {
        let mut item = vec![0x0a, u8::try_from(key.len() + 9).unwrap(), 0x0a, 5];
        item.extend(b"sized\x12");
        item.push(u8::try_from(key.len()).unwrap());
        item.extend(key.as_bytes());
        item
    };
    let mut body = item("slow");
    for n in 0..30 {
        body.extend(item(&format!("key-{n}")));
    }
    let head = format!(
        "POST /_groupcache/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\ngaggle-batch: 1\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let mut connection = TcpStream::connect(server).await.unwrap();
    connection
        .write_all(&[head.as_bytes(), &body].concat())
        .await
        .unwrap();
    // No client reads: the budget fills, and what has no room in time is shed.
    until(|| budget.refused() > 0).await;
    assert!(budget.peak() <= 4 << 20);
    gate.add_permits(1);
    let mut answer = Vec::new();
    timeout(LONG, connection.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(answer.len() > 1 << 20, "those that had room came through");
    assert!(answer.ends_with(b"0\r\n\r\n"), "and all have an answer");
    until(|| budget.used() == 0).await;
}

/// Waits until the condition holds.
async fn until(is_so: impl Fn() -> bool) {
    let waited = timeout(LONG, async {
        while !is_so() {
            yield_now().await;
        }
    });
    waited.await.expect("it comes to be so");
}
