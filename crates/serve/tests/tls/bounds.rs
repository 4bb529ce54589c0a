use std::convert::Infallible;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    routing::get,
};
use futures_util::{future::join_all, stream};
use gaggle_serve::Options;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::{Instant, sleep},
};

use crate::{plain::client_hello, support::*, tls::*};

#[tokio::test(start_paused = true)]
async fn half_a_handshake_is_closed_in_time_and_delays_no_client() {
    let ca = Ca::new("CA");
    let options = Options {
        header_read_timeout: 10 * SECOND,
        ..patient()
    };
    let tls = always(ca.server(Clients::Any)).accept_plain(true);
    let running = Running::start(with(tls, options), hello()).await;
    let whole = client_hello(&ca);
    // Silence; the first byte; half of it; all of it, and nothing after that.
    for sent in [0, 1, whole.len() / 2, whole.len()] {
        let mut client = running.connect().await;
        client.write_all(&whole[..sent]).await.unwrap();
        let began = Instant::now();
        let mut other = connect(&running, ca.client(None)).await;
        send(&mut other, GET).await;
        read_hello(&mut other).await;
        let mut rest = Vec::new();
        let _ = soon(client.read_to_end(&mut rest)).await;
        assert_eq!(began.elapsed().as_secs(), 10, "after {sent} bytes");
    }
    // The same after the handshake, without a request.
    let mut client = connect(&running, ca.client(None)).await;
    let began = Instant::now();
    let _ = soon(client.read_to_end(&mut Vec::new())).await;
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn half_a_handshake_makes_room_for_others() {
    let ca = Ca::new("CA");
    let options = Options {
        max_connections: 2,
        ..patient()
    };
    let running = Running::start(with(always(ca.server(Clients::Any)), options), hello()).await;
    let whole = client_hello(&ca);
    let mut half_open = Vec::new();
    for _ in 0..2 {
        let mut client = running.connect().await;
        client.write_all(&whole[..20]).await.unwrap();
        half_open.push(client);
    }
    let began = Instant::now();
    let mut client = connect(&running, ca.client(None)).await;
    send(&mut client, GET).await;
    read_hello(&mut client).await;
    assert!(began.elapsed() < 2 * SECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn at_the_cap_an_idle_connection_makes_room_in_good_order() {
    let ca = Ca::new("CA");
    let options = Options {
        max_connections: 1,
        ..patient()
    };
    let running = Running::start(with(always(ca.server(Clients::Any)), options), hello()).await;
    let mut idle = connect(&running, ca.client(None)).await;
    send(&mut idle, GET).await;
    read_hello(&mut idle).await;
    let mut newcomer = connect(&running, ca.client(None)).await;
    send(&mut newcomer, GET).await;
    read_hello(&mut newcomer).await;
    let mut rest = Vec::new();
    soon(idle.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_half_a_handshake() {
    let ca = Ca::new("CA");
    let options = Options {
        drain: HANG,
        ..patient()
    };
    let tls = always(ca.server(Clients::Any));
    let running = Running::start(with(tls, options), hello()).await;
    let mut client = running.connect().await;
    client.write_all(&client_hello(&ca)[..20]).await.unwrap();
    let began = Instant::now();
    let drained = running.drained().await;
    assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
    assert_eq!(drained.cut, 0);
}

/// A body without end, which signals when it is dropped.
fn endless() -> (Router, mpsc::UnboundedReceiver<&'static str>) {
    let (tell, told) = mpsc::unbounded_channel();
    let handler = async move || {
        let piece = Bytes::from(vec![0; 256 * 1024]);
        let endless = (Tell(tell.clone()), piece);
        Body::from_stream(stream::unfold(endless, async |(tell, piece)| {
            Some((Ok::<_, Infallible>(piece.clone()), (tell, piece)))
        }))
    };
    (Router::new().route("/", get(handler)), told)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_cut() {
    let ca = Ca::new("CA");
    let (router, mut told) = endless();
    let options = Options {
        stall_timeout: 30 * SECOND,
        ..patient()
    };
    let tls = always(ca.server(Clients::Any));
    let running = Running::start(with(tls, options), router).await;
    let mut client = connect(&running, ca.client(None)).await;
    send(&mut client, GET).await;
    let began = Instant::now();
    assert_eq!(soon(told.recv()).await, Some("dropped"));
    assert!(began.elapsed() < 60 * SECOND, "{:?}", began.elapsed());
    drop(client);

    let client = connect(&running, ca.client(None)).await;
    let (mut sender, connection) =
        http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), TokioIo::new(client))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("https://localhost/").body(Full::default());
    let answer = soon(sender.send_request(request.unwrap())).await.unwrap();
    let began = Instant::now();
    assert_eq!(soon(told.recv()).await, Some("dropped"));
    assert!(began.elapsed() < 60 * SECOND, "{:?}", began.elapsed());
    let _ = soon(connection).await;
    drop(answer);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_its_response_slowly_but_well_gets_it() {
    const LENGTH: usize = 4 << 20;
    let ca = Ca::new("CA");
    let value = Bytes::from(vec![7; LENGTH]);
    let options = Options {
        drain: HANG,
        ..Options::default()
    };
    let router = Router::new().route("/", get(async move || value));
    let running = Running::start(with(always(ca.server(Clients::Any)), options), router).await;
    let mut client = connect(&running, ca.client(None)).await;
    send(
        &mut client,
        "GET / HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n",
    )
    .await;
    let (mut taken, mut piece) = (0, vec![0; 256 << 10]);
    loop {
        // 128 KiB a second.
        sleep(2 * SECOND).await;
        let mut filled = 0;
        while filled < piece.len() {
            let read = soon(client.read(&mut piece[filled..])).await.unwrap();
            if read == 0 {
                assert!(taken + filled > LENGTH);
                return;
            }
            filled += read;
        }
        taken += filled;
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_frames_is_cut() {
    let ca = Ca::new("CA");
    let tls = always(ca.server(Clients::Any));
    let running = Running::start(with(tls, patient()), hello()).await;
    let mut client = connect(&running, ca.client(None)).await;
    send(&mut client, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    // SETTINGS, and then PING without end.
    client
        .write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0])
        .await
        .unwrap();
    let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    let (mut read, mut write) = tokio::io::split(client);
    let answers = tokio::spawn(async move {
        let _ = read.read_to_end(&mut Vec::new()).await;
    });
    for sent in 0.. {
        assert!(sent < 50_000, "it is not cut");
        if answers.is_finished() || write.write_all(&ping).await.is_err() {
            break;
        }
        let _ = write.flush().await;
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn many_clients_shake_hands_at_once() {
    const CLIENTS: usize = 200;
    let ca = Ca::new("CA");
    let tls = always(ca.server(Clients::Any));
    let running = Running::start(with(tls, Options::default()), hello()).await;
    let config = ca.client(None);
    let clients = (0..CLIENTS).map(async |_| {
        let client = connect(&running, config.clone()).await;
        let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .handshake::<_, Full<Bytes>>(TokioIo::new(client))
            .await
            .unwrap();
        let connection = tokio::spawn(connection);
        let request = Request::get("https://localhost/").body(Full::default());
        let answer = soon(sender.send_request(request.unwrap())).await.unwrap();
        let body = soon(answer.into_body().collect()).await.unwrap();
        assert_eq!(body.to_bytes(), "hello");
        drop(sender);
        soon(connection).await.unwrap().unwrap();
    });
    join_all(clients).await;
    let drained = running.drained().await;
    assert_eq!(drained.cut, 0);
}
