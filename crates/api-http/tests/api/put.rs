//! `PUT /v1/{group}/{key}`.

use std::time::Duration;

use gaggle_api_http::{FrontOptions, front_door};
use gaggle_group::{Clock, Field, Freshness, FreshnessPolicy, Group, Groups, Metadata};
use serde_json::json;

use crate::client::{Client, stuck};
use crate::cluster::{client, gated_peer, group, peer, until};

#[tokio::test]
async fn a_value_that_was_put_is_what_the_front_door_has_with_all_that_was_said_of_it() {
    let b = peer("http://b:1", true);
    let scores = group("scores", std::slice::from_ref(&b));
    scores.get("k/ \u{FF}").await.unwrap();
    let headers = [
        ("cache-control", "max-age=60"),
        ("content-type", "text/plain"),
        ("content-encoding", "gzip"),
        ("etag", "\"v2\""),
        ("last-modified", "yesterday"),
        ("x-other", "1"),
    ];
    let target = "/v1/scores/k/%20%C3%BF";
    let put = client([scores.clone()])
        .send_with("PUT", target, &headers, "631")
        .await;
    let all = r#"{"removed":["http://a:1","http://b:1"],"missed":[]}"#;
    assert_eq!((put.status, put.text()), (200, all));
    assert_eq!(b.removed.lock().unwrap().len(), 1);
    let groups = Groups::new([scores]).unwrap();
    let reader = Client(front_door(groups, FrontOptions::default()));
    let got = reader.get(target).await;
    assert_eq!((got.status, got.text()), (200, "631"));
    for (name, value) in &headers[1..5] {
        assert_eq!(got.header(name), Some(*value));
    }
    let told = got.header("cache-status").unwrap();
    assert!(told.starts_with("gaggle; hit; detail=main; ttl="), "{told}");
}

#[tokio::test]
async fn another_nodes_key_is_given_to_that_node() {
    let b = peer("http://b:1", true);
    let scores = group("scores", &[b.clone(), peer("http://c:1", false)]);
    let headers = [("cache-control", "max-age=60, stale-if-error=5")];
    let put = client([scores.clone()])
        .send_with("PUT", "/v1/scores/b%FF", &headers, "631")
        .await;
    assert_eq!(put.status, 502);
    assert_eq!(
        put.json(),
        json!({
            "removed": ["http://a:1", "http://b:1"],
            "missed": [{"node": "http://c:1", "error": "peer http://c:1: connection\\nrefused"}],
        })
    );
    let kept = b.kept.lock().unwrap();
    let (key, entry) = &kept[0];
    assert_eq!(
        (&key[..], entry.value.as_deref()),
        (&b"b\xFF"[..], Some(&b"631"[..]))
    );
    let freshness = Freshness::for_ttl(Duration::from_secs(60));
    let freshness = freshness.stale_if_error(Duration::from_secs(5));
    assert_eq!(entry.freshness, freshness);
    assert_eq!(entry.metadata, Metadata::default());
}

#[tokio::test]
async fn without_a_word_on_freshness_the_group_decides() {
    let mut policy = FreshnessPolicy::default();
    policy.ttl = Some(Duration::from_secs(300));
    policy.stale_while_revalidate = Duration::from_secs(30);
    let scores = Group::builder("scores")
        .freshness(policy)
        .clock(Clock::manual())
        .origin_fn(|key: bytes::Bytes| async move { Ok::<_, String>(Some(key)) })
        .build()
        .unwrap();
    let put = client([scores.clone()])
        .send("PUT", "/v1/scores/Tom", "")
        .await;
    assert_eq!(put.status, 200);
    let kept = scores.cached("Tom").unwrap();
    assert_eq!(
        kept.value.as_deref(),
        Some(&b""[..]),
        "an empty value is one"
    );
    let freshness = Freshness::for_ttl(Duration::from_secs(300));
    let freshness = freshness.stale_while_revalidate(Duration::from_secs(30));
    assert_eq!(kept.freshness, freshness);
    assert_eq!(kept.metadata.get(Field::ContentType), None);
}

#[tokio::test]
async fn an_owner_that_cannot_be_given_the_value_is_a_failure_of_one_line() {
    let scores = group("scores", &[peer("http://b:1", false)]);
    let put = client([scores]).send("PUT", "/v1/scores/b", "631").await;
    let line = "group scores: the node that owns the key cannot be reached (http://b:1)";
    assert_eq!((put.status, put.text()), (502, line));
}

