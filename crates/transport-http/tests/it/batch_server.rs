//! The bytes of a batch, as the server reads and writes them.

use gaggle_group::{Clock, Group, Key};
use gaggle_proto::peer::BatchItem;
use gaggle_transport_http::ServerOptions;
use prost::Message;

use crate::support::{LONG, ask, raw, scores, serve};

async fn post(address: std::net::SocketAddr, body: &str) -> String {
    let request = format!(
        "POST /_groupcache/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\ngaggle-forwarded: 1\r\n\
         gaggle-batch: 1\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    tokio::time::timeout(LONG, raw(address, request.as_bytes()))
        .await
        .unwrap()
}

/// A get of a group that no node has.
const MANY: &str = "\x0a\x00";
const TOM: &str = "\x0a\x0d\x0a\x06scores\x12\x03Tom";

#[tokio::test]
async fn a_batch_is_a_post_and_its_answer_a_stream() {
    // Time stands still, so that the rates are whole numbers.
    let group = Group::builder("scores")
        .clock(Clock::manual())
        .origin_fn(|_: Key| async { Ok::<_, std::io::Error>(Some("630")) })
        .build();
    let server = serve([group.unwrap()], ServerOptions::default()).await;
    // A first one, so that the value is in memory: then all answers are one chunk.
    post(server, TOM).await;
    let nobody = "\x0a\x08\x0a\x06nobody";
    let answer = post(server, &format!("{TOM}{nobody}{TOM}")).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(
        head,
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ngaggle-batch: 1\r\n\
         connection: close\r\ntransfer-encoding: chunked"
    );
    let answers = "\x12\x08\x00\x12\x0e\x39\0\0\0\0\0\0\0\x40\x0a\x03630\
                   \x1b\x08\x01\x2a\x17\x0a\x15no such group: nobody\
                   \x12\x08\x02\x12\x0e\x39\0\0\0\0\0\0\x08\x40\x0a\x03630";
    assert_eq!(
        body,
        format!("{:x}\r\n{answers}\r\n0\r\n\r\n", answers.len())
    );

    let empty = post(server, "").await;
    assert!(empty.starts_with("HTTP/1.1 200 OK\r\n"), "{empty}");
}

#[tokio::test]
async fn marked_requests_are_told_that_batches_are_taken() {
    let server = serve([scores()], ServerOptions::default()).await;
    for (path, status) in [
        ("scores/Tom", "200"),
        ("scores/Kesa", "404"),
        ("scores", "400"),
    ] {
        let line = format!("GET /_groupcache/{path}");
        let marked = ask(server, &line, "gaggle-forwarded: 1\r\n").await;
        assert!(
            marked.starts_with(&format!("HTTP/1.1 {status}")),
            "{marked}"
        );
        assert!(marked.contains("\r\ngaggle-batch: 1\r\n"), "{marked}");
        let unmarked = ask(server, &line, "").await;
        assert!(!unmarked.contains("gaggle-batch"), "{unmarked}");
    }
}

#[tokio::test]
async fn an_item_without_a_trace_is_as_before_and_what_is_none_is_passed_over() {
    let item = |traceparent: &str| BatchItem {
        group: "scores".into(),
        key: "Tom".into(),
        traceparent: traceparent.to_owned().into(),
        ..BatchItem::default()
    };
    assert_eq!(item("").encode_to_vec(), TOM.as_bytes()[2..]);
    let server = serve([scores()], ServerOptions::default()).await;
    for trace in [
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-0000000000000000-00",
        "é",
        "00",
    ] {
        let item = item(trace).encode_to_vec();
        let item = [&[0x0a, u8::try_from(item.len()).unwrap()], &item[..]].concat();
        let answer = post(server, std::str::from_utf8(&item).unwrap()).await;
        assert!(answer.contains("\x0a\x03630\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_bad_batch_is_refused() {
    let server = serve([scores()], ServerOptions::default()).await;
    let status = |answer: String| answer.split("\r\n").next().unwrap().to_owned();
    for bad in [
        "\x0a",
        "text",
        "\x0a\x05\x0a\x03\u{7f}",
        &MANY.repeat(1_025),
    ] {
        assert_eq!(status(post(server, bad).await), "HTTP/1.1 400 Bad Request");
    }
    let most = post(server, &MANY.repeat(1_024)).await;
    assert!(
        most.contains("\x08\x7f\x2a\x11\x0a\x0fno such group: "),
        "{most}"
    );

    // The length is stated and the body not sent: the stated length must be enough.
    let request = "POST /_groupcache/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                   gaggle-batch: 1\r\ncontent-length: 1048577\r\n\r\n";
    let too_long = raw(server, request.as_bytes()).await;
    assert!(too_long.starts_with("HTTP/1.1 413 "), "{too_long}");
    assert!(
        too_long.ends_with("a batch has at most 1048576 bytes\n"),
        "{too_long}"
    );

    // Without the header, or on the path of a key, a body means nothing.
    let plain = ask(server, "POST /_groupcache/", "").await;
    assert!(plain.starts_with("HTTP/1.1 400 "), "{plain}");
    let key = ask(
        server,
        "POST /_groupcache/scores/Tom",
        "gaggle-batch: 1\r\n",
    )
    .await;
    assert!(key.ends_with("\r\n\r\n\x0a\x03630"), "{key}");
}
