use axum::http::StatusCode;
use gaggle_serve::Options;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

use crate::support::*;

#[tokio::test]
async fn a_head_beyond_the_limit_is_answered_431() {
    let running = Running::start(Options::default(), hello()).await;
    let filler = "x".repeat(64 * 1024);

    let mut client = running.connect().await;
    let _ = client
        .write_all(format!("GET / HTTP/1.1\r\nfiller: {filler}").as_bytes())
        .await;
    let answer = read_to_close(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer:?}");

    let (mut sender, _connection) = running.connect_http2().await;
    let mut request = http2_get(&running);
    request
        .headers_mut()
        .insert("filler", filler.parse().unwrap());
    let answer = soon(sender.send_request(request)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[tokio::test(start_paused = true)]
async fn half_open_connections_are_closed() {
    let options = Options {
        header_read_timeout: 10 * SECOND,
        ..patient()
    };
    let running = Running::start(options, hello()).await;
    // Silence; a part of HTTP/2's preface; all of it; a part of a head.
    for sent in [
        "",
        "PRI * HT",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/1.1\r\nhost:",
    ] {
        let mut client = running.connect().await;
        send(&mut client, sent).await;
        let mut rest = Vec::new();
        let _ = soon(client.read_to_end(&mut rest)).await;
        assert!(!rest.starts_with(b"HTTP"), "{sent:?} was answered");
    }
    // The same on a connection that has already served a request.
    let mut client = running.connect().await;
    send(&mut client, GET).await;
    read_hello(&mut client).await;
    send(&mut client, "GET / HT").await;
    assert_eq!(read_to_close(&mut client).await, "");
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed() {
    let options = Options {
        keep_alive_idle: 75 * SECOND,
        ..patient()
    };
    let running = Running::start(options, hello()).await;
    let mut client = running.connect().await;
    send(&mut client, GET).await;
    read_hello(&mut client).await;
    assert_eq!(read_to_close(&mut client).await, "");

    let (mut sender, connection) = running.connect_http2().await;
    soon(sender.send_request(http2_get(&running)))
        .await
        .unwrap();
    soon(connection)
        .await
        .unwrap()
        .expect("it ends with GOAWAY, not with an error");
}

#[tokio::test(start_paused = true)]
async fn clocks_for_clients_do_not_run_while_a_handler_works() {
    let (router, gate, mut told) = gated();
    let options = Options {
        drain: HANG,
        ..Options::default()
    };
    let running = Running::start(options, router).await;
    let mut client = running.connect().await;
    send(&mut client, GET).await;
    assert_eq!(soon(told.recv()).await, Some("entered"));
    sleep(LONG).await;
    gate.notify_one();
    read_hello(&mut client).await;
}
