//! The faults of the TCP proxy, each as a client sees it.

#![allow(clippy::unwrap_used, missing_docs)]

use std::io::ErrorKind;
use std::time::Duration;

use gaggle_testkit::{Fault, Proxy, Scope};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// Longer than any wait, so that it only ends tests that would hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that echoes its input, and a proxy in front of it.
async fn echo() -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                let (mut from, mut to) = stream.split();
                // A reset by the proxy ends it.
                let _ = tokio::io::copy(&mut from, &mut to).await;
                let _ = to.shutdown().await;
            });
        }
    });
    Proxy::start(upstream).await.unwrap()
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.addr()).await.unwrap()
}

/// Sends bytes, and waits until as many come back.
async fn round(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(bytes).await?;
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).await?;
    Ok(back)
}

#[tokio::test]
async fn everything_passes_and_is_counted() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    let large: Vec<u8> = (0..=255).cycle().take(3 << 20).collect();
    let (mut from, mut to) = stream.split();
    let mut back = vec![0; large.len()];
    let (sent, received) = tokio::join!(to.write_all(&large), from.read_exact(&mut back));
    sent.unwrap();
    received.unwrap();
    assert!(back == large);
    let counters = proxy.counters();
    assert_eq!((counters.connections, counters.open), (1, 1));
    let all = large.len() as u64;
    assert_eq!((counters.requested, counters.answered), (all, all));

    to.shutdown().await.unwrap();
    assert_eq!(from.read(&mut back).await.unwrap(), 0, "FIN is passed on");
    drop(stream);
    timeout(PATIENCE, async {
        while proxy.counters().open > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_delay_adds_to_each_direction_and_not_to_each_chunk_of_a_stream() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    round(&mut stream, b"before").await.unwrap();
    proxy
        .set(Scope::All, Fault::Delay(Duration::from_millis(500)))
        .await
        .unwrap();
    let began = Instant::now();
    assert_eq!(
        round(&mut stream, &[7; 200_000]).await.unwrap().len(),
        200_000
    );
    let took = began.elapsed();
    // Sockets are real, and time jumps while a chunk is on its way: a few delays, not one for each
    // of thirteen chunks.
    assert!(took >= Duration::from_secs(1), "{took:?}");
    assert!(took < Duration::from_secs(6), "{took:?}");
    proxy.pass().await.unwrap();
    let began = Instant::now();
    round(&mut stream, b"after").await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(500));
}

#[tokio::test]
async fn an_answer_is_reset_or_truncated_after_a_number_of_bytes() {
    let proxy = echo().await;
    for fault in [Fault::ResetAfter(300), Fault::TruncateAfter(300)] {
        proxy.set(Scope::All, fault).await.unwrap();
        let mut stream = connect(&proxy).await;
        stream.write_all(&[1; 1000]).await.unwrap();
        let mut answer = Vec::new();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut answer))
            .await
            .unwrap();
        assert_eq!(answer.len(), 300, "{fault:?}");
        let reset = ended.is_err_and(|failure| failure.kind() == ErrorKind::ConnectionReset);
        assert_eq!(reset, matches!(fault, Fault::ResetAfter(_)));
    }
    proxy.pass().await.unwrap();
    assert!(round(&mut connect(&proxy).await, b"x").await.is_ok());
}

#[tokio::test]
async fn connections_are_reset_at_once() {
    let proxy = echo().await;
    let mut old = connect(&proxy).await;
    round(&mut old, b"x").await.unwrap();
    proxy
        .set(Scope::Established, Fault::ResetAfter(0))
        .await
        .unwrap();
    let failure = timeout(PATIENCE, old.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::ConnectionReset);
    assert!(round(&mut connect(&proxy).await, b"x").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn established_connections_go_silent_while_new_ones_are_fine() {
    let proxy = echo().await;
    let mut old = connect(&proxy).await;
    round(&mut old, b"x").await.unwrap();
    proxy
        .set(Scope::Established, Fault::Blackhole)
        .await
        .unwrap();
    old.write_all(b"lost").await.unwrap();
    let mut new = connect(&proxy).await;
    assert_eq!(round(&mut new, b"new").await.unwrap(), b"new");
    assert!(
        timeout(PATIENCE, old.read_u8()).await.is_err(),
        "neither an answer nor an end"
    );
    proxy.set(Scope::New, Fault::Blackhole).await.unwrap();
    assert!(
        timeout(PATIENCE, round(&mut connect(&proxy).await, b"x"))
            .await
            .is_err()
    );
    assert_eq!(round(&mut new, b"new").await.unwrap(), b"new");

    proxy.pass().await.unwrap();
    let mut late = [0; 4];
    old.read_exact(&mut late).await.unwrap();
    assert_eq!(&late, b"lost");
}

#[tokio::test]
async fn new_connections_are_refused_until_they_are_not() {
    let proxy = echo().await;
    let mut old = connect(&proxy).await;
    round(&mut old, b"x").await.unwrap();
    proxy.set(Scope::New, Fault::Refuse).await.unwrap();
    let refused = TcpStream::connect(proxy.addr()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert!(round(&mut old, b"x").await.is_ok(), "established ones live");
    proxy.set(Scope::All, Fault::Refuse).await.unwrap();
    assert!(round(&mut old, b"x").await.is_err());
    proxy.pass().await.unwrap();
    assert!(round(&mut connect(&proxy).await, b"x").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_rate_bounds_each_direction() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    proxy.set(Scope::All, Fault::Rate(1000)).await.unwrap();
    let began = Instant::now();
    round(&mut stream, &[1; 4000]).await.unwrap();
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(3900), "{took:?}");
    assert!(took <= Duration::from_secs(9), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    proxy
        .set(Scope::All, Fault::CloseIdle(Duration::from_secs(2)))
        .await
        .unwrap();
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        round(&mut stream, b"alive").await.unwrap();
    }
    let began = Instant::now();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "FIN");
    assert!(began.elapsed() <= Duration::from_secs(3));
}

#[tokio::test]
async fn an_upstream_that_is_gone_is_a_reset_and_a_dropped_proxy_refuses() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = gone.local_addr().unwrap();
    drop(gone);
    let proxy = Proxy::start(upstream).await.unwrap();
    let mut stream = connect(&proxy).await;
    assert!(timeout(PATIENCE, stream.read_u8()).await.unwrap().is_err());
    let addr = proxy.addr();
    drop(proxy);
    timeout(PATIENCE, async {
        while TcpStream::connect(addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}
