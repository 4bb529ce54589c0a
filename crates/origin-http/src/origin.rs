//! The origin: a GET for each load, or a POST for several.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use gaggle_group::{Hint, Load, Loaded, Metadata, Origin, OriginError, OriginFault, TraceParent};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode, Uri};
use tokio::time::{Instant, timeout_at};

use crate::answer::Answer;
use crate::bearer::Bearer;
use crate::error::Failure;
use crate::freshness::hint;
use crate::metadata::{ask_for_changes, is_about_another, metadata, renewed};
use crate::service::Service;
use crate::template::{Template, Unaskable};
use crate::upstream::Ask;
use crate::{Allow, HttpOptions, OptionsError, setup};

/// A service that is reached over HTTP. A clone shares the connections.
#[derive(Clone)]
pub struct HttpOrigin {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    /// One for each URL of the service.
    pub(crate) templates: Vec<Template>,
    pub(crate) service: Service,
    pub(crate) common: Common,
    pub(crate) total_timeout: Option<Duration>,
    #[cfg(feature = "batch")]
    pub(crate) batch: Option<crate::batch::Batch>,
}

/// The parts that all requests share.
pub(crate) struct Common {
    pub(crate) headers: HeaderMap,
    pub(crate) bearer: Option<Bearer>,
    pub(crate) honour_freshness: bool,
    /// Whether requests carry their trace.
    pub(crate) send_trace: bool,
    /// Whether requests carry the time that is left.
    pub(crate) send_timeout: bool,
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

impl HttpOrigin {
    /// Checks the options, reads the files that they name, and makes a client. No request is sent
    /// yet: a service that is down is a failure of loads.
    pub fn new(options: HttpOptions) -> Result<Self, OptionsError> {
        Self::allowing(options, Allow::default())
    }

    /// The same, with exceptions from what is refused.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "options are written in place"
    )]
    pub fn allowing(options: HttpOptions, allow: Allow) -> Result<Self, OptionsError> {
        setup::origin(&options, allow)
    }
}

#[async_trait]
impl Origin for HttpOrigin {
    async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError> {
        let inner = &*self.inner;
        let time = Time::of("total_timeout", inner.total_timeout);
        let due = time.due(load.deadline);
        time.bound(inner.name(), inner.load(load, due)).await
    }

    #[cfg(feature = "batch")]
    fn max_batch(&self) -> usize {
        let batch = self.inner.batch.as_ref();
        batch.map_or(1, |batch| batch.max_keys)
    }

    #[cfg(feature = "batch")]
    async fn load_many(&self, loads: &[Load<'_>]) -> Vec<Result<Loaded, OriginError>> {
        crate::batch::load_many(self, loads).await
    }
}

impl fmt::Debug for HttpOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOrigin")
            .field("url", &self.inner.name())
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn name(&self) -> &str {
        let first = self.service.upstreams.first();
        first.map_or("", |upstream| &upstream.name)
    }

    async fn load(&self, load: Load<'_>, due: Due) -> Result<Loaded, OriginError> {
        let uris = self.uris(load.key).map_err(|error| {
            let failure = Failure::new(self.name(), "").caused_by(error);
            failure.told(OriginFault::Key)
        })?;
        let (mut answer, mut conditional) = self.ask(&uris, load.stale, load.trace, due).await?;
        if let Some(stale) = load.stale
            && conditional
            && answer.status() == StatusCode::NOT_MODIFIED
        {
            let headers = answer.end();
            if !is_about_another(&headers, stale) {
                return Ok(Loaded::not_modified()
                    .with_freshness(self.common.freshness(&headers))
                    .with_metadata(renewed(&headers, stale)));
            }
            (answer, conditional) = self.ask(&uris, None, load.trace, due).await?;
        }
        match answer.status() {
            StatusCode::OK => {
                let freshness = self.common.freshness(answer.headers());
                let metadata = metadata(answer.headers());
                Ok(Loaded::value(answer.value(load).await?)
                    .with_freshness(freshness)
                    .with_metadata(metadata))
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                let freshness = self.common.freshness(answer.headers());
                answer.drain().await;
                Ok(Loaded::absent().with_freshness(freshness))
            }
            StatusCode::NOT_MODIFIED if !conditional => Err(answer
                .failure("answered 304 Not Modified to a request that had no conditions")
                .told(OriginFault::Status(304))),
            _ => Err(answer.refusal_of_one().await),
        }
    }

