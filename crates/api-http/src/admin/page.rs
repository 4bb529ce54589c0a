//! `GET /`: the page for people. It is one document without any other file, so that it works where
//! nothing but this port can be reached, and it shows what the JSON endpoints of this port answer.

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

const DOCUMENT: &str = include_str!("page/page.html");

const STYLE: &str = include_str!("page/page.css");

/// One script: the parts share their names.
const SCRIPT: &str = concat!(
    include_str!("page/format.js"),
    include_str!("page/dom.js"),
    include_str!("page/client.js"),
    include_str!("page/health.js"),
    include_str!("page/cluster.js"),
    include_str!("page/plots.js"),
    include_str!("page/groups.js"),
    include_str!("page/lookup.js"),
    include_str!("page/main.js"),
);

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The page as it is sent. It holds nothing of the node, so it is the same for each request.
#[derive(Clone)]
pub(super) struct Page {
    document: Bytes,
    policy: HeaderValue,
}

impl Page {
    pub(super) fn new() -> Self {
        let document = DOCUMENT
            .replacen("{style}", STYLE, 1)
            .replacen("{script}", SCRIPT, 1);
        Self {
            document: Bytes::from(document),
            policy: policy(),
        }
    }

    pub(super) fn answer(&self) -> Response {
        let mut response = Response::new(Body::from(self.document.clone()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, self.policy.clone());
        for (name, value) in [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            // The next version of the program has another page.
            (CACHE_CONTROL, "no-store"),
            (RESOURCE_POLICY, "same-origin"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// Only this script and this style are run, and only this port is asked. Keys are shown on the
/// page, and anybody who may ask for a key chooses its bytes: a key must not become markup, so
/// the browser is told to refuse scripts that would parse text as markup, too.
fn policy() -> HeaderValue {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
        hash(SCRIPT),
        hash(STYLE),
    );
    // It is ASCII. If it were not, the page would do nothing rather than anything.
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_put_together_once_and_is_small() {
        let page = Page::new();
        let document = std::str::from_utf8(&page.document).unwrap();
        assert!(document.contains(&format!("<style>{STYLE}</style>")));
        assert!(document.contains(&format!("<script>{SCRIPT}</script>")));
        assert!(document.len() < 120 << 10, "{} bytes", document.len());
        let policy = page.policy.to_str().unwrap();
        assert!(policy.contains("script-src 'sha256-"), "{policy}");
    }

    #[test]
    fn nothing_in_it_needs_what_the_policy_refuses() {
        // Those that end the element early, handlers and styles in attributes, other files, and
        // ways by which text becomes markup.
        assert!(!SCRIPT.contains("</script") && !SCRIPT.contains("<!--"));
        assert!(!STYLE.contains("</style") && !STYLE.contains("url("));
        for refused in [" style=", " onclick=", " src=", "javascript:", "http://"] {
            assert!(!DOCUMENT.contains(refused), "{refused}");
        }
        for refused in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ] {
            assert!(!SCRIPT.contains(refused), "{refused}");
        }
    }
}
