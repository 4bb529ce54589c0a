//! Which options are refused.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use gaggle_origin_http::{Allow, HttpOptions, HttpOrigin};

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
