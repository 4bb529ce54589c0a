//! The side that asks.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gaggle_group::{Entry, Fetch, Key, Known, News, Notice, Peer, PeerError, Put, Scope, Verdict};
use prost::Message;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

use self::outcome::{Asked, never_sent};
use crate::deadline::sendable;
use crate::wire::peers_client::PeersClient;
use crate::wire::{
    GetRequest, MAX_NEWS, MAX_REQUEST, NewsRequest, PingRequest, PutRequest, RemoveRequest,
    max_answer,
};
use crate::{BaseUrlError, notices, terms, verdict};

pub(crate) mod base_url;
mod outcome;

/// How peers are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// How long to wait for a TCP connection. Default 250 ms.
    pub connect_timeout: Duration,
    /// How long a ping may take, connecting included. Default 400 ms.
    pub ping_timeout: Duration,
    /// How long a removal, a value to keep, or the question for removals may take, connecting included. Default 5 s.
    pub remove_timeout: Duration,
    /// How often an open connection is tried with an HTTP/2 ping, used or not. Default 10 s.
    pub keep_alive_interval: Duration,
    /// How long the answer to that may take before the connection is given up. Default 2 s.
    pub keep_alive_timeout: Duration,
    /// The most requests but pings under way at one peer, at least one; others wait their turn, within their deadline.
    /// All share one connection, so more than the peer's limit of streams is of no use. Default 256.
    pub max_requests_per_peer: usize,
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
        }
    }
}

/// Makes peers that are asked over gRPC. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct GrpcTransport {
    options: Arc<ClientOptions>,
}

/// A peer that is asked over gRPC, on one HTTP/2 connection.
///
/// The connection is made by the first request and again whenever it is lost. It belongs to the tokio runtime of that
/// first request, as long as the peer lives.
pub struct GrpcPeer {
    name: Arc<str>,
    endpoint: Endpoint,
    /// Made on first use and not with the peer: tonic starts a task for it, which needs a runtime.
    channel: OnceLock<Channel>,
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

    /// The peer at `base_url`, which is also its name, to the letter: `http://` and an authority. No connection is made.
    ///
    /// # Errors
    ///
    /// If `base_url` is anything else, `https://` or a path included.
    pub fn peer(&self, base_url: &str) -> Result<Arc<GrpcPeer>, BaseUrlError> {
        let options = &self.options;
        let slots = options
            .max_requests_per_peer
            .clamp(1, Semaphore::MAX_PERMITS);
        Ok(Arc::new(GrpcPeer {
            name: base_url.into(),
            endpoint: base_url::endpoint(base_url)?
                .connect_timeout(options.connect_timeout)
                .tcp_nodelay(true)
                .http2_keep_alive_interval(options.keep_alive_interval)
                .keep_alive_timeout(options.keep_alive_timeout)
                .keep_alive_while_idle(true),
            channel: OnceLock::new(),
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

    async fn fetch(&self, fetch: Fetch<'_>) -> Result<Entry, PeerError> {
        let message = GetRequest {
            group: fetch.group.to_owned(),
            key: fetch.key.clone(),
            max_value: Some(fetch.max_value),
            removals: notices::put_carried(fetch.removals),
        };
        self.check_size(&message, MAX_REQUEST)?;
        let most = max_answer(fetch.max_value);
        let asked = self
            .ask(Some(&self.slots), fetch.deadline, |client, left| {
                let mut client = client.max_decoding_message_size(most);
                let request = timed(message.clone(), left);
                async move { client.get(request).await }
            })
            .await;
        let answer = match asked {
            // Requests that a server would not read are not sent, so this is about the answer.
            Err(Asked::Failed(status)) if status.code() == Code::OutOfRange => {
                let limit = fetch.max_value;
                return Err(self.verdict(Verdict::ValueTooLarge { len: None, limit }));
            }
            asked => asked.map_err(|asked| asked.into_error(&self.name))?,
        };
        outcome::fetched(answer, fetch.max_value, &self.name)
    }

    async fn remove(&self, group: &str, notice: &Notice) -> Result<(), PeerError> {
        let started = Instant::now();
        // Beside the keys there is the group's name, and what the fields take.
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
        if self.told(message, started).await? || is_one {
            return Ok(());
        }
        // An older peer, which knows the removal of one key alone.
        let Scope::Keys(keys) = &notice.scope else {
            return Err(self.refused("it can remove no group"));
        };
        for key in keys.iter() {
            let message = RemoveRequest {
                group: group.to_owned(),
                key: Key::clone(key),
                notice: None,
            };
            self.told(message, started).await?;
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
                    let request = timed(message.clone(), left);
                    async move { client.put(request).await }
                },
            )
            .await
            .map_err(|asked| asked.into_error(&self.name))?;
        match answer.failure.map(verdict::from_wire) {
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

    /// Waits for no slot: it is asked whether the peer lives, and not whether it is idle.
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

impl GrpcPeer {
    /// Makes a call within `within`, the wait for a slot included. `call` is told how much of that is left.
    async fn ask<T, F, Fut>(
        &self,
        slots: Option<&Semaphore>,
        within: Duration,
        call: F,
    ) -> Result<T, Asked>
    where
        F: Fn(PeersClient<Channel>, Duration) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let started = Instant::now();
        let answer = timeout(within, async {
            let _slot = match slots {
                // Err would mean that the semaphore is closed, which nobody does.
                Some(slots) => slots.acquire().await.ok(),
                None => None,
            };
            let left = || within.saturating_sub(started.elapsed());
            match call(self.client(), left()).await {
                // The peer closed an idle connection, as a restart does, and this request took it before the close was
                // noticed. It never left: once more, on a connection that is new.
                Err(status) if never_sent(&status) => call(self.client(), left()).await,
                answer => answer,
            }
        });
        match answer.await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(Asked::Failed(status)),
            Err(_) => Err(Asked::Late(within)),
        }
    }

    /// Tells of a removal, in what is left of the time since `started`; whether the peer has read the notice.
    async fn told(&self, message: RemoveRequest, started: Instant) -> Result<bool, PeerError> {
        self.check_size(&message, MAX_REQUEST)?;
        let within = self.options.remove_timeout;
        let within = within.saturating_sub(started.elapsed());
        let answer = self
            .ask(Some(&self.slots), within, |mut client, left| {
                let request = timed(message.clone(), left);
                async move { client.remove(request).await }
            })
            .await
            .map_err(|asked| asked.into_error(&self.name))?;
        Ok(answer.applied)
    }

    fn client(&self) -> PeersClient<Channel> {
        let channel = self.channel.get_or_init(|| self.endpoint.connect_lazy());
        PeersClient::new(channel.clone())
    }

    fn check_size(&self, request: &impl Message, most: usize) -> Result<(), PeerError> {
        let len = request.encoded_len();
        if len > most {
            return Err(self.refused(&format!(
                "a request of {len} bytes is over the limit of {most}"
            )));
        }
        Ok(())
    }

    fn refused(&self, reason: &str) -> PeerError {
        PeerError::Refused {
            peer: self.name.clone(),
            reason: reason.into(),
        }
    }

    fn verdict(&self, verdict: Verdict) -> PeerError {
        PeerError::Verdict {
            peer: self.name.clone(),
            verdict,
        }
    }
}

impl std::fmt::Debug for GrpcPeer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrpcPeer")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn timed<T>(message: T, left: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(sendable(left));
    request
}
