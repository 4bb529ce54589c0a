//! The bytes that the server sends, as a client of raw bytes sees them.

use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{Group, Loaded};
use gaggle_transport_http::{Encoding, ServerOptions};

use crate::support::{ask, echo, raw, scores, serve};

const FOUND: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 5\r\nconnection: close\r\n\r\n\x0a\x03630";

fn text(status: &str, text: &str) -> String {
    let len = text.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\nx-content-type-options: nosniff\r\n\
         content-length: {len}\r\nconnection: close\r\n\r\n{text}"
    )
}

#[tokio::test]
async fn a_value_is_a_get_response() {
    let server = serve([scores()], ServerOptions::default()).await;
    assert_eq!(ask(server, "GET /_groupcache/scores/Tom", "").await, FOUND);
    assert_eq!(
        ask(server, "GET /_groupcache/scores/empty", "").await,
        FOUND.replace(": 5", ": 2").replace("\x03630", "\0")
    );
}

#[tokio::test]
async fn a_trace_is_no_reason_to_refuse_a_get() {
    let server = serve([scores()], ServerOptions::default()).await;
    let good = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    let long = format!("traceparent: {}\r\n", "0".repeat(9_000));
    let twice = good.repeat(2);
    for header in [
        good,
        "traceparent: \r\n",
        "traceparent: é\r\n",
        &long,
        &twice,
    ] {
        let answer = ask(server, "GET /_groupcache/scores/Tom", header).await;
        assert_eq!(answer, FOUND, "{header}");
    }
}

#[tokio::test]
async fn a_raw_value_is_itself() {
    let options = ServerOptions {
        base_path: "/_gocache/".parse().unwrap(),
        encoding: Encoding::Raw,
        ..ServerOptions::default()
    };
    let server = serve([scores()], options).await;
    let expected = "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: 3\r\nconnection: close\r\n\r\n630";
    assert_eq!(ask(server, "GET /_gocache/scores/Tom", "").await, expected);
}

#[tokio::test]
async fn the_time_to_live_goes_along() {
    let group = Group::builder("scores")
        .origin_fn(|_: Bytes| async {
            Ok::<_, std::io::Error>(Some(Loaded::with_ttl("630", Duration::from_secs(3_600))))
        })
        .build()
        .unwrap();
    let server = serve([group], ServerOptions::default()).await;
    let answer = ask(server, "GET /_groupcache/scores/Tom", "").await;
    let (_, rest) = answer.split_once("\r\ngaggle-ttl-ms: ").expect(&answer);
    let millis: u64 = rest.split_once("\r\n").unwrap().0.parse().unwrap();
    assert!((1..=3_600_000).contains(&millis), "{millis}");
}

