//! A client that nobody here wrote: the `redis` crate.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Port, scores};
use gaggle_api_resp::{Access, Options, Rights};
use redis::Commands as _;

/// What a program does with its client, on a thread that may block.
async fn with_client<T: Send + 'static>(
    url: String,
    work: impl FnOnce(&mut redis::Connection) -> T + Send + 'static,
) -> T {
    let work = move || {
        let client = redis::Client::open(url).unwrap();
        work(&mut client.get_connection().unwrap())
    };
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_redis_crate_reads_and_writes() {
    for query in ["", "?protocol=resp3"] {
        let port = Port::of([scores()], Options::default()).await;
        let url = format!("redis://{}/{query}", port.addr);
        with_client(url, |redis| {
            let tom: Option<i64> = redis.get("scores:Tom").unwrap();
            assert_eq!(tom, Some(630));
            let nobody: Option<String> = redis.get("nobody").unwrap();
            assert_eq!(nobody, None);
            let many: Vec<Option<String>> = redis.mget(&["Tom", "nobody", "Jack"]).unwrap();
            assert_eq!(many[0].as_deref(), Some("630"));
            assert_eq!((many[1].clone(), many[2].is_some()), (None, true));
            let large: Vec<u8> = redis.get("large").unwrap();
            assert_eq!(large.len(), 100_000);
            let (there, gone): (bool, bool) = (
                redis.exists("Tom").unwrap(),
                redis.exists("nobody").unwrap(),
            );
            assert!(there && !gone);
            let part: String = redis.getrange("Jack", 0, 3).unwrap();
            assert_eq!(part, "five");
            let (): () = redis.set_ex("new", "value", 100).unwrap();
            let ttl: i64 = redis.ttl("new").unwrap();
            assert!((99..=100).contains(&ttl));
            let removed: i64 = redis.del("new").unwrap();
            assert_eq!(removed, 1);
            let new: Option<String> = redis.get("new").unwrap();
            assert_eq!(new, None);
            let (a, b): (String, Option<String>) =
                redis::pipe().get("Tom").get("nobody").query(redis).unwrap();
            assert_eq!((a.as_str(), b), ("630", None));
            let error = redis.set_nx::<_, _, bool>("Tom", "1").unwrap_err();
            assert!(
                error.to_string().contains("SETNX is not supported"),
                "{error}"
            );
            let info: String = redis::cmd("INFO").query(redis).unwrap();
            assert!(info.contains("gaggle_version"), "{info}");
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_redis_crate_authenticates() {
    let access = Access::password(|given| (given == b"secret").then_some(Rights::Read));
    let options = Options {
        access,
        ..Options::default()
    };
    let port = Port::of([scores()], options).await;
    for (user, query) in [("", ""), ("default", ""), ("default", "?protocol=resp3")] {
        let url = format!("redis://{user}:secret@{}/{query}", port.addr);
        with_client(url, |redis| {
            assert_eq!(redis.get::<_, i64>("Tom").unwrap(), 630);
            let error = redis.set::<_, _, ()>("Tom", "1").unwrap_err();
            assert_eq!(error.code(), Some("NOPERM"));
        })
        .await;
    }
    let url = format!("redis://:wrong@{}/", port.addr);
    let refused = tokio::task::spawn_blocking(move || {
        redis::Client::open(url).unwrap().get_connection().err()
    });
    assert!(refused.await.unwrap().is_some());
}
