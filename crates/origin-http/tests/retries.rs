//! Which loads are tried again, how often, and within which time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use gaggle_group::{Content, Key, Load, Origin, OriginError, OriginFault};
use gaggle_origin_http::{HttpOptions, HttpOrigin};
use support::scripted::{Do, Scripted};
use support::{LIMIT, Seen, closed, open, options, serve, settle};

async fn load(origin: &HttpOrigin) -> Result<Content, OriginError> {
    let key = Key::from("Tom");
    Ok(origin.load(Load::new(&key, LIMIT)).await?.content)
}

fn value() -> Content {
    Content::Value("value".into())
}

fn with(options: HttpOptions, change: impl FnOnce(&mut HttpOptions)) -> HttpOrigin {
    let mut options = options;
    change(&mut options);
    HttpOrigin::new(options).unwrap()
}

/// A service that answers that many times with `failing`, and then with a value.
async fn recovers(
    times: usize,
    failing: impl Fn() -> Response + Clone + Send + Sync + 'static,
) -> (HttpOptions, Seen) {
    let left = Arc::new(AtomicUsize::new(times));
    let (address, seen) = serve(move |_| {
        let less = left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        match less {
            Ok(_) => failing(),
            Err(_) => "value".into_response(),
        }
    })
    .await;
    (options(address), seen)
}

fn asked(seen: &Seen) -> usize {
    seen.targets.lock().unwrap().len()
}

#[tokio::test]
async fn a_service_that_is_busy_for_a_moment_is_asked_again() {
    for status in [
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ] {
        let (options, seen) = recovers(1, move || (status, "busy").into_response()).await;
        assert_eq!(load(&with(options, |_| {})).await.unwrap(), value());
        assert_eq!(
            (asked(&seen), seen.connections.lock().unwrap().len()),
            (2, 1)
        );

        let (options, seen) = recovers(1, move || status.into_response()).await;
        let error = load(&with(options, |it| it.retries = 0)).await.unwrap_err();
        assert_eq!(error.fault(), OriginFault::Status(status.as_u16()));
        assert_eq!(asked(&seen), 1);
    }
    let (options, seen) = recovers(3, || StatusCode::BAD_GATEWAY.into_response()).await;
    let origin = with(options, |it| it.retries = 3);
    assert_eq!(load(&origin).await.unwrap(), value());
    assert_eq!(asked(&seen), 4);
}

#[tokio::test]
async fn no_other_status_is_asked_for_again() {
    for status in [400, 401, 404, 408, 425, 429, 500, 501, 505, 507] {
        let status = StatusCode::from_u16(status).unwrap();
        let (options, seen) = recovers(1, move || status.into_response()).await;
        let loaded = load(&with(options, |_| {})).await;
        assert_ne!(loaded.ok(), Some(value()), "{status}");
        assert_eq!(asked(&seen), 1, "{status}");
    }
}

#[tokio::test]
async fn a_new_connection_that_breaks_before_an_answer_costs_a_retry() {
    for end in [Do::Close, Do::CloseUnread, Do::Reset] {
        let mut service = Scripted::start(vec![vec![end], vec![Do::Answer]]).await;
        let origin = with(options(service.address), |_| {});
        assert_eq!(load(&origin).await.unwrap(), value());
        assert_eq!((service.connections(), service.requests()), (2, 2));
    }
}

#[tokio::test]
async fn an_answer_that_has_begun_and_a_silence_are_not_tried_again() {
    let mut service = Scripted::start(vec![vec![Do::BreakOff], vec![Do::Answer]]).await;
    let error = load(&with(options(service.address), |_| {}))
        .await
        .unwrap_err();
    assert_eq!(error.fault(), OriginFault::BrokeOff);
    assert_eq!(service.requests(), 1);

    let mut service = Scripted::start(vec![vec![Do::Nothing], vec![Do::Answer]]).await;
    let origin = with(options(service.address), |_| {});
    let silent = tokio::spawn(async move { load(&origin).await });
    service.asked().await;
    tokio::time::pause();
    let error = silent.await.unwrap().unwrap_err();
    assert_eq!(error.fault(), OriginFault::TimedOut);
    assert_eq!(service.requests(), 1);
}

#[tokio::test]
async fn a_service_that_closes_after_each_answer_fails_no_load_and_costs_no_retry() {
    let script = vec![vec![Do::Answer, Do::Close]];
    let service = Scripted::start(script).await;
    let origin = with(options(service.address), |it| it.retries = 0);
    // More than the budget has retries.
    for _ in 0..50 {
        assert_eq!(load(&origin).await.unwrap(), value());
    }
    assert!(service.connections() >= 25);
}

