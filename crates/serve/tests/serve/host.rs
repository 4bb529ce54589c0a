use axum::{Router, extract::Request, http::StatusCode, routing::get};
use gaggle_serve::Options;
use http_body_util::Full;

use crate::support::*;

/// The status of the answer, and whether the connection was kept.
async fn ask(running: &Running, request: &str) -> (String, bool) {
    let mut client = running.connect().await;
    send(&mut client, request).await;
    // A kept connection answers this as well, and then ends.
    send(
        &mut client,
        "GET / HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n",
    )
    .await;
    let answers = read_to_close(&mut client).await;
    let kept = answers.matches("HTTP/1.").count() == 2;
    let status = answers.get(9..12).unwrap_or_default().to_owned();
    (status, kept)
}

#[tokio::test]
async fn a_request_of_http1_names_one_valid_host() {
    let running = Running::start(Options::default(), hello()).await;
    for good in ["host: t", "Host: [::1]:80", "host:", "hOsT: a.example:8001"] {
        let request = format!("GET / HTTP/1.1\r\n{good}\r\n\r\n");
        assert_eq!(
            ask(&running, &request).await,
            ("200".into(), true),
            "{good}"
        );
    }
    for bad in [
        "x: y",
        "host: a\r\nhost: a",
        "host: a/b",
        "host: u@a",
        "host: a b",
        "host: a\r\nHost: b",
    ] {
        let request = format!("GET / HTTP/1.1\r\n{bad}\r\n\r\n");
        assert_eq!(
            ask(&running, &request).await,
            ("400".into(), false),
            "{bad}"
        );
    }
    let (status, _) = ask(&running, "GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(status, "200");
    let (status, _) = ask(&running, "GET / HTTP/1.0\r\nhost: a\r\nhost: a\r\n\r\n").await;
    assert_eq!(status, "400");
}

#[tokio::test]
async fn a_refusal_is_a_line_of_text() {
    let running = Running::start(Options::default(), hello()).await;
    let mut client = running.connect().await;
    send(&mut client, "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\n").await;
    let answer = read_to_close(&mut client).await;
    assert!(answer.contains("connection: close\r\n"), "{answer:?}");
    assert!(answer.contains("content-type: text/plain"), "{answer:?}");
    assert!(
        answer.ends_with("\r\n\r\nthe request has no Host header\n"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn on_http2_a_host_must_be_the_authority() {
    let router = Router::new().route("/", get(async || "hello"));
    let running = Running::start(Options::default(), router).await;
    let (mut sender, _connection) = running.connect_http2().await;
    let same = running.addr.to_string();
    for (host, status) in [
        (None, StatusCode::OK),
        (Some("elsewhere"), StatusCode::BAD_REQUEST),
        (Some(same.as_str()), StatusCode::OK),
    ] {
        let mut request: Request<Full<_>> = http2_get(&running);
        if let Some(host) = host {
            request.headers_mut().insert("host", host.parse().unwrap());
        }
        let answer = soon(sender.send_request(request)).await.unwrap();
        assert_eq!(answer.status(), status, "{host:?}");
    }
}
