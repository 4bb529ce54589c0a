//! The front door's HTTP semantics, at the level of bytes: every header of every answer.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Request};
use bytes::Bytes;
use gaggle_api_http::{CacheControl, FrontOptions, RequestStats, Route, front_door};
use gaggle_group::{
    ByteBudget, Field, FreshnessPolicy, Group, Groups, Hint, Limits, Loaded, Metadata,
};
use http_body_util::BodyExt as _;
use tokio::sync::Notify;
use tower::ServiceExt as _;

use crate::client::Client;
use crate::support::{client_of, echo};

const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
/// The tag of `630` by its hash.
const TAG: &str = "\"7771fae3242e7b75017d7b547b79cb67\"";

fn pages() -> Group {
    let mut policy = FreshnessPolicy::default();
    policy.ttl_jitter = 0.0;
    Group::builder("pages")
        .freshness(policy)
        .origin_fn(|key: Bytes| async move {
            let known = |encoding: &str| {
                Metadata::default()
                    .with(Field::ContentType, "text/plain")
                    .with(Field::ContentEncoding, encoding)
                    .with(Field::ETag, "\"v1\"")
                    .with(Field::LastModified, MODIFIED)
                    .with_age(Duration::from_secs(7))
            };
            Ok::<_, String>(match &key[..] {
                b"page" => Some(Loaded::value("0123456789").with_metadata(known(""))),
                b"weak" => Some(
                    Loaded::value("0123456789")
                        .with_metadata(Metadata::default().with(Field::ETag, "W/\"v1\"")),
                ),
                b"zip" => Some(Loaded::value("0123456789").with_metadata(known("gzip"))),
                b"plain" => Some(Loaded::value("630")),
                b"empty" => Some(Loaded::value("")),
                b"minute" => Some(Loaded::value("630").with_freshness(
                    Hint::ttl(Duration::from_secs(60)).stale_if_error(Duration::from_secs(600)),
                )),
                b"never" => Some(Loaded::value("630").with_freshness(Hint::none())),
                b"large" => Some(Loaded::value(vec![b'x'; 70_000])),
                _ => None,
            })
        })
        .build()
        .unwrap()
}

fn client() -> Client {
    client_of([pages()], FrontOptions::default())
}

/// A whole answer as text: the status, the headers in the order of their names, the body.
async fn told(client: &Client, method: &str, target: &str, asked: &[(&str, &str)]) -> String {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in asked {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    let answer = client.0.clone().oneshot(request).await.unwrap();
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    format!(
        "{}\n{}\n{}",
        head.status.as_u16(),
        headers(&head.headers),
        String::from_utf8_lossy(&body)
    )
}

fn headers(of: &HeaderMap) -> String {
    let mut lines: Vec<_> = of
        .iter()
        .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()))
        .collect();
    lines.sort();
    lines.concat()
}

const HIT: &str = "cache-status: gaggle; hit; detail=main\n";

#[tokio::test]
async fn a_value_without_a_tag_has_its_hash_in_get_head_and_304_alike() {
    let client = client();
    client.get("/v1/pages/plain").await;
    let whole = format!(
        "accept-ranges: bytes\n{HIT}content-length: 3\ncontent-type: application/octet-stream\netag: {TAG}\n"
    );
    for (method, body) in [("GET", "630"), ("HEAD", "")] {
        let answer = told(&client, method, "/v1/pages/plain", &[]).await;
        assert_eq!(answer, format!("200\n{whole}\n{body}"));
        let answer = told(
            &client,
            method,
            "/v1/pages/plain",
            &[("if-none-match", TAG)],
        )
        .await;
        assert_eq!(answer, format!("304\n{HIT}etag: {TAG}\n\n"), "{method}");
    }
    let large = client.get("/v1/pages/large").await;
    assert_eq!(
        (large.status, large.header("etag")),
        (200, None),
        "it is over etag_max"
    );
    let options = FrontOptions {
        etag_max: 0,
        ..FrontOptions::default()
    };
    let without = client_of([pages()], options).get("/v1/pages/plain").await;
    assert_eq!((without.status, without.header("etag")), (200, None));
}

