//! Files of a local directory, by `file://`.
#![cfg(all(feature = "fs", unix))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use gaggle_group::{
    ByteBudget, Content, Field, Key, Load, Loaded, Origin, OriginError, OriginFault,
};
use gaggle_origin_object::{ObjectOptions, ObjectOrigin};
use tempfile::TempDir;

fn site() -> (TempDir, ObjectOrigin) {
    let dir = TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join("dir")).unwrap();
    let origin = ObjectOrigin::new(ObjectOptions {
        url: format!("file://{}", dir.path().display()),
        path: "{key}.json".to_owned(),
        ..ObjectOptions::default()
    });
    (dir, origin.unwrap())
}

async fn load(origin: &ObjectOrigin, key: &str) -> Result<Loaded, OriginError> {
    let key = Key::copy_from_slice(key.as_bytes());
    origin.load(Load::new(&key, 1 << 20)).await
}

#[tokio::test]
async fn a_file_is_a_value_with_validators() {
    let (dir, origin) = site();
    std::fs::write(dir.path().join("a b%41.json"), "hello").unwrap();
    let found = load(&origin, "a b%41").await.unwrap();
    assert_eq!(found.content, Content::Value("hello".into()));
    assert!(found.metadata.get(Field::LastModified).is_some());
    let key = Key::from("a b%41");
    let again = origin
        .load(Load::new(&key, 100).with_stale(&found.metadata))
        .await;
    assert_eq!(again.unwrap().content, Content::NotModified);
}

#[tokio::test]
async fn a_large_file_is_read_whole_and_draws_on_the_budget() {
    let (dir, origin) = site();
    let content = vec![7; 1_000_000];
    std::fs::write(dir.path().join("a.json"), &content).unwrap();
    let budget = ByteBudget::new(1_000_000, Duration::ZERO);
    let key = Key::from("a");
    let found = origin.load(Load::new(&key, 1 << 20).within(&budget)).await;
    assert_eq!(found.unwrap().content, Content::Value(content.into()));
    assert_eq!((budget.used(), budget.peak()), (0, 1_000_000));
}

#[tokio::test]
async fn what_is_no_file_is_absent_and_a_directory_that_is_gone_is_a_failure() {
    let (dir, origin) = site();
    std::fs::write(dir.path().join("file.json"), "").unwrap();
    std::fs::create_dir(dir.path().join("odd.json")).unwrap();
    for key in ["nobody", "dir", "odd", "file.json/x", &"k".repeat(300)] {
        assert_eq!(load(&origin, key).await.unwrap(), Loaded::absent(), "{key}");
    }
    drop(dir);
    let error = load(&origin, "file").await.unwrap_err();
    assert_eq!(error.fault(), OriginFault::Unreachable, "{error}");
}

#[test]
fn a_directory_must_be_there_at_the_start() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    for name in ["nobody", "file"] {
        let error = ObjectOrigin::new(ObjectOptions {
            url: format!("file://{}", dir.path().join(name).display()),
            ..ObjectOptions::default()
        });
        assert_eq!(error.unwrap_err().field, "url");
    }
}
