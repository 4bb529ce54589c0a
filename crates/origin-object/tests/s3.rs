//! Objects of an S3 server: requests, and the meaning of answers.
#![cfg(feature = "aws")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use std::time::Duration;

use gaggle_group::{Content, Field, Hint, Key, Load, Loaded, Origin, OriginError, OriginFault};
use gaggle_origin_object::{ObjectOptions, ObjectOrigin};

use support::{Act, BUCKET, SECRET, Server, load};

fn value(content: &'static str) -> Content {
    Content::Value(content.into())
}

async fn fault(origin: &ObjectOrigin, key: &str) -> (OriginFault, String) {
    let error = load(origin, key).await.unwrap_err();
    assert!(matches!(error, OriginError::Failed(_)), "{error:?}");
    (error.fault(), format!("{error} {error:?}"))
}

#[tokio::test]
async fn an_object_is_a_value_and_a_missing_one_is_none() {
    let server = Server::start().await;
    server.put("pre/Tom", "630").await;
    server.put("pre/empty", "").await;
    server.put("Kesa", "outside of the prefix").await;
    let origin = server.origin();
    assert_eq!(load(&origin, "Tom").await.unwrap().content, value("630"));
    assert_eq!(load(&origin, "empty").await.unwrap().content, value(""));
    assert_eq!(load(&origin, "Kesa").await.unwrap(), Loaded::absent());
    let asked = server.asked();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[0].target, format!("/{BUCKET}/pre/Tom"));
    assert_eq!(server.connections(), 1, "the connection is used again");
}

#[tokio::test]
async fn the_key_replaces_its_place_in_the_template_and_may_have_any_text() {
    let server = Server::start().await;
    let origin = ObjectOrigin::new(ObjectOptions {
        path: "users/{key}.json".to_owned(),
        ..server.options()
    })
    .unwrap();
    // Each of them is signed as it is sent; a wrong encoding would be a 403.
    for key in [
        "Tom", "a b", "a+b", "张三", "50%", "%41", "a?b#c", "a/b", "it's", "a&b=c", "...",
    ] {
        server
            .put(&format!("pre/users/{key}.json"), key.to_owned())
            .await;
        let found = load(&origin, key).await.unwrap();
        assert_eq!(
            found.content,
            Content::Value(key.to_owned().into()),
            "{key}"
        );
    }
}

#[tokio::test]
async fn what_is_known_of_an_object_is_passed_on() {
    let server = Server::start().await;
    server
        .put_with("pre/a", "hello", |input| {
            input.content_type = Some("text/html; charset=utf-8".to_owned());
            input.content_encoding = Some("identity".to_owned());
            input.content_disposition = Some("inline".to_owned());
            input.cache_control = Some("max-age=60, stale-if-error=5".to_owned());
        })
        .await;
    let found = load(&server.origin(), "a").await.unwrap();
    let get = |field| found.metadata.get(field).map(String::from_utf8_lossy);
    assert_eq!(get(Field::ContentType).unwrap(), "text/html; charset=utf-8");
    assert_eq!(get(Field::ContentEncoding).unwrap(), "identity");
    assert_eq!(
        get(Field::ETag).unwrap(),
        "\"5d41402abc4b2a76b9719d911017c592\""
    );
    assert!(get(Field::LastModified).unwrap().ends_with(" GMT"));
    let expected = Hint::ttl(Duration::from_secs(60)).stale_if_error(Duration::from_secs(5));
    assert_eq!(found.freshness, expected);

    let deaf = ObjectOrigin::new(ObjectOptions {
        honour_freshness: false,
        ..server.options()
    });
    let found = load(&deaf.unwrap(), "a").await.unwrap();
    assert_eq!(found.freshness, Hint::default());
}

#[tokio::test]
async fn a_stale_value_is_asked_for_with_a_condition() {
    let server = Server::start().await;
    let put = async |content| {
        let with = |input: &mut s3s::dto::PutObjectInput| {
            input.cache_control = Some("max-age=7".to_owned());
        };
        server.put_with("pre/a", content, with).await;
    };
    put("one").await;
    let origin = server.origin();
    let known = load(&origin, "a").await.unwrap().metadata;
    let key = Key::from("a");
    let again = async || {
        origin
            .load(Load::new(&key, 100).with_stale(&known))
            .await
            .unwrap()
    };

    let found = again().await;
    assert_eq!(found.content, Content::NotModified);
    assert_eq!(found.metadata, known);
    // The metadata is from the 304 itself.
    assert_eq!(found.freshness, Hint::ttl(Duration::from_secs(7)));
    let tag = str::from_utf8(known.get(Field::ETag).unwrap()).unwrap();
    assert_eq!(server.asked()[1].header("if-none-match"), Some(tag));

    put("two").await;
    assert_eq!(again().await.content, value("two"));
    std::fs::remove_file(server.file("pre/a")).unwrap();
    assert_eq!(again().await, Loaded::absent());
}

