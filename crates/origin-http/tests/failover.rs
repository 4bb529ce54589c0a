//! Several URLs for the same values.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use bytes::Bytes;
use gaggle_group::{Content, Key, Load, Origin, OriginError, OriginFault};
use gaggle_origin_http::{Balance, HttpOptions, HttpOrigin};
use support::scripted::{Do, Scripted};
use support::{LIMIT, Seen, closed, open, serve, settle};
use tokio::task::JoinSet;

/// How long a URL that failed is not used.
const LEFT_FOR: Duration = Duration::from_secs(3);
/// How long a test waits for an expected event.
const BOUND: Duration = Duration::from_secs(30);

async fn load(origin: &HttpOrigin, key: &str) -> Result<Option<Bytes>, OriginError> {
    let key = Key::copy_from_slice(key.as_bytes());
    match origin.load(Load::new(&key, LIMIT)).await?.content {
        Content::Value(value) => Ok(Some(value)),
        Content::Absent => Ok(None),
        other => panic!("{other:?}"),
    }
}

fn over(addresses: &[SocketAddr], change: impl FnOnce(&mut HttpOptions)) -> HttpOrigin {
    let mut urls = addresses.iter().map(|it| format!("http://{it}/{{key}}"));
    let mut options = HttpOptions {
        url: urls.next().unwrap(),
        fallbacks: urls.collect(),
        // A load that is not sent to another URL fails.
        retries: 0,
        ..HttpOptions::default()
    };
    change(&mut options);
    HttpOrigin::new(options).unwrap()
}

/// A service that answers with its name, or with a status while one is set.
async fn named(name: &'static str) -> (SocketAddr, Seen, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(200));
    let answered = Arc::clone(&status);
    let (address, seen) = serve(move |_| {
        let status = StatusCode::from_u16(answered.load(Relaxed)).unwrap();
        (status, name).into_response()
    })
    .await;
    (address, seen, status)
}

fn asked(seen: &Seen) -> usize {
    seen.targets.lock().unwrap().len()
}

async fn time_passes(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
    settle().await;
}

#[tokio::test]
async fn a_primary_that_is_down_fails_no_load_and_is_used_again_when_it_is_back() {
    let (primary, socket) = closed();
    let (other, seen, _) = named("other").await;
    let origin = over(&[primary, other], |_| {});
    let mut loads = JoinSet::new();
    for number in 0..100 {
        let origin = origin.clone();
        loads.spawn(async move { load(&origin, &number.to_string()).await });
    }
    while let Some(loaded) = loads.join_next().await {
        assert_eq!(loaded.unwrap().unwrap().unwrap(), "other");
    }
    assert_eq!(asked(&seen), 100);

    // It is back, and still not used for a while.
    open(socket, "primary");
    assert_eq!(load(&origin, "Tom").await.unwrap().unwrap(), "other");
    time_passes(LEFT_FOR).await;
    for _ in 0..5 {
        assert_eq!(load(&origin, "Tom").await.unwrap().unwrap(), "primary");
    }
}

#[tokio::test]
async fn a_primary_that_fails_in_a_row_is_left_and_one_load_tries_it_again() {
    for failing in [500, 502, 503, 504] {
        let (primary, asked_first, status) = named("primary").await;
        let (other, asked_other, _) = named("other").await;
        let origin = over(&[primary, other], |_| {});
        status.store(failing, Relaxed);
        for _ in 0..20 {
            assert_eq!(load(&origin, "Tom").await.unwrap().unwrap(), "other");
        }
        assert_eq!((asked(&asked_first), asked(&asked_other)), (3, 20));
        time_passes(LEFT_FOR).await;
        for _ in 0..20 {
            assert_eq!(load(&origin, "Tom").await.unwrap().unwrap(), "other");
        }
        assert_eq!(asked(&asked_first), 4);
        status.store(200, Relaxed);
        time_passes(LEFT_FOR).await;
        for _ in 0..5 {
            assert_eq!(load(&origin, "Tom").await.unwrap().unwrap(), "primary");
        }
    }
}

#[tokio::test]
async fn an_answer_of_the_primary_is_an_answer() {
    let (primary, _, status) = named("primary").await;
    let (other, asked_other, _) = named("other").await;
    let origin = over(&[primary, other], |_| {});
    for absent in [404, 410] {
        status.store(absent, Relaxed);
        assert_eq!(load(&origin, "Tom").await.unwrap(), None);
    }
    for refused in [400, 401, 403, 429, 501] {
        status.store(refused, Relaxed);
        let error = load(&origin, "Tom").await.unwrap_err();
        let expected = match refused {
            400 => OriginFault::Key,
            _ => OriginFault::Status(refused),
        };
        assert_eq!(error.fault(), expected);
    }
    assert_eq!(asked(&asked_other), 0);
}

#[tokio::test]
async fn where_all_fail_the_one_that_failed_first_is_asked_and_no_more_than_that() {
    let (first, asked_first, status_first) = named("first").await;
    let (second, asked_second, status_second) = named("second").await;
    status_first.store(500, Relaxed);
    status_second.store(500, Relaxed);
    let origin = over(&[first, second], |_| {});
    let total = || asked(&asked_first) + asked(&asked_second);
    for _ in 0..10 {
        let error = load(&origin, "Tom").await.unwrap_err();
        assert_eq!(error.fault(), OriginFault::Status(500));
    }
    let before = total();
    for _ in 0..100 {
        assert!(load(&origin, "Tom").await.is_err());
    }
    assert_eq!(total() - before, 100, "each load asks one of them, once");
    assert!(asked(&asked_first) > 40 && asked(&asked_second) > 40);
    status_second.store(200, Relaxed);
    let found = [load(&origin, "Tom").await, load(&origin, "Tom").await];
    assert!(found.into_iter().any(|it| it.is_ok()));
    assert_eq!(load(&origin, "Tom").await.unwrap().unwrap(), "second");
}

