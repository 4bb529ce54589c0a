//! The origin: a GET for each load.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use gaggle_group::{Hint, Load, Loaded, Metadata, Origin, OriginError, OriginFault};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Request, Response, StatusCode, Uri};
use tokio::time::timeout;

use crate::addresses::{Resolver, check_host};
use crate::body::{Bounds, Unread, read_whole};
use crate::client::Factory;
use crate::connections::{Connections, Exchange};
use crate::error::Failure;
use crate::freshness::hint;
use crate::metadata::{ask_for_changes, is_about_another, metadata, renewed};
use crate::template::{Template, public_part};
use crate::{Allow, HttpOptions, OptionsError};

/// The most that is read of a body that is no value, so that its connection can be used again.
const MAX_DRAINED: u64 = 16 << 10;
/// The most of it that is logged, in bytes.
const MAX_LOGGED: usize = 200;

/// A service asked over HTTP. A clone shares the connections.
#[derive(Clone)]
pub struct HttpOrigin {
    inner: Arc<Inner>,
}

struct Inner {
    template: Template,
    /// The template without its query, for errors and logs.
    name: String,
    headers: HeaderMap,
    connections: Connections,
    /// The longest wait for an answer to begin: a connection is part of it.
    head_timeout: Duration,
    read_timeout: Duration,
    honour_freshness: bool,
}

impl HttpOrigin {
    /// Checks the options and makes a client. Nothing is asked yet: a service that is down is a
    /// failure of loads.
    pub fn new(options: HttpOptions) -> Result<Self, OptionsError> {
        Self::allowing(options, Allow::default())
    }

    /// The same, and allows what is refused otherwise.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "options are written in place"
    )]
    pub fn allowing(options: HttpOptions, allow: Allow) -> Result<Self, OptionsError> {
        let refused = |reason| OptionsError {
            field: "url",
            reason,
        };
        let mut template = Template::parse(&options.url).map_err(refused)?;
        if allow.dot_segments {
            template = template.with_dot_segments();
        }
        if !allow.link_local {
            check_host(template.host()).map_err(|error| refused(error.to_string()))?;
        }
        options.check_timeouts()?;
        let headers = options.header_map()?;
        let resolver = Resolver::new(!allow.link_local);
        let factory = Factory::new(&options, template.is_https(), resolver)?;
        Ok(Self {
            inner: Arc::new(Inner {
                template,
                name: public_part(&options.url),
                headers,
                connections: Connections::new(factory),
                head_timeout: options.connect_timeout.saturating_add(options.read_timeout),
                read_timeout: options.read_timeout,
                honour_freshness: options.honour_freshness,
            }),
        })
    }
}

#[async_trait]
impl Origin for HttpOrigin {
    async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError> {
        let inner = &*self.inner;
        let uri = inner
            .template
            .uri(load.key)
            .map_err(|error| inner.failure("").caused_by(error).told(OriginFault::Key))?;
        let mut answer = inner.ask(&uri, load.stale).await?;
        if let Some(stale) = load.stale
            && answer.was_conditional
            && answer.response.status() == StatusCode::NOT_MODIFIED
        {
            answer.exchange.end();
            if !is_about_another(answer.response.headers(), stale) {
                return Ok(inner.unchanged(answer.response.headers(), stale));
            }
            answer = inner.ask(&uri, None).await?;
        }
        match answer.response.status() {
            StatusCode::OK => inner.value(answer, load).await,
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                let freshness = inner.freshness(answer.response.headers());
                inner.drain(answer).await;
                Ok(Loaded::absent().with_freshness(freshness))
            }
            StatusCode::NOT_MODIFIED if !answer.was_conditional => Err(inner
                .failure("answered 304 Not Modified to a request that had no conditions")
                .told(OriginFault::Status(304))),
            _ => Err(inner.refusal(answer).await),
        }
    }
}

/// An answer whose body is still to be read.
struct Answer<'a> {
    response: Response<Incoming>,
    exchange: Exchange<'a>,
    /// Whether the request asked for a value only if that differs from the one known.
    was_conditional: bool,
}

