//! Requests to a peer, over plain HTTP or TLS.

use std::error::Error;
use std::fmt;

use reqwest::{Request, Response};

#[cfg(feature = "tls")]
use super::tls;
use super::{ClientOptions, pool};

/// How connections to one peer are secured.
pub(super) enum Security {
    /// Not at all.
    Plain,
    #[cfg(feature = "tls")]
    Tls(gaggle_proto::credentials::CurrentConfig),
}

/// The configuration of the next connection.
pub(super) enum Config {
    Plain,
    #[cfg(feature = "tls")]
    Tls(std::sync::Arc<rustls::ClientConfig>),
}

/// Sends requests to one peer, and keeps the connections.
#[derive(Clone)]
pub(super) enum Client {
    Plain(reqwest::Client),
    #[cfg(feature = "tls")]
    Tls(std::sync::Arc<tls::Client>),
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum SendError {
    Plain(reqwest::Error),
    #[cfg(feature = "tls")]
    Tls(hyper_util::client::legacy::Error),
}

impl Security {
    /// For the peer of that name at that base URL.
    #[cfg(feature = "tls")]
    pub(super) fn new(options: &ClientOptions, name: &str, base_url: &str) -> Self {
        let is_https = reqwest::Url::parse(base_url).is_ok_and(|url| url.scheme() == "https");
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
    /// Whether connections of one configuration may be used with the other.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain, Self::Plain) => true,
            #[cfg(feature = "tls")]
            (Self::Tls(one), Self::Tls(other)) => std::sync::Arc::ptr_eq(one, other),
            #[cfg(feature = "tls")]
            _ => false,
        }
    }

    /// A client with no connections yet.
    pub(super) fn client(&self, options: &ClientOptions) -> Result<Client, reqwest::Error> {
        match self {
            Self::Plain => pool::new_client(options).map(Client::Plain),
            #[cfg(feature = "tls")]
            Self::Tls(config) => Ok(Client::Tls(tls::client(options, config).into())),
        }
    }
}

impl Client {
    pub(super) async fn execute(&self, request: Request) -> Result<Response, SendError> {
        match self {
            Self::Plain(client) => Ok(client.execute(request).await?),
            #[cfg(feature = "tls")]
            Self::Tls(client) => {
                let request = http::Request::try_from(request)?;
                let answer = client.request(request).await.map_err(SendError::Tls)?;
                Ok(Response::from(answer.map(reqwest::Body::wrap)))
            }
        }
    }
}

impl SendError {
    pub(super) fn is_connect(&self) -> bool {
        match self {
            Self::Plain(error) => error.is_connect(),
            #[cfg(feature = "tls")]
            Self::Tls(error) => error.is_connect(),
        }
    }

    /// The request cannot be written.
    pub(super) fn is_builder(&self) -> bool {
        match self {
            Self::Plain(error) => error.is_builder(),
            #[cfg(feature = "tls")]
            Self::Tls(_) => false,
        }
    }
}

impl From<reqwest::Error> for SendError {
    fn from(error: reqwest::Error) -> Self {
        Self::Plain(error)
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(error) => error.fmt(f),
            #[cfg(feature = "tls")]
            Self::Tls(error) => error.fmt(f),
        }
    }
}

impl Error for SendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Plain(error) => error.source(),
            #[cfg(feature = "tls")]
            Self::Tls(error) => error.source(),
        }
    }
}