#[tokio::test]
async fn retries_do_not_multiply_the_load_on_a_service_that_always_fails() {
    let (address, seen) = serve(|_| StatusCode::SERVICE_UNAVAILABLE.into_response()).await;
    let origin = with(options(address), |it| it.retries = 10);
    let loads = 300;
    for _ in 0..loads {
        assert!(load(&origin).await.is_err());
    }
    // Ten saved up, and one for every ten loads.
    let asked = asked(&seen);
    assert!(
        (loads + 10..=loads + loads / 10 + 11).contains(&asked),
        "{asked}"
    );
}

#[tokio::test]
async fn a_service_that_asks_for_a_wait_gets_it_where_the_time_allows_it() {
    let failing = |after: &'static str| {
        move || {
            let headers = [(header::RETRY_AFTER, after)];
            (StatusCode::SERVICE_UNAVAILABLE, headers).into_response()
        }
    };
    let total =
        |secs| move |it: &mut HttpOptions| it.total_timeout = Some(Duration::from_secs(secs));

    let (options, seen) = recovers(1, failing("1")).await;
    let began = std::time::Instant::now();
    assert_eq!(load(&with(options, total(30))).await.unwrap(), value());
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(asked(&seen), 2);

    for (after, options_change) in [("31", Some(30)), ("1", None), ("86400", None)] {
        let (options, seen) = recovers(1, failing(after)).await;
        let origin = with(options, |it| {
            it.total_timeout = options_change.map(Duration::from_secs);
        });
        let error = load(&origin).await.unwrap_err();
        assert_eq!(error.fault(), OriginFault::Status(503));
        assert_eq!(asked(&seen), 1);
    }
}

#[tokio::test]
async fn the_total_time_is_that_of_all_tries_and_of_the_body() {
    let (address, seen) = serve(|_| StatusCode::BAD_GATEWAY.into_response()).await;
    let origin = with(options(address), |it| {
        it.total_timeout = Some(Duration::from_millis(1));
    });
    // Either the time ends during the retry, or there is no time for one.
    assert!(load(&origin).await.is_err());
    assert!(asked(&seen) <= 1);

    for step in [Do::Nothing, Do::StopHalfway] {
        let mut service = Scripted::start(vec![vec![step]]).await;
        let origin = with(options(service.address), |it| {
            it.total_timeout = Some(Duration::from_secs(5));
        });
        let loading = tokio::spawn(async move { load(&origin).await });
        service.asked().await;
        settle().await;
        tokio::time::pause();
        let began = tokio::time::Instant::now();
        let error = loading.await.unwrap().unwrap_err();
        tokio::time::resume();
        assert_eq!(error.fault(), OriginFault::TimedOut);
        // Far less than the 11 s that a try may take; timers are kept in whole milliseconds.
        assert!(began.elapsed() < Duration::from_secs(6));
        let text = error.to_string();
        assert!(
            text.contains("not done within total_timeout (5s)"),
            "{text}"
        );
        assert!(!text.contains("Tom"), "{text}");
    }
}

#[tokio::test]
async fn an_absent_service_is_tried_again_and_reported_as_unreachable() {
    let (address, socket) = closed();
    let origin = with(options(address), |_| {});
    let error = load(&origin).await.unwrap_err();
    assert_eq!(error.fault(), OriginFault::Unreachable);
    // It comes back while the load waits.
    let origin = with(options(address), |it| {
        it.retries = 10;
        it.total_timeout = Some(Duration::from_secs(30));
    });
    let loading = tokio::spawn(async move { load(&origin).await });
    settle().await;
    open(socket, "value");
    assert_eq!(loading.await.unwrap().unwrap(), value());
}

#[tokio::test]
async fn the_conditions_of_a_load_are_those_of_its_retry() {
    let (options, seen) = recovers(1, || StatusCode::BAD_GATEWAY.into_response()).await;
    let origin = with(options, |_| {});
    let known = gaggle_group::Metadata::default().with(gaggle_group::Field::ETag, "\"1\"");
    let key = Key::from("Tom");
    let load = Load::new(&key, LIMIT).with_stale(&known);
    assert_eq!(origin.load(load).await.unwrap().content, value());
    assert_eq!(asked(&seen), 2);
    let name: HeaderName = header::IF_NONE_MATCH;
    assert_eq!(seen.headers.lock().unwrap()[name], "\"1\"");
}
