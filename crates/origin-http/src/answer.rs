//! An answer, and how its body is read.

use std::time::Duration;

use bytes::Bytes;
#[cfg(feature = "batch")]
use gaggle_group::{ByteBudget, Reservation};
use gaggle_group::{Load, OriginError, OriginFault};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Response, StatusCode};
use tokio::time::timeout;

use crate::body::{Bounds, Unread, fill};
use crate::buffer::Buffer;
use crate::connections::Exchange;
use crate::error::Failure;

/// The most bytes that are read of a body that is not a value, so that its connection can be used
/// again.
const MAX_DRAINED: u64 = 16 << 10;
/// How long that may take if the load continues at another URL.
const DRAIN_WITHIN: Duration = Duration::from_millis(100);
/// The most of it that is logged, in bytes.
const MAX_LOGGED: usize = 200;

/// An answer whose body is not read yet.
pub(crate) struct Answer<'a> {
    pub(crate) response: Response<Incoming>,
    pub(crate) exchange: Exchange<'a>,
    /// The URL that gave it, for errors and logs.
    pub(crate) name: &'a str,
    pub(crate) read_timeout: Duration,
}

impl Answer<'_> {
    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    pub(crate) fn failure(&self, reason: impl Into<String>) -> Failure {
        Failure::new(self.name, reason)
    }

    /// Ends it without the rest of its body.
    pub(crate) fn end(self) -> HeaderMap {
        self.exchange.end();
        self.response.into_parts().0.headers
    }

    /// The whole body, which is a value.
    pub(crate) async fn value(self, load: Load<'_>) -> Result<Bytes, OriginError> {
        let bounds = Bounds {
            limit: load.max_value,
            patience: self.read_timeout,
            budget: load.budget,
        };
        let (name, patience) = (self.name, self.read_timeout);
        self.read(bounds).await.map_err(|unread| match unread {
            Unread::TooLarge { len } => OriginError::TooLarge {
                len,
                limit: load.max_value,
            },
            other => failed(name, patience, other),
        })
    }

    /// The whole body, from which values are read, and its reservation.
    #[cfg(feature = "batch")]
    pub(crate) async fn text(
        self,
        limit: u64,
        budget: Option<&ByteBudget>,
    ) -> Result<(Vec<u8>, Option<Reservation>), OriginError> {
        let bounds = Bounds {
            limit,
            patience: self.read_timeout,
            budget,
        };
        let (name, patience) = (self.name, self.read_timeout);
        let read = self.fill(bounds).await.map(Buffer::into_parts);
        read.map_err(|unread| failed(name, patience, unread))
    }

    async fn read(self, bounds: Bounds<'_>) -> Result<Bytes, Unread<hyper::Error>> {
        self.fill(bounds).await.map(Buffer::finish)
    }

    async fn fill<'b>(self, bounds: Bounds<'b>) -> Result<Buffer<'b>, Unread<hyper::Error>> {
        let Self {
            response,
            mut exchange,
            ..
        } = self;
        let read = fill(response.into_body(), bounds, || exchange.heard()).await;
        if !matches!(read, Err(Unread::Silent(_))) {
            exchange.end();
        }
        read
    }

    /// The failure for another status of a request for one key. If the status blames the request,
    /// the key is at fault, since nothing else differs between requests: the service works, and
    /// other keys must not be blocked.
    pub(crate) async fn refusal_of_one(self) -> OriginError {
        let status = self.status();
        let refusal = self.refusal("").await;
        if is_about_the_key(status) {
            refusal.known_as(OriginFault::Key)
        } else {
            refusal
        }
    }

    /// The failure for another status. The body is logged but not part of the failure, since
    /// services often repeat the key there.
    pub(crate) async fn refusal(self, note: &str) -> OriginError {
        let (name, status) = (self.name, self.status());
        let body = self.drain().await;
        tracing::debug!(url = %name, %status, body = %excerpt(&body), "the origin refused");
        let redirect = if status.is_redirection() {
            ", and redirects are not followed"
        } else {
            ""
        };
        Failure::new(name, format!("answered {status}{redirect}{note}"))
            .told(OriginFault::Status(status.as_u16()))
    }

    /// Reads the rest of a short body, so that its connection can be used again.
    pub(crate) async fn drain(self) -> Bytes {
        let bounds = Bounds {
            limit: MAX_DRAINED,
            patience: self.read_timeout,
            budget: None,
        };
        self.read(bounds).await.unwrap_or_default()
    }

    /// The same for an answer without a waiter: one that takes long costs its connection.
    pub(crate) async fn drop_soon(self) {
        // Over its time, the body is dropped, and its connection with it.
        let _ = timeout(DRAIN_WITHIN, self.drain()).await;
    }
}

/// Whether a status says that the service does not accept the request.
fn is_about_the_key(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::URI_TOO_LONG
            | StatusCode::UNPROCESSABLE_ENTITY
            | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    )
}

/// The error for an incomplete body; its length has its own error.
pub(crate) fn failed(name: &str, patience: Duration, unread: Unread<hyper::Error>) -> OriginError {
    match unread {
        Unread::TooLarge { .. } => {
            Failure::new(name, "the answer is too long").told(OriginFault::Unusable)
        }
        Unread::OverBudget(over) => over.into(),
        Unread::Silent(elapsed) => {
            Failure::new(name, format!("no more of the body within {patience:?}"))
                .caused_by(elapsed)
                .told(OriginFault::TimedOut)
        }
        Unread::Broken(error) => Failure::new(name, "the body broke off")
            .caused_by(error)
            .told(OriginFault::BrokeOff),
    }
}

/// The beginning of a body, fit for a log.
fn excerpt(body: &[u8]) -> String {
    let start = &body[..body.len().min(MAX_LOGGED)];
    String::from_utf8_lossy(start).escape_debug().collect()
}