#[tokio::test]
async fn post_reads_head_tells_and_others_are_refused() {
    let server = serve([scores()], ServerOptions::default()).await;
    assert_eq!(
        ask(
            server,
            "POST /_groupcache/scores/Tom",
            "content-length: 0\r\n"
        )
        .await,
        FOUND
    );
    let head = ask(server, "HEAD /_groupcache/scores/Tom", "").await;
    assert_eq!(head, FOUND.strip_suffix("\x0a\x03630").unwrap());
    for method in ["PUT", "PATCH", "OPTIONS", "BREW"] {
        let answer = ask(server, &format!("{method} /_groupcache/scores/Tom"), "").await;
        assert!(
            answer.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"),
            "{answer}"
        );
        assert!(
            answer.contains("\r\nallow: GET, HEAD, POST, DELETE\r\n"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn the_body_of_a_request_is_not_waited_for() {
    let server = serve([scores()], ServerOptions::default()).await;
    let request = "POST /_groupcache/scores/Tom HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nthat is all";
    let answer = raw(server, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n\x0a\x03630"), "{answer}");
}

#[tokio::test]
async fn bad_requests_get_the_answers_of_golang() {
    let server = serve([scores()], ServerOptions::default()).await;
    let bad = text("400 Bad Request", "bad request\n");
    for path in [
        "/_groupcache/",
        "/_groupcache/scores",
        "/_groupcache/?a/b",
        "/_groupcache/scores/%",
        "/_groupcache/%zz/Tom",
        "/_groupcache/scores%2FTom",
    ] {
        assert_eq!(ask(server, &format!("GET {path}"), "").await, bad, "{path}");
    }
    assert_eq!(
        ask(server, "GET /_groupcache/scores", "gaggle-key: %4\r\n").await,
        bad
    );
    for (path, name) in [
        ("nobody/Tom", "nobody"),
        ("no%0Abo%20dy/Tom", "no bo dy"),
        ("%FF/Tom", "\u{fffd}"),
        ("%2e%2e/scores/Tom", ".."),
        ("../scores/Tom", ".."),
        ("%252e%252e/Tom", "%2e%2e"),
        ("scores%5cTom/x", "scores\\Tom"),
        ("/Tom", ""),
    ] {
        let expected = text("404 Not Found", &format!("no such group: {name}\n"));
        assert_eq!(
            ask(server, &format!("GET /_groupcache/{path}"), "").await,
            expected
        );
    }
    for path in [
        "/",
        "/_groupcache",
        "/_gocache/scores/Tom",
        "//_groupcache/scores/Tom",
        "/../_groupcache/scores/Tom",
        "/%2e%2e/_groupcache/scores/Tom",
        "/_groupcache%2fscores/Tom",
        "/%5fgroupcache/scores/Tom",
    ] {
        assert_eq!(
            ask(server, &format!("GET {path}"), "").await,
            text("404 Not Found", "not found\n")
        );
    }
    for header in ["gaggle-deadline-ms", "gaggle-max-value"] {
        let expected = format!("bad request: the header {header} holds no number\n");
        assert_eq!(
            ask(
                server,
                "GET /_groupcache/scores/Tom",
                &format!("{header}: -1\r\n")
            )
            .await,
            text("400 Bad Request", &expected),
        );
    }
}

#[tokio::test]
async fn the_key_is_all_behind_the_group_as_it_was_sent() {
    let server = serve(
        [echo()],
        ServerOptions {
            encoding: Encoding::Raw,
            ..ServerOptions::default()
        },
    )
    .await;
    // As clients of other kinds write them: bare slashes and dots, a plus, lower-case digits, a
    // query.
    for (path, key) in [
        ("a/b", "a/b"),
        ("//a//", "//a//"),
        ("a/../b/./c", "a/../b/./c"),
        ("%2e%2e/%2E%2E/etc/passwd", "../../etc/passwd"),
        ("..%2f..%2fetc%2fpasswd", "../../etc/passwd"),
        ("%252e%252e", "%2e%2e"),
        (".", "."),
        ("..", ".."),
        ("a+b", "a+b"),
        ("%e5%bc%a0", "张"),
        ("Tom?a=b", "Tom"),
        ("", ""),
    ] {
        let answer = ask(server, &format!("GET /_groupcache/echo/{path}"), "").await;
        assert_eq!(answer.split_once("\r\n\r\n").unwrap().1, key, "{path}");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    let in_header = ask(server, "GET /_groupcache/echo", "gaggle-key: %2E.\r\n").await;
    assert!(in_header.ends_with("\r\n\r\n.."), "{in_header}");
    let in_both = ask(server, "GET /_groupcache/echo/Tom", "gaggle-key: Sam\r\n").await;
    assert!(in_both.ends_with("\r\n\r\nTom"), "{in_both}");
}

#[tokio::test]
async fn a_delete_drops_the_copy_here() {
    let group = scores();
    let server = serve([group.clone()], ServerOptions::default()).await;
    group.get("Tom").await.unwrap();
    assert!(group.cached(b"Tom").is_some());
    let expected =
        "HTTP/1.1 200 OK\r\ngaggle-removed: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    for _ in 0..2 {
        assert_eq!(
            ask(server, "DELETE /_groupcache/scores/Tom", "").await,
            expected
        );
        assert!(group.cached(b"Tom").is_none());
    }
    let unknown = ask(server, "DELETE /_groupcache/nobody/Tom", "").await;
    assert_eq!(unknown, text("404 Not Found", "no such group: nobody\n"));
}
