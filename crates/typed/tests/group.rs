//! One typed group in one process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{Error, Field, Group, Hint, OriginFault, Source};
use gaggle_testkit::tokio_clock;
use gaggle_typed::{Codec, Found, Json, OnMismatch, Raw, TypedError, TypedGroup, TypedOptions};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct User {
    name: String,
    points: u32,
}

fn user(id: u64) -> User {
    User {
        name: format!("user {id}"),
        points: 630,
    }
}

type Calls = Arc<AtomicU32>;

/// Users with numbers below 100; the number of loads is the points.
fn users(calls: &Calls) -> gaggle_typed::TypedBuilder<u64, User> {
    let calls = Arc::clone(calls);
    TypedGroup::builder("users")
        .origin_fn(move |id: u64| {
            let points = calls.fetch_add(1, SeqCst) + 1;
            async move { Ok::<_, std::io::Error>((id < 100).then(|| User { points, ..user(id) })) }
        })
        .group(|group| group.clock(tokio_clock()))
}

#[tokio::test]
async fn a_get_brings_a_struct_and_absence_is_an_answer() {
    let users = users(&Calls::default()).build().unwrap();
    assert_eq!(
        *users.get(&7).await.unwrap(),
        User {
            points: 1,
            ..user(7)
        }
    );
    assert_eq!(users.find(&700).await.unwrap(), None);
    assert!(users.get(&700).await.unwrap_err().is_not_found());
    let many = users.get_many(&[7, 700, 8]).await;
    let names: Vec<_> = many
        .into_iter()
        .map(|found| found.unwrap().map(|user| user.name.clone()))
        .collect();
    assert_eq!(names, [Some("user 7".into()), None, Some("user 8".into())]);

    let hit = users.cached(&7).unwrap();
    assert_eq!((hit.source, hit.value.unwrap().points), (Source::Main, 1));
    assert_eq!(users.cached(&9), None);
    // A front door serves it with its content type.
    let bytes = users.group().lookup("7").await.unwrap();
    assert_eq!(bytes.value.unwrap(), r#"{"name":"user 7","points":1}"#);
    assert_eq!(
        bytes.metadata.get(Field::ContentType),
        Some(&b"application/json"[..])
    );
}

#[tokio::test]
async fn text_keys_are_asked_for_by_str() {
    let lengths: TypedGroup<String, usize> = TypedGroup::builder("lengths")
        .origin_fn(|key: String| async move { Ok::<_, std::io::Error>(Some(key.len())) })
        .build()
        .unwrap();
    assert_eq!(*lengths.get("Tom").await.unwrap(), 3);
    assert_eq!(*lengths.get(&"Jack".to_owned()).await.unwrap(), 4);
    let pairs: TypedGroup<(String, u32), String> = TypedGroup::builder("pairs")
        .origin_fn(|(name, number): (String, u32)| async move {
            Ok::<_, std::io::Error>(Some(format!("{name} {number}")))
        })
        .build()
        .unwrap();
    assert_eq!(*pairs.get(&("a/b".into(), 7)).await.unwrap(), "a/b 7");
    assert!(pairs.group().holds("a~1b/7"));
}

#[tokio::test]
async fn bytes_that_are_no_key_are_refused_and_the_origin_is_not_asked() {
    let calls = Calls::default();
    let users = users(&calls).build().unwrap();
    for bad in ["Tom", "007", "+7", "", "7/8"] {
        let error = users.group().get(bad).await.unwrap_err();
        let Error::Origin { source, .. } = &error else {
            panic!("{bad}: {error}")
        };
        assert_eq!(source.fault(), OriginFault::Key, "{bad}");
    }
    let many = users.group().get_many(&["Tom", "7"]).await;
    assert!(many[0].is_err() && many[1].is_ok());
    assert_eq!(calls.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_removed_replaced_or_has_expired_is_not_served_decoded() {
    let calls = Calls::default();
    let users = users(&calls)
        .ttl(Duration::from_secs(60))
        .group(|group| {
            let no_jitter = gaggle_group::FreshnessPolicy {
                ttl: Some(Duration::from_secs(60)),
                ttl_jitter: 0.0,
                ..Default::default()
            };
            group.freshness(no_jitter)
        })
        .keep_decoded(1 << 20)
        .build()
        .unwrap();
    let points = async || users.get(&7).await.unwrap().points;

    assert_eq!((points().await, points().await, points().await), (1, 1, 1));
    let stats = users.stats();
    assert_eq!(
        (stats.decoded, stats.kept_hits, stats.kept_entries),
        (2, 1, 1)
    );
    let (one, other) = (users.get(&7).await.unwrap(), users.get(&7).await.unwrap());
    assert!(Arc::ptr_eq(&one, &other), "hits share one value");

    // Removed, through the group as another node would.
    let _ = users.group().remove("7").await;
    assert_eq!(users.cached(&7), None);
    assert_eq!((points().await, points().await), (2, 2));
    let _ = users.remove(&7).await;
    assert_eq!(users.cached(&7), None);
    assert_eq!((points().await, points().await), (3, 3));
    // Replaced.
    let put = users
        .put(
            &7,
            &User {
                points: 99,
                ..user(7)
            },
        )
        .await;
    assert!(put.unwrap().missed.is_empty());
    assert_eq!((points().await, points().await), (99, 99));
    // Expired: a value that was put lives as long as one that was loaded.
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(users.cached(&7), None);
    assert_eq!((points().await, points().await), (4, 4));
}

#[tokio::test]
async fn the_memory_of_decoded_values_is_bounded() {
    let users = users(&Calls::default())
        .keep_decoded(8 << 10)
        .build()
        .unwrap();
    for _ in 0..2 {
        for id in 0..100 {
            users.get(&id).await.unwrap();
        }
    }
    let stats = users.stats();
    assert!(stats.kept_bytes <= 8 << 10, "{stats:?}");
    assert!((10..40).contains(&stats.kept_entries), "{stats:?}");
}

/// The group of another release: the same name, and values that `User` cannot be read from.
fn other_release(calls: &Calls) -> Group {
    let calls = Arc::clone(calls);
    Group::builder("users")
        .origin_fn(move |_: Bytes| {
            // The first load is by the old release.
            let value = match calls.fetch_add(1, SeqCst) {
                0 => r#"{"called":"hunter2"}"#,
                _ => r#"{"name":"Tom","points":630}"#,
            };
            async move { Ok::<_, std::io::Error>(Some(value)) }
        })
        .build()
        .unwrap()
}

fn over(group: &Group, on_mismatch: OnMismatch) -> TypedGroup<u64, User> {
    let options = TypedOptions {
        on_mismatch,
        ..TypedOptions::default()
    };
    TypedGroup::over(group.clone(), Json, options)
}

#[tokio::test]
async fn a_value_of_another_release_is_loaded_again_once() {
    let calls = Calls::default();
    let group = other_release(&calls);
    group.get("7").await.unwrap();
    let users = over(&group, OnMismatch::Reload);
    assert_eq!(users.cached(&7), None);
    let herd: Vec<_> = (0..100)
        .map(|_| {
            let users = users.clone();
            tokio::spawn(async move { users.get(&7).await })
        })
        .collect();
    for get in herd {
        assert_eq!(get.await.unwrap().unwrap().name, "Tom");
    }
    assert_eq!(calls.load(SeqCst), 2, "one load, of one removal");
    assert_eq!(users.stats().reloaded, 1);
    let many = users.get_many(&[7, 7]).await;
    assert!(many.iter().all(Result::is_ok));
}

#[tokio::test]
async fn many_values_of_another_release_are_loaded_again_together() {
    let (calls, old) = (Calls::default(), Arc::new(Mutex::new(true)));
    let (count, is_old) = (Arc::clone(&calls), Arc::clone(&old));
    let group = Group::builder("users")
        .origin_fn(move |key: Bytes| {
            count.fetch_add(1, SeqCst);
            // No release can decode 3.
            let value = match *is_old.lock().unwrap() || key == "3" {
                true => "old".to_owned(),
                false => serde_json_of(&key),
            };
            async move { Ok::<_, std::io::Error>(Some(value)) }
        })
        .build()
        .unwrap();
    for key in ["1", "2", "3"] {
        group.get(key).await.unwrap();
    }
    *old.lock().unwrap() = false;
    let users = over(&group, OnMismatch::Reload);
    let many = users.get_many(&[1, 2, 3]).await;
    assert_eq!(many[0].as_ref().unwrap().as_ref().unwrap().points, 1);
    assert_eq!(many[1].as_ref().unwrap().as_ref().unwrap().points, 2);
    assert!(matches!(
        &many[2],
        Err(TypedError::Decode { reloaded: true, .. })
    ));
    assert_eq!(calls.load(SeqCst), 6);
    // It is not removed with each get.
    for _ in 0..10 {
        assert!(users.get(&3).await.is_err());
    }
    assert_eq!((calls.load(SeqCst), users.stats().reloaded), (6, 3));
}

fn serde_json_of(key: &[u8]) -> String {
    let points = String::from_utf8_lossy(key);
    format!(r#"{{"name":"Tom","points":{points}}}"#)
}

#[tokio::test]
async fn an_error_names_the_group_the_codec_and_lengths_and_quotes_nothing() {
    let calls = Calls::default();
    let users = over(&other_release(&calls), OnMismatch::Fail);
    let error = users.get(&7).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "group users: a value of 20 bytes is not what json reads (its key has 1 bytes)"
    );
    let cause = error.source().unwrap().to_string();
    assert!(cause.starts_with("it is JSON of another shape"), "{cause}");
    for text in [
        error.to_string(),
        cause,
        format!("{error:?}"),
        error.public(),
    ] {
        assert!(
            !text.contains("hunter2") && !text.contains("called"),
            "{text}"
        );
    }
    assert_eq!(error.public(), "group users: a value cannot be used");
    assert_eq!(calls.load(SeqCst), 1, "it was not loaded again");
}

#[tokio::test]
async fn a_batch_origin_is_asked_for_each_key_once_in_one_call() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let users: TypedGroup<u64, User> = TypedGroup::builder("users")
        .origin_batch_fn(100, move |ids: Vec<u64>| {
            log.lock().unwrap().push(ids.clone());
            async move {
                let known = ids.into_iter().filter(|id| *id < 100);
                let found: HashMap<_, _> = known.map(|id| (id, user(id))).collect();
                Ok::<_, std::io::Error>(found)
            }
        })
        .build()
        .unwrap();
    let found = users.get_many(&[1, 2, 700, 3]).await;
    let points: Vec<_> = found
        .into_iter()
        .map(|found| found.unwrap().map(|user| user.points))
        .collect();
    assert_eq!(points, [Some(630), Some(630), None, Some(630)]);
    let mut calls = asked.lock().unwrap().clone();
    for ids in &mut calls {
        ids.sort_unstable();
    }
    assert_eq!(calls, [vec![1, 2, 3, 700]]);
}

#[tokio::test]
async fn an_origin_may_say_for_how_long_a_value_may_be_served() {
    let calls = Calls::default();
    let count = Arc::clone(&calls);
    let users: TypedGroup<u64, User> = TypedGroup::builder("users")
        .origin_found_fn(move |id: u64| {
            count.fetch_add(1, SeqCst);
            async move {
                let found = Found::new(user(id)).with_freshness(Hint::none());
                Ok::<_, std::io::Error>(Some(found))
            }
        })
        .build()
        .unwrap();
    users.get(&7).await.unwrap();
    users.get(&7).await.unwrap();
    assert_eq!(calls.load(SeqCst), 2, "it is not to be kept");
}

/// Writes one kind of value only.
#[derive(Clone)]
struct Picky;

#[derive(Debug)]
struct TooMany;

impl std::fmt::Display for TooMany {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("more points than can be written")
    }
}

impl std::error::Error for TooMany {}

impl Codec<u64> for Picky {
    type Error = TooMany;

    fn name(&self) -> &'static str {
        "picky"
    }

    fn encode(&self, value: &u64) -> Result<Bytes, TooMany> {
        let byte = u8::try_from(*value).map_err(|_| TooMany)?;
        Ok(vec![byte].into())
    }

    fn decode(&self, bytes: &Bytes) -> Result<u64, TooMany> {
        match **bytes {
            [byte] => Ok(byte.into()),
            _ => Err(TooMany),
        }
    }
}

