//! The client.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::http::HeaderValue;
use bytes::Bytes;
use gaggle_group::{
    Fetch, Fetched, Greeting, HandOver, Hello, Inspect, Inspected, Key, Known, News, Notice, Peer,
    PeerError, Put, Scope, TraceParent, Word,
};
use gaggle_proto::{MAX_HANDED, MAX_NEWS, hello, inspect, notices, terms, verdict};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::Code;

use self::call::timed;
use self::outcome::Asked;
use self::pool::Pool;
use self::security::Security;
use crate::BaseUrlError;
use crate::trace;
use crate::wire::{
    GetRequest, HandOverRequest, HandedOver, HelloRequest, MAX_REQUEST, NewsRequest, PingRequest,
    PutRequest, RemoveRequest, max_answer,
};

mod answers;
pub(crate) mod base_url;
mod call;
pub(crate) mod outcome;
mod pool;
mod security;
#[cfg(feature = "tls")]
mod tls;

pub use gaggle_proto::credentials::Authorization;
#[cfg(feature = "tls")]
pub use gaggle_proto::credentials::Tls;

/// How long the answer to an operator's query may take, including connecting.
const INSPECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The options of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// How long to wait for a TCP connection. Default 250 ms.
    pub connect_timeout: Duration,
    /// How long a ping may take, including connecting. Default 400 ms.
    pub ping_timeout: Duration,
    /// How long a removal, a value to keep, or the request for removals may take, including
    /// connecting. Default 5 s.
    pub remove_timeout: Duration,
    /// How often an open connection is checked with an HTTP/2 ping, used or not. Default 10 s.
    pub keep_alive_interval: Duration,
    /// How long the answer to that may take before the connection is closed. Default 2 s.
    pub keep_alive_timeout: Duration,
    /// The most requests in flight to one peer, except pings; at least one. Further requests wait,
    /// and are shed at their deadline. All share one connection, so a number above the peer's
    /// limit of streams has no effect. Default 256.
    pub max_requests_per_peer: usize,
    /// The cluster that requests are meant for: a node of another one refuses them. Visible ASCII.
    /// Default: none is named.
    pub cluster: Option<Arc<str>>,
    /// The `Authorization` metadata of each request. Default: none.
    pub authorization: Option<Authorization>,
    /// TLS for peers whose base URL begins with `https://`. Default: none, and such peers are
    /// refused.
    #[cfg(feature = "tls")]
    pub tls: Option<Tls>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_millis(250),
            ping_timeout: Duration::from_millis(400),
            remove_timeout: Duration::from_secs(5),
            keep_alive_interval: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(2),
            max_requests_per_peer: 256,
            cluster: None,
            authorization: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

/// Makes peers that use gRPC. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct GrpcTransport {
    options: Arc<ClientOptions>,
}

/// A peer over gRPC, on one HTTP/2 connection.
///
/// The connection is made by the first request and again whenever it is lost, or a request on it
/// got no answer. It belongs to the tokio runtime of the request that made it.
pub struct GrpcPeer {
    name: Arc<str>,
    /// The cluster that requests are meant for.
    cluster: Option<HeaderValue>,
    pool: Pool,
    slots: Semaphore,
    options: Arc<ClientOptions>,
}

impl GrpcTransport {
    /// A transport with these options.
    pub fn new(options: ClientOptions) -> Self {
        Self {
            options: Arc::new(options),
        }
    }

    /// The peer at `base_url`, which is exactly its name as well: `http://` or `https://`, and an
    /// authority. No connection is made.
    ///
    /// # Errors
    ///
    /// If `base_url` is anything else, a path included, or `https://` without TLS in the options.
    pub fn peer(&self, base_url: &str) -> Result<Arc<GrpcPeer>, BaseUrlError> {
        self.peer_named(base_url, base_url)
    }

