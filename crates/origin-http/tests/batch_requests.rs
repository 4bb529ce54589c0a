//! How a batch is sent, tried again, given up, and refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use gaggle_group::{Origin, OriginFault};
use gaggle_origin_http::{BatchOptions, BearerSource, HttpOptions, HttpOrigin};
use support::batches::{content, failure, load, options, origin, serve_batches, value};
use support::scripted::{Do, Scripted};
use support::{closed, serve, settle};

#[tokio::test]
async fn what_takes_no_batches_is_a_failure_that_names_the_setting() {
    for status in [404, 405, 501] {
        let status = StatusCode::from_u16(status).unwrap();
        let (base, asked) = serve_batches(move |_| (status, "Zebedee").into_response()).await;
        let found = load(&origin(&base, |_| {}), &[b"Zebedee", b"b"]).await;
        let (text, fault) = failure(&found);
        assert_eq!(fault, OriginFault::Status(status.as_u16()));
        assert!(
            text.contains("batch.url") && !text.contains("Zebedee"),
            "{text}"
        );
        assert_eq!(asked.lock().unwrap().len(), 1);
    }
    for status in [201, 204, 302, 304, 400, 410, 500] {
        let status = StatusCode::from_u16(status).unwrap();
        let (base, _) = serve_batches(move |_| status.into_response()).await;
        let (_, fault) = failure(&load(&origin(&base, |_| {}), &[b"a", b"b"]).await);
        assert_eq!(fault, OriginFault::Status(status.as_u16()));
    }
}

#[tokio::test]
async fn a_batch_is_tried_again_as_a_get_is_and_fails_over() {
    let times = Arc::new(Mutex::new(0));
    let (base, asked) = serve_batches(move |_| {
        let mut times = times.lock().unwrap();
        *times += 1;
        match *times {
            1 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            _ => "[1,2]".into_response(),
        }
    })
    .await;
    let found = load(&origin(&base, |_| {}), &[b"a", b"b"]).await;
    assert_eq!(content(&found[1]), value("2"));
    assert_eq!(asked.lock().unwrap().len(), 2);

    let (down, _socket) = closed();
    let to_batch = format!("{base}/batch");
    let down = HttpOptions {
        retries: 0,
        ..options(&format!("http://{down}"), |it| {
            it.fallbacks = vec![to_batch];
        })
    };
    let found = load(&HttpOrigin::new(down).unwrap(), &[b"a", b"b"]).await;
    assert_eq!(content(&found[0]), value("1"));
}

#[tokio::test]
async fn a_batch_has_a_time_of_its_own_and_the_load_s_otherwise() {
    for (total, own, field) in [
        (Some(5), None, "total_timeout (5s)"),
        (Some(60), Some(5), "batch.timeout (5s)"),
        (None, Some(5), "batch.timeout (5s)"),
    ] {
        let mut service = Scripted::start(vec![vec![Do::Nothing]]).await;
        let secs = |secs: Option<u64>| secs.map(Duration::from_secs);
        let base = format!("http://{}", service.address);
        let origin = HttpOrigin::new(HttpOptions {
            total_timeout: secs(total),
            ..options(&base, |it| it.timeout = secs(own))
        })
        .unwrap();
        let loading = tokio::spawn(async move { load(&origin, &[b"a", b"b"]).await });
        service.asked().await;
        settle().await;
        tokio::time::pause();
        let (text, fault) = failure(&loading.await.unwrap());
        tokio::time::resume();
        assert_eq!(fault, OriginFault::TimedOut);
        assert!(text.contains(field), "{text}");
    }
}

#[tokio::test]
async fn a_batch_carries_headers_and_token_and_can_be_dropped_anywhere() {
    let (base, asked) = serve_batches(|_| "[1,2]".into_response()).await;
    let origin = HttpOrigin::new(HttpOptions {
        headers: vec![("Content-Type".to_owned(), "application/x-batch".to_owned())],
        bearer: Some(BearerSource::Text("hunter".to_owned())),
        ..options(&base, |_| {})
    })
    .unwrap();
    for polls in 1..40 {
        let mut loading = Box::pin(load(&origin, &[b"a", b"b"]));
        for _ in 0..polls {
            let poll = std::future::poll_fn(|cx| {
                std::task::Poll::Ready(loading.as_mut().poll(cx).is_ready())
            });
            if poll.await {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    assert!(load(&origin, &[b"a", b"b"]).await.iter().all(Result::is_ok));
    let asked = asked.lock().unwrap();
    assert!(
        asked.len() > 1,
        "no load was dropped after it had been sent"
    );
    for (headers, _) in asked.iter() {
        assert_eq!(headers["authorization"], "Bearer hunter");
        assert_eq!(headers["content-type"], "application/x-batch");
    }
}

#[tokio::test]
async fn without_a_batch_each_key_is_a_load() {
    let (address, seen) = serve(|request| request.uri().to_string().into_response()).await;
    let origin = support::origin(address);
    assert_eq!(origin.max_batch(), 1);
    let found = load(&origin, &[b"a", b"\xFF"]).await;
    let contents: Vec<_> = found.iter().map(content).collect();
    assert_eq!(contents, ["/a", "/%FF"].map(value));
    assert_eq!(seen.targets.lock().unwrap().len(), 2);
}

#[test]
fn an_option_that_cannot_work_is_an_error_that_names_it() {
    type Change = fn(&mut BatchOptions);
    let cases: [(&str, &str, Change); 9] = [
        ("batch.url", "URL", |it| it.url = String::new()),
        ("batch.url", "in the body", |it| it.url += "/{key}"),
        ("batch.url", "link-local", |it| {
            it.url = "http://[fe80::1]/".to_owned();
        }),
        ("batch.fallbacks", "number 1", |it| {
            it.fallbacks = vec!["x".to_owned()];
        }),
        ("batch.max_keys", "from 1 to 1024", |it| it.max_keys = 0),
        ("batch.max_keys", "from 1 to 1024", |it| it.max_keys = 1025),
        ("batch.body", "{keys}", |it| it.body = "{}".to_owned()),
        ("batch.body", "not JSON", |it| {
            it.body = "keys={keys}".to_owned();
        }),
        ("batch.timeout", "zero", |it| {
            it.timeout = Some(Duration::ZERO);
        }),
    ];
    for (field, reason, change) in cases {
        let error = HttpOrigin::new(options("http://h", change)).unwrap_err();
        assert_eq!(error.field, field, "{error}");
        assert!(error.reason.contains(reason), "{error}");
    }
}