#[tokio::test]
async fn what_a_codec_cannot_write_is_an_error_and_is_not_kept() {
    let squares: TypedGroup<u64, u64, Picky> = TypedGroup::builder("squares")
        .codec(Picky)
        .origin_fn(|n: u64| async move { Ok::<_, std::io::Error>(Some(n * n)) })
        .build()
        .unwrap();
    assert_eq!(*squares.get(&9).await.unwrap(), 81);
    let error = squares.get(&16).await.unwrap_err();
    let TypedError::Group(Error::Origin { source, .. }) = &error else {
        panic!("{error}")
    };
    assert_eq!(source.fault(), OriginFault::Unusable);
    let error = squares.put(&9, &1_000).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "group squares: picky cannot write the value (its key has 1 bytes)"
    );
    assert_eq!(*squares.cached(&9).unwrap().value.unwrap(), 81);
}

#[tokio::test]
async fn an_origin_of_bytes_is_given_the_bytes_of_keys() {
    let users: TypedGroup<u64, User> = TypedGroup::builder("users")
        .origin_of_bytes(gaggle_group::OriginFn::new(|key: Bytes| async move {
            Ok::<_, std::io::Error>(Some(serde_json_of(&key)))
        }))
        .build()
        .unwrap();
    assert_eq!(users.get(&7).await.unwrap().points, 7);

    let raw: TypedGroup<u8, Bytes, Raw> = TypedGroup::builder("raw")
        .codec(Raw)
        .origin_fn(|id: u8| async move {
            Ok::<_, std::io::Error>(Some(Bytes::from(vec![0; id.into()])))
        })
        .build()
        .unwrap();
    assert_eq!(raw.get(&7).await.unwrap().len(), 7);
    let none: TypedGroup<u64, User> = match TypedGroup::builder("none").build() {
        Ok(group) => group,
        Err(error) => {
            assert_eq!(error.to_string(), "group none: no origin was given");
            return;
        }
    };
    panic!("{none:?} has no origin");
}