#[tokio::test]
async fn the_ancestors_endpoint_takes_no_terms_and_tells_nothing() {
    let options = FrontOptions {
        cors_origins: vec!["*".into()],
        cache_control: [("pages".into(), CacheControl::Ttl)].into(),
        ..FrontOptions::default()
    };
    let client = client_of([pages()], options);
    client.get("/v1/pages/page").await;
    let terms = [
        ("accept", "application/problem+json"),
        ("accept-encoding", "identity;q=0"),
        ("if-match", "\"other\""),
        ("if-none-match", "*"),
        ("origin", "https://app.example.com"),
        ("range", "bytes=0-1"),
        ("request-timeout", "soon"),
    ];
    let whole = format!(
        "200\n{HIT}content-length: 10\ncontent-type: application/octet-stream\n\n0123456789"
    );
    assert_eq!(told(&client, "GET", "/api?key=page", &terms).await, whole);
    let absent = told(&client, "GET", "/api?key=Nobody", &terms).await;
    assert_eq!(
        absent,
        "404\ncache-status: gaggle; fwd=miss; detail=origin\ncontent-length: 16\n\
         content-type: text/plain; charset=utf-8\nx-content-type-options: nosniff\n\nNobody not found"
    );
}

#[tokio::test]
async fn one_range_is_a_part_of_the_value() {
    let client = client();
    client.get("/v1/pages/page").await;
    let about = "age: 7\ncache-status: gaggle; hit; detail=main\n";
    let part = |range: &str, len: usize, body: &str| {
        format!(
            "206\naccept-ranges: bytes\n{about}content-length: {len}\ncontent-range: bytes {range}/10\n\
             content-type: text/plain\netag: \"v1\"\nlast-modified: {MODIFIED}\n\n{body}"
        )
    };
    let path = "/v1/pages/page";
    for (range, expected) in [
        ("bytes=2-4", part("2-4", 3, "234")),
        ("bytes=7-", part("7-9", 3, "789")),
        ("bytes=-2", part("8-9", 2, "89")),
        ("bytes=0-99", part("0-9", 10, "0123456789")),
    ] {
        let answer = told(&client, "GET", path, &[("range", range)]).await;
        assert_eq!(answer, expected, "{range}");
    }
    let beyond = told(&client, "GET", path, &[("range", "bytes=10-")]).await;
    assert_eq!(
        beyond,
        "416\ncache-status: gaggle; hit; detail=main\ncontent-length: 36\ncontent-range: bytes */10\n\
         content-type: text/plain; charset=utf-8\netag: \"v1\"\nvary: accept\n\
         x-content-type-options: nosniff\n\nno such range: the value has 10 bytes"
            .replace("content-length: 36", "content-length: 37")
    );
    let range = ("range", "bytes=2-4");
    for (headers, status) in [
        (&[("range", "bytes=0-1,4-5")][..], 200),
        (&[("range", "lines=1-2")], 200),
        (&[("range", "bytes=5-2")], 200),
        (&[range, ("range", "bytes=0-1")], 200),
        (&[range, ("if-range", "\"v1\"")], 206),
        (&[range, ("if-range", "\"v0\"")], 200),
        (&[range, ("if-range", "W/\"v1\"")], 200),
        (&[range, ("if-range", MODIFIED)], 200),
        (&[("range", "bytes=10-"), ("if-range", "\"v0\"")], 200),
        // The conditions come first.
        (&[range, ("if-none-match", "\"v1\"")], 304),
        (&[range, ("if-match", "\"v0\"")], 412),
        (&[range, ("if-match", "\"v1\"")], 206),
    ] {
        let answer = client.get_with(path, headers).await;
        assert_eq!(answer.status, status, "{headers:?}");
        if status == 200 {
            assert_eq!(answer.text(), "0123456789", "{headers:?}");
            assert_eq!(answer.header("content-range"), None);
        }
    }
    // Only GET has ranges.
    let head = client.send_with("HEAD", path, &[range], "").await;
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("10"))
    );
    let weak = [range, ("if-range", "W/\"v1\"")];
    assert_eq!(client.get_with("/v1/pages/weak", &weak).await.status, 200);
    let empty = client
        .get_with("/v1/pages/empty", &[("range", "bytes=0-")])
        .await;
    assert_eq!(
        (empty.status, empty.header("content-range")),
        (416, Some("bytes */0"))
    );
    let absent = client.get_with("/v1/pages/Nobody", &[range]).await;
    assert_eq!(absent.status, 404);
}