    /// The peer of that name in the ring, at that base URL.
    ///
    /// # Errors
    ///
    /// As [`peer`](Self::peer).
    pub fn peer_named(&self, name: &str, base_url: &str) -> Result<Arc<GrpcPeer>, BaseUrlError> {
        let options = &self.options;
        let endpoint = base_url::endpoint(base_url)?;
        let is_https = endpoint.uri().scheme_str() == Some("https");
        let Some(security) = Security::new(options, name, is_https) else {
            return Err(BaseUrlError {
                url: base_url.to_owned(),
                reason: "https needs TLS to be configured; without it use http".into(),
            });
        };
        let slots = options
            .max_requests_per_peer
            .clamp(1, Semaphore::MAX_PERMITS);
        Ok(Arc::new(GrpcPeer {
            name: name.into(),
            cluster: options.cluster.as_deref().and_then(cluster),
            pool: Pool::new(
                endpoint
                    .connect_timeout(options.connect_timeout)
                    .tcp_nodelay(true)
                    .http2_keep_alive_interval(options.keep_alive_interval)
                    .keep_alive_timeout(options.keep_alive_timeout)
                    .keep_alive_while_idle(true),
                security,
            ),
            slots: Semaphore::new(slots),
            options: Arc::clone(options),
        }))
    }
}

#[async_trait]
impl Peer for GrpcPeer {
    fn name(&self) -> &str {
        &self.name
    }

    async fn fetch(&self, fetch: Fetch<'_>) -> Result<Fetched, PeerError> {
        let message = GetRequest {
            group: fetch.group.to_owned(),
            key: fetch.key.clone(),
            max_value: Some(fetch.max_value),
            removals: notices::put_carried(fetch.removals),
            kept_only: fetch.kept_only,
        };
        self.check_size(&message, MAX_REQUEST)?;
        let most = max_answer(fetch.max_value);
        let budget = fetch.budget.map(|budget| (budget, most));
        let answer = self
            .counted(budget, Some(&self.slots), fetch.deadline, |client, left| {
                let mut client = client.max_decoding_message_size(most);
                let mut request = timed(message.clone(), left);
                trace::put(fetch.trace, request.metadata_mut());
                async move { client.get(request).await }
            })
            .await
            .map_err(|asked| asked.into_error(&self.name))?;
        outcome::fetched(answer, fetch.max_value, &self.name)
    }

    async fn remove(&self, group: &str, notice: &Notice) -> Result<(), PeerError> {
        self.remove_traced(group, notice, None).await
    }

    async fn remove_traced(
        &self,
        group: &str,
        notice: &Notice,
        trace: Option<TraceParent>,
    ) -> Result<(), PeerError> {
        let started = Instant::now();
        // In addition to the keys there are the group's name and the bytes of the fields.
        let most = MAX_REQUEST.saturating_sub(group.len() + (1 << 10));
        let told = notices::put_notice(notice, most);
        let key = match &told.keys[..] {
            [key] => Some(key.clone()),
            _ => None,
        };
        let is_one = key.is_some();
        let message = RemoveRequest {
            group: group.to_owned(),
            key: key.unwrap_or_default(),
            notice: Some(told),
        };
        if self.told(message, started, trace).await? || is_one {
            return Ok(());
        }
        // An older peer, which supports only the removal of one key.
        let Scope::Keys(keys) = &notice.scope else {
            return Err(self.refused("it can remove no group"));
        };
        for key in keys.iter() {
            let message = RemoveRequest {
                group: group.to_owned(),
                key: Key::clone(key),
                notice: None,
            };
            self.told(message, started, trace).await?;
        }
        Ok(())
    }

    async fn put(&self, put: Put<'_>) -> Result<(), PeerError> {
        let message = PutRequest {
            group: put.group.to_owned(),
            key: put.key.clone(),
            id: Some(notices::put_id(put.removal)),
            entry: Some(terms::put_entry(put.entry)),
        };
        let value = put.entry.value.as_ref().map_or(0, Bytes::len);
        self.check_size(&message, MAX_REQUEST.saturating_add(value))?;
        let answer = self
            .ask(
                Some(&self.slots),
                self.options.remove_timeout,
                |mut client, left| {
                    let mut request = timed(message.clone(), left);
                    trace::put(put.trace, request.metadata_mut());
                    async move { client.put(request).await }
                },
            )
            .await
            .map_err(|asked| asked.into_error(&self.name))?;
        match answer.failure.map(verdict::read) {
            None => Ok(()),
            Some(Some(verdict)) => Err(self.verdict(verdict)),
            Some(None) => Err(self.refused("it failed in a way that is not known here")),
        }
    }

