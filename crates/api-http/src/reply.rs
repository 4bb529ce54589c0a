//! What is sent back but for values: documents, and refusals with the one place that says which
//! error has which status.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use gaggle_group::{Error, Group, OriginFault, OverBudget, Overload};
use http_body_util::{BodyExt as _, Empty};
use serde::Serialize;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The most characters of an error's text that are sent. What a peer says of a removal has no
/// bound of its own.
const MAX_ERROR_CHARS: usize = 1024;

/// One line of text.
pub(crate) fn text(status: StatusCode, line: impl Into<Cow<'static, str>>) -> Response {
    let mut response = Response::new(Body::from(line.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, TEXT);
    // The line may repeat what the client sent: no browser shall take it for a page.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// An answer that has no body by its status: 204 or 304.
pub(crate) fn nothing(status: StatusCode) -> Response {
    // Of no stated length: a 304 may have no `Content-Length` but that of the value, and a 204 none
    // at all (RFC 9110, section 8.6). axum would write 0 for a body that is known to be empty.
    let nothing = Empty::<Bytes>::new().map_frame(|frame| frame);
    let mut response = Response::new(Body::new(nothing));
    *response.status_mut() = status;
    response
}

/// The answer to `HEAD`: the same, its length included, but for the body.
pub(crate) fn without_body(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    if let Some(len) = body.size_hint().exact() {
        head.headers.insert(CONTENT_LENGTH, len.into());
    }
    Response::from_parts(head, Body::empty())
}

/// A JSON document, made for this request only.
pub(crate) fn json(status: StatusCode, content: &impl Serialize) -> Response {
    match serde_json::to_vec(content) {
        Ok(body) => document(status, Body::from(body)),
        Err(error) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            one_line(&error.to_string()),
        ),
    }
}

/// A JSON document that is written already, or is written as it is sent.
pub(crate) fn document(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// There is no room for the bytes of a request or of its answer.
pub(crate) fn no_room(group: &Group, over: &OverBudget) -> Error {
    Error::Shed {
        group: group.name().clone(),
        why: Overload::Bytes { limit: over.limit },
        retry_after: over.retry_after,
    }
}

/// A request that gets no value: the status, the line of text, and what else the client must know.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    line: String,
    allow: Option<&'static str>,
    retry_after: Option<u64>,
    /// What is said beside that.
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A refusal in the terms of RFC 9457. Its type is `about:blank`: the status says all there is to
/// say of the kind.
#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, line: String) -> Self {
        Self {
            status,
            line,
            allow: None,
            retry_after: None,
            headers: Vec::new(),
        }
    }

    /// The same with a header.
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The refusal as `application/problem+json`; `group` is the group that was asked.
    pub(crate) fn into_problem(self, group: Option<&str>) -> Response {
        let line = one_line(&self.line);
        let body = serde_json::to_vec(&Problem {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &line,
            group,
        });
        // Text can always be JSON.
        let mut response = Response::new(Body::from(body.unwrap_or_default()));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, PROBLEM);
        self.describe(response.headers_mut());
        response
    }

    fn describe(self, headers: &mut HeaderMap) {
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        headers.extend(self.headers);
    }

    pub(crate) fn bad_request(line: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, line)
    }

    pub(crate) fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no such path".to_owned())
    }

    pub(crate) fn no_such_group(name: &[u8]) -> Self {
        let name = String::from_utf8_lossy(name);
        Self::new(StatusCode::NOT_FOUND, format!("no such group: {name}"))
    }

    pub(crate) fn method(allow: &'static str) -> Self {
        let line = format!("method not allowed here; allowed: {allow}");
        Self {
            allow: Some(allow),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, line)
        }
    }

    /// There is no such key.
    pub(crate) fn not_found(key: &[u8]) -> Self {
        let key = String::from_utf8_lossy(key);
        Self::new(StatusCode::NOT_FOUND, format!("{key} not found"))
    }

    /// What was asked of a group and failed.
    pub(crate) fn failed(error: &Error) -> Self {
        Self {
            retry_after: retry_after(error),
            ..Self::new(status(error), error_line(&error.public()))
        }
    }

    /// The same with the name of the node that it is about.
    pub(crate) fn about(mut self, node: &str) -> Self {
        self.line = format!("{} ({node})", self.line);
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = text(self.status, one_line(&self.line));
        self.describe(response.headers_mut());
        response
    }
}

