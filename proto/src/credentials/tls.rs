//! How connections to peers are secured.

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;

/// The configuration for a peer's next connection.
pub type CurrentConfig = Arc<dyn Fn() -> Arc<ClientConfig> + Send + Sync>;

/// The source of TLS configurations for connections to peers, so that certificates and CAs can be
/// changed while they are in use. Two are equal if they are clones of one.
#[derive(Clone)]
pub struct Tls(Arc<dyn Fn(&str) -> CurrentConfig + Send + Sync>);

impl Tls {
    /// `peers` is called once for each peer, with its name in the ring. The function that it
    /// returns is called before each request and must not block. While that gives the same `Arc`,
    /// connections are kept. After it gives another one, new requests use new connections, and
    /// requests under way end on the old ones.
    ///
    /// The configuration checks the peer's certificate: against the host of the base URL, which is
    /// the name that rustls is given, or against the name in the ring. ALPN is set here.
    pub fn new<F, C>(peers: F) -> Self
    where
        F: Fn(&str) -> C + Send + Sync + 'static,
        C: Fn() -> Arc<ClientConfig> + Send + Sync + 'static,
    {
        Self(Arc::new(move |name| Arc::new(peers(name))))
    }

    /// What gives the configurations for the peer of that name.
    #[must_use]
    pub fn peer(&self, name: &str) -> CurrentConfig {
        (self.0)(name)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(..)")
    }
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Tls {}
