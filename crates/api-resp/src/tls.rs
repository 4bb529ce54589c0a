//! TLS on the port.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;

/// TLS for the connections of a [`RespServer`](crate::RespServer). Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    pub(crate) config: Arc<dyn Fn() -> Arc<ServerConfig> + Send + Sync>,
    pub(crate) accept_plain: bool,
}

impl Tls {
    /// Each connection is served by what `config` returns as it begins, so that certificates can
    /// be replaced. `config` is called on the runtime's threads, and must neither block nor panic.
    pub fn new(config: impl Fn() -> Arc<ServerConfig> + Send + Sync + 'static) -> Self {
        Self {
            config: Arc::new(config),
            accept_plain: false,
        }
    }

    /// Whether clients without TLS are served on the same port, for as long as clients change
    /// over. Otherwise they get one error that says so. Default: no.
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
