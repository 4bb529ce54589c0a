//! Control requests: removals, values to keep, hand-over, leaving, the request for removals, and
//! an operator's queries.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use gaggle_group::{
    Greeting, HandOver, Hello, Inspect, Inspected, Key, Known, News, Notice, PeerError, Put, Scope,
    TraceParent, Word,
};
use gaggle_proto::peer::control_request::Request as Kind;
use gaggle_proto::peer::{
    ControlRequest, HandOverResponse, HelloRequest, HelloResponse, NewsRequest, RemoveRequest,
};
use gaggle_proto::{MAX_HANDED, MAX_NEWS, hello, inspect, notices};
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use prost::Message;
use reqwest::{Body, Request, Response};
use tokio::time::Instant;

use self::message::{HandOverMessage, PutMessage};
use super::asker::{Asker, MAX_ERROR};
use super::{body, failure};
use crate::bounds::{MAX_REQUEST, read_news};
use crate::message::Parts;
use crate::{Encoding, headers};

mod message;

/// The longest key whose removal travels in a URL: escaped it may be three times as long.
const MAX_URL_KEY: usize = 16 << 10;

/// How many single-key requests of a removal run concurrently.
const DELETES: usize = 16;

/// The longest answer to a hello, in bytes.
const MAX_HELLO: u64 = 512 << 10;

/// The bytes that a request takes in addition to its keys and its group's name.
const OVERHEAD: usize = 1 << 10;

impl Asker {
    /// Sends a removal to the peer: one key in a form that older peers understand as well.
    pub(super) async fn remove(
        &self,
        group: &str,
        notice: &Notice,
        trace: Option<TraceParent>,
    ) -> Result<(), PeerError> {
        if let Scope::Keys(keys) = &notice.scope
            && let [key] = &keys[..]
            && key.len() <= MAX_URL_KEY
        {
            return self.delete(group, key, Some(notice.id), trace).await;
        }
        let most = MAX_REQUEST.saturating_sub(OVERHEAD + group.len());
        let message = message(Kind::Remove(RemoveRequest {
            group: group.to_owned(),
            key: Bytes::new(),
            notice: Some(notices::put_notice(notice, most)),
        }));
        let request = || self.traced_request(message.clone().into(), trace);
        if let Some(response) = self.control(request).await? {
            return self.done(response).await;
        }
        match &notice.scope {
            Scope::Keys(keys) => self.delete_each(group, keys, trace).await,
            _ => Err(self.refused("it can remove no group")),
        }
    }

    /// It is sent without the removal's name: a peer that knew the name would treat the second
    /// key's removal as already applied.
    async fn delete_each(
        &self,
        group: &str,
        keys: &[Key],
        trace: Option<TraceParent>,
    ) -> Result<(), PeerError> {
        for some in keys.chunks(DELETES) {
            let mut deletes = Vec::with_capacity(some.len());
            for key in some {
                deletes.push(self.delete(group, key, None, trace));
            }
            try_join_all(deletes).await?;
        }
        Ok(())
    }

    /// Sends the peer a value to keep.
    pub(super) async fn put(&self, put: Put<'_>) -> Result<(), PeerError> {
        let message = PutMessage::new(&put);
        let request = || self.traced_request(body_of(&message.parts), put.trace);
        match self.control(request).await? {
            Some(response) => self.done(response).await,
            None => Err(self.refused("it takes no values")),
        }
    }

