//! Connections that are kept, closed by the service, or silent.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use gaggle_group::{Content, Key, Load, Origin, OriginError};
use gaggle_origin_http::{HttpOptions, HttpOrigin};
use support::scripted::{Do, Scripted};
use support::{LIMIT, options, origin, settle};
use tokio::sync::{Barrier, Notify};
use tokio::task::JoinHandle;

/// How long a test waits for an expected event.
const BOUND: Duration = Duration::from_secs(30);

async fn load(origin: &HttpOrigin) -> Result<Content, OriginError> {
    let key = Key::from("Tom");
    let load = origin.load(Load::new(&key, LIMIT));
    let loaded = tokio::time::timeout(BOUND, load).await;
    Ok(loaded.unwrap()?.content)
}

fn start(origin: &HttpOrigin) -> JoinHandle<Result<Content, OriginError>> {
    let origin = origin.clone();
    tokio::spawn(async move { load(&origin).await })
}

fn value() -> Content {
    Content::Value("value".into())
}

async fn time_passes(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
    settle().await;
}

/// An origin that keeps two connections, both of which continue with that script. Further ones
/// answer.
async fn kept_two(then: Vec<Do>) -> (Scripted, HttpOrigin) {
    let barrier = Arc::new(Barrier::new(2));
    let mut script = vec![Do::AnswerTogether(barrier)];
    script.extend(then);
    let mut service = Scripted::start(vec![script.clone(), script, vec![Do::Answer]]).await;
    let origin = origin(service.address);
    let both = [start(&origin), start(&origin)];
    for load in both {
        assert_eq!(load.await.unwrap().unwrap(), value());
        service.asked().await;
    }
    assert_eq!(service.connections(), 2);
    // They go back to the pool after their values.
    settle().await;
    (service, origin)
}

#[tokio::test]
async fn a_load_over_a_kept_connection_that_was_closed_meanwhile_is_tried_again() {
    for end in [Do::Close, Do::CloseUnread, Do::Reset] {
        let script = vec![vec![Do::Answer, end], vec![Do::Answer]];
        let mut service = Scripted::start(script).await;
        let origin = origin(service.address);
        for _ in 0..2 {
            assert_eq!(load(&origin).await.unwrap(), value());
        }
        assert_eq!((service.connections(), service.requests()), (2, 3));
    }
}

#[tokio::test]
async fn a_service_that_closes_each_connection_at_its_third_request_fails_no_load() {
    for end in [Do::Close, Do::Reset] {
        let script = vec![vec![Do::Answer, Do::Answer, end]];
        let service = Scripted::start(script).await;
        let origin = origin(service.address);
        for _ in 0..20 {
            assert_eq!(load(&origin).await.unwrap(), value());
        }
        assert!(service.connections() > 10);
    }
}

#[tokio::test]
async fn a_load_is_tried_again_only_once() {
    let script = vec![vec![Do::Answer, Do::Close], vec![Do::Close]];
    let mut service = Scripted::start(script).await;
    let origin = origin(service.address);
    assert_eq!(load(&origin).await.unwrap(), value());
    assert!(load(&origin).await.is_err());
    assert_eq!((service.connections(), service.requests()), (2, 3));
}

#[tokio::test]
async fn without_retries_a_load_over_a_new_connection_is_not_tried_again() {
    for end in [Do::Close, Do::CloseUnread, Do::Reset] {
        let mut service = Scripted::start(vec![vec![end]]).await;
        let origin = HttpOrigin::new(HttpOptions {
            retries: 0,
            ..options(service.address)
        })
        .unwrap();
        assert!(load(&origin).await.is_err());
        assert_eq!((service.connections(), service.requests()), (1, 1));
    }
}

#[tokio::test]
async fn a_load_whose_answer_has_begun_is_not_tried_again() {
    let mut service = Scripted::start(vec![vec![Do::Answer, Do::BreakOff]]).await;
    let origin = origin(service.address);
    assert_eq!(load(&origin).await.unwrap(), value());
    assert!(load(&origin).await.is_err());
    assert_eq!((service.connections(), service.requests()), (1, 2));
}

#[tokio::test]
async fn a_second_try_has_no_deadline_of_its_own() {
    let script = vec![vec![Do::Answer, Do::Close], vec![Do::Nothing]];
    let mut service = Scripted::start(script).await;
    let origin = origin(service.address);
    assert_eq!(load(&origin).await.unwrap(), value());
    let second = start(&origin);
    for _ in 0..3 {
        service.asked().await;
    }
    // Half of the time was over when the first try failed, within this clock's resolution.
    tokio::time::pause();
    let text = second.await.unwrap().unwrap_err().to_string();
    assert!(text.contains("no answer within 11s"), "{text}");
}