#[tokio::test]
async fn a_part_of_a_large_value_counts_as_in_flight_until_it_is_written() {
    let budget = ByteBudget::new(1 << 20, Duration::from_secs(1));
    let group = Group::builder("pages")
        .in_flight(budget.clone())
        .origin_fn(|_| async { Ok::<_, String>(Some(vec![b'x'; 70_000])) })
        .build()
        .unwrap();
    group.get("k").await.unwrap();
    let router = front_door(Groups::new([group]).unwrap(), FrontOptions::default());
    let get = |header: (&'static str, &'static str)| {
        let request = Request::get("/v1/pages/k").header(header.0, header.1);
        router.clone().oneshot(request.body(Body::empty()).unwrap())
    };
    let part = get(("range", "bytes=1-2")).await.unwrap();
    assert_eq!(part.status(), 206);
    assert!(
        budget.used() >= 70_000,
        "the whole value is held for its part"
    );
    drop(part);
    assert_eq!(budget.used(), 0);
    for header in [
        ("if-none-match", "*"),
        ("range", "bytes=70000-"),
        ("if-match", "\"a\""),
    ] {
        let answer = get(header).await.unwrap();
        assert_eq!(budget.used(), 0, "{}", answer.status());
    }
}

#[tokio::test]
async fn a_condition_that_fails_is_412_and_says_which_value_there_is() {
    let client = client();
    client.get("/v1/pages/page").await;
    let before = "Sat, 05 Nov 1994 08:49:37 GMT";
    let failed = "412\ncache-status: gaggle; hit; detail=main\ncontent-length: 43\n\
                  content-type: text/plain; charset=utf-8\netag: \"v1\"\nvary: accept\n\
                  x-content-type-options: nosniff\n\nthe value is another than the request wants";
    for condition in [("if-match", "\"v0\""), ("if-unmodified-since", before)] {
        let answer = told(&client, "GET", "/v1/pages/page", &[condition]).await;
        assert_eq!(answer, failed, "{condition:?}");
        let head = client
            .send_with("HEAD", "/v1/pages/page", &[condition], "")
            .await;
        assert_eq!((head.status, head.text()), (412, ""));
    }
    for condition in [
        ("if-match", "*"),
        ("if-match", "\"v1\""),
        ("if-unmodified-since", MODIFIED),
    ] {
        let answer = client.get_with("/v1/pages/page", &[condition]).await;
        assert_eq!(answer.status, 200, "{condition:?}");
        // No condition is evaluated for an absent key.
        let absent = client.get_with("/v1/pages/Nobody", &[condition]).await;
        assert_eq!(absent.status, 404, "{condition:?}");
    }
}

