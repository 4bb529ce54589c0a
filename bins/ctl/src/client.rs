//! One request to one node, bounded in time and in bytes.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use rustls::ClientConfig;
use serde::de::DeserializeOwned;
use tokio::time;

use crate::addr::Addr;
use crate::connect::Way;
use crate::outcome::Failure;
use crate::output::{self, shown};

/// The largest JSON document or line of text that a node sends: `/status` in a ring of ten
/// thousand members has some MiB.
pub(crate) const MAX_DOCUMENT: usize = 16 << 20;

/// A connection that takes longer counts as a node that is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Asks nodes, with a separate connection for each request. It reads no proxy variables and
/// follows no redirects.
#[derive(Clone)]
pub(crate) struct Client {
    timeout: Duration,
    tls: Arc<ClientConfig>,
    /// The value of `Authorization`.
    token: Option<HeaderValue>,
    /// Whether it may be read on the network.
    plain: bool,
}

/// A request that is not sent yet.
#[derive(Debug)]
pub(crate) struct Ask {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

/// A node's answer, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) addr: Addr,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Whether the request carried a token.
    had_token: bool,
}

/// Why there is no whole answer.
enum Lost {
    /// No connection was made in that time.
    Slow(Duration),
    Unreachable(io::Error),
    Unwritable(hyper::http::Error),
    Broken(hyper::Error),
    TooLong,
}

impl Ask {
    pub(crate) fn new(method: Method, target: impl Into<String>) -> Self {
        Self {
            method,
            target: target.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(crate) fn body(self, body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            ..self
        }
    }
}

impl Client {
    /// A client whose requests take `timeout` at most.
    pub(crate) fn new(timeout: Duration, tls: Arc<ClientConfig>) -> Self {
        Self {
            timeout,
            tls,
            token: None,
            plain: false,
        }
    }

    /// The same with a token in each request. Only the admin endpoints require one, and only they
    /// get it. Without TLS, unless `plain` allows it, only those of this machine do.
    pub(crate) fn with_token(self, token: Option<HeaderValue>, plain: bool) -> Self {
        Self {
            token,
            plain,
            ..self
        }
    }

    pub(crate) fn tls(&self) -> &Arc<ClientConfig> {
        &self.tls
    }

    /// Asks a node and reads its answer, whatever the status, up to `limit` bytes.
    pub(crate) async fn ask(
        &self,
        method: Method,
        addr: &Addr,
        target: &str,
        limit: usize,
    ) -> Result<Reply, Failure> {
        self.send(Ask::new(method, target), addr, limit).await
    }

    /// The same with headers and a body, if the request needs them.
    pub(crate) async fn send(&self, ask: Ask, addr: &Addr, limit: usize) -> Result<Reply, Failure> {
        if self.token.is_some() && !self.plain && !addr.is_private() {
            return Err(Failure::Usage(format!(
                "{addr}: the token is not sent to another machine without TLS: write https:// before the address, or give \
                 --plain where nobody else can read the network"
            )));
        }
        let exchange = self.exchange(ask, addr, limit);
        let reply = match time::timeout(self.timeout, exchange).await {
            Ok(reply) => reply.map_err(|lost| lost.told(limit)),
            Err(_) => Err(told_late(self.timeout)),
        };
        reply.map_err(|told| match told {
            Told::Unreachable(reason) => Failure::Unreachable(format!("{addr}: {reason}")),
            Told::Failed(reason) => Failure::Failed(format!("{addr}: {reason}")),
        })
    }

    async fn exchange(&self, ask: Ask, addr: &Addr, limit: usize) -> Result<Reply, Lost> {
        let within = CONNECT_TIMEOUT.min(self.timeout);
        let connected = time::timeout(within, async {
            Way::to(addr, &self.tls).await?.connect().await
        });
        let connected = connected.await.map_err(|_| Lost::Slow(within))?;
        let mut sender = connected.map_err(Lost::Unreachable)?;
        let request = self.request(ask, addr).map_err(Lost::Unwritable)?;
        let response = sender.send_request(request).await.map_err(Lost::Broken)?;
        let (head, body) = Response::into_parts(response);
        let body = read(body, limit).await.map_err(Lost::Broken)?;
        Ok(Reply {
            addr: addr.clone(),
            status: head.status,
            headers: head.headers,
            body: body.ok_or(Lost::TooLong)?,
            had_token: self.token.is_some(),
        })
    }

