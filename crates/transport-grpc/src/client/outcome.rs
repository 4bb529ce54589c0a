//! The outcome of a call: an answer, or why there is none.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use gaggle_group::{Fetched, OverBudget, PeerError, Verdict};
use gaggle_proto::{terms, verdict};
use tonic::{Code, Status};

use crate::wire::{GetResponse, account, get_response::Result as Outcome, owned};

/// Why a call got no answer.
pub(super) enum Asked {
    /// It ended with this status, the peer's or tonic's own.
    Failed(Status),
    /// The peer does not admit this node.
    ShutOut(&'static str),
    /// It did not end in time.
    Late(Duration),
    /// It was not sent, since that many others were in flight until its deadline.
    Full(usize),
}

/// When to retry if the peer does not say.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Asked {
    pub(super) fn into_error(self, peer: &Arc<str>) -> PeerError {
        let peer = Arc::clone(peer);
        match self {
            Self::Late(within) => {
                let reason = format!("no answer within {within:?}").into();
                PeerError::Unavailable { peer, reason }
            }
            Self::ShutOut(reason) => {
                let reason = reason.into();
                PeerError::Refused { peer, reason }
            }
            // Neither says anything about the peer's health, and no load from elsewhere would
            // help.
            Self::Full(limit) => shed(peer, limit, RETRY_AFTER),
            Self::Failed(status) if no_room(&status).is_some() => {
                let retry_after = no_room(&status).map(|over| over.retry_after);
                shed(peer, 0, retry_after.unwrap_or(RETRY_AFTER))
            }
            Self::Failed(status)
                if status.code() == Code::ResourceExhausted && status.source().is_none() =>
            {
                shed(peer, 0, RETRY_AFTER)
            }
            Self::Failed(status) => {
                let reason = reason(&status, &peer).into();
                if speaks_against_health(&status) {
                    PeerError::Unavailable { peer, reason }
                } else {
                    PeerError::Refused { peer, reason }
                }
            }
        }
    }
}

fn shed(peer: Arc<str>, limit: usize, retry_after: Duration) -> PeerError {
    let verdict = Verdict::Shed { limit, retry_after };
    PeerError::Verdict { peer, verdict }
}

/// That there was no room here for the answer, if that is why it was not read.
pub(super) fn no_room(status: &Status) -> Option<&OverBudget> {
    let sources = std::iter::successors(status.source(), |&error| error.source());
    sources.filter_map(|error| error.downcast_ref()).next()
}

/// Whether the connection died before the request was sent. tonic then reports "cancelled", with
/// hyper's error as the source; the peer's own status never has a source. A stream that the peer
/// resets as cancelled looks the same, and may be retried as well: every request is idempotent.
pub(super) fn never_sent(status: &Status) -> bool {
    status.code() == Code::Cancelled && status.source().is_some()
}

/// A status with a source was made here, for a connection that failed, whatever its code: a reset
/// with `INTERNAL_ERROR` becomes "internal". A stream that ends without a status becomes
/// "unknown".
fn speaks_against_health(status: &Status) -> bool {
    status.source().is_some()
        || matches!(
            status.code(),
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown
        )
}

/// The status and the errors behind it, in one line of bounded length. The peer's own text may
/// contain a key in any form: it is logged at `debug`, where keys are allowed, and replaced here
/// by a known text, if there is one.
fn reason(status: &Status, peer: &str) -> String {
    let mut text = format!("{:?}", status.code());
    if status.source().is_none() {
        let said = account(status.message().escape_debug().to_string());
        tracing::debug!(peer, said, "a peer refuses");
        if let Some(known) = known(status.message()) {
            text.push_str(": ");
            text.push_str(known);
        }
    } else if !status.message().is_empty() {
        text.push_str(": ");
        text.push_str(status.message());
    }
    let mut source = status.source();
    while let Some(error) = source {
        let cause = error.to_string();
        // tonic repeats a cause as its message.
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    account(text)
}

fn known(said: &str) -> Option<&'static str> {
    [
        ("no such group", "it has no such group"),
        (
            "this node is of another cluster",
            "it is of another cluster",
        ),
        // tonic's own status, for an answer that arrived.
        (
            "Error, decoded message length too large",
            "the answer is too large",
        ),
        ("Error, message length too large", "the answer is too large"),
    ]
    .into_iter()
    .find_map(|(theirs, ours)| said.starts_with(theirs).then_some(ours))
}

