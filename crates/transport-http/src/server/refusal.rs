//! The answers without a value.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use gaggle_group::{BadMetadata, Error, OverBudget, Verdict};
use gaggle_proto::terms::Terms;
use gaggle_proto::{MAX_HANDED, notices};
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode as Status};

use super::body::Unread;
use crate::batch::{MAX_ITEMS, MAX_REQUEST};
use crate::bounds::BadNotice;
use crate::escape::one_line;
use crate::headers::{BadNumber, BadRemoval, Reported};
use crate::terms::{self, BadTerms};

/// The longest text of an error, in bytes.
const MAX_TEXT: usize = 1 << 10;

/// Why a request gets no value.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The request is meant for the nodes of another cluster.
    OtherCluster,
    /// A web page sends the request.
    Page,
    /// The method is not supported.
    Method,
    /// The path is not below the base path.
    BasePath,
    /// No slash after the group, or a malformed escape.
    Malformed,
    /// A header is not a number.
    Number(BadNumber),
    /// A header does not name a removal.
    Removal(BadRemoval),
    /// The body of a batch is over the limit, or broke off.
    BatchBody,
    /// More keys in a batch than a server takes.
    BatchItems(usize),
    /// The body of a batch is not valid protobuf.
    BatchMessage(prost::DecodeError),
    /// The body of a control request is over the limit, or broke off.
    ControlBody { limit: usize },
    /// The body of a request did not arrive in time.
    Late,
    /// There is no room for the body of a request, or to write the value.
    NoRoom(OverBudget),
    /// More entries are handed over in one request than a server takes.
    Entries(usize),
    /// The removal in a control request is malformed or out of bounds.
    Notice(BadNotice),
    /// A value to keep has malformed terms.
    Terms(BadTerms),
    /// This node has no group of that name.
    NoGroup(Vec<u8>),
    /// There is no such key.
    Absent { key: Vec<u8>, terms: Terms },
    /// The group had no value of the key.
    Load { error: Error, key: Vec<u8> },
}

impl Refusal {
    /// For a removal that is malformed or out of bounds.
    pub(super) fn notice(bad: notices::BadNotice) -> Self {
        Self::Notice(bad.into())
    }

    /// For a value with malformed terms.
    pub(super) fn terms(bad: BadMetadata) -> Self {
        Self::Terms(bad.into())
    }

    /// For a request whose body was not read; `too_long` if that is the reason.
    pub(super) fn unread(unread: Unread, too_long: Self) -> Self {
        match unread {
            Unread::TooLong => too_long,
            Unread::Late => Self::Late,
            Unread::NoRoom(over) => Self::NoRoom(over),
        }
    }

    pub(super) fn into_response(self) -> Response {
        match self {
            Self::Method => {
                let mut response = line(Status::METHOD_NOT_ALLOWED, "method not allowed");
                let allowed = HeaderValue::from_static("GET, HEAD, POST, DELETE");
                response.headers_mut().insert(ALLOW, allowed);
                response
            }
            Self::Page => line(Status::FORBIDDEN, "web pages may not ask here"),
            Self::OtherCluster => line(
                Status::MISDIRECTED_REQUEST,
                "this node is of another cluster",
            ),
            Self::BasePath => line(Status::NOT_FOUND, "not found"),
            Self::Malformed => line(Status::BAD_REQUEST, "bad request"),
            Self::Number(bad) => line(Status::BAD_REQUEST, &format!("bad request: {bad}")),
            Self::BatchBody => {
                let text = format!("a batch has at most {MAX_REQUEST} bytes");
                line(Status::PAYLOAD_TOO_LARGE, &text)
            }
            Self::BatchItems(items) => {
                let text = format!("bad request: {items} keys, a batch has at most {MAX_ITEMS}");
                line(Status::BAD_REQUEST, &text)
            }
            Self::BatchMessage(bad) => line(Status::BAD_REQUEST, &format!("bad request: {bad}")),
            Self::Removal(bad) => line(Status::BAD_REQUEST, &format!("bad request: {bad}")),
            Self::ControlBody { limit } => {
                let text = format!("a control request has at most {limit} bytes");
                line(Status::PAYLOAD_TOO_LARGE, &text)
            }
            Self::Late => {
                let mut response = line(Status::REQUEST_TIMEOUT, "the body did not come in time");
                // The rest of the body is not read.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
                response
            }
            Self::NoRoom(over) => {
                let mut response = line(Status::SERVICE_UNAVAILABLE, &over.to_string());
                Reported::Failed(shed(&over)).write(response.headers_mut());
                response
            }
            Self::Entries(count) => {
                let text = format!("bad request: {count} entries, at most {MAX_HANDED} are taken");
                line(Status::BAD_REQUEST, &text)
            }
            Self::Notice(bad) => line(Status::BAD_REQUEST, &format!("bad request: {bad}")),
            Self::Terms(bad) => line(Status::BAD_REQUEST, &format!("bad request: {bad}")),
            Self::Absent { key, terms } => {
                let mut response = not_found(&key);
                terms::write(&terms, response.headers_mut());
                response
            }
            Self::NoGroup(name) => line(Status::NOT_FOUND, &no_group(&name)),
            Self::Load { error, key } => failure(&error, &key),
        }
    }
}

