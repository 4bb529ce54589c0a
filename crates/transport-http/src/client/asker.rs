//! Single requests to a peer, and what their answers mean.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use gaggle_group::{Entry, Fetch, Key, PeerError, RemovalId, Verdict};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use reqwest::{Request, Response, Url};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::body::{self, BodyError};
use super::queue::{Entered, Queue};
use super::{ClientOptions, HttpTransport, failure};
use crate::encoding::PROTOBUF_TYPE;
use crate::escape::{escape, one_line};
use crate::headers::{self, Reported};
use crate::terms::{self, Terms};
use crate::{Encoding, message};

/// How much of an error's body is read, in bytes.
pub(super) const MAX_ERROR: usize = 4 << 10;

/// One peer, as its handle and the batches under way share it.
pub(super) struct Asker {
    transport: HttpTransport,
    name: Arc<str>,
    /// The name without a slash at its end, and the base path.
    base: String,
    /// The same as a URL, if it is one.
    url: Option<Url>,
    /// One permit for each request under way, pings aside: those tell whether a peer that holds all permits is alive.
    pub(super) slots: Semaphore,
    /// Gets that wait for company; none where batching is off.
    pub(super) queue: Option<Queue>,
}

impl Asker {
    pub(super) fn new(transport: HttpTransport, base_url: &str) -> Self {
        let options = &transport.options;
        let base = format!("{}{}", base_url.trim_end_matches('/'), options.base_path);
        Self {
            name: base_url.into(),
            url: Url::parse(&base).ok(),
            base,
            slots: Semaphore::new(options.max_requests_per_peer.min(Semaphore::MAX_PERMITS)),
            queue: options.batching.clone().map(Queue::new),
            transport,
        }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn options(&self) -> &ClientOptions {
        &self.transport.options
    }

    /// Whether a get goes alone, and when.
    pub(super) fn enter<'a>(self: &Arc<Self>, fetch: &Fetch<'a>, began: Instant) -> Entered<'a> {
        match &self.queue {
            Some(queue) => queue.enter(self, fetch, began),
            None => Entered::Alone,
        }
    }

    /// Notes whether the peer takes batches. It may be replaced by one of another kind at any time.
    pub(super) fn learn(&self, answer: &HeaderMap) -> bool {
        let takes = answer.contains_key(headers::BATCH);
        if let Some(queue) = &self.queue {
            queue.learn(takes);
        }
        takes
    }

    /// Asks for one value; `began` is when its deadline began to run.
    pub(super) async fn get(&self, fetch: &Fetch<'_>, began: Instant) -> Result<Entry, PeerError> {
        let mut request = self.request(Method::GET, fetch.group, fetch.key)?;
        // Err would mean that the semaphore is closed, which nobody does.
        let _slot = self.slots.acquire().await;
        let left = fetch.deadline.saturating_sub(began.elapsed());
        let headers = request.headers_mut();
        headers.insert(headers::DEADLINE_MS, headers::millis(useful(left)).into());
        headers.insert(headers::MAX_VALUE, fetch.max_value.into());
        headers::put_removals(fetch.removals, headers);
        let response = self.send(request).await?;
        self.learn(response.headers());
        if response.status() == StatusCode::OK {
            self.found(response, fetch.max_value).await
        } else {
            self.without_value(response, fetch.key).await
        }
    }

    /// Has the peer drop a key; `id` names the removal, unless it is one key of a removal that the peer cannot be told of.
    pub(super) async fn delete(
        &self,
        group: &str,
        key: &Key,
        id: Option<RemovalId>,
    ) -> Result<(), PeerError> {
        let mut request = self.request(Method::DELETE, group, key)?;
        // Digits can stand in any header.
        if let Some(Ok(id)) = id.map(|id| HeaderValue::try_from(id.to_string())) {
            request.headers_mut().insert(headers::REMOVAL, id);
        }
        let _slot = self.slots.acquire().await;
        let response = self.send(request).await?;
        let removed = response.headers().contains_key(headers::REMOVED);
        match response.status() {
            StatusCode::OK if removed => {
                body::start(response, MAX_ERROR, self.transport.options.read_timeout).await;
                Ok(())
            }
            // golang/groupcache ignores the method: it has answered a get, and removed nothing.
            StatusCode::OK => Err(self.refused("it took a removal for a get")),
            _ => match self.without_value(response, key).await {
                Ok(_) => Err(self.refused("it took a removal for a get")),
                Err(failure) => Err(failure),
            },
        }
    }

    pub(super) async fn ping(&self) -> Result<(), PeerError> {
        let most = self.options().ping_timeout;
        let request = Request::new(Method::GET, self.base()?);
        let answered = timeout(most, self.send(request)).await;
        // Read to its end, if that is near: the connection is then good for the next ping. Whether it succeeds says no
        // more about the peer.
        let response = answered.unwrap_or_else(|_| Err(self.late(most)))?;
        body::start(response, MAX_ERROR, most).await;
        Ok(())
    }

    /// The URL of pings, batches and control requests.
    pub(super) fn base(&self) -> Result<Url, PeerError> {
        let url = self.url.clone();
        url.ok_or_else(|| self.refused("the request cannot be written as a URL"))
    }

    /// A marked request for a key.
    fn request(&self, method: Method, group: &str, key: &[u8]) -> Result<Request, PeerError> {
        // URL parsers take a part that is `.` or `..` away, escaped or not. Such keys travel in a header, behind a path
        // that other implementations answer with 400: without a slash behind the group it holds no key.
        let in_header = matches!(key, b"." | b"..");
        let mut path = escape(group.as_bytes()).to_string();
        if !in_header {
            path.push('/');
            path.extend(escape(key));
        }
        let url = Url::parse(&format!("{}{path}", self.base));
        // A group named `..`, say, would turn into a request for something else.
        let url = match url {
            Ok(url) if url.path().ends_with(&path) => url,
            _ => return Err(self.refused("the request cannot be written as a URL")),
        };
        let mut request = Request::new(method, url);
        let headers = request.headers_mut();
        headers.insert(headers::FORWARDED, headers::ONE);
        if in_header {
            let dots = if key.len() == 1 { "." } else { ".." };
            headers.insert(headers::KEY, HeaderValue::from_static(dots));
        }
        Ok(request)
    }

    /// Sends a request, and once more if the peer closes the connection before it answers. All requests here may be
    /// repeated: they read, or remove, or put what is taken once by its name.
    pub(super) async fn send(&self, request: Request) -> Result<Response, PeerError> {
        let again = request.try_clone();
        self.send_or(request, again).await
    }

    /// The same with the request to send once more, for one that cannot be cloned.
    pub(super) async fn send_or(
        &self,
        request: Request,
        again: Option<Request>,
    ) -> Result<Response, PeerError> {
        let client = &self.transport.client;
        let sent = match (client.execute(request).await, again) {
            (Err(error), Some(again)) if failure::broke_off(&error) => client.execute(again).await,
            (sent, _) => sent,
        };
        sent.map_err(|error| {
            if error.is_builder() {
                self.refused("the request is too long for a URL")
            } else {
                self.unavailable(failure::cause(&error))
            }
        })
    }

    async fn found(&self, response: Response, max_value: u64) -> Result<Entry, PeerError> {
        let options = &self.transport.options;
        let headers = response.headers();
        let terms =
            terms::read(headers).map_err(|bad| self.refused(format!("status 200, but {bad}")))?;
        // The other way round cannot be told: some send protobuf as octet-stream.
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
        let cap = max_value.saturating_add(overhead);
        let body = body::read(response, cap, options.read_timeout)
            .await
            .map_err(|error| self.unread(error, max_value))?;
        self.decoded(body, max_value, &terms)
    }

    fn decoded(&self, body: BytesMut, max_value: u64, terms: &Terms) -> Result<Entry, PeerError> {
        let value = message::decode(self.transport.options.encoding, body)
            .map_err(|error| self.refused(format!("status 200, but no protobuf: {error}")))?;
        let len = value.len() as u64;
        if len > max_value {
            return Err(self.too_large(Some(len), max_value));
        }
        terms::value(value, terms).map_err(|bad| self.refused(format!("status 200, but {bad}")))
    }

    pub(super) fn unread(&self, error: BodyError, max_value: u64) -> PeerError {
        match error {
            BodyError::TooLong { stated } => {
                // With protobuf the length of the body is not quite the value's.
                let raw = self.transport.options.encoding == Encoding::Raw;
                self.too_large(stated.filter(|_| raw), max_value)
            }
            BodyError::NoEnd => self.refused("status 200, but a body without a stated end"),
            BodyError::Stalled(pause) => self.unavailable(format!(
                "nothing came for {pause:?} in the middle of a body"
            )),
            BodyError::Broken(error) => {
                let cause = failure::cause(&error);
                self.unavailable(format!("broke off in the middle of a body: {cause}"))
            }
        }
    }

    /// What an answer means whose status is not 200.
    pub(super) async fn without_value(
        &self,
        response: Response,
        key: &[u8],
    ) -> Result<Entry, PeerError> {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = body::start(response, MAX_ERROR, self.transport.options.read_timeout).await;
        match Reported::read(&headers, &one_line(text.trim_ascii(), 1 << 10)) {
            Ok(Some(Reported::NotFound)) => terms::read(&headers)
                .and_then(|terms| terms::absence(&terms))
                .map_err(|bad| self.refused(format!("status {status}, but {bad}"))),
            Ok(Some(Reported::Failed(verdict))) => Err(PeerError::Verdict {
                peer: self.name.clone(),
                verdict,
            }),
            Ok(None) => {
                let said = failure::said(&text, key);
                Err(self.refused(format!("status {status}: {said}")))
            }
            Err(bad) => Err(self.refused(format!("status {status}, but {bad}"))),
        }
    }

    pub(super) fn too_large(&self, len: Option<u64>, limit: u64) -> PeerError {
        PeerError::Verdict {
            peer: self.name.clone(),
            verdict: Verdict::ValueTooLarge { len, limit },
        }
    }

    pub(super) fn unavailable(&self, reason: impl Into<Arc<str>>) -> PeerError {
        PeerError::Unavailable {
            peer: self.name.clone(),
            reason: reason.into(),
        }
    }

    pub(super) fn refused(&self, reason: impl Into<Arc<str>>) -> PeerError {
        PeerError::Refused {
            peer: self.name.clone(),
            reason: reason.into(),
        }
    }

    pub(super) fn late(&self, after: Duration) -> PeerError {
        self.unavailable(format!("no answer within {after:?}"))
    }
}

impl std::fmt::Debug for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asker")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// How long the owner may work on an answer that is wanted within `left`: a little less, so that "not in time" arrives in
/// time. Otherwise a slow origin would look like a dead peer.
pub(super) fn useful(left: Duration) -> Duration {
    left.saturating_sub((left / 10).min(Duration::from_millis(100)))
}