    async fn news(
        &self,
        group: &str,
        known: &Known,
        follower: &str,
    ) -> Result<Option<News>, PeerError> {
        let message = NewsRequest {
            group: group.to_owned(),
            known: notices::put_known(known),
            follower: follower.to_owned(),
        };
        self.check_size(&message, 2 * MAX_REQUEST)?;
        let asked = self
            .ask(
                Some(&self.slots),
                self.options.remove_timeout,
                |client, left| {
                    let mut client = client.max_decoding_message_size(MAX_NEWS);
                    let request = timed(message.clone(), left);
                    async move { client.news(request).await }
                },
            )
            .await;
        let answer = match asked {
            // An older peer, or something else that answers there.
            Err(Asked::Failed(status)) if status.code() == Code::Unimplemented => return Ok(None),
            asked => asked.map_err(|asked| asked.into_error(&self.name))?,
        };
        let news = notices::news(answer).map_err(|bad| self.refused(&bad.to_string()))?;
        Ok(Some(news))
    }

    async fn hand_over(&self, hand_over: HandOver<'_>) -> Result<u64, PeerError> {
        let count = hand_over.entries.len();
        if count > MAX_HANDED {
            let text = format!("{count} entries in one request; it takes {MAX_HANDED}");
            return Err(self.refused(&text));
        }
        let entries = hand_over.entries.iter().map(|(key, entry)| HandedOver {
            key: key.clone(),
            entry: Some(terms::put_entry(entry)),
        });
        let message = HandOverRequest {
            group: hand_over.group.to_owned(),
            entries: entries.collect(),
            known: notices::put_known(hand_over.known),
        };
        let values = hand_over.entries.iter();
        let values = values.filter_map(|(_, entry)| entry.value.as_ref());
        let largest = values.map(Bytes::len).max().unwrap_or(0);
        self.check_size(&message, largest.saturating_add(2 * MAX_REQUEST))?;
        let asked = self
            .ask(
                Some(&self.slots),
                self.options.remove_timeout,
                |mut client, left| {
                    let request = timed(message.clone(), left);
                    async move { client.hand_over(request).await }
                },
            )
            .await;
        Ok(self.known_request(asked)?.kept)
    }

    async fn leaving(&self, word: &Word) -> Result<(), PeerError> {
        let message = hello::put_word(word);
        self.check_size(&message, MAX_REQUEST)?;
        let asked = self
            .ask(
                Some(&self.slots),
                self.options.remove_timeout,
                |mut client, left| {
                    let request = timed(message.clone(), left);
                    async move { client.leaving(request).await }
                },
            )
            .await;
        self.known_request(asked).map(drop)
    }

    /// It does not wait for a slot, since an operator asks about busy nodes too.
    async fn inspect(&self, question: Inspect<'_>) -> Result<Inspected, PeerError> {
        let message = inspect::put(question);
        self.check_size(&message, MAX_REQUEST)?;
        let asked = self
            .ask(None, INSPECT_TIMEOUT, |client, left| {
                let mut client = client.max_decoding_message_size(inspect::MAX_ANSWER);
                let request = timed(message.clone(), left);
                async move { client.inspect(request).await }
            })
            .await;
        let answer = self.known_request(asked)?;
        inspect::understood(answer).map_err(|bad| self.refused(&bad.to_string()))
    }

    /// It does not wait for a slot, like a ping.
    async fn hello(&self, from: &Hello) -> Result<Greeting, PeerError> {
        let message = HelloRequest {
            hello: Some(hello::put(from)),
        };
        let asked = self
            .ask(None, self.options.ping_timeout, |mut client, left| {
                let request = timed(message.clone(), left);
                async move { client.hello(request).await }
            })
            .await;
        match asked {
            Ok(answer) => match answer.hello.as_ref().and_then(hello::read) {
                Some(hello) => Ok(Greeting::Node(hello)),
                None => Err(self.refused("it greets with nothing that can be read")),
            },
            // An older peer, one that speaks only HTTP, or another program: gRPC cannot
            // distinguish them.
            Err(Asked::Failed(status)) if status.code() == Code::Unimplemented => {
                Ok(Greeting::Nameless)
            }
            Err(asked) => Err(asked.into_error(&self.name)),
        }
    }

    /// It does not wait for a slot: a ping asks whether the peer is alive, not whether it is idle.
    async fn ping(&self) -> Result<(), PeerError> {
        self.ask(None, self.options.ping_timeout, |mut client, left| {
            let request = timed(PingRequest {}, left);
            async move { client.ping(request).await }
        })
        .await
        .map_err(|asked| asked.into_error(&self.name))?;
        Ok(())
    }
}

impl std::fmt::Debug for GrpcPeer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrpcPeer")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// `None` if it is not valid in a header; the options are checked where they are made.
fn cluster(name: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(name).ok()
}