    fn request(&self, ask: Ask, addr: &Addr) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let request = Request::builder().method(ask.method).uri(ask.target);
        let mut request = request
            .header(HOST, addr.authority())
            .body(Full::new(ask.body))?;
        let headers = request.headers_mut();
        headers.extend(ask.headers);
        headers.extend(self.token.clone().map(|token| (AUTHORIZATION, token)));
        Ok(request)
    }
}

/// A reason as text, without the request, which contains the key.
enum Told {
    /// Another node may answer.
    Unreachable(String),
    Failed(String),
}

fn told_late(timeout: Duration) -> Told {
    Told::Unreachable(format!("no whole answer within {timeout:?}"))
}

impl Lost {
    fn told(self, limit: usize) -> Told {
        match self {
            Self::Slow(within) => Told::Unreachable(format!(
                "cannot be reached: no connection within {within:?}"
            )),
            Self::Unreachable(error) => {
                Told::Unreachable(format!("cannot be reached: {}", cause(&error)))
            }
            Self::Unwritable(error) => Told::Failed(format!("the request cannot be made: {error}")),
            Self::Broken(error) => {
                Told::Unreachable(format!("the connection broke: {}", cause(&error)))
            }
            Self::TooLong => Told::Failed(format!("the answer is over the limit of {limit} bytes")),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// The answer of the first node that can be reached. Reports those that could not.
pub(crate) async fn first_of<T>(
    addrs: &[Addr],
    ask: impl AsyncFn(&Addr) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut last = Failure::Usage("no address to ask".to_owned());
    for (at, addr) in addrs.iter().enumerate() {
        if at > 0 {
            output::note(&last.to_string());
        }
        match ask(addr).await {
            Err(failure @ Failure::Unreachable(_)) => last = failure,
            answer => return answer,
        }
    }
    Err(last)
}

/// The body, or `None` if it is over the limit.
async fn read(mut incoming: Incoming, limit: usize) -> Result<Option<Vec<u8>>, hyper::Error> {
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let Ok(chunk) = frame?.into_data() else {
            continue;
        };
        if chunk.len() > limit - body.len() {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// The innermost cause: the system's message, without the layers around it.
fn cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    shown(cause.to_string().as_bytes())
}

impl Reply {
    /// The answer if it is 200, otherwise the node's error.
    pub(crate) fn ok(self) -> Result<Self, Failure> {
        if self.status == StatusCode::OK {
            Ok(self)
        } else {
            Err(self.refusal())
        }
    }

    /// The body as a JSON document.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let addr = &self.addr;
            Failure::Failed(format!("{addr}: the answer is not understood: {error}"))
        })
    }

    /// What an answer other than 200 means.
    pub(crate) fn refusal(&self) -> Failure {
        let Self {
            addr, status, body, ..
        } = self;
        let line = shown(body);
        match status.as_u16() {
            // Only the node's own words count: a 404 from a server that is not a Gaggle node says
            // nothing about the key. They are read from the body, because a long key is cut off in
            // the line.
            404 if body.trim_ascii_end().ends_with(b" not found") => {
                Failure::NotFound(format!("{addr}: {line}"))
            }
            404 if body.starts_with(b"no such group: ") => {
                Failure::Usage(format!("{addr}: {line}"))
            }
            401 if self.had_token => {
                Failure::Usage(format!("{addr}: it refuses the token: {line}"))
            }
            401 => Failure::Usage(format!(
                "{addr}: it requires a token: give one with --token-file or GAGGLECTL_TOKEN"
            )),
            403 if body.starts_with(b"a client certificate ") => Failure::Usage(format!(
                "{addr}: {line}: give one with --cert and --key, and https:// before the address"
            )),
            403 | 421 => Failure::Usage(format!("{addr}: it refuses the request: {line}")),
            400 | 414 => Failure::Usage(format!("{addr}: {line}")),
            _ if line.is_empty() => Failure::Failed(format!("{addr}: answered {status}")),
            _ => Failure::Failed(format!("{addr}: answered {status}: {line}")),
        }
    }
}
