//! Single requests to a peer.

use std::sync::Arc;
use std::time::Duration;

use gaggle_group::{Fetch, Fetched, Key, PeerError, RemovalId, TraceParent};
use gaggle_proto::millis;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use reqwest::{Request, Response, Url};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::Authorization;
use super::body;
use super::pool::Pool;
use super::queue::{Entered, Queue};
use super::send::SendError;
use super::{BatchCounters, ClientOptions, HttpTransport, failure};
use crate::escape::escape;
use crate::headers;

mod answer;

/// How much of an error's body is read, in bytes.
pub(super) const MAX_ERROR: usize = 4 << 10;

const NO_URL: &str = "the request cannot be written as a URL";

/// One peer, shared by its handle and the batches in flight.
pub(super) struct Asker {
    options: Arc<ClientOptions>,
    pool: Pool,
    name: Arc<str>,
    /// The cluster that requests are meant for.
    cluster: Option<HeaderValue>,
    /// The base URL and the base path; `None` if they do not form a URL together.
    base: Option<Url>,
    /// One permit for each request in flight, except pings: they show whether a peer that holds
    /// all permits is alive.
    pub(super) slots: Semaphore,
    /// Gets that wait for a batch; none if batching is off.
    pub(super) queue: Option<Queue>,
    batches: Arc<BatchCounters>,
}

