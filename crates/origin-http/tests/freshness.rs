//! How the headers of an answer are used, and when a service is asked whether a value has changed.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gaggle_group::{Content, Field, Hint, Key, Load, Loaded, Metadata, Origin, OriginError};
use gaggle_origin_http::{HttpOptions, HttpOrigin};
use support::{LIMIT, Seen, options, origin, serve};

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// An answer's headers, as lines of name and value.
type Lines = &'static [(&'static str, &'static str)];

fn answer(status: u16, lines: Lines, body: &'static str) -> Response {
    let mut answer = Response::builder().status(status);
    for (name, value) in lines {
        answer = answer.header(*name, *value);
    }
    answer.body(Body::from(body)).unwrap()
}

async fn load(origin: &HttpOrigin, stale: Option<&Metadata>) -> Result<Loaded, OriginError> {
    let key = Key::from("Tom");
    let load = Load::new(&key, LIMIT);
    let load = stale.map_or(load, |stale| load.with_stale(stale));
    origin.load(load).await
}

fn secs(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

fn hint(ttl: Option<u64>, while_revalidate: Option<u64>, if_error: Option<u64>) -> Hint {
    let mut hint = Hint::none();
    hint.ttl = ttl.and_then(secs);
    hint.stale_while_revalidate = while_revalidate.and_then(secs);
    hint.stale_if_error = if_error.and_then(secs);
    hint
}

fn value(body: &'static str) -> Content {
    Content::Value(body.into())
}

#[tokio::test]
async fn headers_set_the_freshness_of_values_and_absences() {
    let table: [(Lines, Hint); 9] = [
        (&[], Hint::default()),
        (
            &[("cache-control", "public, max-age=60")],
            hint(Some(60), None, None),
        ),
        (
            &[
                (
                    "cache-control",
                    "max-age=60, stale-while-revalidate=30, stale-if-error=600",
                ),
                ("age", "70"),
            ],
            hint(Some(0), Some(20), Some(590)),
        ),
        (
            &[("cache-control", "s-maxage=60")],
            hint(Some(60), Some(0), Some(0)),
        ),
        (
            &[
                ("cache-control", "max-age=60"),
                ("cache-control", "must-revalidate"),
            ],
            hint(Some(60), Some(0), Some(0)),
        ),
        (
            &[("date", DATE), ("expires", "Sun, 06 Nov 1994 08:50:07 GMT")],
            hint(Some(30), None, None),
        ),
        (&[("expires", "0")], hint(Some(0), None, None)),
        (
            &[("cache-control", "private=\"x-user\", max-age=60")],
            Hint::none(),
        ),
        (&[("vary", "*")], Hint::none()),
    ];
    for (lines, expected) in table {
        for status in [200, 404, 410] {
            let (address, _) = serve(move |_| answer(status, lines, "body")).await;
            let loaded = load(&origin(address), None).await.unwrap();
            assert_eq!(loaded.freshness, expected, "{status} {lines:?}");
            let content = if status == 200 {
                value("body")
            } else {
                Content::Absent
            };
            assert_eq!(loaded.content, content, "{status}");
        }
    }
}

#[tokio::test]
async fn where_freshness_is_not_honoured_the_group_decides() {
    let (address, _) = serve(|request| {
        let tag = request.headers().get(header::IF_NONE_MATCH);
        let status = if tag.is_some() { 304 } else { 200 };
        answer(
            status,
            &[("cache-control", "no-store"), ("etag", "\"1\"")],
            "",
        )
    })
    .await;
    let options = HttpOptions {
        honour_freshness: false,
        ..options(address)
    };
    let origin = HttpOrigin::new(options).unwrap();
    let loaded = load(&origin, None).await.unwrap();
    assert_eq!(loaded.freshness, Hint::default());
    let again = load(&origin, Some(&loaded.metadata)).await.unwrap();
    assert_eq!(again.freshness, Hint::default());
    assert_eq!(again.content, Content::NotModified);
}

#[tokio::test]
async fn what_an_answer_says_of_its_value_is_its_metadata() {
    let (address, seen) = serve(|_| {
        let lines = &[
            ("content-type", "text/plain; charset=utf-8"),
            ("content-encoding", "gzip"),
            ("etag", "W/\"1\""),
            ("last-modified", DATE),
            ("age", "7"),
        ];
        answer(200, lines, "not really gzip")
    })
    .await;
    let loaded = load(&origin(address), None).await.unwrap();
    // As it arrived: nothing is decoded, and no encoding was requested.
    assert_eq!(loaded.content, value("not really gzip"));
    let asked = seen.headers.lock().unwrap().clone();
    assert!(!asked.contains_key(header::ACCEPT_ENCODING), "{asked:?}");
    let get = |field| String::from_utf8_lossy(loaded.metadata.get(field).unwrap());
    assert_eq!(get(Field::ContentType), "text/plain; charset=utf-8");
    assert_eq!(get(Field::ContentEncoding), "gzip");
    assert_eq!(get(Field::ETag), "W/\"1\"");
    assert_eq!(get(Field::LastModified), DATE);
    assert_eq!(loaded.metadata.age(), secs(7));
}

#[tokio::test]
async fn an_absence_has_no_metadata() {
    let (address, _) = serve(|_| answer(404, &[("etag", "\"1\""), ("age", "7")], "gone")).await;
    let loaded = load(&origin(address), None).await.unwrap();
    assert_eq!(loaded, Loaded::absent());
}

/// A service with one value, of the tag `"2"`, that was written at `DATE`.
async fn service(not_modified: Lines) -> (SocketAddr, Seen) {
    serve(move |request| {
        let is = |name, text: &str| {
            request
                .headers()
                .get(name)
                .is_some_and(|value| value == text)
        };
        if is(header::IF_NONE_MATCH, "\"2\"") || is(header::IF_MODIFIED_SINCE, DATE) {
            answer(304, not_modified, "")
        } else {
            answer(200, &[("etag", "\"2\"")], "two")
        }
    })
    .await
}

fn conditions(seen: &Seen) -> (Option<String>, Option<String>) {
    let headers: HeaderMap = seen.headers.lock().unwrap().clone();
    let get = |name| Some(headers.get(name)?.to_str().unwrap().to_owned());
    (get(header::IF_NONE_MATCH), get(header::IF_MODIFIED_SINCE))
}

#[tokio::test]
async fn a_304_says_that_the_value_is_still_right_and_for_how_long() {
    let (address, seen) = service(&[
        ("cache-control", "max-age=60"),
        ("age", "10"),
        ("etag", "\"2\""),
    ])
    .await;
    let origin = origin(address);
    let tag = Metadata::default().with(Field::ETag, "\"2\"");
    let date = Metadata::default().with(Field::LastModified, DATE);
    let both = tag.clone().with(Field::LastModified, DATE);
    let some = |text: &str| Some(text.to_owned());
    for (stale, sent) in [
        (tag, (some("\"2\""), None)),
        (date, (None, some(DATE))),
        (both, (some("\"2\""), some(DATE))),
    ] {
        let loaded = load(&origin, Some(&stale)).await.unwrap();
        assert_eq!(loaded.content, Content::NotModified);
        assert_eq!(loaded.freshness, hint(Some(50), None, None));
        assert_eq!(loaded.metadata.get(Field::ETag), Some(&b"\"2\""[..]));
        assert_eq!(
            loaded.metadata.get(Field::LastModified),
            stale.get(Field::LastModified)
        );
        assert_eq!(loaded.metadata.age(), secs(10));
        assert_eq!(conditions(&seen), sent);
    }
    assert_eq!(seen.connections.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_304_leaves_the_content_type_and_says_nothing_where_it_has_no_headers() {
    let stale = Metadata::default()
        .with(Field::ContentType, "text/html")
        .with(Field::ETag, "\"2\"");
    let (address, _) = service(&[("etag", "\"2\""), ("content-type", "text/plain")]).await;
    let loaded = load(&origin(address), Some(&stale)).await.unwrap();
    let content_type = loaded.metadata.get(Field::ContentType);
    assert_eq!(content_type, Some(&b"text/html"[..]));

    let (address, _) = service(&[]).await;
    let loaded = load(&origin(address), Some(&stale)).await.unwrap();
    assert_eq!(loaded, Loaded::not_modified());
}

#[tokio::test]
async fn a_value_that_has_changed_is_a_value() {
    let (address, seen) = service(&[]).await;
    let stale = Metadata::default().with(Field::ETag, "\"1\"");
    let loaded = load(&origin(address), Some(&stale)).await.unwrap();
    assert_eq!(loaded.content, value("two"));
    assert_eq!(loaded.metadata.get(Field::ETag), Some(&b"\"2\""[..]));
    assert_eq!(conditions(&seen).0.unwrap(), "\"1\"");
}

#[tokio::test]
async fn a_value_that_is_gone_is_absent_and_a_failure_is_a_failure() {
    let stale = Metadata::default().with(Field::ETag, "\"1\"");
    let (address, _) = serve(|_| StatusCode::NOT_FOUND.into_response()).await;
    let loaded = load(&origin(address), Some(&stale)).await.unwrap();
    assert_eq!(loaded, Loaded::absent());
    let (address, _) = serve(|_| StatusCode::BAD_GATEWAY.into_response()).await;
    let error = load(&origin(address), Some(&stale)).await.unwrap_err();
    assert!(error.to_string().contains("502"), "{error}");
}

#[tokio::test]
async fn a_304_about_another_value_is_asked_again_without_conditions() {
    // A service that compares dates only, and has a value of the same second and another tag.
    let (address, seen) = service(&[("etag", "\"2\"")]).await;
    let stale = Metadata::default()
        .with(Field::ETag, "\"1\"")
        .with(Field::LastModified, DATE);
    let loaded = load(&origin(address), Some(&stale)).await.unwrap();
    assert_eq!(loaded.content, value("two"));
    assert_eq!(seen.targets.lock().unwrap().len(), 2);
    assert_eq!(conditions(&seen), (None, None));
}

#[tokio::test]
async fn a_304_to_a_request_without_conditions_is_a_failure() {
    let (address, seen) = serve(|_| answer(304, &[("etag", "\"1\"")], "")).await;
    let odd = Metadata::default().with(Field::ETag, "*");
    let typed = Metadata::default().with(Field::ContentType, "text/html");
    for stale in [None, Some(&Metadata::default()), Some(&typed), Some(&odd)] {
        let error = load(&origin(address), stale).await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("304") && text.contains("no conditions"),
            "{text}"
        );
        assert_eq!(conditions(&seen), (None, None));
    }
}

#[tokio::test]
async fn a_value_holds_no_more_memory_than_it_needs() {
    const LEN: usize = 100_001;
    let (address, _) = serve(|request| {
        let pieces = vec![7; LEN];
        if request.uri().path() == "/declared" {
            return pieces.into_response();
        }
        let pieces: Vec<_> = pieces.chunks(7_001).map(<[u8]>::to_vec).collect();
        let pieces = pieces.into_iter().map(Ok::<_, std::convert::Infallible>);
        Body::from_stream(futures_util::stream::iter(pieces)).into_response()
    })
    .await;
    let origin = origin(address);
    for key in ["declared", "chunked"] {
        let key = Key::from(key);
        let loaded = origin.load(Load::new(&key, LIMIT)).await.unwrap();
        let Content::Value(value) = loaded.content else {
            panic!("{loaded:?}");
        };
        assert_eq!(value.len(), LEN);
        // No other handle holds a part of the buffer, and the buffer is of its size.
        let whole = value.try_into_mut().unwrap();
        assert!(whole.capacity() <= LEN + LEN / 8, "{}", whole.capacity());
    }
}