    /// The key's URLs. It is refused if it cannot be requested from any one of them, so that no
    /// answer depends on which of them are up.
    fn uris(&self, key: &[u8]) -> Result<Vec<Uri>, Unaskable> {
        self.templates.iter().map(|it| it.uri(key)).collect()
    }

    /// Requests the value, and with `stale` only if it differs from that one; returns whether the
    /// request had that condition.
    async fn ask(
        &self,
        uris: &[Uri],
        stale: Option<&Metadata>,
        trace: Option<TraceParent>,
        due: Due,
    ) -> Result<(Answer<'_>, bool), OriginError> {
        let mut headers = self.common.headers(trace).await;
        let conditional = stale.is_some_and(|stale| ask_for_changes(&mut headers, stale));
        let ask = Ask {
            method: Method::GET,
            headers,
            body: Bytes::new(),
            due,
            send_timeout: self.common.send_timeout,
        };
        let answer = self.service.ask(&ask, uris).await?;
        Ok((answer, conditional))
    }
}

impl Common {
    /// The headers of a request that is sent now.
    pub(crate) async fn headers(&self, trace: Option<TraceParent>) -> HeaderMap {
        let mut headers = self.headers.clone();
        if let Some(trace) = trace.filter(|_| self.send_trace)
            && let Ok(value) = HeaderValue::try_from(trace.to_string())
        {
            headers.insert(TRACEPARENT, value);
        }
        if let Some(bearer) = &self.bearer {
            headers.insert(AUTHORIZATION, bearer.header().await);
        }
        headers
    }

    pub(crate) fn freshness(&self, headers: &HeaderMap) -> Hint {
        if self.honour_freshness {
            hint(headers, SystemTime::now())
        } else {
            Hint::default()
        }
    }
}

impl Due {
    /// How long a caller still waits, if that is known.
    pub(crate) fn left(&self) -> Option<Duration> {
        let now = Instant::now();
        self.wanted_until
            .map(|until| until.saturating_duration_since(now))
    }
}

/// A timeout for a whole operation, from now on.
#[derive(Clone, Copy)]
pub(crate) struct Time {
    /// The option that sets it.
    field: &'static str,
    limit: Option<Duration>,
    until: Option<Instant>,
}

/// When a load must be over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Due {
    /// By the options: the load fails.
    pub(crate) until: Option<Instant>,
    /// By the options or the group, whichever is sooner: no caller waits any more.
    pub(crate) wanted_until: Option<Instant>,
}

impl Time {
    pub(crate) fn of(field: &'static str, limit: Option<Duration>) -> Self {
        Self {
            field,
            limit,
            until: limit.and_then(|limit| Instant::now().checked_add(limit)),
        }
    }

    /// The same, for a load that its group waits for that long from now on.
    pub(crate) fn due(&self, deadline: Option<Duration>) -> Due {
        let wanted_until = deadline.and_then(|deadline| Instant::now().checked_add(deadline));
        Due {
            until: self.until,
            wanted_until: match (self.until, wanted_until) {
                (Some(until), Some(wanted_until)) => Some(until.min(wanted_until)),
                (until, wanted_until) => until.or(wanted_until),
            },
        }
    }

    /// The result of `work`, or a failure of the origin `name` once the time is over.
    pub(crate) async fn bound<T>(
        &self,
        name: &str,
        work: impl Future<Output = Result<T, OriginError>>,
    ) -> Result<T, OriginError> {
        let Some(until) = self.until else {
            return work.await;
        };
        timeout_at(until, work).await.unwrap_or_else(|elapsed| {
            let limit = self.limit.unwrap_or_default();
            let reason = format!("not done within {} ({limit:?})", self.field);
            let failure = Failure::new(name, reason).caused_by(elapsed);
            Err(failure.told(OriginFault::TimedOut))
        })
    }
}