#[tokio::test]
async fn an_encoded_value_is_sent_to_who_takes_it() {
    let client = client();
    client.get("/v1/pages/zip").await;
    let whole = format!(
        "200\naccept-ranges: bytes\nage: 7\n{HIT}content-encoding: gzip\ncontent-length: 10\n\
         content-type: text/plain\netag: \"v1\"\nlast-modified: {MODIFIED}\nvary: accept-encoding\n\n0123456789"
    );
    for asked in [
        &[][..],
        &[("accept-encoding", "gzip")],
        &[("accept-encoding", "br, *;q=0.1")],
        &[("accept-encoding", "br"), ("accept-encoding", "x-gzip")],
    ] {
        assert_eq!(
            told(&client, "GET", "/v1/pages/zip", asked).await,
            whole,
            "{asked:?}"
        );
    }
    let line = "the value is encoded as gzip, which Accept-Encoding does not allow";
    let refused = format!(
        "406\n{HIT}content-length: {}\ncontent-type: text/plain; charset=utf-8\n\
         vary: accept\nvary: accept-encoding\nx-content-type-options: nosniff\n\n{line}",
        line.len()
    );
    for list in ["br", "identity", "", "gzip;q=0", "*;q=0"] {
        let asked = [("accept-encoding", list)];
        assert_eq!(
            told(&client, "GET", "/v1/pages/zip", &asked).await,
            refused,
            "{list}"
        );
    }
    let unchanged = [("accept-encoding", "gzip"), ("if-none-match", "\"v1\"")];
    assert_eq!(
        told(&client, "GET", "/v1/pages/zip", &unchanged).await,
        format!(
            "304\nage: 7\n{HIT}etag: \"v1\"\nlast-modified: {MODIFIED}\nvary: accept-encoding\n\n"
        )
    );
    // A value that is not encoded suits every client that does not exclude it.
    for (list, status) in [
        ("gzip, br", 200),
        ("", 200),
        ("identity;q=0", 406),
        ("*;q=0", 406),
    ] {
        let answer = client
            .get_with("/v1/pages/plain", &[("accept-encoding", list)])
            .await;
        assert_eq!(
            (answer.status, answer.header("vary").is_none()),
            (status, status == 200),
            "{list}"
        );
    }
}

#[tokio::test]
async fn other_caches_are_told_what_is_configured() {
    let rule = |text: &str| ("pages".to_owned(), CacheControl::parse(text).unwrap());
    let with = |text: &str| {
        let options = FrontOptions {
            cache_control: [rule(text)].into(),
            ..FrontOptions::default()
        };
        client_of([pages(), echo("scores")], options)
    };
    for (client, target, expected) in [
        (client(), "/v1/pages/minute", None),
        (
            with("ttl"),
            "/v1/pages/minute",
            Some("max-age=60, stale-if-error=600"),
        ),
        (with("ttl"), "/v1/pages/plain", None),
        (with("ttl"), "/v1/pages/never", Some("no-store")),
        (with("ttl"), "/v1/pages/Nobody", Some("no-store")),
        (with("ttl"), "/v1/scores/Tom", None),
        (
            with("public, max-age=5"),
            "/v1/pages/plain",
            Some("public, max-age=5"),
        ),
        // Nobody may keep it, whatever is configured.
        (client(), "/v1/pages/never", Some("no-store")),
        (
            with("public, max-age=5"),
            "/v1/pages/never",
            Some("no-store"),
        ),
        (with("public, max-age=5"), "/v1/pages/Nobody", None),
        (
            with("public, max-age=5"),
            "/api?group=pages&key=plain",
            None,
        ),
    ] {
        let answer = client.get(target).await;
        assert_eq!(answer.header("cache-control"), expected, "{target}");
    }
    let client = with("public, max-age=5");
    let unchanged = client
        .get_with("/v1/pages/plain", &[("if-none-match", TAG)])
        .await;
    assert_eq!(unchanged.header("cache-control"), Some("public, max-age=5"));
}

