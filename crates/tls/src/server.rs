use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection};

use crate::{Tls, TlsError};

/// How a server treats clients' certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ClientCerts {
    /// It requests none.
    #[default]
    None,
    /// It requests one, and refuses an invalid one; a client without one is accepted.
    Optional,
    /// It refuses a client without a valid one.
    Required,
}

/// The configurations of a server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ServerTls {
    tls: Tls,
    certs: ClientCerts,
    first: Arc<ServerConfig>,
}

impl ServerTls {
    pub(crate) fn new(tls: Tls, certs: ClientCerts) -> Result<Self, TlsError> {
        let first = Arc::clone(tls.material().server(certs)?);
        Ok(Self { tls, certs, first })
    }

    /// The configuration for the next connection, which offers HTTP/2 and HTTP/1.1 (ALPN). The
    /// same one until the files change.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        match self.tls.material().server(self.certs) {
            Ok(config) => Arc::clone(config),
            // Does not occur: a reload reads the same files, and so has each kind that was there
            // at first.
            Err(_) => Arc::clone(&self.first),
        }
    }

    /// Whether the client of `connection`, which was made with one of these configurations, has
    /// presented a certificate that was verified. `false` before the handshake is complete.
    #[must_use]
    pub fn has_client_certificate(&self, connection: &ServerConnection) -> bool {
        !connection.is_handshaking()
            && connection
                .peer_certificates()
                .is_some_and(|chain| !chain.is_empty())
    }
}
