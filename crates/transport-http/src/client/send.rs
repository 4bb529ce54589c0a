//! Requests to a peer and their answers, over plain HTTP or TLS.
//!
//! By hyper's client alone: another on top of it read each URL three times, which was a fifth of what a hop cost.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use hyper::body::{Body as _, Incoming};
use hyper_util::client::legacy::{self, connect::HttpConnector};

use super::ClientOptions;
use super::connect::{self, Connector};
#[cfg(feature = "tls")]
use super::tls;
use crate::message::Parts;

/// How connections to one peer are secured.
pub(super) enum Security {
    /// Not at all.
    Plain,
    #[cfg(feature = "tls")]
    Tls(gaggle_proto::credentials::CurrentConfig),
}

/// What the next connection is made with.
pub(super) enum Config {
    Plain,
    #[cfg(feature = "tls")]
    Tls(Arc<rustls::ClientConfig>),
}

/// What sends requests to one peer, and keeps the connections.
#[derive(Clone)]
pub(super) enum Client {
    Plain(Arc<legacy::Client<Connector<HttpConnector>, Body>>),
    #[cfg(feature = "tls")]
    Tls(Arc<tls::Client>),
}

/// A request to a peer.
pub(super) struct Request {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Option<Content>,
}

/// What a request brings.
#[derive(Clone)]
pub(super) enum Content {
    Whole(Bytes),
    InParts(Vec<Bytes>),
}

/// The answer to a request, its body on its way.
#[derive(Debug)]
pub(super) struct Response(http::Response<Incoming>);

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct SendError(legacy::Error);

/// Why the rest of an answer's body does not come.
#[derive(Debug)]
pub(super) struct BrokeOff(hyper::Error);

impl Security {
    /// Of the peer of that name at that base URL.
    #[cfg(feature = "tls")]
    pub(super) fn new(options: &ClientOptions, name: &str, base_url: &str) -> Self {
        let is_https = url::Url::parse(base_url).is_ok_and(|url| url.scheme() == "https");
        match &options.tls {
            Some(tls) if is_https => Self::Tls(tls.peer(name)),
            _ => Self::Plain,
        }
    }

    /// The same without TLS.
    #[cfg(not(feature = "tls"))]
    pub(super) fn new(_: &ClientOptions, _: &str, _: &str) -> Self {
        Self::Plain
    }

    pub(super) fn config(&self) -> Config {
        match self {
            Self::Plain => Config::Plain,
            #[cfg(feature = "tls")]
            Self::Tls(current) => Config::Tls(current()),
        }
    }
}

impl Config {
    /// Whether connections that were made with the one may be used with the other.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain, Self::Plain) => true,
            #[cfg(feature = "tls")]
            (Self::Tls(one), Self::Tls(other)) => Arc::ptr_eq(one, other),
            #[cfg(feature = "tls")]
            _ => false,
        }
    }

    /// A client with no connections yet.
    pub(super) fn client(&self, options: &ClientOptions) -> Client {
        match self {
            Self::Plain => Client::Plain(connect::client(options, connect::tcp(options)).into()),
            #[cfg(feature = "tls")]
            Self::Tls(config) => Client::Tls(tls::client(options, config).into()),
        }
    }
}

impl Client {
    pub(super) async fn execute(&self, request: Request) -> Result<Response, SendError> {
        let request = request.into_http();
        let answer = match self {
            Self::Plain(client) => client.request(request),
            #[cfg(feature = "tls")]
            Self::Tls(client) => client.request(request),
        };
        answer.await.map(Response).map_err(SendError)
    }
}

impl Request {
    pub(super) fn new(method: Method, uri: Uri) -> Self {
        Self {
            method,
            uri,
            headers: HeaderMap::new(),
            body: None,
        }
    }

    pub(super) fn with_body(self, body: Content) -> Self {
        Self {
            body: Some(body),
            ..self
        }
    }

    pub(super) fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// The same again. Its body is shared.
    pub(super) fn again(&self) -> Self {
        Self {
            method: self.method.clone(),
            uri: self.uri.clone(),
            headers: self.headers.clone(),
            body: self.body.clone(),
        }
    }

    fn into_http(self) -> http::Request<Body> {
        let mut request = http::Request::new(match self.body {
            None => Body::empty(),
            Some(Content::Whole(bytes)) => Body::from(bytes),
            Some(Content::InParts(parts)) => Body::new(Parts::new(parts)),
        });
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        request
    }
}

impl Response {
    pub(super) fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// The length of the body in bytes, if it is stated.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.0.body().size_hint().exact()
    }

    /// The next piece of the body; `None` at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, BrokeOff> {
        loop {
            let frame = poll_fn(|cx| Pin::new(self.0.body_mut()).poll_frame(cx)).await;
            let Some(frame) = frame.transpose().map_err(BrokeOff)? else {
                return Ok(None);
            };
            // A frame without data has trailers, which nobody reads.
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }
}

impl SendError {
    pub(super) fn is_connect(&self) -> bool {
        self.0.is_connect()
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for SendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl fmt::Display for BrokeOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body of an answer broke off")
    }
}

impl Error for BrokeOff {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}