#[tokio::test]
async fn what_cannot_be_put_changes_nothing() {
    let scores = group("scores", &[]);
    scores.get("Tom").await.unwrap();
    let client = client([scores.clone()]);
    let (full, over) = ("x".repeat(100), "x".repeat(101));
    let long = format!("/v1/scores/{}", "k".repeat(65));
    let no_store = ("cache-control", "no-store");
    for (target, header, body, status, line) in [
        (
            "/v1/scores/Tom",
            None,
            &over,
            413,
            "group scores: a value of unknown length is over the limit of 100 bytes",
        ),
        (
            "/v1/scores/Tom",
            Some(no_store),
            &full,
            400,
            "Cache-Control: no-store: a value that is put is kept",
        ),
        (
            &long,
            None,
            &full,
            414,
            "group scores: a key of 65 bytes is over the limit of 64",
        ),
        ("/v1/nosuch/Tom", None, &full, 404, "no such group: nosuch"),
    ] {
        let headers = header.as_slice();
        let answer = client.send_with("PUT", target, headers, body.clone()).await;
        assert_eq!((answer.status, answer.text()), (status, line), "{target}");
    }
    let kept = scores.cached("Tom").unwrap();
    assert_eq!(kept.value.as_deref(), Some(&b"Tom"[..]));
    let limit = client.send("PUT", "/v1/scores/Tom", &full).await;
    assert_eq!(limit.status, 200, "the limit itself is allowed");
}

#[tokio::test(start_paused = true)]
async fn a_body_is_refused_unread_where_it_says_that_it_is_too_large() {
    let client = client([group("scores", &[])]);
    let put = async |length| {
        let headers = [("content-length", length)];
        let target = "/v1/scores/Tom";
        client.send_with("PUT", target, &headers, stuck("6")).await
    };
    let large = put("101").await;
    assert_eq!(
        (large.status, large.text()),
        (
            413,
            "group scores: a value of 101 bytes is over the limit of 100 bytes"
        )
    );
    let stuck = put("100").await;
    assert_eq!(
        (stuck.status, stuck.text()),
        (408, "the body did not arrive within 60s")
    );
}

#[tokio::test]
async fn a_put_goes_on_when_its_client_hangs_up() {
    let (b, gate) = gated_peer("http://b:1");
    let c = peer("http://c:1", true);
    let scores = group("scores", &[b.clone(), c.clone()]);
    scores.get("b").await.unwrap();
    let client = client([scores.clone()]);
    let request = tokio::spawn(async move { client.send("PUT", "/v1/scores/b", "631").await });
    until(|| scores.stats().issued.puts == 1).await;
    request.abort();
    assert!(request.await.is_err_and(|error| error.is_cancelled()));
    assert!(b.kept.lock().unwrap().is_empty());
    gate.notify_one();
    until(|| !c.removed.lock().unwrap().is_empty()).await;
    assert_eq!(b.kept.lock().unwrap().len(), 1);
    assert!(scores.cached("b").is_none());
}

#[tokio::test]
async fn a_write_that_depends_on_a_condition_is_refused_and_not_done() {
    let scores = group("scores", &[]);
    scores.get("Tom").await.unwrap();
    let client = client([scores.clone()]);
    for method in ["PUT", "DELETE"] {
        for (name, value) in [
            ("if-match", "\"a\""),
            ("if-none-match", "*"),
            ("if-modified-since", "Sat, 05 Nov 1994 08:49:37 GMT"),
            ("if-unmodified-since", "Sat, 05 Nov 1994 08:49:37 GMT"),
            ("content-range", "bytes 0-1/100"),
        ] {
            let headers = [(name, value)];
            let answer = client
                .send_with(method, "/v1/scores/Tom", &headers, "1")
                .await;
            let line = format!("{method} with {name} is not supported");
            assert_eq!((answer.status, answer.text()), (400, &*line));
        }
    }
    // A query is no key: this would remove the whole group.
    for (method, target) in [
        ("DELETE", "/v1/scores?key=Tom"),
        ("DELETE", "/v1/scores/Tom?"),
        ("PUT", "/v1/scores/Tom?ttl=5"),
    ] {
        let answer = client.send(method, target, "1").await;
        let line = format!("{method} takes no query: the key is a part of the path, with ? as %3F");
        assert_eq!((answer.status, answer.text()), (400, &*line), "{target}");
    }
    let kept = scores.cached("Tom").unwrap();
    assert_eq!(kept.value.as_deref(), Some(&b"Tom"[..]));
}
