//! The metadata of a value at the front door, and conditional requests.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::http::Request;
use bytes::Bytes;
use gaggle_api_http::{FrontOptions, front_service};
use gaggle_group::{Field, Group, Groups, Loaded, Metadata};
use tower::Service as _;

use crate::client::{Client, Reply};
use crate::support::client_of;

const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const HEADERS: [&str; 6] = [
    "content-type",
    "content-encoding",
    "etag",
    "last-modified",
    "age",
    "content-length",
];

/// `page` has all metadata, `plain` has none; other keys are absent.
fn group() -> Group {
    Group::builder("pages")
        .origin_fn(|key: Bytes| async move {
            let known = Metadata::default()
                .with(Field::ContentType, "text/html; charset=utf-8")
                .with(Field::ContentEncoding, "br")
                .with(Field::ETag, "W/\"v1\"")
                .with(Field::LastModified, MODIFIED)
                .with_age(Duration::from_millis(7_900));
            Ok::<_, String>(match &key[..] {
                b"page" => Some(Loaded::value("<p>").with_metadata(known)),
                b"plain" => Some(Loaded::value("630")),
                _ => None,
            })
        })
        .build()
        .unwrap()
}

fn client() -> Client {
    client_of([group()], FrontOptions::default())
}

fn described(reply: &Reply) -> [Option<&str>; HEADERS.len()] {
    HEADERS.map(|name| reply.header(name))
}

#[tokio::test]
async fn what_the_origin_said_is_passed_on() {
    let client = client();
    let all = [
        Some("text/html; charset=utf-8"),
        Some("br"),
        Some("W/\"v1\""),
        Some(MODIFIED),
        Some("7"),
        Some("3"),
    ];
    let octets = Some("application/octet-stream");
    let none = [octets, None, None, None, None, Some("3")];
    // A hash of the value, as the origin gave it no tag.
    let tag = Some("\"7771fae3242e7b75017d7b547b79cb67\"");
    let hashed = [octets, None, tag, None, None, Some("3")];
    for (method, body) in [("GET", "<p>"), ("HEAD", "")] {
        let page = client.send(method, "/v1/pages/page", "").await;
        assert_eq!((page.status, page.text()), (200, body));
        assert_eq!(described(&page), all);
    }
    let raw = client.get("/api?key=page").await;
    assert_eq!((raw.status, raw.text()), (200, "<p>"));
    assert_eq!(described(&raw), none);
    let plain = client.get("/v1/pages/plain").await;
    assert_eq!((plain.status, plain.text()), (200, "630"));
    assert_eq!(described(&plain), hashed);
}

#[tokio::test]
async fn who_has_the_value_is_not_sent_it_again() {
    let client = client();
    client.get("/v1/pages/page").await;
    let later = "Mon, 07 Nov 1994 08:49:37 GMT";
    let earlier = "Sat, 05 Nov 1994 08:49:37 GMT";
    for (headers, status) in [
        (&[("if-none-match", "\"v0\", \"v1\"")][..], 304),
        (&[("if-none-match", "*")], 304),
        (&[("if-none-match", "\"v0\"")], 200),
        (&[("if-modified-since", MODIFIED)], 304),
        (&[("if-modified-since", later)], 304),
        (&[("if-modified-since", earlier)], 200),
        (
            &[("if-none-match", "\"v0\""), ("if-modified-since", later)],
            200,
        ),
        (
            &[("if-none-match", "\"v1\""), ("if-modified-since", earlier)],
            304,
        ),
    ] {
        for method in ["GET", "HEAD"] {
            let target = "/v1/pages/page";
            let answer = client.send_with(method, target, headers, "").await;
            assert_eq!(answer.status, status, "{method} {headers:?}");
            let hit = Some("gaggle; hit; detail=main");
            assert_eq!(answer.header("cache-status"), hit);
            if status == 304 {
                assert_eq!(answer.text(), "");
                let kept = [
                    None,
                    None,
                    Some("W/\"v1\""),
                    Some(MODIFIED),
                    Some("7"),
                    None,
                ];
                assert_eq!(described(&answer), kept, "{method}");
            }
        }
    }
}

#[tokio::test]
async fn conditions_are_passed_over_where_they_do_not_apply() {
    let client = client();
    for (target, headers, status) in [
        ("/v1/pages/plain", [("if-none-match", "\"v1\"")], 200),
        ("/v1/pages/plain", [("if-modified-since", MODIFIED)], 200),
        ("/v1/pages/plain", [("if-none-match", "*")], 304),
        ("/v1/pages/Nobody", [("if-none-match", "*")], 404),
        ("/api?key=page", [("if-none-match", "\"v1\"")], 200),
        ("/api?key=page", [("if-none-match", "*")], 200),
    ] {
        let answer = client.get_with(target, &headers).await;
        assert_eq!(answer.status, status, "{target} {headers:?}");
    }
}

#[tokio::test]
async fn the_service_states_no_length_of_what_it_does_not_send() {
    let groups = Groups::new([group()]).unwrap();
    let mut service = front_service(groups, FrontOptions::default());
    for method in ["GET", "HEAD"] {
        let request = Request::builder().method(method).uri("/v1/pages/page");
        let request = request.header("if-none-match", "*").body(Body::empty());
        let answer = service.call(request.unwrap()).await.unwrap();
        assert_eq!(answer.status(), 304);
        assert_eq!(answer.headers().get("content-length"), None, "{method}");
        assert!(answer.body().is_end_stream(), "{method}");
    }
}