#[tokio::test]
async fn a_connection_is_kept_for_no_longer_than_the_idle_time() {
    let service = Scripted::start(vec![vec![Do::Answer]]).await;
    let idle_timeout = Duration::from_secs(30);
    let origin = HttpOrigin::new(HttpOptions {
        idle_timeout,
        ..options(service.address)
    })
    .unwrap();
    for (idle, connections) in [
        (Duration::ZERO, 1),
        (idle_timeout / 2, 1),
        (idle_timeout * 2, 2),
    ] {
        time_passes(idle).await;
        assert_eq!(load(&origin).await.unwrap(), value());
        assert_eq!(service.connections(), connections, "{idle:?}");
    }
}

#[tokio::test]
async fn without_an_idle_time_no_connection_is_kept() {
    let service = Scripted::start(vec![vec![Do::Answer]]).await;
    let origin = HttpOrigin::new(HttpOptions {
        idle_timeout: Duration::ZERO,
        ..options(service.address)
    })
    .unwrap();
    for connections in 1..4 {
        assert_eq!(load(&origin).await.unwrap(), value());
        assert_eq!(service.connections(), connections);
    }
}

/// An origin that keeps two connections, each of which answers its next request when told to.
async fn slow_path() -> (Scripted, HttpOrigin, Arc<Notify>) {
    let told = Arc::new(Notify::new());
    let (service, origin) = kept_two(vec![Do::AnswerLate(Arc::clone(&told)), Do::Answer]).await;
    (service, origin, told)
}

#[tokio::test]
async fn a_load_that_is_dropped_at_once_costs_no_other_connection() {
    let (mut service, origin, told) = slow_path().await;
    let dropped = start(&origin);
    service.asked().await;
    assert_eq!(service.connections(), 2, "it went over a kept connection");
    dropped.abort();
    assert!(dropped.await.unwrap_err().is_cancelled());
    told.notify_one();
    settle().await;
    let next = start(&origin);
    service.asked().await;
    told.notify_one();
    assert_eq!(next.await.unwrap().unwrap(), value());
    assert_eq!(service.connections(), 2, "the other one is still kept");
}

#[tokio::test]
async fn a_load_that_is_slow_while_others_are_answered_costs_no_connection() {
    let (mut service, origin, told) = slow_path().await;
    let other = start(&origin);
    service.asked().await;
    let slow = start(&origin);
    service.asked().await;
    // The requests arrived in this order.
    told.notify_one();
    assert_eq!(other.await.unwrap().unwrap(), value());
    time_passes(Duration::from_millis(1_001)).await;
    assert_eq!(load(&origin).await.unwrap(), value());
    slow.abort();
    assert!(slow.await.unwrap_err().is_cancelled());
    assert_eq!(load(&origin).await.unwrap(), value());
    assert_eq!(service.connections(), 2);
}

#[tokio::test]
async fn a_load_that_is_dropped_after_a_second_has_the_next_one_make_a_connection() {
    let (mut service, origin) = kept_two(vec![Do::Nothing]).await;
    let dropped = start(&origin);
    service.asked().await;
    time_passes(Duration::from_millis(1_001)).await;
    dropped.abort();
    assert!(dropped.await.unwrap_err().is_cancelled());
    for _ in 0..5 {
        assert_eq!(load(&origin).await.unwrap(), value());
    }
    assert_eq!(service.connections(), 3);
}

#[tokio::test]
async fn a_second_of_silence_has_the_next_load_make_a_connection_while_the_silent_one_waits_on() {
    let told = Arc::new(Notify::new());
    let (mut service, origin) = kept_two(vec![Do::AnswerLate(Arc::clone(&told))]).await;
    let silent = start(&origin);
    service.asked().await;
    time_passes(Duration::from_millis(1_001)).await;
    for _ in 0..5 {
        assert_eq!(load(&origin).await.unwrap(), value());
    }
    assert_eq!(service.connections(), 3);
    assert!(!silent.is_finished());
    told.notify_one();
    assert_eq!(silent.await.unwrap().unwrap(), value());
}

#[tokio::test]
async fn a_service_that_is_slow_with_each_answer_keeps_its_connections() {
    let told = Arc::new(Notify::new());
    let script = vec![Do::Answer, Do::AnswerLate(Arc::clone(&told))];
    let mut service = Scripted::start(vec![script]).await;
    let origin = origin(service.address);
    assert_eq!(load(&origin).await.unwrap(), value());
    service.asked().await;
    for _ in 0..20 {
        let slow = start(&origin);
        service.asked().await;
        time_passes(Duration::from_secs(2)).await;
        told.notify_one();
        assert_eq!(slow.await.unwrap().unwrap(), value());
    }
    // The first silence was unusual, and its connection is not kept. The second connection's first
    // answer is quick.
    assert_eq!(service.connections(), 2);
}
