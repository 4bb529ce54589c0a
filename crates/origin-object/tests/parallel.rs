//! Large objects, read in several parts at a time.
#![cfg(feature = "aws")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use std::time::Duration;

use gaggle_group::{ByteBudget, Content, Key, Load, Origin, OriginError, OriginFault};
use gaggle_origin_object::{ObjectOptions, ObjectOrigin};

use support::{Act, Server, load, range};

const MIB: usize = 1 << 20;

fn content(len: usize) -> Vec<u8> {
    (0_u8..251).cycle().take(len).collect()
}

fn origin(server: &Server, parts: usize) -> ObjectOrigin {
    ObjectOrigin::new(ObjectOptions {
        parallel_from: Some(2 * MIB as u64),
        part_size: 256 << 10,
        parts,
        ..server.options()
    })
    .unwrap()
}

async fn value(origin: &ObjectOrigin) -> Vec<u8> {
    match load(origin, "a").await.unwrap().content {
        Content::Value(value) => value.to_vec(),
        other => panic!("{other:?}"),
    }
}

/// Slow enough that several answers are in progress at the same time.
const SLOW: Act = Act::Slow(Duration::ZERO, Duration::from_millis(5));

#[tokio::test]
async fn a_large_object_is_read_in_parts_of_one_version() {
    let server = Server::start().await;
    let whole = content(3 * MIB + 17);
    server.put("pre/a", whole.clone()).await;
    server.acts(|_, _| SLOW);
    let budget = ByteBudget::new(8 << 20, Duration::ZERO);
    let key = Key::from("a");
    let load = Load::new(&key, 64 << 20).within(&budget);
    let found = origin(&server, 3).load(load).await.unwrap();
    let tag = found.metadata.get(gaggle_group::Field::ETag).unwrap();
    assert_eq!(found.content, Content::Value(whole.clone().into()));
    assert_eq!((budget.used(), budget.peak()), (0, whole.len() as u64));
    let asked = server.asked();
    assert!((2..=13).contains(&asked.len()), "{}", asked.len());
    assert_eq!(range(&asked[0]), None);
    for part in &asked[1..] {
        assert!(range(part).is_some());
        assert_eq!(part.header("if-match").unwrap().as_bytes(), tag);
    }
    assert!(server.most_under_way() >= 2);
}

#[tokio::test]
async fn a_small_object_is_read_in_one_request() {
    let server = Server::start().await;
    let whole = content(2 * MIB - 1);
    server.put("pre/a", whole.clone()).await;
    assert_eq!(value(&origin(&server, 4)).await, whole);
    let whole = content(2 * MIB);
    server.put("pre/a", whole.clone()).await;
    assert_eq!(value(&origin(&server, 1)).await, whole);
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_value_is_never_of_two_versions() {
    let server = Server::start().await;
    server.put("pre/a", content(3 * MIB)).await;
    let new = vec![9; 3 * MIB];
    let replacement = new.clone();
    // The object becomes another one at the first part's request, and stays so.
    server.acts(move |_, number| match number {
        0 => SLOW,
        1 => Act::Replace(replacement.clone()),
        _ => Act::Serve,
    });
    assert_eq!(value(&origin(&server, 4)).await, new);

    // Another one each time.
    server.acts(|asked, number| match range(asked) {
        None => SLOW,
        Some(_) => Act::Replace(vec![u8::try_from(number % 200).unwrap(); 3 * MIB]),
    });
    let error = load(&origin(&server, 2), "a").await.unwrap_err();
    assert_eq!(error.fault(), OriginFault::Unusable, "{error}");
    let whole_reads = server
        .asked()
        .iter()
        .filter(|it| range(it).is_none())
        .count();
    assert_eq!(whole_reads, 2);
}

#[tokio::test]
async fn an_object_that_is_gone_meanwhile_is_absent() {
    let server = Server::start().await;
    server.put("pre/a", content(3 * MIB)).await;
    server.acts(|_, number| match number {
        0 => SLOW,
        _ => Act::Status(404, "NoSuchKey"),
    });
    let found = load(&origin(&server, 2), "a").await.unwrap();
    assert_eq!(found.content, Content::Absent);
}

#[tokio::test]
async fn a_part_that_fails_is_a_failure_of_the_load() {
    let server = Server::start().await;
    server.put("pre/a", content(3 * MIB)).await;
    server.acts(|asked, _| match range(asked) {
        None => SLOW,
        Some(_) => Act::Status(403, "AccessDenied"),
    });
    let error = load(&origin(&server, 2), "a").await.unwrap_err();
    assert!(matches!(error, OriginError::Failed(_)));
    assert_eq!(error.fault(), OriginFault::Status(403));
}
