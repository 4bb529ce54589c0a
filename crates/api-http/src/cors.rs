//! Which pages of other sites may read what the front door answers (the Fetch standard's CORS
//! protocol). No request has credentials here, so none are allowed.

use std::time::Duration;

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method};

use crate::trace::Asked;

/// What a page may read of an answer, beside what every page may.
const EXPOSED: &str = "accept-ranges, age, allow, cache-status, content-encoding, content-range, \
                       etag, retry-after, vary";
/// What a page may send.
const ACCEPTED: &str = "accept, accept-encoding, content-type, if-match, if-modified-since, \
                        if-none-match, if-range, if-unmodified-since, range, request-timeout, \
                        traceparent, tracestate, x-request-timeout";

/// The origins whose pages may read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cors {
    origins: Vec<HeaderValue>,
    any: bool,
    max_age: Duration,
}

impl Cors {
    /// `*` is every origin. What cannot be a header's value is no origin.
    pub(crate) fn new(origins: &[String], max_age: Duration) -> Self {
        let any = origins.iter().any(|origin| origin == "*");
        let origins = origins.iter().filter_map(|origin| origin.parse().ok());
        Self {
            origins: origins.collect(),
            any,
            max_age,
        }
    }

    fn is_off(&self) -> bool {
        !self.any && self.origins.is_empty()
    }

    /// Writes into an answer who may read it. `allowed` are the methods of what was asked for:
    /// where the request asks whether it may use one of them, the answer says so.
    pub(crate) fn apply(&self, asked: Asked<'_>, allowed: &'static str, to: &mut HeaderMap) {
        if self.is_off() {
            return;
        }
        let origin = asked.headers.get(ORIGIN);
        if self.any {
            // Also where no origin is named: a shared cache gives that answer to pages, too.
            to.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        } else {
            // Also where none is named: a cache must not give that answer to a page.
            to.append(VARY, HeaderValue::from_static("origin"));
            let known =
                origin.and_then(|origin| self.origins.iter().find(|known| *known == origin));
            if let Some(known) = known {
                to.insert(ACCESS_CONTROL_ALLOW_ORIGIN, known.clone());
            }
        }
        if !to.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
            return;
        }
        let asks = asked.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if asked.method == Method::OPTIONS && asks {
            let methods = HeaderValue::from_static(allowed);
            to.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
            let accepted = HeaderValue::from_static(ACCEPTED);
            to.insert(ACCESS_CONTROL_ALLOW_HEADERS, accepted);
            to.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.as_secs().into());
        } else {
            let exposed = HeaderValue::from_static(EXPOSED);
            to.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }
}
