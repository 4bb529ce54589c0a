//! The origin: one GET for each load.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gaggle_group::{Key, Loaded, Origin, OriginError};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Request, Response, StatusCode, Uri};
use tokio::time::timeout;

use crate::body::{Unread, read_whole};
use crate::client::{Client, client};
use crate::freshness::time_to_live;
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
    honour_max_age: bool,
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
                honour_max_age: options.honour_max_age,
            }),
        })
    }
}

#[async_trait]
impl Origin for HttpOrigin {
    async fn load(&self, key: &Key, max_value: u64) -> Result<Option<Loaded>, OriginError> {
        let inner = &*self.inner;
        let uri = inner
            .template
            .uri(key)
            .map_err(|error| inner.failed(error))?;
        let response = inner.ask(uri).await?;
        match response.status() {
            StatusCode::OK => inner.value(response, max_value).await.map(Some),
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                inner.drain(response.into_body()).await;
                Ok(None)
            }
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
    async fn ask(&self, uri: Uri) -> Result<Response<Incoming>, OriginError> {
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers.clone();
        match timeout(self.head_timeout, self.client.request(request)).await {
            Ok(answer) => answer.map_err(|error| self.failed(with_causes(&error))),
            Err(_) => Err(self.failed(format!("no answer within {:?}", self.head_timeout))),
        }
    }

    async fn value(
        &self,
        response: Response<Incoming>,
        max_value: u64,
    ) -> Result<Loaded, OriginError> {
        let ttl = self
            .honour_max_age
            .then(|| time_to_live(response.headers()))
            .flatten();
        match read_whole(response.into_body(), max_value, self.read_timeout).await {
            Ok(value) => Ok(Loaded { value, ttl }),
            Err(Unread::TooLarge { len }) => Err(OriginError::TooLarge {
                len,
                limit: max_value,
            }),
            Err(Unread::Silent) => Err(self.failed(format!(
                "no more of the body within {:?}",
                self.read_timeout
            ))),
            Err(Unread::Broken(error)) => {
                Err(self.failed(format!("the body broke off: {}", with_causes(&error))))
            }
        }
    }

    /// The failure that another status is. The body is logged and not part of it: services like to repeat the key there.
    async fn refusal(&self, status: StatusCode, body: Incoming) -> OriginError {
        let body = self.drain(body).await;
        tracing::debug!(url = %self.name, %status, body = %excerpt(&body), "the origin refused");
        let hint = if status.is_redirection() {
            ", and redirects are not followed"
        } else {
            ""
        };
        self.failed(format!("answered {status}{hint}"))
    }

    /// Reads what is left of a short body, without which its connection could not be used again.
    async fn drain(&self, body: Incoming) -> Bytes {
        read_whole(body, MAX_DRAINED, self.read_timeout)
            .await
            .unwrap_or_default()
    }

    fn failed(&self, reason: impl fmt::Display) -> OriginError {
        OriginError::failed(format!("{}: {reason}", self.name))
    }
}

/// The error and what caused it, in one line.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The beginning of a body, fit for a log.
fn excerpt(body: &[u8]) -> String {
    let start = &body[..body.len().min(MAX_LOGGED)];
    String::from_utf8_lossy(start).escape_debug().collect()
}
