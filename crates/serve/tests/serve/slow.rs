use std::{convert::Infallible, error::Error, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    routing::{get, post},
};
use futures_util::stream;
use gaggle_serve::{BodyStalled, BodyTooSlow, Options};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::AsyncWriteExt,
    sync::mpsc,
    time::{Instant, sleep},
};

use crate::{floods::Raw, support::*};

const VALUE: usize = 8 << 20;

fn usual() -> Options {
    Options {
        drain: HANG,
        ..Options::default()
    }
}

/// `POST /` reads the body and reports the result.
fn reader() -> Router {
    let handler = async |body: Body| match body.collect().await {
        Ok(body) => body.to_bytes().len().to_string(),
        Err(error) => {
            let inner = error.source().expect("a cause");
            if inner.is::<BodyStalled>() {
                "stalled".into()
            } else if inner.is::<BodyTooSlow>() {
                "too slow".into()
            } else {
                "other".into()
            }
        }
    };
    Router::new().route("/", post(handler))
}

/// Sends a body in equal pieces, with a pause before each. Returns the answer, and the time until
/// it.
async fn upload(
    options: Options,
    piece: usize,
    pieces: usize,
    pause: Duration,
) -> (String, Duration) {
    let running = Running::start(options, reader()).await;
    let mut client = running.connect().await;
    let head = format!(
        "POST / HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        piece * pieces
    );
    send(&mut client, &head).await;
    let began = Instant::now();
    let (mut read, mut write) = client.into_split();
    let sending = tokio::spawn(async move {
        for _ in 0..pieces {
            sleep(pause).await;
            // The server may have closed.
            if write.write_all(&vec![0; piece]).await.is_err() {
                break;
            }
        }
        write
    });
    let mut answer = Vec::new();
    let _ = soon(tokio::io::AsyncReadExt::read_to_end(&mut read, &mut answer)).await;
    let took = began.elapsed();
    sending.abort();
    let answer = String::from_utf8(answer).unwrap();
    let text = answer.rsplit("\r\n\r\n").next().unwrap_or_default();
    (text.to_owned(), took)
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_arriving_fails_the_handlers_read() {
    let (answer, took) = upload(usual(), 1, 10, 31 * SECOND).await;
    assert_eq!(answer, "stalled");
    assert_eq!(took.as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_fails_the_handlers_read() {
    let (answer, took) = upload(usual(), 1, 10_000, 5 * SECOND).await;
    assert_eq!(answer, "too slow");
    assert_eq!(took.as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_body_over_a_slow_link_arrives() {
    let (answer, took) = upload(usual(), 64 << 10, VALUE / (64 << 10), SECOND).await;
    assert_eq!(answer, VALUE.to_string());
    assert_eq!(took.as_secs(), 128);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_its_time_costs_the_client_nothing() {
    let handler = async |body: Body| {
        let mut body = body.into_data_stream();
        let mut length = 0;
        while let Some(piece) = futures_util::StreamExt::next(&mut body).await {
            length += piece.unwrap().len();
            sleep(60 * SECOND).await;
        }
        length.to_string()
    };
    let running = Running::start(usual(), Router::new().route("/", post(handler))).await;
    let mut client = running.connect().await;
    let request =
        "POST / HTTP/1.1\r\nhost: t\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    send(&mut client, request).await;
    for _ in 0..10 {
        send(&mut client, "1\r\nx\r\n").await;
    }
    send(&mut client, "0\r\n\r\n").await;
    assert!(read_to_close(&mut client).await.ends_with("10"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_cut() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let handler = async move || {
        let piece = Bytes::from(vec![0; 256 * 1024]);
        let endless = (Tell(tell.clone()), piece);
        Body::from_stream(stream::unfold(endless, async |(tell, piece)| {
            Some((Ok::<_, Infallible>(piece.clone()), (tell, piece)))
        }))
    };
    let running = Running::start(usual(), Router::new().route("/", get(handler))).await;

    let mut client = running.connect().await;
    send(&mut client, GET).await;
    assert_eq!(soon(told.recv()).await, Some("dropped"));
    drop(client);

    // On HTTP/2 the connection goes on reading frames, and answers pings; the window of the
    // response stays shut.
    let (mut sender, connection) = running.connect_http2().await;
    let answer = soon(sender.send_request(http2_get(&running)))
        .await
        .unwrap();
    assert_eq!(soon(told.recv()).await, Some("dropped"));
    let _ = soon(connection).await.unwrap();
    drop(answer);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_take_the_last_of_its_responses_is_cut() {
    // SETTINGS_INITIAL_WINDOW_SIZE: 1 byte.
    let window = [0, 4, 0, 0, 0, 1];
    let whole = Bytes::from(vec![7; 60 << 10]);
    let parts = whole.clone();
    let router = Router::new().route("/", get(async move || whole));
    let streamed = Router::new().route(
        "/",
        get(async move || Body::from_stream(stream::iter([Ok::<_, Infallible>(parts)]))),
    );
    for router in [router, streamed] {
        let options = Options {
            keep_alive_idle: Duration::MAX,
            http2_ping_interval: HANG,
            ..usual()
        };
        let running = Running::start(options, router).await;
        let mut raw = Raw::connect_with(&running, &window).await;
        for number in 0..100 {
            raw.get(2 * number + 1).await;
        }
        let began = Instant::now();
        raw.read_until(|_| false).await;
        assert_eq!(began.elapsed().as_secs(), 30);
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_a_client_that_takes_the_last_of_its_response() {
    const LENGTH: usize = 64 << 10;
    let value = Bytes::from(vec![7; LENGTH]);
    let running = Running::start(usual(), Router::new().route("/", get(async move || value))).await;
    let io = TokioIo::new(running.connect().await);
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(8 << 10)
        .handshake::<_, Full<Bytes>>(io)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let answer = soon(sender.send_request(http2_get(&running)))
        .await
        .unwrap();
    let Running { stop, serving, .. } = running;
    drop(stop);
    let began = Instant::now();
    assert_eq!(take(answer.into_body(), SECOND / 2).await, LENGTH);
    assert!(began.elapsed() > 3 * SECOND, "{:?}", began.elapsed());
    assert_eq!(soon(serving).await.unwrap().cut, 0);
    soon(connection).await.unwrap().unwrap();
}

/// Takes a value by HTTP/2, with a pause after each frame. Returns how much of it arrived, and in
/// what time.
async fn download(router: Router, pause: Duration) -> (usize, Duration) {
    let running = Running::start(usual(), router).await;
    let io = TokioIo::new(running.connect().await);
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(64 << 10)
        .initial_connection_window_size(64 << 10)
        .handshake::<_, Full<Bytes>>(io)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get(format!("http://{}/", running.addr));
    let request = request.body(Full::default()).unwrap();
    let answer = soon(sender.send_request(request)).await.unwrap();
    let began = Instant::now();
    let taken = take(answer.into_body(), pause).await;
    let took = began.elapsed();
    connection.abort();
    (taken, took)
}

async fn take(mut body: Incoming, pause: Duration) -> usize {
    let mut taken = 0;
    while let Some(Ok(frame)) = soon(body.frame()).await {
        taken += frame.into_data().map_or(0, |data| data.len());
        sleep(pause).await;
    }
    taken
}

fn large() -> Router {
    let value = Bytes::from(vec![7; VALUE]);
    Router::new().route("/", get(async move || value))
}

#[tokio::test(start_paused = true)]
async fn a_response_over_a_slow_link_arrives() {
    // In frames of at most 16 KiB: 64 KiB a second.
    let (taken, took) = download(large(), SECOND / 4).await;
    assert_eq!(taken, VALUE);
    assert!(took.as_secs() >= 128, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_its_response_in_drops_is_cut() {
    // More than a piece within each stall timeout.
    let (taken, took) = download(large(), 5 * SECOND).await;
    assert!(taken < VALUE, "it got all of it, after {took:?}");
    let most = VALUE / (16 << 10) + 30 + 60;
    assert!(took.as_secs() < u64::try_from(most).unwrap(), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_producer_is_not_blamed_on_the_client() {
    let slow = async || {
        Body::from_stream(stream::unfold(0, async |sent| {
            sleep(25 * SECOND).await;
            (sent < 20).then_some((Ok::<_, Infallible>("x"), sent + 1))
        }))
    };
    let router = Router::new().route("/", get(slow));
    let (taken, _) = download(router.clone(), Duration::ZERO).await;
    assert_eq!(taken, 20);

    let running = Running::start(usual(), router).await;
    let mut client = running.connect().await;
    send(
        &mut client,
        "GET / HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n",
    )
    .await;
    let answer = read_to_close(&mut client).await;
    assert_eq!(answer.matches("\r\nx\r\n").count(), 20, "{answer:?}");
}
