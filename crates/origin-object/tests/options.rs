//! Options that cannot be used, and how the others are printed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use gaggle_origin_object::{ObjectOptions, ObjectOrigin};

const SECRET: &str = "hunter2";

fn options(url: &str) -> ObjectOptions {
    ObjectOptions {
        url: url.to_owned(),
        ..ObjectOptions::default()
    }
}

#[track_caller]
fn refused(options: ObjectOptions, field: &str, reason: &str) {
    let shown = format!("{options:?}");
    assert!(!shown.contains(SECRET), "{shown}");
    let error = ObjectOrigin::new(options).unwrap_err();
    let text = error.to_string();
    assert!(!text.contains(SECRET), "{text}");
    assert_eq!(error.field, field, "{text}");
    assert!(text.contains(reason), "{text}");
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn a_url_that_cannot_work_says_why() {
    for (url, reason) in [
        ("", "not a URL"),
        ("bucket", "not a URL"),
        ("ftp://bucket/", "s3://"),
        ("https://bucket.s3.amazonaws.com/", "s3://"),
        ("memory:///", "s3://"),
        ("s3://user:hunter2@bucket/", "password"),
        ("s3://bucket/?hunter2", "query"),
    ] {
        refused(options(url), "url", reason);
    }
}

#[cfg(not(feature = "gcp"))]
#[test]
fn a_service_whose_feature_is_off_says_so() {
    refused(options("gs://bucket/"), "url", "feature `gcp`");
}

#[cfg(feature = "aws")]
#[test]
fn bounds_are_checked() {
    let base = ObjectOptions {
        anonymous: true,
        ..options("s3://bucket/")
    };
    assert!(ObjectOrigin::new(base.clone()).is_ok());
    let zero = Duration::ZERO;
    for (field, options) in [
        (
            "connect_timeout",
            ObjectOptions {
                connect_timeout: zero,
                ..base.clone()
            },
        ),
        (
            "read_timeout",
            ObjectOptions {
                read_timeout: zero,
                ..base.clone()
            },
        ),
        (
            "timeout",
            ObjectOptions {
                timeout: zero,
                ..base.clone()
            },
        ),
        (
            "retries",
            ObjectOptions {
                retries: 11,
                ..base.clone()
            },
        ),
        (
            "part_size",
            ObjectOptions {
                part_size: 65_535,
                ..base.clone()
            },
        ),
        (
            "parts",
            ObjectOptions {
                parts: 0,
                ..base.clone()
            },
        ),
        (
            "parts",
            ObjectOptions {
                parts: 33,
                ..base.clone()
            },
        ),
    ] {
        refused(options, field, "must be");
    }
    for path in ["", "{key}/{key}", "/{key}", "../{key}"] {
        let path = path.to_owned();
        refused(
            ObjectOptions {
                path,
                ..base.clone()
            },
            "path",
            "",
        );
    }
}

#[cfg(feature = "aws")]
#[test]
fn keys_and_endpoints_of_s3_are_checked_and_never_shown() {
    let base = options("s3://bucket/");
    let with_keys = ObjectOptions {
        access_key_id: some("id"),
        secret_access_key: some(SECRET),
        token: some(SECRET),
        ..base.clone()
    };
    assert!(ObjectOrigin::new(with_keys.clone()).is_ok());
    let half = ObjectOptions {
        secret_access_key: some(SECRET),
        ..base.clone()
    };
    refused(half, "access_key_id", "missing");
    let half = ObjectOptions {
        access_key_id: some(SECRET),
        ..base.clone()
    };
    refused(half, "secret_access_key", "missing");
    let half = ObjectOptions {
        token: some(SECRET),
        ..base.clone()
    };
    refused(half, "access_key_id", "missing");
    let both = ObjectOptions {
        anonymous: true,
        ..with_keys.clone()
    };
    refused(both, "anonymous", "not signed");
    for (endpoint, reason) in [
        ("hunter2", "not a URL"),
        ("http://127.0.0.1:9000", "allow_http"),
        ("https://user:hunter2@host", "password"),
        ("https://host/?hunter2", "query"),
        ("ftp://host", "https://"),
    ] {
        let endpoint = some(endpoint);
        refused(
            ObjectOptions {
                endpoint,
                ..with_keys.clone()
            },
            "endpoint",
            reason,
        );
    }
    for (name, value, field, reason) in [
        ("aws_nonsense", SECRET, "options", "aws_nonsense"),
        ("timeout", SECRET, "options", "client"),
        ("aws_unsigned_payload", SECRET, "url", "…"),
    ] {
        let options = [(name.to_owned(), value.to_owned())].into();
        refused(
            ObjectOptions {
                options,
                ..with_keys.clone()
            },
            field,
            reason,
        );
    }
}

#[cfg(feature = "gcp")]
#[test]
fn google_cloud_storage_takes_a_token() {
    let base = ObjectOptions {
        token: some(SECRET),
        ..options("gs://bucket/p")
    };
    assert!(!format!("{base:?}").contains(SECRET));
    assert!(ObjectOrigin::new(base.clone()).is_ok());
    let keyed = ObjectOptions {
        secret_access_key: some(SECRET),
        ..base.clone()
    };
    refused(keyed, "secret_access_key", "gs://");
    let regional = ObjectOptions {
        region: some("eu"),
        ..base
    };
    refused(regional, "region", "gs://");
}

#[cfg(feature = "azure")]
#[test]
fn azure_takes_an_account_and_its_key() {
    let base = ObjectOptions {
        access_key_id: some("account"),
        secret_access_key: some("aHVudGVyMg=="),
        ..options("az://container/p")
    };
    assert!(!format!("{base:?}").contains("aHVudGVyMg"));
    assert!(ObjectOrigin::new(base.clone()).is_ok());
    let host = "abfs://fs@account.dfs.core.windows.net/p".to_owned();
    assert!(
        ObjectOrigin::new(ObjectOptions {
            url: host,
            ..base.clone()
        })
        .is_ok()
    );
    let styled = ObjectOptions {
        virtual_hosted_style: true,
        ..base
    };
    refused(styled, "virtual_hosted_style", "az://");
}
