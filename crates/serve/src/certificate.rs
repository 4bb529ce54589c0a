use std::{fmt, sync::Arc};

/// The certificate that the client of a request's connection has presented, after it was verified.
///
/// It is among the [extensions](hyper::Request::extensions) of each request on such a connection,
/// so that a layer can require one. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    der: Arc<[u8]>,
}

impl ClientCertificate {
    /// A certificate that was verified elsewhere, or not at all, as in a test.
    pub fn new(der: impl Into<Arc<[u8]>>) -> Self {
        Self { der: der.into() }
    }

    /// The certificate in DER, without the intermediate certificates.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientCertificate({} bytes)", self.der.len())
    }
}
