//! TLS on a server's port: the configuration, and the handshake.

mod greet;
mod refusals;
mod serve;

use std::{fmt, sync::Arc};

use rustls::ServerConfig;

pub(crate) use refusals::Refusals;
pub(crate) use serve::serve;

/// TLS for the connections of a [`Server`](crate::Server). Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    config: Arc<dyn Fn() -> Arc<ServerConfig> + Send + Sync>,
    accept_plain: bool,
}

impl Tls {
    /// Each connection is served by what `config` returns as it begins, so that certificates can
    /// be replaced. `config` is called on the runtime's threads, and must neither block nor panic.
    ///
    /// HTTP/2 is spoken with clients that use it. Clients that negotiate (ALPN) get it if the
    /// configuration offers `h2`.
    pub fn new(config: impl Fn() -> Arc<ServerConfig> + Send + Sync + 'static) -> Self {
        Self {
            config: Arc::new(config),
            accept_plain: false,
        }
    }

    /// Whether plain HTTP is served on the same port, while clients change over to TLS. Otherwise
    /// it is answered 400, in plain HTTP, with a line that says so. Default: no.
    #[must_use]
    pub fn accept_plain(mut self, accept: bool) -> Self {
        self.accept_plain = accept;
        self
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("accept_plain", &self.accept_plain)
            .finish_non_exhaustive()
    }
}
