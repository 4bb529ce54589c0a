//! Requests to services that no test server emulates: what is sent, and what refusals mean.
#![cfg(all(feature = "gcp", feature = "azure"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use gaggle_group::{Loaded, OriginFault};
use gaggle_origin_object::{ObjectOptions, ObjectOrigin};

use support::{Act, Server, load};

fn options(server: &Server, url: &str) -> ObjectOptions {
    ObjectOptions {
        url: url.to_owned(),
        endpoint: Some(format!("http://{}", server.address)),
        allow_http: true,
        ..ObjectOptions::default()
    }
}

async fn refusals(
    server: &Server,
    origin: &ObjectOrigin,
    none: &'static str,
    no_bucket: &'static str,
) {
    server.acts(move |_, _| Act::Status(404, none));
    assert_eq!(load(origin, "a/b c").await.unwrap(), Loaded::absent());
    for (status, code) in [
        (404, no_bucket),
        (404, "ResourceNotFound"),
        (404, ""),
        (401, ""),
        (403, "AccessDenied"),
        (503, "Busy"),
    ] {
        server.acts(move |_, _| Act::Status(status, code));
        let error = load(origin, "a/b c").await.unwrap_err();
        assert_eq!(error.fault(), OriginFault::Status(status), "{error}");
        let text = error.to_string();
        assert!(!text.contains("b c") && !text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn google_cloud_storage_is_asked_with_a_token_and_for_what_is_stored() {
    let server = Server::start().await;
    let origin = ObjectOrigin::new(ObjectOptions {
        token: Some("hunter2".to_owned()),
        retries: 0,
        ..options(&server, "gs://bucket/pre")
    });
    refusals(&server, &origin.unwrap(), "NoSuchKey", "NoSuchBucket").await;
    let asked = &server.asked()[0];
    assert_eq!(asked.header("authorization"), Some("Bearer hunter2"));
    assert_eq!(asked.header("accept-encoding"), Some("gzip"));
    assert!(asked.target.starts_with("/bucket/pre"), "{}", asked.target);
    assert!(asked.target.ends_with("b%20c"), "{}", asked.target);
}

#[tokio::test]
async fn azure_is_asked_with_a_signature() {
    let server = Server::start().await;
    let origin = ObjectOrigin::new(ObjectOptions {
        access_key_id: Some("account".to_owned()),
        secret_access_key: Some("aHVudGVyMg==".to_owned()),
        retries: 0,
        ..options(&server, "az://container/pre")
    });
    refusals(
        &server,
        &origin.unwrap(),
        "BlobNotFound",
        "ContainerNotFound",
    )
    .await;
    let asked = &server.asked()[0];
    let authorization = asked.header("authorization").unwrap();
    assert!(authorization.starts_with("SharedKey account:"));
    assert_eq!(asked.header("accept-encoding"), None);
    assert!(
        asked.target.ends_with("/container/pre/a/b%20c"),
        "{}",
        asked.target
    );
}
