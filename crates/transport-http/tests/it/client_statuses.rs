//! How the client interprets each status.

use std::time::Duration;

use gaggle_group::{Entry, Freshness, PeerError, Verdict};

use crate::fake_peer::FakePeer;
use crate::support::{absent, fetch, found, peer};

async fn answered(answer: &str) -> Result<Entry, PeerError> {
    let fake = FakePeer::once(answer).await;
    fetch(&peer(fake.address), "scores", b"Kesa").await
}

/// An answer with these header lines and this body.
async fn status(status: &str, headers: &str, body: &str) -> Result<Entry, PeerError> {
    let len = body.len();
    answered(&format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {len}\r\n\r\n{body}"
    ))
    .await
}

#[tokio::test]
async fn a_200_has_the_value_whatever_its_type_and_its_time_to_live() {
    let go = "Content-Type: application/x-protobuf\r\n";
    let geecache = "Content-Type: application/octet-stream\r\n";
    for headers in [go, geecache, ""] {
        assert_eq!(
            status("200 OK", headers, "\x0a\x03630").await.unwrap(),
            found("630")
        );
        assert_eq!(
            status("200 OK", headers, "\x0a\x00").await.unwrap(),
            found("")
        );
        assert_eq!(status("200 OK", headers, "").await.unwrap(), found(""));
    }
    let fresh = status("200 OK", "gaggle-ttl-ms: 1500\r\n", "\x0a\x03630")
        .await
        .unwrap();
    assert_eq!(
        fresh,
        found("630").with_freshness(Freshness::for_ttl(Duration::from_millis(1_500)))
    );
    let mailgun = status("200 OK", go, "\x0a\x03630\x18\x7b").await.unwrap();
    assert_eq!(mailgun, found("630"));
}

#[tokio::test]
async fn chunks_are_put_together() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n\x0a\x03\r\n3\r\n630\r\n0\r\n\r\n";
    assert_eq!(answered(chunked).await.unwrap(), found("630"));
}

#[tokio::test]
async fn a_verdict_is_taken_at_its_word() {
    let missing = status(
        "404 Not Found",
        "gaggle-verdict: not-found\r\n",
        "Kesa not found\n",
    )
    .await;
    assert_eq!(missing.unwrap(), absent());

    let message = "disk on fire".to_owned();
    for (code, headers, expected) in [
        (
            "500 Internal Server Error",
            "gaggle-verdict: origin-failed\r\n",
            Verdict::OriginFailed { message },
        ),
        (
            "413 Payload Too Large",
            "gaggle-verdict: value-too-large\r\ngaggle-limit: 3\r\ngaggle-len: 4\r\n",
            Verdict::ValueTooLarge {
                len: Some(4),
                limit: 3,
            },
        ),
        (
            "414 URI Too Long",
            "gaggle-verdict: key-too-long\r\ngaggle-limit: 3\r\n",
            Verdict::KeyTooLong { limit: 3 },
        ),
        (
            "504 Gateway Timeout",
            "gaggle-verdict: deadline\r\ngaggle-after-ms: 20\r\n",
            Verdict::Deadline {
                after: Duration::from_millis(20),
            },
        ),
        (
            "503 Service Unavailable",
            "gaggle-verdict: shed\r\ngaggle-limit: 9\r\ngaggle-after-ms: 1000\r\nretry-after: 1\r\n",
            Verdict::Shed {
                limit: 9,
                retry_after: Duration::from_secs(1),
            },
        ),
    ] {
        match status(code, headers, "disk on fire\n").await {
            Err(PeerError::Verdict { verdict, .. }) => assert_eq!(verdict, expected),
            other => panic!("{code}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_status_without_a_verdict_is_refused_and_what_the_peer_said_is_not_repeated() {
    for (code, headers, body, expected) in [
        (
            "500 Internal Server Error",
            "",
            "sql: no rows for Kesa\n",
            "status 500",
        ),
        (
            "404 Not Found",
            "",
            "no such group: scores\n",
            "status 404: it has no such group",
        ),
        (
            "301 Moved Permanently",
            "location: /elsewhere\r\n",
            "",
            "status 301",
        ),
        (
            "400 Bad Request",
            "",
            "bad request\n",
            "status 400: it calls the request a bad one",
        ),
        ("503 Service Unavailable", "", "a\r\nb\x1b[2J", "status 503"),
        ("204 No Content", "", "", "status 204"),
        (
            "504 Gateway Timeout",
            "gaggle-verdict: deadline\r\n",
            "",
            "status 504, but its verdict lacks the header gaggle-after-ms",
        ),
        (
            "200 OK",
            "gaggle-ttl-ms: soon\r\n",
            "",
            "status 200, but the header gaggle-ttl-ms holds no number",
        ),
    ] {
        match status(code, headers, body).await {
            Err(PeerError::Refused { reason, .. }) => assert_eq!(&*reason, expected),
            other => panic!("{code}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_peer_that_refuses_authentication_is_reported() {
    for (code, body, expected) in [
        (
            "401 Unauthorized",
            "the token is Kesa",
            "it requires a token, and this node has none",
        ),
        (
            "403 Forbidden",
            "a client certificate is required",
            "it refuses this node, as where a client certificate is required",
        ),
        (
            "421 Misdirected Request",
            "this node is of another cluster\n",
            "status 421: it is of another cluster",
        ),
    ] {
        match status(code, "", body).await {
            Err(PeerError::Refused { reason, .. }) => assert_eq!(&*reason, expected),
            other => panic!("{code}: {other:?}"),
        }
    }
}