#[tokio::test]
async fn a_304_without_a_condition_is_a_failure() {
    let server = Server::start().await;
    server.acts(|_, _| Act::Status(304, ""));
    let (fault, _) = fault(&server.origin(), "a").await;
    assert_eq!(fault, OriginFault::Status(304));
}

#[tokio::test]
async fn wrong_keys_are_a_403_and_no_text_contains_them_or_the_key() {
    let server = Server::start().await;
    server.put("pre/private-key", "hello").await;
    let wrong = "wrong-wrong-wrong-wrong";
    let origin = ObjectOrigin::new(ObjectOptions {
        secret_access_key: Some(wrong.to_owned()),
        ..server.options()
    })
    .unwrap();
    let (told, text) = fault(&origin, "private-key").await;
    assert_eq!(told, OriginFault::Status(403));
    assert!(text.contains("s3://bucket/pre/{key}"), "{text}");
    assert!(text.contains("SignatureDoesNotMatch"), "{text}");
    for secret in [wrong, SECRET, support::ID, "private-key"] {
        assert!(!text.contains(secret), "{text}");
        assert!(!format!("{origin:?}").contains(secret));
    }
    assert_eq!(server.asked().len(), 1, "a retry would not help");

    let origin = ObjectOrigin::new(ObjectOptions {
        anonymous: true,
        access_key_id: None,
        secret_access_key: None,
        ..server.options()
    })
    .unwrap();
    let (told, _) = fault(&origin, "private-key").await;
    assert_eq!(told, OriginFault::Status(403));
    assert_eq!(server.asked()[1].header("authorization"), None);
}

#[tokio::test]
async fn a_missing_bucket_is_a_failure_and_not_an_absence() {
    let server = Server::start().await;
    server.acts(|_, _| Act::Status(404, "NoSuchBucket"));
    let (told, text) = fault(&server.origin(), "a").await;
    assert_eq!(told, OriginFault::Status(404));
    assert!(text.contains("no such bucket"), "{text}");
    server.acts(|_, _| Act::Status(404, "NoSuchKey"));
    assert_eq!(load(&server.origin(), "a").await.unwrap(), Loaded::absent());
}

#[tokio::test]
async fn a_404_of_what_is_no_store_is_a_failure_and_not_an_absence() {
    let server = Server::start().await;
    server.acts(|_, _| Act::Status(404, ""));
    let (told, text) = fault(&server.origin(), "a").await;
    assert_eq!(told, OriginFault::Status(404));
    assert!(text.contains("not an object store's"), "{text}");
    server.acts(|_, _| Act::Status(404, "NoSuchUpload"));
    let (told, text) = fault(&server.origin(), "a").await;
    assert_eq!(told, OriginFault::Status(404));
    assert!(text.contains("404 NoSuchUpload"), "{text}");
}

#[tokio::test]
async fn a_value_over_the_limit_is_refused_by_its_length_and_not_read() {
    let server = Server::start().await;
    server.put("pre/a", vec![7; 1000]).await;
    // A client that reads the body waits for its deadline.
    server.acts(|_, _| Act::SilentAfter(0));
    let key = Key::from("a");
    let error = server
        .origin()
        .load(Load::new(&key, 999))
        .await
        .unwrap_err();
    let expected = matches!(
        error,
        OriginError::TooLarge {
            len: Some(1000),
            limit: 999
        }
    );
    assert!(expected, "{error:?}");
    server.acts(|_, _| Act::Serve);
    assert!(server.origin().load(Load::new(&key, 1000)).await.is_ok());
}

#[tokio::test]
async fn a_key_that_leads_elsewhere_is_not_asked_for() {
    let server = Server::start().await;
    server.put("secret", "outside").await;
    let origin = server.origin();
    for key in [
        "",
        "/",
        "/secret",
        "../secret",
        "a//b",
        "a/",
        "%2e%2e/secret",
        "a\n",
        "\u{85}",
    ] {
        let (told, text) = fault(&origin, key).await;
        assert_eq!(told, OriginFault::Key, "{key:?}");
        assert!(!text.contains("secret"), "{text}");
    }
    let (told, _) = fault(&origin, &"k".repeat(1021)).await;
    assert_eq!(told, OriginFault::Key);
    assert!(server.asked().is_empty());
}
