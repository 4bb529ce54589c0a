//! Servers that fail, hang or break off, and loads that were dropped.
#![cfg(feature = "aws")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use std::time::Duration;

use gaggle_group::{ByteBudget, Content, Key, Load, Origin, OriginError, OriginFault};
use gaggle_origin_object::{ObjectOptions, ObjectOrigin};

use support::{Act, Server, load, range, until};

/// An origin with that many retries.
fn trying(server: &Server, retries: usize) -> ObjectOrigin {
    ObjectOrigin::new(ObjectOptions {
        retries,
        ..server.options()
    })
    .unwrap()
}

async fn fault(origin: &ObjectOrigin) -> OriginFault {
    let error = load(origin, "private-key").await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(text.contains("s3://bucket/pre/{key}: "), "{text}");
    assert!(!text.contains("private-key"), "{text}");
    error.fault()
}

async fn value(origin: &ObjectOrigin) -> Vec<u8> {
    match load(origin, "private-key").await.unwrap().content {
        Content::Value(value) => value.to_vec(),
        other => panic!("{other:?}"),
    }
}

/// A server with an object, and the object.
async fn started() -> (Server, Vec<u8>) {
    let server = Server::start().await;
    let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    server.put("pre/private-key", content.clone()).await;
    (server, content)
}

#[tokio::test]
async fn an_absent_server_is_unreachable() {
    let server = Server::start().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let origin = ObjectOrigin::new(ObjectOptions {
        endpoint: Some(format!("http://{address}")),
        retries: 1,
        ..server.options()
    });
    assert_eq!(fault(&origin.unwrap()).await, OriginFault::Unreachable);
}

#[tokio::test]
async fn silence_before_or_within_an_answer_is_a_timeout() {
    let (server, _) = started().await;
    let origin = ObjectOrigin::new(ObjectOptions {
        read_timeout: Duration::from_millis(200),
        retries: 0,
        ..server.options()
    })
    .unwrap();
    server.acts(|_, _| Act::Silent);
    assert_eq!(fault(&origin).await, OriginFault::TimedOut);
    server.acts(|_, _| Act::SilentAfter(100_000));
    assert_eq!(fault(&origin).await, OriginFault::TimedOut);
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_load_ends_at_its_timeout_whatever_the_others_are() {
    let (server, _) = started().await;
    server.acts(|_, _| Act::Silent);
    let origin = ObjectOrigin::new(ObjectOptions {
        timeout: Duration::from_millis(100),
        ..server.options()
    });
    assert_eq!(fault(&origin.unwrap()).await, OriginFault::TimedOut);
}

#[tokio::test]
async fn a_status_that_promises_that_a_retry_helps_is_tried_again_so_often() {
    let (server, content) = started().await;
    let origin = trying(&server, 2);
    for status in [429, 500, 503] {
        server.acts(move |_, number| match number {
            0 | 1 => Act::Status(status, "SlowDown"),
            _ => Act::Serve,
        });
        assert_eq!(value(&origin).await, content);
        server.acts(move |_, _| Act::Status(status, "SlowDown"));
        assert_eq!(fault(&origin).await, OriginFault::Status(status));
        assert_eq!(server.asked().len(), 3);
    }
    for status in [301, 307, 400, 401, 403, 410, 412] {
        server.acts(move |_, _| Act::Status(status, "Odd"));
        assert_eq!(fault(&origin).await, OriginFault::Status(status));
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_continued_and_otherwise_a_failure() {
    let (server, content) = started().await;
    server.acts(|_, _| Act::Cut(100_000));
    assert_eq!(fault(&trying(&server, 0)).await, OriginFault::BrokeOff);
    server.acts(|_, number| match number {
        0 => Act::Cut(100_000),
        _ => Act::Serve,
    });
    assert_eq!(value(&trying(&server, 2)).await, content);
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    assert!(range(&asked[1]).unwrap().ends_with("-1199999"));
}

#[tokio::test]
async fn the_rest_of_another_object_is_not_appended_to_the_first_one() {
    let (server, _) = started().await;
    server.acts(|_, number| match number {
        0 => Act::Cut(100_000),
        _ => Act::Replace(vec![9; 1_200_000]),
    });
    let origin = trying(&server, 2);
    // The store finds that the tag differs, and the load fails.
    assert_eq!(fault(&origin).await, OriginFault::BrokeOff);
    server.acts(|_, _| Act::Serve);
    assert_eq!(value(&origin).await, vec![9; 1_200_000]);
}

#[tokio::test]
async fn bytes_are_reserved_before_they_are_read_and_given_back() {
    let (server, content) = started().await;
    let origin = server.origin();
    let key = Key::from("private-key");
    let small = ByteBudget::new(1_000_000, Duration::ZERO);
    let load = Load::new(&key, 64 << 20);
    let error = origin.load(load.within(&small)).await.unwrap_err();
    assert!(matches!(error, OriginError::OverBudget(_)), "{error:?}");
    let large = ByteBudget::new(2_000_000, Duration::ZERO);
    origin.load(load.within(&large)).await.unwrap();
    assert_eq!((large.used(), large.peak()), (0, content.len() as u64));
}

#[tokio::test]
async fn an_abandoned_load_gives_back_its_bytes_and_its_connections() {
    let (server, _) = started().await;
    for parallel_from in [None, Some(1)] {
        server.acts(|_, _| Act::SilentAfter(10_000));
        let origin = ObjectOrigin::new(ObjectOptions {
            parallel_from,
            part_size: 100_000,
            ..server.options()
        })
        .unwrap();
        let budget = ByteBudget::new(2_000_000, Duration::ZERO);
        let key = Key::from("private-key");
        let load = origin.load(Load::new(&key, 64 << 20).within(&budget));
        let requests = if parallel_from.is_some() { 4 } else { 1 };
        tokio::select! {
            _ = load => panic!("the server is silent"),
            () = until("the body has begun", || {
                server.asked().len() == requests && budget.used() > 0
            }) => {}
        }
        assert_eq!(budget.used(), 0);
        until("the connections are closed", || server.connections() == 0).await;
    }
}