#[tokio::test]
async fn max_age_and_age_together_say_what_is_left() {
    let mut policy = FreshnessPolicy::default();
    (policy.ttl, policy.ttl_jitter) = (Some(Duration::from_secs(300)), 0.0);
    let clock = gaggle_group::Clock::manual();
    let group = Group::builder("pages")
        .freshness(policy)
        .clock(clock.clone())
        .origin_fn(|_| async {
            let aged = Metadata::default().with_age(Duration::from_secs(7));
            Ok::<_, String>(Some(Loaded::value("630").with_metadata(aged)))
        })
        .build()
        .unwrap();
    let options = FrontOptions {
        cache_control: [("pages".into(), CacheControl::Ttl)].into(),
        ..FrontOptions::default()
    };
    let client = client_of([group], options);
    client.get("/v1/pages/k").await;
    clock.advance(Duration::from_secs(100));
    let answer = client.get("/v1/pages/k").await;
    let told = ["age", "cache-control"].map(|name| answer.header(name));
    assert_eq!(told, [Some("107"), Some("max-age=307")]);
}

#[tokio::test]
async fn head_is_no_get_and_loads_what_is_not_in_memory() {
    let group = pages();
    let client = client_of([group.clone()], FrontOptions::default());
    let missed = client.send("HEAD", "/v1/pages/plain", "").await;
    assert_eq!(
        (missed.status, missed.header("content-length")),
        (200, Some("3"))
    );
    let fetched = Some("gaggle; fwd=miss; detail=origin");
    assert_eq!(missed.header("cache-status"), fetched);
    for target in ["/v1/pages/plain", "/api?key=plain"] {
        let hit = client.send("HEAD", target, "").await;
        assert_eq!(hit.header("cache-status"), Some("gaggle; hit; detail=main"));
    }
    assert_eq!(
        client.send("HEAD", "/v1/pages/Nobody", "").await.status,
        404
    );
    let stats = group.stats();
    assert_eq!((stats.gets, stats.misses, stats.main.store.hits), (0, 0, 0));
    assert_eq!((stats.origin.ok, stats.origin.not_found), (1, 1));
    client.get("/v1/pages/plain").await;
    assert_eq!(group.stats().gets, 1);
}