/// Reads the peer's answer.
pub(crate) fn fetched(
    answer: GetResponse,
    max_value: u64,
    peer: &Arc<str>,
) -> Result<Fetched, PeerError> {
    let verdict = |verdict| PeerError::Verdict {
        peer: Arc::clone(peer),
        verdict,
    };
    let refused = |reason: &str| PeerError::Refused {
        peer: Arc::clone(peer),
        reason: reason.into(),
    };
    match answer.result {
        Some(Outcome::Value(message)) => {
            let len = message.value.len() as u64;
            // A peer that follows the protocol answers that the value is too large, and does not
            // send it.
            if len > max_value {
                let reason = format!("a value of {len} bytes, where {max_value} were asked for");
                return Err(refused(&reason));
            }
            terms::fetched(message, owned).map_err(|bad| refused(&bad.to_string()))
        }
        Some(Outcome::NotFound(terms)) => terms::absence(&terms)
            .map(Fetched::from)
            .map_err(|bad| refused(&bad.to_string())),
        Some(Outcome::NotKept(_)) => Err(verdict(Verdict::NotKept)),
        Some(Outcome::Failure(failure)) => Err(verdict::read(failure).map_or_else(
            || refused("it failed in a way that is not known here"),
            verdict,
        )),
        None => Err(refused("it answered with neither a value nor a failure")),
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use gaggle_group::Entry;

    use super::*;
    use crate::wire::{Failure, NotFound, Value};

    fn of(result: Option<Outcome>) -> Result<Entry, PeerError> {
        let fetched = fetched(GetResponse { result }, 1 << 20, &"http://peer".into());
        fetched.map(|fetched| fetched.entry)
    }

    fn value(value: Bytes) -> Option<Outcome> {
        Some(Outcome::Value(Value {
            value,
            ..Value::default()
        }))
    }

    #[test]
    fn a_small_value_does_not_keep_its_receive_buffer() {
        let buffer = BytesMut::zeroed(64 << 10).freeze();
        let value = of(value(buffer.slice(5..105))).unwrap().value.unwrap();
        assert_eq!(value.len(), 100);
        assert_eq!(value.try_into_mut().unwrap().capacity(), 100);
        assert!(buffer.is_unique(), "nothing else holds the buffer");
    }

    #[test]
    fn a_large_value_is_not_copied() {
        let buffer = BytesMut::zeroed(64 << 10).freeze();
        let value = of(value(buffer.clone())).unwrap().value.unwrap();
        assert_eq!(value.as_ptr(), buffer.as_ptr());
    }

    #[test]
    fn an_answer_that_says_nothing_is_refused() {
        let absent = of(Some(Outcome::NotFound(NotFound::default()))).unwrap();
        assert!(absent.value.is_none() && absent.freshness.is_over());
        for result in [None, Some(Outcome::Failure(Failure { kind: None }))] {
            assert!(matches!(of(result), Err(PeerError::Refused { .. })));
        }
    }

    #[test]
    fn what_a_peer_says_is_not_repeated_for_it_may_hold_the_key() {
        let text = |status| {
            Asked::Failed(status)
                .into_error(&"http://peer".into())
                .to_string()
        };
        for (code, said, expected) in [
            (Code::Internal, "no row for S2VzYQ==", "Internal"),
            (Code::Unknown, "Kesa", "Unknown"),
            (
                Code::NotFound,
                "no such group: Kesa",
                "NotFound: it has no such group",
            ),
        ] {
            assert_eq!(
                text(Status::new(code, said)),
                format!("peer http://peer: {expected}")
            );
        }
    }

    #[test]
    fn the_status_tells_whether_the_peer_is_alive() {
        let error = |status| Asked::Failed(status).into_error(&"http://peer".into());
        for code in [
            Code::Unavailable,
            Code::DeadlineExceeded,
            Code::Cancelled,
            Code::Unknown,
        ] {
            let error = error(Status::new(code, "x"));
            assert!(matches!(error, PeerError::Unavailable { .. }), "{code:?}");
        }
        for code in [
            Code::NotFound,
            Code::Unimplemented,
            Code::Internal,
            Code::OutOfRange,
        ] {
            let error = error(Status::new(code, "x"));
            assert!(matches!(error, PeerError::Refused { .. }), "{code:?}");
        }
        let shed = error(Status::new(Code::ResourceExhausted, "x"));
        assert!(matches!(shed, PeerError::Verdict { .. }), "{shed:?}");
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let mut broken = Status::internal("h2 protocol error");
        broken.set_source(Arc::new(reset));
        let error = error(broken);
        assert!(matches!(error, PeerError::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("connection reset"), "{error}");
    }
}