impl fmt::Debug for HttpOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOrigin")
            .field("url", &self.inner.name)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Asks for the value, where one is known by `stale` only if it differs from that.
    async fn ask(&self, uri: &Uri, stale: Option<&Metadata>) -> Result<Answer<'_>, OriginError> {
        let mut headers = self.headers.clone();
        let was_conditional = stale.is_some_and(|stale| ask_for_changes(&mut headers, stale));
        let request = || {
            let mut request = Request::new(Empty::<Bytes>::new());
            request.uri_mut().clone_from(uri);
            request.headers_mut().clone_from(&headers);
            request
        };
        match timeout(self.head_timeout, self.connections.send(request)).await {
            Ok(Ok((response, exchange))) => Ok(Answer {
                response,
                exchange,
                was_conditional,
            }),
            Ok(Err(error)) => {
                let fault = if error.is_connect() {
                    OriginFault::Unreachable
                } else {
                    OriginFault::BrokeOff
                };
                Err(self.failure("").caused_by(error).told(fault))
            }
            Err(elapsed) => {
                let reason = format!("no answer within {:?}", self.head_timeout);
                Err(self
                    .failure(reason)
                    .caused_by(elapsed)
                    .told(OriginFault::TimedOut))
            }
        }
    }

    async fn value(&self, answer: Answer<'_>, load: Load<'_>) -> Result<Loaded, OriginError> {
        let Answer {
            response,
            mut exchange,
            ..
        } = answer;
        let freshness = self.freshness(response.headers());
        let metadata = metadata(response.headers());
        let bounds = Bounds {
            limit: load.max_value,
            patience: self.read_timeout,
            budget: load.budget,
        };
        let read = read_whole(response.into_body(), bounds, || exchange.heard()).await;
        if !matches!(read, Err(Unread::Silent(_))) {
            exchange.end();
        }
        match read {
            Ok(value) => Ok(Loaded::value(value)
                .with_freshness(freshness)
                .with_metadata(metadata)),
            Err(Unread::TooLarge { len }) => Err(OriginError::TooLarge {
                len,
                limit: load.max_value,
            }),
            Err(Unread::OverBudget(over)) => Err(over.into()),
            Err(Unread::Silent(elapsed)) => {
                let reason = format!("no more of the body within {:?}", self.read_timeout);
                Err(self
                    .failure(reason)
                    .caused_by(elapsed)
                    .told(OriginFault::TimedOut))
            }
            Err(Unread::Broken(error)) => Err(self
                .failure("the body broke off")
                .caused_by(error)
                .told(OriginFault::BrokeOff)),
        }
    }

    fn unchanged(&self, headers: &HeaderMap, stale: &Metadata) -> Loaded {
        Loaded::not_modified()
            .with_freshness(self.freshness(headers))
            .with_metadata(renewed(headers, stale))
    }

    fn freshness(&self, headers: &HeaderMap) -> Hint {
        if self.honour_freshness {
            hint(headers, SystemTime::now())
        } else {
            Hint::default()
        }
    }

    /// The failure that another status is. The body is logged and not part of it: services like to
    /// repeat the key there.
    async fn refusal(&self, answer: Answer<'_>) -> OriginError {
        let status = answer.response.status();
        let body = self.drain(answer).await;
        tracing::debug!(url = %self.name, %status, body = %excerpt(&body), "the origin refused");
        let note = if status.is_redirection() {
            ", and redirects are not followed"
        } else {
            ""
        };
        self.failure(format!("answered {status}{note}"))
            .told(OriginFault::Status(status.as_u16()))
    }

    /// Reads what is left of a short body, without which its connection could not be used again.
    async fn drain(&self, answer: Answer<'_>) -> Bytes {
        let Answer {
            response,
            mut exchange,
            ..
        } = answer;
        let bounds = Bounds {
            limit: MAX_DRAINED,
            patience: self.read_timeout,
            budget: None,
        };
        let read = read_whole(response.into_body(), bounds, || exchange.heard()).await;
        if !matches!(read, Err(Unread::Silent(_))) {
            exchange.end();
        }
        read.unwrap_or_default()
    }

    fn failure(&self, reason: impl Into<String>) -> Failure {
        Failure::new(&self.name, reason)
    }
}

/// The beginning of a body, fit for a log.
fn excerpt(body: &[u8]) -> String {
    let start = &body[..body.len().min(MAX_LOGGED)];
    String::from_utf8_lossy(start).escape_debug().collect()
}