/// A group whose loads wait until they are released.
fn slow() -> (Group, Arc<Notify>) {
    let go = Arc::new(Notify::new());
    let waits = Arc::clone(&go);
    let mut limits = Limits::default();
    limits.load_timeout = Duration::from_secs(3600);
    let group = Group::builder("scores")
        .limits(limits)
        .origin_fn(move |key: Bytes| {
            let waits = Arc::clone(&waits);
            async move {
                if key.starts_with(b"slow") {
                    waits.notified().await;
                }
                Ok::<_, String>(Some(key))
            }
        })
        .build()
        .unwrap();
    (group, go)
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_no_longer_than_it_says() {
    let (group, go) = slow();
    let client = client_of([group.clone()], FrontOptions::default());
    for name in ["request-timeout", "x-request-timeout"] {
        let late = client.get_with("/v1/scores/slow", &[(name, "0.25")]).await;
        assert_eq!(late.status, 504, "{name}");
        assert_eq!(late.text(), "group scores: no answer within 250ms");
    }
    assert_eq!(
        group.stats().loads_in_flight,
        1,
        "the load belongs to no caller"
    );
    // The load continues, and its value is kept for the next request.
    go.notify_one();
    let found = client
        .get_with("/v1/scores/slow", &[("request-timeout", "60")])
        .await;
    assert_eq!((found.status, found.text()), (200, "slow"));
    for target in ["/v1/scores/slow", "/v1/scores/new"] {
        for wait in ["soon", "0", "-1", "", "1s"] {
            let bad = client.get_with(target, &[("request-timeout", wait)]).await;
            assert_eq!(bad.status, 400, "{target} {wait}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_answers_by_its_timeout_with_what_has_come() {
    let (group, _go) = slow();
    let client = client_of([group.clone()], FrontOptions::default());
    let body = r#"{"keys":["quick","slow"]}"#;
    let wait = [("request-timeout", "2")];
    let answer = client.send_with("POST", "/v1/scores", &wait, body).await;
    assert_eq!(answer.status, 200);
    let rows = answer.json()["results"].clone();
    assert_eq!(rows[0]["value"], "cXVpY2s=");
    assert_eq!(
        (&rows[1]["status"], &rows[1]["error"]),
        (&504.into(), &"group scores: no answer within 2s".into())
    );
    let stats = group.stats();
    assert_eq!(
        (stats.gets, stats.clients.hits),
        (2, 0),
        "each key is one get"
    );
    let bad = [("request-timeout", "2, 3")];
    assert_eq!(
        client
            .send_with("POST", "/v1/scores", &bad, body)
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn options_say_what_is_allowed() {
    let client = client();
    for (target, allow) in [
        ("/v1/pages/page", "GET, HEAD, OPTIONS"),
        ("/v1/none/page", "GET, HEAD, OPTIONS"),
        ("/v1/pages", "OPTIONS, POST"),
        ("/openapi.json", "GET, HEAD, OPTIONS"),
        ("*", "GET, HEAD, OPTIONS, POST"),
    ] {
        let answer = told(
            &client,
            "OPTIONS",
            target,
            &[("origin", "https://a.example")],
        )
        .await;
        assert_eq!(answer, format!("204\nallow: {allow}\n\n"), "{target}");
    }
    assert_eq!(client.send("OPTIONS", "/elsewhere", "").await.status, 404);
}

#[tokio::test]
async fn pages_of_configured_origins_may_read() {
    let of = |origins: &[&str]| {
        let options = FrontOptions {
            cors_origins: origins.iter().map(ToString::to_string).collect(),
            cors_max_age: Duration::from_secs(60),
            ..FrontOptions::default()
        };
        client_of([pages()], options)
    };
    let (app, other) = ("https://app.example.com", "https://other.example.com");
    let listed = of(&["https://a.example", app]);
    let path = "/v1/pages/plain";
    listed.get(path).await;
    let exposed = "access-control-expose-headers: accept-ranges, age, allow, cache-status, \
                   content-encoding, content-range, etag, retry-after, vary\n";
    let value = |cors: &str, vary: &str| {
        format!(
            "200\naccept-ranges: bytes\n{cors}{HIT}content-length: 3\n\
             content-type: application/octet-stream\netag: {TAG}\n{vary}\n630"
        )
    };
    let cors = format!("access-control-allow-origin: {app}\n{exposed}");
    let vary = "vary: origin\n";
    assert_eq!(
        told(&listed, "GET", path, &[("origin", app)]).await,
        value(&cors, vary)
    );
    assert_eq!(
        told(&listed, "GET", path, &[("origin", other)]).await,
        value("", vary)
    );
    assert_eq!(told(&listed, "GET", path, &[]).await, value("", vary));
    let preflight = [("origin", app), ("access-control-request-method", "POST")];
    assert_eq!(
        told(&listed, "OPTIONS", "/v1/pages", &preflight).await,
        format!(
            "204\naccess-control-allow-headers: accept, accept-encoding, content-type, if-match, \
             if-modified-since, if-none-match, if-range, if-unmodified-since, range, \
             request-timeout, traceparent, tracestate, x-request-timeout\n\
             access-control-allow-methods: OPTIONS, POST\naccess-control-allow-origin: {app}\n\
             access-control-max-age: 60\nallow: OPTIONS, POST\nvary: origin\n\n"
        )
    );
    let strange = [("origin", other), ("access-control-request-method", "POST")];
    let answer = told(&listed, "OPTIONS", "/v1/pages", &strange).await;
    assert_eq!(answer, "204\nallow: OPTIONS, POST\nvary: origin\n\n");
    // Errors can be read, too.
    let absent = listed
        .get_with("/v1/pages/Nobody", &[("origin", app)])
        .await;
    assert_eq!(absent.header("access-control-allow-origin"), Some(app));

    let any = of(&["*"]);
    any.get(path).await;
    let cors = format!("access-control-allow-origin: *\n{exposed}");
    assert_eq!(
        told(&any, "GET", path, &[("origin", other)]).await,
        value(&cors, "")
    );
    assert_eq!(told(&any, "GET", path, &[]).await, value(&cors, ""));
}

#[tokio::test]
async fn a_problem_is_told_in_json_to_who_prefers_it() {
    let client = client_of([echo("scores")], FrontOptions::default());
    let json = [("accept", "application/problem+json")];
    for (target, body) in [
        (
            "/v1/scores/no%0Abody",
            r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"no\\nbody not found","group":"scores"}"#,
        ),
        (
            "/v1/scores/fails",
            r#"{"type":"about:blank","title":"Bad Gateway","status":502,"detail":"group scores: the origin failed: the reason is in the log of the node that asked it","group":"scores"}"#,
        ),
        (
            "/v1/no%22ne/k",
            r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"no such group: no\"ne","group":"no\"ne"}"#,
        ),
        (
            "/elsewhere",
            r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"no such path"}"#,
        ),
        (
            "/v1/scores",
            r#"{"type":"about:blank","title":"Method Not Allowed","status":405,"detail":"method not allowed here; allowed: OPTIONS, POST","group":"scores"}"#,
        ),
    ] {
        let answer = client.get_with(target, &json).await;
        assert_eq!(answer.text(), body, "{target}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(answer.header("vary"), Some("accept"));
        let parsed = answer.json();
        assert_eq!(parsed["status"], answer.status);
    }
    let absent = client.get_with("/v1/scores/Nobody", &json).await;
    assert_eq!(
        absent.header("cache-status"),
        Some("gaggle; fwd=miss; detail=origin")
    );
    let text = client
        .get_with("/v1/scores/Nobody", &[("accept", "*/*")])
        .await;
    assert_eq!(text.text(), "Nobody not found");
    assert_eq!(text.header("vary"), Some("accept"));
    let found = client.get_with("/v1/scores/Tom", &json).await;
    assert_eq!((found.status, found.text()), (200, "630"));
}

#[tokio::test(start_paused = true)]
async fn requests_are_counted_by_route_and_status() {
    let (group, _go) = slow();
    let requests = RequestStats::new();
    let options = FrontOptions {
        requests: Some(requests.clone()),
        ..FrontOptions::default()
    };
    let client = client_of([group], options);
    client.get("/v1/scores/k").await;
    client.send("HEAD", "/v1/scores/k", "").await;
    client
        .get_with("/v1/scores/k", &[("if-none-match", "*")])
        .await;
    client
        .get_with("/v1/scores/slow", &[("request-timeout", "2")])
        .await;
    client.send("DELETE", "/v1/scores/k", "").await;
    client.get("/api?key=k").await;
    client.send("POST", "/v1/scores", r#"{"keys":["k"]}"#).await;
    client.send("OPTIONS", "/v1/scores", "").await;
    client.get("/openapi.json").await;
    client.get("/elsewhere").await;
    let counts = requests.snapshot();
    let statuses = |route: Route| {
        let counts = counts.routes.iter().find(|of| of.route == route).unwrap();
        let all: u64 = counts.statuses.iter().map(|(_, count)| count).sum();
        assert_eq!(all, counts.seconds.count());
        counts.statuses.clone()
    };
    assert_eq!(
        statuses(Route::Value),
        [(200, 2), (304, 1), (405, 1), (504, 1)]
    );
    assert_eq!(statuses(Route::Api), [(200, 1)]);
    assert_eq!(statuses(Route::Batch), [(200, 1), (204, 1)]);
    assert_eq!(statuses(Route::Openapi), [(200, 1)]);
    assert_eq!(statuses(Route::Other), [(404, 1)]);
    let value = &counts.routes[1].seconds;
    assert_eq!(
        value.buckets[13], 1,
        "two seconds are within the bound of five"
    );
}
