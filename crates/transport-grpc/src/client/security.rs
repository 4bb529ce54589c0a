//! How the connection to a peer is secured.

use tonic::transport::{Channel, Endpoint};

use super::ClientOptions;
#[cfg(feature = "tls")]
use super::tls;

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

impl Security {
    /// For the peer of that name, at an `https://` URL or not; `None` if the options lack TLS for
    /// it.
    #[cfg(feature = "tls")]
    pub(super) fn new(options: &ClientOptions, name: &str, is_https: bool) -> Option<Self> {
        match &options.tls {
            _ if !is_https => Some(Self::Plain),
            Some(tls) => Some(Self::Tls(tls.peer(name))),
            None => None,
        }
    }

    /// The same without TLS.
    #[cfg(not(feature = "tls"))]
    pub(super) fn new(_: &ClientOptions, _: &str, is_https: bool) -> Option<Self> {
        (!is_https).then_some(Self::Plain)
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
    /// Whether a connection of one configuration may be used with the other.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain, Self::Plain) => true,
            #[cfg(feature = "tls")]
            (Self::Tls(one), Self::Tls(other)) => std::sync::Arc::ptr_eq(one, other),
            #[cfg(feature = "tls")]
            _ => false,
        }
    }

    /// A channel with no connection yet.
    pub(super) fn channel(&self, endpoint: &Endpoint) -> Channel {
        match self {
            Self::Plain => endpoint.connect_lazy(),
            #[cfg(feature = "tls")]
            Self::Tls(config) => tls::channel(endpoint, config),
        }
    }
}