    /// Sends the peer entries to keep from now on; returns how many it keeps, or `None` if it does
    /// not support that.
    pub(super) async fn hand_over(
        &self,
        hand_over: &HandOver<'_>,
    ) -> Result<Option<u64>, PeerError> {
        let count = hand_over.entries.len();
        if count > MAX_HANDED {
            return Err(self.refused(format!(
                "{count} entries in one request; it takes {MAX_HANDED}"
            )));
        }
        let message = HandOverMessage::new(hand_over);
        if message.beside_largest > MAX_REQUEST {
            let len = message.beside_largest;
            return Err(self.refused(format!(
                "{len} bytes in one request; it takes {MAX_REQUEST}"
            )));
        }
        let began = Instant::now();
        let request = || self.control_request(body_of(&message.parts));
        let Some(response) = self.control(request).await? else {
            return Ok(None);
        };
        let body = self.control_body(response, MAX_ERROR as u64, began).await?;
        match HandOverResponse::decode(body) {
            Ok(answer) => Ok(Some(answer.kept)),
            Err(error) => Err(self.refused(format!("status 200, but no protobuf: {error}"))),
        }
    }

    /// Notifies the peer that a node leaves, or stays; `None` if it does not support that.
    pub(super) async fn leaving(&self, word: &Word) -> Result<Option<()>, PeerError> {
        let message = message(Kind::Leaving(hello::put_word(word)));
        let request = || self.control_request(message.clone().into());
        match self.control(request).await? {
            Some(response) => self.done(response).await.map(Some),
            None => Ok(None),
        }
    }

