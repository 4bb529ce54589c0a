//! The options that are refused.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use gaggle_origin_http::{Allow, BatchOptions, BearerSource, HttpOptions, HttpOrigin};

#[test]
fn an_option_that_cannot_work_is_an_error_that_names_it() {
    let good = || HttpOptions {
        url: "http://h/{key}".to_owned(),
        ..HttpOptions::default()
    };
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let url = |url: &str| HttpOptions {
        url: url.to_owned(),
        ..good()
    };
    for (field, options) in [
        ("url", HttpOptions::default()),
        ("url", url("http://h/")),
        ("url", url("ftp://h/{key}")),
        ("url", url("http://169.254.169.254/latest/{key}")),
        ("url", url("http://[fe80::1]:80/{key}")),
        ("url", url("http://[::ffff:169.254.169.254]/{key}")),
        (
            "connect_timeout",
            HttpOptions {
                connect_timeout: Duration::ZERO,
                ..good()
            },
        ),
        (
            "read_timeout",
            HttpOptions {
                read_timeout: Duration::ZERO,
                ..good()
            },
        ),
        (
            "headers",
            HttpOptions {
                headers: header("a b", "x"),
                ..good()
            },
        ),
        (
            "headers",
            HttpOptions {
                headers: header("a", "secret\n"),
                ..good()
            },
        ),
        (
            "headers",
            HttpOptions {
                headers: header("Authorization: Bearer secret", ""),
                ..good()
            },
        ),
        (
            "headers",
            HttpOptions {
                headers: header("Content-Length", "5"),
                ..good()
            },
        ),
    ] {
        let error = HttpOrigin::new(options).unwrap_err();
        assert_eq!(error.field, field, "{error}");
        assert!(error.to_string().contains(field) && !error.to_string().contains("secret"));
    }
}

#[test]
fn an_option_of_more_than_one_url_is_checked_like_the_first() {
    let good = || HttpOptions {
        url: "http://h/{key}".to_owned(),
        ..HttpOptions::default()
    };
    let fallbacks = |urls: &[&str]| HttpOptions {
        fallbacks: urls.iter().map(|&url| url.to_owned()).collect(),
        ..good()
    };
    for (urls, reason) in [
        (&["http://h/"][..], "number 1: must contain {key}"),
        (
            &["http://h2/{key}", "ftp://h/{key}"],
            "number 2: must begin",
        ),
        (&["http://169.254.169.254/{key}"], "link-local"),
        (&["http://secret@h/{key}"], "user or password"),
        (&["http://h/{key}"; 17], "at most 16"),
    ] {
        let error = HttpOrigin::new(fallbacks(urls)).unwrap_err();
        assert_eq!(error.field, "fallbacks", "{error}");
        assert!(error.reason.contains(reason), "{error}");
        assert!(!error.reason.contains("secret"), "{error}");
    }
    let allow = Allow {
        link_local: true,
        ..Allow::default()
    };
    let local = fallbacks(&["http://169.254.169.254/{key}"]);
    assert!(HttpOrigin::allowing(local, allow).is_ok());
}

#[test]
fn limits_and_tokens_that_cannot_be_used_are_errors_that_name_the_field() {
    let good = || HttpOptions {
        url: "http://h/{key}".to_owned(),
        ..HttpOptions::default()
    };
    let text = |text: &str| Some(BearerSource::Text(text.to_owned()));
    for (field, options) in [
        (
            "total_timeout",
            HttpOptions {
                total_timeout: Some(Duration::ZERO),
                ..good()
            },
        ),
        (
            "retries",
            HttpOptions {
                retries: 11,
                ..good()
            },
        ),
        (
            "bearer",
            HttpOptions {
                bearer: text("secret\n"),
                ..good()
            },
        ),
        (
            "bearer",
            HttpOptions {
                bearer: text("secret"),
                headers: vec![("authorization".to_owned(), "secret".to_owned())],
                ..good()
            },
        ),
        (
            "bearer",
            HttpOptions {
                bearer: Some(BearerSource::File("/no/such/file".into())),
                ..good()
            },
        ),
        (
            "client_key",
            HttpOptions {
                client_cert: Some("cert.pem".into()),
                ..good()
            },
        ),
        (
            "client_cert",
            HttpOptions {
                client_key: Some("key.pem".into()),
                ..good()
            },
        ),
        (
            "ca",
            HttpOptions {
                ca: Some("ca.pem".into()),
                ..good()
            },
        ),
    ] {
        let error = HttpOrigin::new(options).unwrap_err();
        assert_eq!(error.field, field, "{error}");
        assert!(error.to_string().contains(field) && !error.to_string().contains("secret"));
    }
}

#[test]
fn debug_shows_no_secret() {
    let options = HttpOptions {
        url: "http://h/secret/{key}".to_owned(),
        fallbacks: vec!["http://h2/?token=secret&key={key}".to_owned()],
        headers: vec![("X".to_owned(), "secret".to_owned())],
        bearer: Some(BearerSource::Text("secret".to_owned())),
        batch: Some(BatchOptions {
            url: "http://h3/secret".to_owned(),
            fallbacks: vec!["http://h4/secret".to_owned()],
            body: r#"{"secret":{keys}}"#.to_owned(),
            ..BatchOptions::default()
        }),
        ..HttpOptions::default()
    };
    let shown = format!("{options:?}");
    assert!(!shown.contains("secret"), "{shown}");
    for host in ["http://h/", "http://h2/", "http://h3/", "http://h4/"] {
        assert!(shown.contains(host), "{shown}");
    }
}

#[cfg(not(feature = "batch"))]
#[test]
fn a_batch_without_the_feature_is_an_error_that_says_so() {
    let options = HttpOptions {
        url: "http://h/{key}".to_owned(),
        batch: Some(BatchOptions::default()),
        ..HttpOptions::default()
    };
    let error = HttpOrigin::new(options).unwrap_err();
    assert!(
        error.field == "batch" && error.reason.contains("`batch`"),
        "{error}"
    );
}

#[test]
fn a_link_local_host_can_be_allowed() {
    let options = HttpOptions {
        url: "http://169.254.169.254/latest/{key}".to_owned(),
        ..HttpOptions::default()
    };
    let error = HttpOrigin::new(options.clone()).unwrap_err();
    assert!(error.reason.contains("link-local"), "{error}");
    let allow = Allow {
        link_local: true,
        ..Allow::default()
    };
    assert!(HttpOrigin::allowing(options, allow).is_ok());
}

#[cfg(not(feature = "tls"))]
#[test]
fn https_without_the_feature_is_an_error_that_says_so() {
    let options = HttpOptions {
        url: "https://h/{key}".to_owned(),
        ..HttpOptions::default()
    };
    let error = HttpOrigin::new(options).unwrap_err();
    assert!(
        error.field == "url" && error.reason.contains("`tls`"),
        "{error}"
    );
}
