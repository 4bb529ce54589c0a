use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::Request,
    routing::{get, post},
};
use gaggle_serve::{ClientCertificate, Options};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{support::*, tls::*};

/// Answers with what a request knows about its client's certificate.
fn who() -> Router {
    Router::new().route(
        "/",
        get(
            async |request: Request| match request.extensions().get::<ClientCertificate>() {
                Some(certificate) => certificate.der().to_vec(),
                None => b"nobody".to_vec(),
            },
        ),
    )
}

#[tokio::test]
async fn both_versions_of_http_are_served() {
    let ca = Ca::new("CA");
    let tls = always(ca.server(Clients::Any));
    let running = Running::start(with(tls, Options::default()), hello()).await;

    let mut config = ca.client(None);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut client = connect(&running, config).await;
    for _ in 0..3 {
        send(&mut client, GET).await;
        assert!(read_hello(&mut client).await.starts_with("HTTP/1.1 200 "));
    }

    let mut config = ca.client(None);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let client = connect(&running, config).await;
    assert_eq!(client.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), TokioIo::new(client))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    for _ in 0..3 {
        let request = Request::get("https://localhost/").body(Full::default());
        let answer = soon(sender.send_request(request.unwrap())).await.unwrap();
        let body = soon(answer.into_body().collect()).await.unwrap();
        assert_eq!(body.to_bytes(), "hello");
    }
    drop(sender);
    soon(connection).await.unwrap().unwrap();
    assert_eq!(running.drained().await.cut, 0);
}

#[tokio::test]
async fn large_bodies_pass_whole_both_ways() {
    const LENGTH: usize = 5 << 20;
    let ca = Ca::new("CA");
    let tls = always(ca.server(Clients::Any));
    let echo = Router::new()
        .route("/", post(async |body: Bytes| body))
        .layer(axum::extract::DefaultBodyLimit::disable());
    let running = Running::start(with(tls, Options::default()), echo).await;
    let sent: Vec<u8> = (0..LENGTH)
        .map(|i| u8::try_from(i % 251).unwrap())
        .collect();
    let mut client = connect(&running, ca.client(None)).await;
    let head = format!(
        "POST / HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: {LENGTH}\r\n\r\n"
    );
    send(&mut client, &head).await;
    client.write_all(&sent).await.unwrap();
    client.flush().await.unwrap();
    let mut answer = Vec::new();
    // Without the server's close_notify this would be an error.
    soon(client.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.ends_with(&sent));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_the_server_closes_ends_with_close_notify() {
    let ca = Ca::new("CA");
    let tls = always(ca.server(Clients::Any));
    let options = Options {
        keep_alive_idle: 75 * SECOND,
        ..patient()
    };
    let running = Running::start(with(tls, options), hello()).await;
    let mut client = connect(&running, ca.client(None)).await;
    send(&mut client, GET).await;
    read_hello(&mut client).await;
    let mut rest = Vec::new();
    // Idle for too long.
    soon(client.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.is_empty());
}

#[tokio::test]
async fn requests_know_the_certificate_that_their_client_has_shown() {
    let ca = Ca::new("CA");
    let (cert, key) = ca.issue();
    let shown = cert.to_vec();
    let cases = [
        (
            Clients::Shown,
            Some((cert.clone(), key.clone_key())),
            &shown[..],
        ),
        (Clients::Asked, Some((cert, key)), &shown),
        (Clients::Asked, None, b"nobody"),
        (Clients::Any, None, b"nobody"),
    ];
    for (clients, identity, expected) in cases {
        let tls = always(ca.server(clients));
        let running = Running::start(with(tls, Options::default()), who()).await;
        let client = connect(&running, ca.client(identity)).await;
        let (mut sender, connection) =
            http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), TokioIo::new(client))
                .await
                .unwrap();
        let connection = tokio::spawn(connection);
        // The second is valid like the first.
        for _ in 0..2 {
            let request = Request::get("https://localhost/").body(Full::default());
            let answer = soon(sender.send_request(request.unwrap())).await.unwrap();
            let body = soon(answer.into_body().collect()).await.unwrap();
            assert_eq!(body.to_bytes(), expected);
        }
        connection.abort();
    }
}

#[tokio::test]
async fn a_new_configuration_is_for_new_connections_and_drops_none() {
    let (ca, next) = (Ca::new("CA"), Ca::new("next CA"));
    let (tls, current) = replaceable(ca.server(Clients::Any));
    let running = Running::start(with(tls, Options::default()), hello()).await;
    let mut kept = connect(&running, ca.client(None)).await;
    send(&mut kept, GET).await;
    read_hello(&mut kept).await;

    *current.lock().unwrap() = Arc::new(next.server(Clients::Any));
    let error = try_connect(&running, ca.client(None)).await.unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    let mut new = connect(&running, next.client(None)).await;
    for client in [&mut kept, &mut new] {
        send(client, GET).await;
        read_hello(client).await;
    }
    assert_eq!(running.drained().await.cut, 0);
}

#[tokio::test]
async fn a_shutdown_lets_a_request_finish_and_says_goodbye() {
    let ca = Ca::new("CA");
    let (router, gate, mut told) = gated();
    let tls = always(ca.server(Clients::Any));
    let running = Running::start(with(tls, Options::default()), router).await;
    let mut client = connect(&running, ca.client(None)).await;
    send(&mut client, GET).await;
    assert_eq!(soon(told.recv()).await, Some("entered"));
    let Running { stop, serving, .. } = running;
    drop(stop);
    gate.notify_one();
    let mut answer = Vec::new();
    soon(client.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.ends_with(b"hello"));
    assert_eq!(soon(serving).await.unwrap().cut, 0);
}