    /// Asks the node who it is. It does not wait for a slot, so that a busy node answers as well.
    pub(super) async fn hello(&self, from: &Hello, most: Duration) -> Result<Greeting, PeerError> {
        let message = message(Kind::Hello(HelloRequest {
            hello: Some(hello::put(from)),
        }));
        let began = Instant::now();
        let until = began.checked_add(most);
        let request = || self.control_request(message.clone().into());
        let response = self.send(request, until).await?;
        let status = response.status();
        let understood = response.headers().contains_key(headers::CONTROL);
        if understood && status == StatusCode::OK {
            let body = self.control_body(response, MAX_HELLO, began).await?;
            let answer = HelloResponse::decode(body).ok();
            let hello = answer.and_then(|answer| answer.hello);
            let hello = hello.as_ref().and_then(hello::read);
            let hello = hello.ok_or_else(|| self.refused("status 200, but no greeting"))?;
            return Ok(Greeting::Node(hello));
        }
        match status {
            // It is a Gaggle node, of another cluster or with another token.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::MISDIRECTED_REQUEST => {
                match self.without_value(response, b"").await {
                    Ok(_) => Err(self.refused(format!("status {status}"))),
                    Err(failure) => Err(failure),
                }
            }
            // The answer of golang/groupcache, of similar systems and of older nodes to a path
            // without a group.
            _ if understood || status == StatusCode::BAD_REQUEST => {
                let said = body::start(response, MAX_ERROR, most).await;
                match failure::speaks_tls(&said) {
                    Some(reason) => Err(self.refused(reason)),
                    None => Ok(Greeting::Nameless),
                }
            }
            _ if status.is_server_error() => Err(self.refused(format!("status {status}"))),
            _ => {
                body::start(response, MAX_ERROR, most).await;
                Ok(Greeting::Stranger(status.to_string().into()))
            }
        }
    }

    /// Asks for the peer's state, or what it holds; `None` if it does not support that. It does
    /// not wait for a slot, since an operator asks about busy nodes too.
    pub(super) async fn inspect(
        &self,
        question: Inspect<'_>,
        most: Duration,
    ) -> Result<Option<Inspected>, PeerError> {
        let message = message(Kind::Inspect(inspect::put(question)));
        let began = Instant::now();
        let until = began.checked_add(most);
        let request = || self.control_request(message.clone().into());
        let response = self.send(request, until).await?;
        let status = response.status();
        let understood = response.headers().contains_key(headers::CONTROL);
        if understood && status == StatusCode::OK {
            let body = self.control_body(response, inspect::MAX_ANSWER as u64, began);
            return match inspect::read(body.await?) {
                Ok(inspected) => Ok(Some(inspected)),
                Err(bad) => Err(self.refused(format!("status 200, but {bad}"))),
            };
        }
        // An older node treats it as an empty request, and a node of another kind as a read.
        let unknown = match status {
            StatusCode::BAD_REQUEST | StatusCode::NOT_IMPLEMENTED => true,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::MISDIRECTED_REQUEST => {
                false
            }
            status => !understood && !status.is_server_error(),
        };
        if unknown {
            body::start(response, MAX_ERROR, most).await;
            return Ok(None);
        }
        match self.without_value(response, b"").await {
            Ok(_) => Err(self.refused(format!("status {status}"))),
            Err(failure) => Err(failure),
        }
    }

    /// Asks for removals; `None` if the peer does not support that.
    pub(super) async fn news(
        &self,
        group: &str,
        known: &Known,
        follower: &str,
    ) -> Result<Option<News>, PeerError> {
        let message = message(Kind::News(NewsRequest {
            group: group.to_owned(),
            known: notices::put_known(known),
            follower: follower.to_owned(),
        }));
        let began = Instant::now();
        let request = || self.control_request(message.clone().into());
        let Some(response) = self.control(request).await? else {
            return Ok(None);
        };
        let body = self.control_body(response, MAX_NEWS as u64, began).await?;
        match read_news(body) {
            Ok(news) => Ok(Some(news)),
            Err(bad) => Err(self.refused(format!("status 200, but {bad}"))),
        }
    }

    async fn control_body(
        &self,
        response: Response,
        most: u64,
        began: Instant,
    ) -> Result<Bytes, PeerError> {
        let pause = self.options().read_timeout;
        let read = body::read(response, most, pause, None).await;
        let (body, _) = read.map_err(|error| self.unread(error, began))?;
        Ok(body.into())
    }

    fn control_request(&self, body: Body) -> Result<Request, PeerError> {
        let mut request = Request::new(Method::POST, self.base()?);
        let headers = request.headers_mut();
        headers.insert(headers::FORWARDED, headers::ONE);
        headers.insert(headers::CONTROL, headers::ONE);
        headers.insert(CONTENT_TYPE, Encoding::Protobuf.content_type());
        *request.body_mut() = Some(body);
        Ok(request)
    }

    fn traced_request(&self, body: Body, trace: Option<TraceParent>) -> Result<Request, PeerError> {
        let mut request = self.control_request(body)?;
        headers::put_trace(trace, request.headers_mut());
        Ok(request)
    }

    /// Sends a control request; `None` if the peer does not support it: another implementation
    /// treats it as a read.
    async fn control(
        &self,
        request: impl Fn() -> Result<Request, PeerError>,
    ) -> Result<Option<Response>, PeerError> {
        // Err would mean that the semaphore is closed, which never happens.
        let _slot = self.slots.acquire().await;
        let response = self.send(request, None).await?;
        let status = response.status();
        let understood = response.headers().contains_key(headers::CONTROL);
        if understood && status == StatusCode::OK {
            return Ok(Some(response));
        }
        // A failure says nothing about what the peer supports: it may be a proxy's.
        if !understood && (!status.is_server_error() || status == StatusCode::NOT_IMPLEMENTED) {
            body::start(response, MAX_ERROR, self.options().read_timeout).await;
            return Ok(None);
        }
        match self.without_value(response, b"").await {
            Ok(_) => Err(self.refused("it took a control request for a get")),
            Err(failure) => Err(failure),
        }
    }

    /// Reads an answer without a body to its end, so that the connection can serve the next
    /// request.
    async fn done(&self, response: Response) -> Result<(), PeerError> {
        body::start(response, MAX_ERROR, self.options().read_timeout).await;
        Ok(())
    }
}

fn message(request: Kind) -> Bytes {
    let message = ControlRequest {
        request: Some(request),
    };
    message.encode_to_vec().into()
}

/// The body of a message that is in parts, so that it can be sent again.
fn body_of(parts: &[Bytes]) -> Body {
    match parts {
        [part] => part.clone().into(),
        parts => Body::wrap(Parts::new(parts.to_vec())),
    }
}
