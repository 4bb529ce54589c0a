//! Loads that send no request: keys that lead to another path, and addresses that are no
//! service's. Also keys that the service refuses.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use gaggle_group::{Content, Error, Group, Key, Load, Origin, OriginError, OriginFault};
use gaggle_origin_http::{HttpOptions, HttpOrigin};
use support::{LIMIT, origin, serve};

async fn load(origin: &HttpOrigin, key: &str) -> Result<Option<Bytes>, OriginError> {
    let key = Key::copy_from_slice(key.as_bytes());
    match origin.load(Load::new(&key, LIMIT)).await?.content {
        Content::Value(value) => Ok(Some(value)),
        Content::Absent => Ok(None),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_key_that_servers_would_read_as_another_path_is_refused_unasked() {
    let (address, seen) = serve(|_| "value".into_response()).await;
    let in_path = origin(address);
    for key in [
        ".",
        "..",
        "../admin",
        "a/../b",
        "..\\admin",
        "%2e%2e",
        "..%2Fadmin",
        "%252e%252e",
        "..;/a",
    ] {
        let Err(OriginError::Failed(error)) = load(&in_path, key).await else {
            panic!("{key} was asked for");
        };
        let text = error.to_string();
        assert!(text.contains("dots") && !text.contains("admin"), "{text}");
    }
    assert!(seen.targets.lock().unwrap().is_empty());

    let url = format!("http://{address}/?key={{key}}");
    let in_query = HttpOrigin::new(HttpOptions {
        url,
        ..HttpOptions::default()
    })
    .unwrap();
    for (key, encoded) in [("..", ".."), ("../admin", "..%2Fadmin"), ("%2e", "%252e")] {
        assert_eq!(load(&in_query, key).await.unwrap().unwrap(), "value");
        assert_eq!(seen.last_target(), format!("/?key={encoded}"));
    }
}

/// The system's resolver reads numbers as addresses, as it does names: with no name server needed.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_address_is_refused_by_what_is_connected_to_and_not_by_the_name() {
    let (address, seen) = serve(|_| "value".into_response()).await;
    let named = |host: &str| HttpOptions {
        url: format!("http://{host}:{}/{{key}}", address.port()),
        ..HttpOptions::default()
    };
    // 127.0.0.1, which is never refused.
    let loopback = HttpOrigin::new(named("2130706433")).unwrap();
    assert_eq!(load(&loopback, "k").await.unwrap().unwrap(), "value");
    assert_eq!(seen.targets.lock().unwrap().len(), 1);

    for host in ["2852039166", "0xa9fea9fe", "169.16689662"] {
        let origin = HttpOrigin::new(named(host)).unwrap();
        let Err(OriginError::Failed(error)) = load(&origin, "Zebedee").await else {
            panic!("{host} was asked");
        };
        let text = error.to_string();
        assert!(
            text.contains("169.254.169.254, which is link-local"),
            "{text}"
        );
        assert!(!text.contains("Zebedee"), "{text}");
        assert_eq!(error.fault(), OriginFault::Unreachable);
        assert!(
            !error.fault().to_string().contains("169"),
            "clients are told the address"
        );
    }
}

/// A service that answers a numeric key with that status.
fn by_status(request: &Request) -> Response {
    let key = &request.uri().path()[1..];
    match key.parse::<u16>() {
        Ok(status) => (StatusCode::from_u16(status).unwrap(), "no such key").into_response(),
        Err(_) => "body".into_response(),
    }
}

#[tokio::test]
async fn a_status_that_says_that_the_request_is_at_fault_is_the_keys() {
    let (address, _) = serve(|request| by_status(&request)).await;
    let origin = origin(address);
    for status in ["400", "414", "422", "431"] {
        let Err(OriginError::Failed(error)) = load(&origin, status).await else {
            panic!("{status} is no failure");
        };
        assert_eq!(error.fault(), OriginFault::Key);
        assert!(
            error.to_string().contains(&format!("answered {status}")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn keys_that_the_service_refuses_do_not_open_the_breaker() {
    let (address, seen) = serve(|request| by_status(&request)).await;
    let group = || Group::builder("scores").origin(origin(address)).build();
    // Failures of the service do, once there are enough of them over enough time.
    let failing = group().unwrap();
    let (mut failures, since) = (0, Instant::now());
    while failing.stats().origin_queue.breaker_opened == 0 {
        assert!(since.elapsed() < Duration::from_secs(30));
        failing.get("500").await.unwrap_err();
        failures += 1;
    }
    let long_enough = since.elapsed() * 2;

    let group = group().unwrap();
    let (mut refused, since) = (0, Instant::now());
    while refused < failures || since.elapsed() < long_enough {
        let key = ["400", "414", "422", "431"][refused % 4];
        let error = group.get(key).await.unwrap_err();
        assert!(
            matches!(&error, Error::Origin { source, .. } if source.fault() == OriginFault::Key),
            "{error}"
        );
        refused += 1;
    }
    assert_eq!(seen.targets.lock().unwrap().len(), failures + refused);
    assert_eq!(group.stats().origin_queue.breaker_opened, 0);
    assert_eq!(group.get("Tom").await.unwrap(), "body");
}