impl Asker {
    pub(super) fn new(transport: HttpTransport, name: &str, base_url: &str) -> Self {
        let options = &transport.options;
        let base = format!("{}{}", base_url.trim_end_matches('/'), options.base_path);
        // A URL that one parser accepts may be refused by the other, and requests pass both.
        let base = Url::parse(&base)
            .ok()
            .filter(|url| Uri::try_from(url.as_str()).is_ok());
        Self {
            name: name.into(),
            cluster: options.cluster.as_deref().and_then(cluster),
            base,
            slots: Semaphore::new(options.max_requests_per_peer.min(Semaphore::MAX_PERMITS)),
            queue: options.batching.clone().map(Queue::new),
            pool: Pool::new(options, name, base_url),
            options: transport.options,
            batches: transport.batches,
        }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn batches(&self) -> &BatchCounters {
        &self.batches
    }

    pub(super) fn options(&self) -> &ClientOptions {
        &self.options
    }

    /// Whether a get is sent alone, and when.
    pub(super) fn enter<'a>(self: &Arc<Self>, fetch: &Fetch<'a>, began: Instant) -> Entered<'a> {
        match &self.queue {
            Some(queue) => queue.enter(self, fetch, began),
            None => Entered::Alone,
        }
    }

    /// Records whether the peer takes batches. It may be replaced by a node of another kind at any
    /// time.
    pub(super) fn learn(&self, answer: &HeaderMap) -> bool {
        let takes = answer.contains_key(headers::BATCH);
        if let Some(queue) = &self.queue {
            queue.learn(takes);
        }
        takes
    }

    /// Asks for one value; `began` is when its deadline began to run.
    pub(super) async fn get(
        &self,
        fetch: &Fetch<'_>,
        began: Instant,
    ) -> Result<Fetched, PeerError> {
        let until = began.checked_add(fetch.deadline);
        let _slot = self.slot(until).await?;
        let response = self.send(|| self.get_request(fetch, began), until).await?;
        self.learn(response.headers());
        if response.status() == StatusCode::OK {
            self.found(response, fetch, began).await
        } else {
            self.without_value(response, fetch.key).await
        }
    }

    fn get_request(&self, fetch: &Fetch<'_>, began: Instant) -> Result<Request, PeerError> {
        let mut request = self.request(Method::GET, fetch.group, fetch.key)?;
        let left = fetch.deadline.saturating_sub(began.elapsed());
        let headers = request.headers_mut();
        headers.insert(headers::DEADLINE_MS, millis(useful(left)).into());
        headers.insert(headers::MAX_VALUE, fetch.max_value.into());
        headers::put_removals(fetch.removals, headers);
        headers::put_trace(fetch.trace, headers);
        if fetch.kept_only {
            headers.insert(headers::KEPT, headers::ONE);
        }
        Ok(request)
    }

    /// Takes a slot for a request. A peer with the maximum of requests in flight is full, which
    /// differs from not answering: a caller that cannot ask it must not load the value itself.
    pub(super) async fn slot(
        &self,
        until: Option<Instant>,
    ) -> Result<Option<SemaphorePermit<'_>>, PeerError> {
        if let Ok(slot) = self.slots.try_acquire() {
            return Ok(Some(slot));
        }
        let acquired = self.slots.acquire();
        let slot = match until {
            Some(until) => timeout_at(until, acquired).await,
            None => Ok(acquired.await),
        };
        match slot {
            // Err would mean that the semaphore is closed, which never happens.
            Ok(slot) => Ok(slot.ok()),
            Err(_) => Err(self.full(self.options.max_requests_per_peer)),
        }
    }

    /// Makes the peer drop a key. `id` names the removal, unless the key is part of a removal that
    /// the peer does not support.
    pub(super) async fn delete(
        &self,
        group: &str,
        key: &Key,
        id: Option<RemovalId>,
        trace: Option<TraceParent>,
    ) -> Result<(), PeerError> {
        let request = || {
            let mut request = self.request(Method::DELETE, group, key)?;
            // Digits are valid in any header.
            if let Some(Ok(id)) = id.map(|id| HeaderValue::try_from(id.to_string())) {
                request.headers_mut().insert(headers::REMOVAL, id);
            }
            headers::put_trace(trace, request.headers_mut());
            Ok(request)
        };
        // Err would mean that the semaphore is closed, which never happens.
        let _slot = self.slots.acquire().await;
        let response = self.send(request, None).await?;
        let removed = response.headers().contains_key(headers::REMOVED);
        match response.status() {
            StatusCode::OK if removed => {
                body::start(response, MAX_ERROR, self.options.read_timeout).await;
                Ok(())
            }
            // golang/groupcache ignores the method: it has answered a get, and removed no value.
            StatusCode::OK => Err(self.refused("it took a removal for a get")),
            _ => match self.without_value(response, key).await {
                Ok(_) => Err(self.refused("it took a removal for a get")),
                Err(failure) => Err(failure),
            },
        }
    }

    pub(super) async fn ping(&self) -> Result<(), PeerError> {
        let most = self.options().ping_timeout;
        let request = || Ok(Request::new(Method::GET, self.base()?));
        let until = Instant::now() + most;
        let answered = timeout_at(until, self.send(request, Some(until))).await;
        let response = answered.unwrap_or_else(|_| Err(self.late(most)))?;
        // A short body is read to its end, so that the connection can serve the next ping. The
        // result of that says nothing more about the peer.
        let left = until.saturating_duration_since(Instant::now());
        body::start(response, MAX_ERROR, left).await;
        Ok(())
    }

    /// The URL of pings, batches and control requests.
    pub(super) fn base(&self) -> Result<Url, PeerError> {
        self.base.clone().ok_or_else(|| self.refused(NO_URL))
    }

    /// A marked request for a key.
    fn request(&self, method: Method, group: &str, key: &[u8]) -> Result<Request, PeerError> {
        // URL parsers remove a part `.` or `..`, escaped or not. Such keys travel in a header,
        // with a path that other implementations answer with 400: it has no slash after the group,
        // and so no key.
        let in_header = matches!(key, b"." | b"..");
        // A group with that name would change the path of the request.
        if matches!(group, "." | "..") {
            return Err(self.refused(NO_URL));
        }
        let mut url = self.base()?;
        let mut path = String::with_capacity(url.path().len() + group.len() + key.len() + 16);
        path.push_str(url.path());
        path.extend(escape(group.as_bytes()));
        if !in_header {
            path.push('/');
            path.extend(escape(key));
        }
        // Only the path is parsed: the base is parsed already.
        url.set_path(&path);
        let mut request = Request::new(method, url);
        let headers = request.headers_mut();
        headers.insert(headers::FORWARDED, headers::ONE);
        if in_header {
            let dots = if key.len() == 1 { "." } else { ".." };
            headers.insert(headers::KEY, HeaderValue::from_static(dots));
        }
        Ok(request)
    }

    /// Sends a request, and retries it once if the peer closes the connection before it answers.
    /// All requests here may be repeated: they read, or remove, or put a value that the receiver
    /// applies once by its name. After `until` the answer is no longer needed.
    ///
    /// `request` makes the request for each attempt. Few requests need a second attempt, and
    /// otherwise each would be copied for it.
    pub(super) async fn send(
        &self,
        request: impl Fn() -> Result<Request, PeerError>,
        until: Option<Instant>,
    ) -> Result<Response, PeerError> {
        let sent = match self.execute(request()?, until).await {
            Err(error) if failure::broke_off(&error) => self.execute(request()?, until).await,
            sent => sent,
        };
        let response = sent.map_err(|error| {
            if error.is_builder() {
                self.refused("the request is too long for a URL")
            } else {
                self.unavailable(failure::cause(&error))
            }
        })?;
        match self.shut_out(response.status()) {
            None => Ok(response),
            Some(reason) => {
                body::start(response, MAX_ERROR, self.options.read_timeout).await;
                Err(self.refused(reason))
            }
        }
    }

    /// Why the peer did not admit this node, if the status means that.
    fn shut_out(&self, status: StatusCode) -> Option<&'static str> {
        match status {
            StatusCode::UNAUTHORIZED if self.options.authorization.is_some() => {
                Some("it refuses this node's token")
            }
            StatusCode::UNAUTHORIZED => Some("it requires a token, and this node has none"),
            StatusCode::FORBIDDEN => {
                Some("it refuses this node, as where a client certificate is required")
            }
            _ => None,
        }
    }

    async fn execute(
        &self,
        mut request: Request,
        until: Option<Instant>,
    ) -> Result<Response, SendError> {
        if let Some(cluster) = &self.cluster {
            request
                .headers_mut()
                .insert(headers::CLUSTER, cluster.clone());
        }
        let authorization = self.options.authorization.as_ref();
        if let Some(value) = authorization.and_then(Authorization::value) {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let client = self.pool.client(&self.options)?;
        let attempt = self.pool.attempt(until);
        match client.execute(request).await {
            Ok(response) => {
                attempt.answered();
                Ok(response)
            }
            Err(error) => {
                attempt.failed(failure::broke_off(&error));
                Err(error)
            }
        }
    }
}

impl std::fmt::Debug for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asker")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// `None` if it is not valid in a header; the options are checked where they are made.
fn cluster(name: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(name).ok()
}

/// How long the owner may work on an answer that is needed within `left`: a little less, so that
/// its verdict `deadline` arrives in time. Otherwise a slow origin would look like a dead peer.
pub(super) fn useful(left: Duration) -> Duration {
    left.saturating_sub((left / 10).min(Duration::from_millis(100)))
}