/// The status that answers a failed get: for routes of a program's own, so that its clients are
/// told what the front door's would be.
///
/// ```
/// use axum::http::StatusCode;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use gaggle_group::Group;
/// let scores = Group::builder("scores").origin_fn(|_| async { Ok::<Option<&str>, &str>(None) }).build()?;
/// let error = scores.get("Kesa").await.unwrap_err();
/// assert_eq!(gaggle_api_http::status(&error), StatusCode::NOT_FOUND);
/// assert_eq!(gaggle_api_http::retry_after(&error), None);
/// # Ok(()) }
/// ```
pub fn status(error: &Error) -> StatusCode {
    match error {
        Error::NotFound { .. } => StatusCode::NOT_FOUND,
        Error::KeyTooLong { .. } => StatusCode::URI_TOO_LONG,
        Error::ValueTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Error::Origin { source, .. } if source.fault() == OriginFault::Key => {
            StatusCode::BAD_REQUEST
        }
        Error::Origin { .. } | Error::Panicked { .. } | Error::Owner { .. } => {
            StatusCode::BAD_GATEWAY
        }
        Error::Cancelled { .. } | Error::Shed { .. } => StatusCode::SERVICE_UNAVAILABLE,
        // No get here asks for what is in memory alone. If one did, this is what RFC 9111 (section
        // 5.2.1.7) has for it.
        Error::Deadline { .. } | Error::NotKept { .. } => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The text of an error: one line of at most [`MAX_ERROR_CHARS`] characters (before escapes).
pub(crate) fn error_line(error: &impl std::fmt::Display) -> String {
    let mut line = error.to_string();
    if let Some((end, _)) = line.char_indices().nth(MAX_ERROR_CHARS) {
        line.truncate(end);
        line.push('…');
    }
    one_line(&line)
}

/// When to come back, in whole seconds, for the answers with 503: the value of `Retry-After`.
pub fn retry_after(error: &Error) -> Option<u64> {
    match error {
        Error::Shed { retry_after, .. } => Some(whole_seconds(*retry_after)),
        // The runtime is shutting down: another node, or this one after its restart.
        Error::Cancelled { .. } => Some(1),
        _ => None,
    }
}

/// Rounded up: a client that came back too early would be shed again.
fn whole_seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

/// The text with whatever would break the line escaped: control characters and Unicode's line
/// separators.
fn one_line(text: &str) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if breaks(c) {
            // Writing to a String cannot fail.
            let _ = write!(line, "{}", c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gaggle_group::{OriginError, PeerError};

    use super::*;

    fn every_error() -> Vec<(Error, u16, Option<u64>)> {
        let group: Arc<str> = "scores".into();
        let g = || Arc::clone(&group);
        let ms = Duration::from_millis;
        vec![
            (Error::NotFound { group: g() }, 404, None),
            (
                Error::KeyTooLong {
                    group: g(),
                    len: 5,
                    limit: 4,
                },
                414,
                None,
            ),
            (
                Error::ValueTooLarge {
                    group: g(),
                    len: Some(5),
                    limit: 4,
                },
                413,
                None,
            ),
            (
                Error::Origin {
                    group: g(),
                    peer: None,
                    source: OriginError::failed("down"),
                },
                502,
                None,
            ),
            (
                Error::Origin {
                    group: g(),
                    peer: None,
                    source: OriginError::failed("no").known_as(OriginFault::Key),
                },
                400,
                None,
            ),
            (
                Error::Panicked {
                    group: g(),
                    message: "oh".into(),
                },
                502,
                None,
            ),
            (
                Error::Owner {
                    group: g(),
                    source: PeerError::Unavailable {
                        peer: "http://b:1".into(),
                        reason: "down".into(),
                    },
                },
                502,
                None,
            ),
            (Error::Cancelled { group: g() }, 503, Some(1)),
            (Error::NotKept { group: g() }, 504, None),
            (
                Error::Deadline {
                    group: g(),
                    after: ms(5),
                },
                504,
                None,
            ),
            (
                Error::Shed {
                    group: g(),
                    why: Overload::Loads { limit: 1 },
                    retry_after: ms(0),
                },
                503,
                Some(1),
            ),
            (
                Error::Shed {
                    group: g(),
                    why: Overload::Loads { limit: 1 },
                    retry_after: ms(2_001),
                },
                503,
                Some(3),
            ),
            (
                Error::Shed {
                    group: g(),
                    why: Overload::Loads { limit: 1 },
                    retry_after: ms(2_000),
                },
                503,
                Some(2),
            ),
        ]
    }

    #[test]
    fn each_kind_of_overload_says_what_there_is_no_room_for() {
        for (why, text) in [
            (Overload::Loads { limit: 7 }, "7 loads are under way"),
            (
                Overload::Queue { limit: 7 },
                "the queue for the origin is full",
            ),
            (Overload::OriginDown, "the origin is failing"),
            (Overload::Bytes { limit: 7 }, "7 bytes are in flight"),
            (Overload::Owner { limit: 7 }, "the key's owner has no room"),
        ] {
            let error = Error::Shed {
                group: "scores".into(),
                why,
                retry_after: Duration::ZERO,
            };
            let Refusal {
                status,
                line,
                retry_after,
                ..
            } = Refusal::failed(&error);
            assert_eq!((status.as_u16(), retry_after), (503, Some(1)));
            assert!(line.contains(text), "{line}");
        }
    }

    #[test]
    fn each_error_has_its_status_and_each_503_says_when_to_come_back() {
        for (error, status, retry) in every_error() {
            let response = Refusal::failed(&error).into_response();
            assert_eq!(response.status().as_u16(), status, "{error}");
            let told = response
                .headers()
                .get(RETRY_AFTER)
                .map(|v| v.to_str().unwrap().to_owned());
            assert_eq!(told, retry.map(|seconds| seconds.to_string()), "{error}");
            assert_eq!(status == 503, retry.is_some(), "{error}");
        }
    }

    #[test]
    fn an_error_is_one_bounded_line() {
        let group = format!("first\r\nsecond{}", "x".repeat(10_000));
        let error = Error::NotFound {
            group: group.into(),
        };
        let line = Refusal::failed(&error).line;
        assert!(line.contains(r"first\r\nsecond"), "{line}");
        assert!(!line.contains('\n') && line.chars().count() < 1_100);
        assert_eq!(one_line("a\u{2028}b\0张"), "a\\u{2028}b\\u{0}张");
    }

    #[test]
    fn no_error_tells_where_it_failed() {
        for (error, ..) in every_error() {
            let line = Refusal::failed(&error).line;
            assert!(
                !line.contains("http://b:1") && !line.contains("down"),
                "{line}"
            );
        }
    }
}
