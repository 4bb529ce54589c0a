//! Existing stores, and keys that try to leave the prefix.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use gaggle_group::{
    Content, Field, Hint, Key, Load, Loaded, Metadata, Origin, OriginError, OriginFault,
};
use gaggle_origin_object::object_store::memory::InMemory;
use gaggle_origin_object::object_store::path::Path;
use gaggle_origin_object::object_store::{
    Attribute, Attributes, ObjectStore, ObjectStoreExt as _, PutOptions, PutPayload,
};
use gaggle_origin_object::{ObjectOptions, ObjectOrigin};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

async fn put(store: &InMemory, name: &str, content: &str) {
    let content = PutPayload::from(content.as_bytes().to_vec());
    store
        .put(&Path::parse(name).unwrap(), content)
        .await
        .unwrap();
}

fn origin(store: InMemory, options: ObjectOptions) -> (Arc<InMemory>, ObjectOrigin) {
    let store = Arc::new(store);
    let options = ObjectOptions {
        url: "memory:///pre".to_owned(),
        ..options
    };
    let origin = ObjectOrigin::from_store(Arc::clone(&store) as Arc<dyn ObjectStore>, options);
    (store, origin.unwrap())
}

async fn load(origin: &ObjectOrigin, key: &[u8]) -> Result<Loaded, OriginError> {
    let key = Key::copy_from_slice(key);
    origin.load(Load::new(&key, 1 << 20)).await
}

#[tokio::test]
async fn the_url_of_an_existing_store_gives_the_prefix() {
    let (store, origin) = origin(InMemory::new(), ObjectOptions::default());
    put(&store, "pre/a", "hello").await;
    put(&store, "b", "outside").await;
    let found = load(&origin, b"a").await.unwrap();
    assert_eq!(found.content, Content::Value("hello".into()));
    assert_eq!(found.freshness, Hint::default());
    assert_eq!(load(&origin, b"b").await.unwrap(), Loaded::absent());
    assert!(format!("{origin:?}").contains("memory:///pre/{key}"));
    let key = Key::from("a");
    let error = origin.load(Load::new(&key, 4)).await.unwrap_err();
    assert!(matches!(
        error,
        OriginError::TooLarge {
            len: Some(5),
            limit: 4
        }
    ));
}

#[tokio::test]
async fn attributes_and_validators_are_those_of_the_store() {
    let (store, origin) = origin(InMemory::new(), ObjectOptions::default());
    let mut attributes = Attributes::new();
    attributes.insert(Attribute::ContentType, "text/plain".into());
    attributes.insert(Attribute::CacheControl, "no-store".into());
    let options = PutOptions::from(attributes);
    let name = Path::from("pre/a");
    store.put_opts(&name, "one".into(), options).await.unwrap();
    let found = load(&origin, b"a").await.unwrap();
    assert_eq!(found.freshness, Hint::none());
    assert_eq!(
        found.metadata.get(Field::ContentType),
        Some(&b"text/plain"[..])
    );
    assert_eq!(found.metadata.age(), Some(Duration::ZERO));

    let key = Key::from("a");
    let again = async |known: &Metadata| {
        let load = Load::new(&key, 100).with_stale(known);
        origin.load(load).await.unwrap().content
    };
    assert_eq!(again(&found.metadata).await, Content::NotModified);
    for odd in ["*", "\"x\"", "x"] {
        let odd = Metadata::default().with(Field::ETag, odd);
        assert_eq!(again(&odd).await, Content::Value("one".into()));
    }
    store.put(&name, "two".into()).await.unwrap();
    assert_eq!(again(&found.metadata).await, Content::Value("two".into()));
}

#[tokio::test]
async fn a_large_object_in_memory_is_read_in_parts_too() {
    let options = ObjectOptions {
        parallel_from: Some(0),
        part_size: ObjectOptions::MIN_PART_SIZE,
        ..ObjectOptions::default()
    };
    let (store, origin) = origin(InMemory::new(), options);
    for len in [0, 1, 65_536, 65_537, 1_000_000] {
        let content = "x".repeat(len);
        put(&store, "pre/a", &content).await;
        let found = load(&origin, b"a").await.unwrap();
        assert_eq!(found.content, Content::Value(content.into()), "{len}");
    }
}

/// A key made of parts that matter to paths.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => prop::sample::select(vec!["a", "pre", "secret", "users", "a.json"]),
        3 => prop::sample::select(vec!["", ".", "..", "%2e%2e", "%2E.", "%252e%252e", "..;"]),
        1 => prop::sample::select(vec!["\0", "\n", "\\", "..\\", "C:", "file:", "?", "#"]),
    ];
    let separator = prop::sample::select(vec!["/", "//", "\\", "%2f", "%5c"]);
    let text = prop::collection::vec((part, separator), 0..6).prop_map(|parts| {
        let text: String = parts
            .iter()
            .map(|(part, between)| format!("{part}{between}"))
            .collect();
        text.into_bytes()
    });
    let cut = text.clone().prop_map(|mut text| {
        text.pop();
        text
    });
    prop_oneof![3 => text, 3 => cut, 1 => any::<Vec<u8>>()]
}

/// Whatever a hostile key finds is below the prefix.
fn no_key_leads_outside(origin: &ObjectOrigin, runtime: &tokio::runtime::Runtime) {
    TestRunner::default()
        .run(&hostile(), |key| {
            match runtime.block_on(load(origin, &key)) {
                Ok(found) => {
                    let inside = matches!(found.content, Content::Absent)
                        || found.content == Content::Value("inside".into());
                    prop_assert!(inside, "{:?}", found.content);
                }
                Err(error) => {
                    // A NUL, or a name that is too long for a file, if the key got so far.
                    let told = error.fault();
                    prop_assert!(told == OriginFault::Key, "{error}");
                }
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn no_key_leads_outside_of_the_prefix_of_a_store() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    for path in ["{key}", "users/{key}.json", ".{key}"] {
        let options = ObjectOptions {
            path: path.to_owned(),
            ..ObjectOptions::default()
        };
        let (store, origin) = origin(InMemory::new(), options);
        runtime.block_on(async {
            for name in ["pre/a", "pre/users/a.json", "pre/users/secret", "pre/.a"] {
                put(&store, name, "inside").await;
            }
            for name in [
                "a",
                "secret",
                "pre",
                "users/a.json",
                "a.json",
                "prea",
                "pre.json",
            ] {
                put(&store, name, "outside").await;
            }
        });
        no_key_leads_outside(&origin, &runtime);
    }
}

#[cfg(feature = "fs")]
#[test]
fn no_key_leads_outside_of_a_directory() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("pre");
    std::fs::create_dir_all(root.join("users")).unwrap();
    for name in ["a", "a.json", "users/a.json", "users/secret", "pre"] {
        std::fs::write(root.join(name), "inside").unwrap();
    }
    for name in ["a", "secret", "a.json", "users"] {
        std::fs::write(outer.path().join(name), "outside").unwrap();
    }
    let origin = ObjectOrigin::new(ObjectOptions {
        url: format!("file://{}", root.display()),
        ..ObjectOptions::default()
    });
    no_key_leads_outside(&origin.unwrap(), &runtime);
}