#[tokio::test]
async fn urls_take_turns_where_they_are_balanced_and_failing_ones_are_left_out() {
    let (first, asked_first, status) = named("first").await;
    let (second, asked_second, _) = named("second").await;
    let (third, asked_third, _) = named("third").await;
    let origin = over(&[first, second, third], |it| {
        it.balance = Balance::RoundRobin;
    });
    for _ in 0..30 {
        load(&origin, "Tom").await.unwrap().unwrap();
    }
    for seen in [&asked_first, &asked_second, &asked_third] {
        assert_eq!(asked(seen), 10);
    }
    status.store(503, Relaxed);
    for _ in 0..60 {
        assert_ne!(load(&origin, "Tom").await.unwrap().unwrap(), "first");
    }
    assert_eq!(asked(&asked_first), 13);
}

#[tokio::test]
async fn a_primary_that_is_silent_is_left_even_if_loads_are_given_up_sooner() {
    let silent = Scripted::start(vec![vec![Do::Nothing]]).await;
    let (other, _, _) = named("other").await;
    // The timeouts of the origin are far longer than the caller's own timeout.
    let origin = over(&[silent.address, other], |it| it.read_timeout = BOUND * 10);
    let mut service = silent;
    for _ in 0..3 {
        let given_up = {
            let origin = origin.clone();
            tokio::spawn(async move { load(&origin, "Tom").await })
        };
        service.asked().await;
        time_passes(Duration::from_millis(300)).await;
        given_up.abort();
        assert!(given_up.await.unwrap_err().is_cancelled());
    }
    let loaded = tokio::time::timeout(BOUND, load(&origin, "Tom")).await;
    assert_eq!(loaded.unwrap().unwrap().unwrap(), "other");
}

#[tokio::test]
async fn while_one_load_finds_out_whether_a_url_is_back_the_others_leave_it() {
    let mut script = vec![vec![Do::Close]; 3];
    script.push(vec![Do::Nothing]);
    let mut primary = Scripted::start(script).await;
    let (other, _, _) = named("other").await;
    let origin = over(&[primary.address, other], |it| it.read_timeout = BOUND * 10);
    for _ in 0..3 {
        assert_eq!(load(&origin, "Tom").await.unwrap().unwrap(), "other");
        primary.asked().await;
    }
    time_passes(LEFT_FOR).await;
    let finding_out = {
        let origin = origin.clone();
        tokio::spawn(async move { load(&origin, "Tom").await })
    };
    primary.asked().await;
    for _ in 0..10 {
        let loaded = tokio::time::timeout(BOUND, load(&origin, "Tom")).await;
        assert_eq!(loaded.unwrap().unwrap().unwrap(), "other");
    }
    assert_eq!(primary.requests(), 4);
    finding_out.abort();
}

#[tokio::test]
async fn a_silent_primary_costs_its_time_and_no_error() {
    let mut silent = Scripted::start(vec![vec![Do::Nothing]]).await;
    let (other, _, _) = named("other").await;
    let origin = over(&[silent.address, other], |it| {
        it.read_timeout = Duration::from_millis(100);
    });
    let loading = tokio::spawn(async move { load(&origin, "Tom").await });
    silent.asked().await;
    let loaded = tokio::time::timeout(BOUND, loading).await;
    assert_eq!(loaded.unwrap().unwrap().unwrap().unwrap(), "other");
}

#[tokio::test]
async fn the_total_time_holds_for_all_urls_together() {
    let mut first = Scripted::start(vec![vec![Do::Nothing]]).await;
    let mut second = Scripted::start(vec![vec![Do::Nothing]]).await;
    let origin = over(&[first.address, second.address], |it| {
        it.connect_timeout = Duration::from_secs(1);
        it.read_timeout = Duration::from_secs(2);
        it.total_timeout = Some(Duration::from_secs(4));
    });
    let loading = tokio::spawn(async move { load(&origin, "Tom").await });
    first.asked().await;
    time_passes(Duration::from_millis(3_001)).await;
    second.asked().await;
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let error = loading.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("total_timeout"), "{error}");
    // Less than the second try may take by itself.
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_key_is_refused_where_any_of_the_urls_cannot_be_asked_for_it() {
    let (primary, asked_first, _) = named("primary").await;
    let (other, asked_other, _) = named("other").await;
    let origin = HttpOrigin::new(HttpOptions {
        url: format!("http://{primary}/?key={{key}}"),
        fallbacks: vec![format!("http://{other}/{{key}}")],
        ..HttpOptions::default()
    })
    .unwrap();
    let error = load(&origin, "../admin").await.unwrap_err();
    assert_eq!(error.fault(), OriginFault::Key);
    assert_eq!(asked(&asked_first) + asked(&asked_other), 0);
}

#[tokio::test]
async fn no_error_names_a_path_or_a_query_of_any_url() {
    let ((first, _first), (second, _second)) = (closed(), closed());
    let origin = HttpOrigin::new(HttpOptions {
        url: format!("http://{first}/secret/{{key}}"),
        fallbacks: vec![format!("http://{second}/?t=secret&k={{key}}")],
        retries: 0,
        ..HttpOptions::default()
    })
    .unwrap();
    let mut named_second = false;
    for _ in 0..4 {
        let error = load(&origin, "Zebedee").await.unwrap_err().to_string();
        assert!(
            !error.contains("secret") && !error.contains("Zebedee"),
            "{error}"
        );
        named_second |= error.contains(&second.to_string());
    }
    assert!(named_second, "the second was never asked");
}
