//! The front door as a client sees it, without sockets.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::http::Request;
use bytes::Bytes;
use gaggle_api_http::{FrontOptions, front_service};
use gaggle_group::{Group, Groups, Limits};
use serde_json::json;
use tokio::sync::Notify;
use tower::Service as _;

use crate::client::base64;
use crate::cluster::until;
use crate::support::{client, client_of, echo};

fn nasty_keys() -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = [
        "", " ", "a b", "a+b", "+", "/", "//", "a//b", "/a/", "%", "%41", "..", "../..", ".",
        "a/../b", "?", "a?b=c&d", "#", "&", "=", "key=1", "张三", "é", "\0", "\n", "\r\n", "\"",
        "\\", "<b>", "~", "'",
    ]
    .iter()
    .map(|key| key.as_bytes().to_vec())
    .collect();
    keys.extend([
        vec![0xFF],
        vec![0xFF, 0x00, 0x2F, 0x80],
        vec![b'k'; 64],
        vec![0xFE; 64],
    ]);
    keys
}

fn percent(key: &[u8]) -> String {
    key.iter().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn a_value_is_raw_bytes_with_its_length_and_its_source() {
    let client = client();
    let first = client.get("/v1/scores/Tom").await;
    assert_eq!((first.status, first.text()), (200, "630"));
    assert_eq!(
        first.header("content-type"),
        Some("application/octet-stream")
    );
    assert_eq!(first.header("content-length"), Some("3"));
    assert_eq!(
        first.header("cache-status"),
        Some("gaggle; fwd=miss; detail=origin")
    );

    let second = client.get("/api?key=Tom").await;
    assert_eq!((second.status, second.text()), (200, "630"));
    assert_eq!(
        second.header("content-type"),
        Some("application/octet-stream")
    );
    assert_eq!(
        second.header("cache-status"),
        Some("gaggle; hit; detail=main")
    );
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let client = client();
    for target in ["/v1/scores/Tom", "/api?key=Tom"] {
        let answer = client.send("HEAD", target, "").await;
        assert_eq!((answer.status, answer.body.len()), (200, 0));
        assert_eq!(answer.header("content-length"), Some("3"));
        assert!(answer.header("cache-status").is_some());
    }
    let missing = client.send("HEAD", "/v1/scores/Nobody", "").await;
    assert_eq!((missing.status, missing.body.len()), (404, 0));
}

#[tokio::test]
async fn the_service_answers_as_the_router_does() {
    let mut service = front_service(
        Groups::new([echo("scores")]).unwrap(),
        FrontOptions::default(),
    );
    for (method, target, status, len, body) in [
        ("GET", "/v1/scores/Tom", 200, 3, "630"),
        ("HEAD", "/api?key=Tom", 200, 3, ""),
        ("HEAD", "/v1/scores/Nobody", 404, 16, ""),
        (
            "PUT",
            "/v1/scores/Tom",
            405,
            52,
            "method not allowed here; allowed: GET, HEAD, OPTIONS",
        ),
    ] {
        let request = Request::builder().method(method).uri(target);
        let request = request.body(Body::empty()).unwrap();
        let answer = service.call(request).await.unwrap();
        assert_eq!(answer.status(), status, "{method} {target}");
        let stated = answer.headers().get("content-length");
        let stated = stated.map(|len| len.to_str().unwrap().parse().unwrap());
        let exact = answer.body().size_hint().exact();
        assert_eq!(stated.or(exact), Some(len), "{method} {target}");
        let came = to_bytes(answer.into_body(), 1 << 10).await.unwrap();
        assert_eq!(came, body, "{method} {target}");
    }
}

#[tokio::test]
async fn nasty_keys_reach_the_origin_as_themselves_through_every_door() {
    for key in nasty_keys() {
        // A separate client for each endpoint: none may be answered from another one's cache.
        let path = client().get(&format!("/v1/scores/{}", percent(&key))).await;
        assert_eq!(
            (path.status, &path.body[..]),
            (200, &key[..]),
            "/v1 {key:?}"
        );

        let query = client().get(&format!("/api?key={}", percent(&key))).await;
        assert_eq!(
            (query.status, &query.body[..]),
            (200, &key[..]),
            "/api {key:?}"
        );

        let name = base64(&key);
        let batch = client()
            .post("/v1/scores", &json!({"keys64": [name]}))
            .await;
        let expected = json!({"results": [{"key64": name, "status": 200, "value": name}]});
        assert_eq!(
            (batch.status, batch.json()),
            (200, expected),
            "keys64 {key:?}"
        );

        if let Ok(text) = std::str::from_utf8(&key) {
            let batch = client().post("/v1/scores", &json!({"keys": [text]})).await;
            let expected = json!({"results": [{"key": text, "status": 200, "value": name}]});
            assert_eq!(
                (batch.status, batch.json()),
                (200, expected),
                "keys {key:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_path_and_a_form_differ_in_what_they_leave_bare() {
    for (target, key) in [
        ("/v1/scores/a+b", "a+b"),
        ("/v1/scores/a//b/../c", "a//b/../c"),
        ("/v1/scores//", "/"),
        ("/v1/scores/", ""),
        ("/v1/scores/张三", "张三"),
        ("/v1/scores/a&b=c", "a&b=c"),
        ("/v1/scores/a?ignored", "a"),
        ("/v1/%73cores/a", "a"),
        ("/api?key=a+b", "a b"),
        ("/api?key=a%2Bb", "a+b"),
        ("/api?key=a/b", "a/b"),
        ("/api?key=", ""),
        ("/api?key=a&key=b", "a"),
        ("/api?group=scores&key=a", "a"),
        ("/api?other=1&k%65y=a", "a"),
    ] {
        let answer = client().get(target).await;
        assert_eq!((answer.status, answer.text()), (200, key), "{target}");
    }
}

#[tokio::test]
async fn refusals_are_one_exact_line_each() {
    let long = "k".repeat(65);
    let client = client();
    for (target, status, line) in [
        ("/v1/scores/Nobody", 404, "Nobody not found"),
        ("/api?key=Nobody", 404, "Nobody not found"),
        ("/v1/scores/no%0Abody", 404, "no\\nbody not found"),
        ("/v1/scores/%FFno", 404, "\u{FFFD}no not found"),
        ("/v1/nosuch/Tom", 404, "no such group: nosuch"),
        ("/api?key=Tom&group=no+such", 404, "no such group: no such"),
        ("/v1/%FF/Tom", 404, "no such group: \u{FFFD}"),
        ("/", 404, "no such path"),
        ("/api/", 404, "no such path"),
        ("/v1", 404, "no such path"),
        ("/v2/scores/Tom", 404, "no such path"),
        (
            "/api",
            400,
            "the parameter key is missing: name one with key=",
        ),
        (
            "/api?monkey=Tom",
            400,
            "the parameter key is missing: name one with key=",
        ),
        (
            "/v1/scores/a%4",
            400,
            "malformed escape at byte 1 of a name: % takes two hex digits behind it",
        ),
        (
            "/api?key=%zz",
            400,
            "malformed escape at byte 0 of a name: % takes two hex digits behind it",
        ),
        (
            &format!("/v1/scores/{long}"),
            414,
            "group scores: a key of 65 bytes is over the limit of 64",
        ),
        (
            "/v1/scores/large",
            413,
            "group scores: a value of 101 bytes is over the limit of 100 bytes",
        ),
        (
            "/v1/scores/fails",
            502,
            "group scores: the origin failed: the reason is in the log of the node that asked it",
        ),
    ] {
        let answer = client.get(target).await;
        assert_eq!((answer.status, answer.text()), (status, line), "{target}");
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; charset=utf-8"),
            "{target}"
        );
        let looked_up = line.ends_with("not found");
        let cache_status = looked_up.then_some("gaggle; fwd=miss; detail=origin");
        assert_eq!(answer.header("cache-status"), cache_status, "{target}");
    }
    let panicked = client.get("/v1/scores/panics").await;
    assert_eq!(panicked.status, 502);
    assert_eq!(panicked.text(), "group scores: the load panicked");
}

#[tokio::test]
async fn other_methods_are_told_which_are_allowed() {
    let client = client();
    for (method, target, allow) in [
        ("POST", "/api?key=Tom", "GET, HEAD"),
        ("PUT", "/v1/scores/Tom", "GET, HEAD, OPTIONS"),
        ("DELETE", "/v1/scores/Tom", "GET, HEAD, OPTIONS"),
        ("OPTIONS", "/api?key=Tom", "GET, HEAD"),
        ("POST", "/openapi.json", "GET, HEAD, OPTIONS"),
        ("GET", "/v1/scores", "OPTIONS, POST"),
        ("DELETE", "/v1/scores", "OPTIONS, POST"),
    ] {
        let answer = client.send(method, target, "").await;
        assert_eq!(answer.status, 405, "{method} {target}");
        assert_eq!(answer.header("allow"), Some(allow), "{method} {target}");
        assert_eq!(
            answer.text(),
            format!("method not allowed here; allowed: {allow}")
        );
    }
}

#[tokio::test]
async fn the_group_may_be_left_out_only_where_there_is_one() {
    let two = client_of([echo("scores"), echo("users")], FrontOptions::default());
    let answer = two.get("/api?key=Tom").await;
    let line = "the parameter group is missing: this node has 2 groups, name one with group=";
    assert_eq!((answer.status, answer.text()), (400, line));
    assert_eq!(two.get("/api?key=Tom&group=users").await.status, 200);
    assert_eq!(
        client_of([], FrontOptions::default())
            .get("/api?key=Tom")
            .await
            .status,
        400
    );
}

/// A group whose loads end when told to, and whose limits are tight.
fn gated(limits: Limits) -> (Group, Arc<Notify>) {
    let gate = Arc::new(Notify::new());
    let opened = Arc::clone(&gate);
    let group = Group::builder("slow")
        .limits(limits)
        .origin_fn(move |key: Bytes| {
            let gate = Arc::clone(&opened);
            async move {
                gate.notified().await;
                Ok::<_, String>(Some(key))
            }
        })
        .build()
        .unwrap();
    (group, gate)
}

#[tokio::test]
async fn who_waits_on_anothers_load_is_told_so() {
    let (group, gate) = gated(Limits::default());
    let client = client_of([group.clone()], FrontOptions::default());
    let leader = tokio::spawn({
        let client = client.clone();
        async move { client.get("/v1/slow/k").await }
    });
    until(|| group.stats().loads_in_flight == 1).await;
    let follower = tokio::spawn({
        let client = client.clone();
        async move { client.get("/v1/slow/k").await }
    });
    until(|| group.stats().collapsed == 1).await;
    gate.notify_one();
    let (leader, follower) = (leader.await.unwrap(), follower.await.unwrap());
    assert_eq!(
        leader.header("cache-status"),
        Some("gaggle; fwd=miss; detail=origin")
    );
    let collapsed = Some("gaggle; fwd=miss; detail=origin; collapsed");
    assert_eq!(follower.header("cache-status"), collapsed);
}

#[tokio::test(start_paused = true)]
async fn no_answer_in_time_is_504() {
    let mut limits = Limits::default();
    limits.load_timeout = Duration::from_millis(50);
    let (group, _gate) = gated(limits);
    let answer = client_of([group], FrontOptions::default())
        .get("/v1/slow/k")
        .await;
    assert_eq!(
        (answer.status, answer.text()),
        (504, "group slow: no answer within 50ms")
    );
}

#[tokio::test]
async fn a_shed_get_is_told_when_to_come_back() {
    let mut limits = Limits::default();
    limits.max_loads = 1;
    limits.retry_after = Duration::from_millis(1_500);
    let (group, gate) = gated(limits);
    let client = client_of([group.clone()], FrontOptions::default());
    let first = tokio::spawn({
        let client = client.clone();
        async move { client.get("/v1/slow/a").await }
    });
    until(|| group.stats().loads_in_flight == 1).await;
    let shed = client.get("/v1/slow/b").await;
    assert_eq!((shed.status, shed.header("retry-after")), (503, Some("2")));
    assert_eq!(
        shed.text(),
        "group slow: 1 loads are under way, which is the limit"
    );
    gate.notify_one();
    assert_eq!(first.await.unwrap().status, 200);
}
