use std::sync::Arc;

use gaggle_serve::Options;
use rustls::{ClientConnection, pki_types::ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{support::*, tls::*};

/// The first message of a client that speaks TLS.
pub(crate) fn client_hello(ca: &Ca) -> Vec<u8> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(Arc::new(ca.client(None)), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

#[tokio::test]
async fn plain_http_to_a_port_that_speaks_tls_is_told_so() {
    let ca = Ca::new("CA");
    let tls = always(ca.server(Clients::Shown));
    let running = Running::start(with(tls, Options::default()), hello()).await;
    // The answer must arrive even if the request is longer than what was read before it.
    let long = format!("POST / HTTP/1.1\r\nhost: t\r\n\r\n{}", "x".repeat(40 << 10));
    for sent in [GET, "G", &long, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut client = running.connect().await;
        send(&mut client, sent).await;
        let mut answer = String::new();
        soon(client.read_to_string(&mut answer)).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(head.contains("connection: close"), "{answer}");
        assert_eq!(body, "this port speaks TLS: use an https:// URL\n");
    }
    assert_eq!(running.counts.snapshot().handshake_failures, 4);
    assert_eq!(running.drained().await.cut, 0);
}

#[tokio::test]
async fn a_port_that_accepts_both_serves_both() {
    let ca = Ca::new("CA");
    let tls = always(ca.server(Clients::Asked)).accept_plain(true);
    let running = Running::start(with(tls, Options::default()), hello()).await;

    let mut plain = running.connect().await;
    let mut secure = connect(&running, ca.client(None)).await;
    for _ in 0..2 {
        send(&mut plain, GET).await;
        read_hello(&mut plain).await;
        send(&mut secure, GET).await;
        read_hello(&mut secure).await;
    }
    let (mut sender, connection) = running.connect_http2().await;
    let answer = soon(sender.send_request(http2_get(&running))).await;
    assert_eq!(answer.unwrap().status(), 200);
    drop((plain, secure, sender));
    soon(connection).await.unwrap().unwrap();
    assert_eq!(running.drained().await.cut, 0);
}

#[tokio::test]
async fn tls_to_a_port_that_speaks_plain_http_is_answered_and_closed() {
    let ca = Ca::new("CA");
    let running = Running::start(Options::default(), hello()).await;
    assert!(try_connect(&running, ca.client(None)).await.is_err());

    let mut client = running.connect().await;
    client.write_all(&client_hello(&ca)).await.unwrap();
    let answer = read_to_close(&mut client).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 400 "),
        "{answer}"
    );
    assert_eq!(running.drained().await.cut, 0);
}
