use std::{future::ready, net::SocketAddr};

use gaggle_serve::{Drained, Options, Server};
use http_body_util::BodyExt;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};

use crate::{floods::Raw, support::*};

/// Longer than a connection without a request may hold up a shutdown, which is 2 s at most.
const SOON: std::time::Duration = std::time::Duration::from_millis(2_500);

#[tokio::test(start_paused = true)]
async fn running_requests_finish_and_new_connections_are_refused() {
    let (router, gate, mut told) = gated();
    let running = Running::start(patient(), router).await;
    let addr = running.addr;
    let mut http1 = running.connect().await;
    send(&mut http1, GET).await;
    let (mut http2, _connection) = running.connect_http2().await;
    let pending = tokio::spawn(http2.send_request(http2_get(&running)));
    for _ in 0..2 {
        assert_eq!(soon(told.recv()).await, Some("entered"));
    }
    let mut idle = running.connect().await;
    let Running { stop, serving, .. } = running;
    drop(stop);

    // The idle one is closed after a grace, which shows that the signal has arrived.
    assert_eq!(read_to_close(&mut idle).await, "");
    refused(addr).await;
    assert!(!serving.is_finished());

    gate.notify_waiters();
    let answer = read_to_close(&mut http1).await;
    assert!(
        answer.ends_with("hello") && answer.contains("connection: close"),
        "{answer:?}"
    );
    let answer = soon(pending).await.unwrap().unwrap();
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes(),
        "hello"
    );
    assert_eq!(soon(serving).await.unwrap().cut, 0);
}

#[tokio::test(start_paused = true)]
async fn kept_alive_connections_do_not_hold_up_the_shutdown() {
    let running = Running::start(patient(), hello()).await;
    let mut http1 = running.connect().await;
    send(&mut http1, GET).await;
    read_hello(&mut http1).await;
    let (mut http2, _connection) = running.connect_http2().await;
    soon(http2.send_request(http2_get(&running))).await.unwrap();
    assert_eq!(running.drained().await, Drained { open: 2, cut: 0 });
}

#[tokio::test(start_paused = true)]
async fn what_the_drain_does_not_suffice_for_is_cut_and_counted() {
    let (router, _gate, mut told) = gated();
    let running = Running::start(
        Options {
            drain: 10 * SECOND,
            ..patient()
        },
        router,
    )
    .await;
    let mut client = running.connect().await;
    send(&mut client, GET).await;
    assert_eq!(soon(told.recv()).await, Some("entered"));
    assert_eq!(running.drained().await, Drained { open: 1, cut: 1 });
    assert_eq!(read_to_close(&mut client).await, "");
    assert_eq!(soon(told.recv()).await, Some("dropped"));
}

#[tokio::test(start_paused = true)]
async fn http2_handlers_end_with_the_connection_that_is_cut() {
    let (router, _gate, mut told) = gated();
    let running = Running::start(
        Options {
            drain: 10 * SECOND,
            ..patient()
        },
        router,
    )
    .await;
    let (mut sender, _connection) = running.connect_http2().await;
    let pending = tokio::spawn(sender.send_request(http2_get(&running)));
    assert_eq!(soon(told.recv()).await, Some("entered"));
    assert_eq!(running.drained().await, Drained { open: 1, cut: 1 });
    soon(pending).await.unwrap().unwrap_err();
    assert_eq!(soon(told.recv()).await, Some("dropped"));
}

#[tokio::test(start_paused = true)]
async fn half_a_request_does_not_hold_up_the_shutdown() {
    let running = Running::start(patient(), hello()).await;
    let mut clients = Vec::new();
    for sent in [
        "",
        "PRI * HT",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/1.1\r\nhost:",
    ] {
        let mut client = running.connect().await;
        send(&mut client, sent).await;
        clients.push(client);
    }
    let mut client = running.connect().await;
    send(&mut client, GET).await;
    read_hello(&mut client).await;
    send(&mut client, "GET / HT").await;
    clients.push(client);
    // All of it has arrived.
    sleep(SECOND).await;

    let stopped = Instant::now();
    assert_eq!(running.drained().await, Drained { open: 5, cut: 0 });
    assert!(stopped.elapsed() < SOON, "{:?}", stopped.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_idle_http2_client_that_is_silent_does_not_hold_up_the_shutdown() {
    let running = Running::start(patient(), hello()).await;
    let mut raw = Raw::connect(&running).await;
    raw.get(1).await;
    raw.read_until(|kind| kind == Raw::DATA).await;
    let stopped = Instant::now();
    assert_eq!(running.drained().await, Drained { open: 1, cut: 0 });
    assert!(stopped.elapsed() < SOON, "{:?}", stopped.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_just_arriving_is_answered() {
    let running = Running::start(patient(), hello()).await;
    let mut half = running.connect().await;
    send(&mut half, "GET / HTTP/1.1\r\n").await;
    let mut silent = running.connect().await;
    let mut kept = running.connect().await;
    send(&mut kept, GET).await;
    read_hello(&mut kept).await;
    sleep(SECOND).await;

    let Running { stop, serving, .. } = running;
    drop(stop);
    sleep(SECOND / 10).await;
    send(&mut half, "host: t\r\n\r\n").await;
    send(&mut silent, GET).await;
    send(&mut kept, GET).await;
    for client in [&mut half, &mut silent, &mut kept] {
        let answer = read_to_close(client).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
        assert!(answer.contains("connection: close\r\n"), "{answer:?}");
        assert!(answer.ends_with("hello"), "{answer:?}");
    }
    assert_eq!(soon(serving).await.unwrap(), Drained { open: 3, cut: 0 });
}

#[tokio::test(start_paused = true)]
async fn connections_that_wait_in_the_backlog_are_served() {
    let server = Server::bind("127.0.0.1:0", patient()).await.unwrap();
    let addr = server.local_addr();
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = TcpStream::connect(addr).await.unwrap();
        send(&mut client, GET).await;
        clients.push(client);
    }
    let serving = tokio::spawn(server.serve(hello(), ready(())));
    for client in &mut clients {
        let answer = read_to_close(client).await;
        assert!(answer.ends_with("hello"), "{answer:?}");
    }
    assert_eq!(soon(serving).await.unwrap(), Drained { open: 50, cut: 0 });
    refused(addr).await;
}

async fn refused(addr: SocketAddr) {
    let refused = TcpStream::connect(addr).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}
