//! The meaning of answers.

use std::sync::Arc;
use std::time::Duration;

use gaggle_group::{Fetch, Fetched, OverBudget, PeerError, Verdict};
use gaggle_proto::terms::{Terms, absence, value as entry};
use http::header::CONTENT_TYPE;
use reqwest::Response;
use tokio::time::Instant;

use super::{Asker, MAX_ERROR};
use crate::client::body::{self, BodyError};
use crate::client::failure;
use crate::client::pool::Attempt;
use crate::encoding::PROTOBUF_TYPE;
use crate::escape::one_line;
use crate::headers::Reported;
use crate::terms;
use crate::{Encoding, message};

/// When to retry a peer that has the maximum of requests in flight.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Asker {
    /// The value of a 200, for a request that began at that time.
    pub(in crate::client) async fn found(
        &self,
        response: Response,
        fetch: &Fetch<'_>,
        began: Instant,
    ) -> Result<Fetched, PeerError> {
        let options = &self.options;
        let headers = response.headers();
        let terms =
            terms::read(headers).map_err(|bad| self.refused(format!("status 200, but {bad}")))?;
        // The opposite case cannot be detected: some send protobuf as octet-stream.
        let is_protobuf = headers
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind == PROTOBUF_TYPE);
        let overhead = match options.encoding {
            Encoding::Raw if is_protobuf => {
                return Err(self.refused("it sends protobuf, where raw values are agreed"));
            }
            Encoding::Raw => 0,
            Encoding::Protobuf => message::OVERHEAD,
        };
        let cap = fetch.max_value.saturating_add(overhead);
        // The reservation lasts until the value has an allocation of its own.
        let (body, _reserved) = body::read(response, cap, options.read_timeout, fetch.budget)
            .await
            .map_err(|error| self.unread(error, began))?;
        self.decoded(body, fetch.max_value, &terms)
    }

    fn decoded(&self, body: Vec<u8>, max_value: u64, terms: &Terms) -> Result<Fetched, PeerError> {
        let (value, minute_qps) = message::decode(self.options.encoding, body)
            .map_err(|error| self.refused(format!("status 200, but no protobuf: {error}")))?;
        let len = value.len() as u64;
        if len > max_value {
            return Err(self.oversized(len, max_value));
        }
        entry(value, terms)
            .map(|entry| Fetched::from(entry).asked_for(minute_qps))
            .map_err(|bad| self.refused(format!("status 200, but {bad}")))
    }

    /// The failure for a body that was not read, of a request that was sent at that time.
    pub(in crate::client) fn unread(&self, error: BodyError, sent: Instant) -> PeerError {
        match error {
            BodyError::TooLong { cap } => {
                self.refused(format!("status 200, but a body of more than {cap} bytes"))
            }
            BodyError::NoEnd => self.refused("status 200, but a body without a stated end"),
            BodyError::Stalled(pause) => self.broken(
                format!("nothing arrived for {pause:?} in the middle of a body"),
                sent,
            ),
            BodyError::Broken(error) => {
                let cause = failure::cause(&error);
                self.broken(format!("broke off in the middle of a body: {cause}"), sent)
            }
            BodyError::NoRoom(over) => self.no_room(&over),
        }
    }

    /// Waits for the rest of an answer that has begun; see [`Attempt`].
    pub(in crate::client) fn attempt(&self, until: Instant) -> Attempt<'_> {
        self.pool.attempt(Some(until))
    }

    /// More of an answer that had begun has arrived.
    pub(in crate::client) fn heard(&self) {
        self.pool.answered();
    }

    /// The connection of a request that was sent at that time has failed after the answer had
    /// begun.
    pub(in crate::client) fn broken(&self, reason: String, sent: Instant) -> PeerError {
        self.pool.failed(sent);
        self.unavailable(reason)
    }

    /// The meaning of an answer whose status is not 200.
    pub(in crate::client) async fn without_value(
        &self,
        response: Response,
        key: &[u8],
    ) -> Result<Fetched, PeerError> {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = body::start(response, MAX_ERROR, self.options.read_timeout).await;
        match Reported::read(&headers, &one_line(text.trim_ascii(), 1 << 10)) {
            Ok(Some(Reported::NotFound)) => terms::read(&headers)
                .and_then(|terms| Ok(absence(&terms)?.into()))
                .map_err(|bad| self.refused(format!("status {status}, but {bad}"))),
            Ok(Some(Reported::Failed(verdict))) => Err(self.verdict(verdict)),
            Ok(None) => Err(match failure::known(&self.name, &text, key) {
                Some(known) => self.refused(format!("status {status}: {known}")),
                None => self.refused(format!("status {status}")),
            }),
            Err(bad) => Err(self.refused(format!("status {status}, but {bad}"))),
        }
    }

    /// A value over the requested limit: a peer that follows the protocol answers that it is too
    /// large, and does not send it.
    pub(in crate::client) fn oversized(&self, len: u64, limit: u64) -> PeerError {
        self.refused(format!(
            "status 200, but a value of {len} bytes, where {limit} were asked for"
        ))
    }

    /// The maximum of requests to the peer is in flight.
    pub(in crate::client) fn full(&self, limit: usize) -> PeerError {
        self.verdict(Verdict::Shed {
            limit,
            retry_after: RETRY_AFTER,
        })
    }

    /// This node has no room for the answer. The same value from elsewhere would need the same
    /// room.
    pub(in crate::client) fn no_room(&self, over: &OverBudget) -> PeerError {
        self.verdict(Verdict::Shed {
            limit: 0,
            retry_after: over.retry_after,
        })
    }

    pub(in crate::client) fn verdict(&self, verdict: Verdict) -> PeerError {
        PeerError::Verdict {
            peer: self.name.clone(),
            verdict,
        }
    }

    pub(in crate::client) fn unavailable(&self, reason: impl Into<Arc<str>>) -> PeerError {
        PeerError::Unavailable {
            peer: self.name.clone(),
            reason: reason.into(),
        }
    }

    pub(in crate::client) fn refused(&self, reason: impl Into<Arc<str>>) -> PeerError {
        PeerError::Refused {
            peer: self.name.clone(),
            reason: reason.into(),
        }
    }

    pub(in crate::client) fn late(&self, after: Duration) -> PeerError {
        self.unavailable(format!("no answer within {after:?}"))
    }
}