/// The verdict if there was no room: a load by the asker cannot help.
pub(super) fn shed(over: &OverBudget) -> Verdict {
    Verdict::Shed {
        limit: 0,
        retry_after: over.retry_after,
    }
}

pub(super) fn no_group(name: &[u8]) -> String {
    format!("no such group: {}", one_line(name, MAX_TEXT / 2))
}

fn not_found(key: &[u8]) -> Response {
    let text = format!("{} not found", one_line(key, MAX_TEXT / 2));
    let mut response = line(Status::NOT_FOUND, &text);
    Reported::NotFound.write(response.headers_mut());
    response
}

/// A status and a text like golang/groupcache's, and a verdict for askers that can read one.
fn failure(error: &Error, key: &[u8]) -> Response {
    let text = match Verdict::of(error) {
        None => return not_found(key),
        // Without the names that the asker adds anyway.
        Some(Verdict::OriginFailed { message }) => message,
        Some(_) => error.public().to_string(),
    };
    let (status, report) = match error {
        Error::KeyTooLong { limit, .. } => {
            failed(Status::URI_TOO_LONG, Verdict::KeyTooLong { limit: *limit })
        }
        Error::ValueTooLarge { len, limit, .. } => {
            let verdict = Verdict::ValueTooLarge {
                len: *len,
                limit: *limit,
            };
            failed(Status::PAYLOAD_TOO_LARGE, verdict)
        }
        Error::Origin { .. } | Error::Panicked { .. } => {
            let verdict = Verdict::OriginFailed {
                message: text.clone(),
            };
            failed(Status::INTERNAL_SERVER_ERROR, verdict)
        }
        Error::Deadline { after, .. } => {
            failed(Status::GATEWAY_TIMEOUT, Verdict::Deadline { after: *after })
        }
        Error::NotKept { .. } => failed(Status::NOT_FOUND, Verdict::NotKept),
        Error::Shed {
            why, retry_after, ..
        } => {
            let verdict = Verdict::Shed {
                limit: why.loads(),
                retry_after: *retry_after,
            };
            failed(Status::SERVICE_UNAVAILABLE, verdict)
        }
        // This node is shutting down, which says nothing about the key. There is no verdict, so
        // that the asker gets the value elsewhere.
        Error::Cancelled { .. } => (Status::SERVICE_UNAVAILABLE, None),
        _ => (Status::INTERNAL_SERVER_ERROR, None),
    };
    let mut response = line(status, &text);
    if let Some(report) = report {
        report.write(response.headers_mut());
    }
    response
}

fn failed(status: Status, verdict: Verdict) -> (Status, Option<Reported>) {
    (status, Some(Reported::Failed(verdict)))
}

/// A status with one line of text, in the form of Go's `http.Error`.
fn line(status: Status, text: &str) -> Response {
    let mut text = one_line(text.as_bytes(), MAX_TEXT);
    text.push('\n');
    let mut response = Response::new(Body::from(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_goes_down_gives_no_verdict() {
        let error = Error::Cancelled {
            group: "scores".into(),
        };
        let response = Refusal::Load {
            error,
            key: b"Tom".to_vec(),
        }
        .into_response();
        assert_eq!(response.status(), Status::SERVICE_UNAVAILABLE);
        assert_eq!(Reported::read(response.headers(), ""), Ok(None));
    }
}
