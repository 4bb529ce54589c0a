//! The origin: a GET for each load.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use gaggle_group::{Hint, Load, Loaded, Metadata, Origin, OriginError};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Request, Response, StatusCode, Uri};
use tokio::time::timeout;

use crate::body::{Unread, read_whole};
use crate::client::{Client, client};
use crate::error::Failure;
use crate::freshness::hint;
use crate::metadata::{ask_for_changes, is_about_another, metadata, renewed};
use crate::template::{Template, public_part};
use crate::{HttpOptions, OptionsError};

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
    client: Client,
    /// The longest wait for an answer to begin: a connection is part of it.
    head_timeout: Duration,
    read_timeout: Duration,
    honour_freshness: bool,
}

impl HttpOrigin {
    /// Checks the options and makes a client. Nothing is asked yet: a service that is down is a failure of loads.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "options are written in place"
    )]
    pub fn new(options: HttpOptions) -> Result<Self, OptionsError> {
        let template = Template::parse(&options.url).map_err(|reason| OptionsError {
            field: "url",
            reason,
        })?;
        options.check_timeouts()?;
        let headers = options.header_map()?;
        let client = client(&options, template.is_https())?;
        Ok(Self {
            inner: Arc::new(Inner {
                template,
                name: public_part(&options.url),
                headers,
                client,
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
            .map_err(|error| OriginError::failed(inner.failure("").caused_by(error)))?;
        let (mut response, mut conditional) = inner.ask(uri.clone(), load.stale).await?;
        if let Some(stale) = load.stale
            && conditional
            && response.status() == StatusCode::NOT_MODIFIED
        {
            if !is_about_another(response.headers(), stale) {
                return Ok(inner.unchanged(response.headers(), stale));
            }
            (response, conditional) = inner.ask(uri, None).await?;
        }
        match response.status() {
            StatusCode::OK => inner.value(response, load.max_value).await,
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                let freshness = inner.freshness(response.headers());
                inner.drain(response.into_body()).await;
                Ok(Loaded::absent().with_freshness(freshness))
            }
            StatusCode::NOT_MODIFIED if !conditional => Err(OriginError::failed(
                inner.failure("answered 304 Not Modified to a request that had no conditions"),
            )),
            status => Err(inner.refusal(status, response.into_body()).await),
        }
    }
}

impl fmt::Debug for HttpOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOrigin")
            .field("url", &self.inner.name)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Sends the request, and tells whether it asked for a value only if that differs from the one known by `stale`.
    async fn ask(
        &self,
        uri: Uri,
        stale: Option<&Metadata>,
    ) -> Result<(Response<Incoming>, bool), OriginError> {
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers.clone();
        let conditional = stale.is_some_and(|stale| ask_for_changes(request.headers_mut(), stale));
        match timeout(self.head_timeout, self.client.request(request)).await {
            Ok(Ok(answer)) => Ok((answer, conditional)),
            Ok(Err(error)) => Err(OriginError::failed(self.failure("").caused_by(error))),
            Err(elapsed) => {
                let reason = format!("no answer within {:?}", self.head_timeout);
                Err(OriginError::failed(self.failure(reason).caused_by(elapsed)))
            }
        }
    }

    async fn value(
        &self,
        response: Response<Incoming>,
        max_value: u64,
    ) -> Result<Loaded, OriginError> {
        let freshness = self.freshness(response.headers());
        let metadata = metadata(response.headers());
        match read_whole(response.into_body(), max_value, self.read_timeout).await {
            Ok(value) => Ok(Loaded::value(value)
                .with_freshness(freshness)
                .with_metadata(metadata)),
            Err(Unread::TooLarge { len }) => Err(OriginError::TooLarge {
                len,
                limit: max_value,
            }),
            Err(Unread::Silent(elapsed)) => {
                let reason = format!("no more of the body within {:?}", self.read_timeout);
                Err(OriginError::failed(self.failure(reason).caused_by(elapsed)))
            }
            Err(Unread::Broken(error)) => Err(OriginError::failed(
                self.failure("the body broke off").caused_by(error),
            )),
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

    /// The failure that another status is. The body is logged and not part of it: services like to repeat the key there.
    async fn refusal(&self, status: StatusCode, body: Incoming) -> OriginError {
        let body = self.drain(body).await;
        tracing::debug!(url = %self.name, %status, body = %excerpt(&body), "the origin refused");
        let note = if status.is_redirection() {
            ", and redirects are not followed"
        } else {
            ""
        };
        OriginError::failed(self.failure(format!("answered {status}{note}")))
    }

    /// Reads what is left of a short body, without which its connection could not be used again.
    async fn drain(&self, body: Incoming) -> Bytes {
        read_whole(body, MAX_DRAINED, self.read_timeout)
            .await
            .unwrap_or_default()
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
