//! TLS, as set by `sslmode`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

/// The requirements on the connection, with the names of `libpq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verify {
    /// `disable`: no TLS.
    Disable,
    /// `prefer`: TLS if the server offers it, with any certificate.
    Prefer,
    /// `require`: TLS, with any certificate.
    Require,
    /// `verify-ca`: a certificate of the CA, for any name.
    Ca,
    /// `verify-full`: a certificate of the CA for the host of the URL.
    Full,
}

impl Verify {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "disable" => Self::Disable,
            // `allow` would try without TLS first; the server decides here.
            "prefer" | "allow" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::Ca,
            "verify-full" => Self::Full,
            _ => return None,
        })
    }

    /// Whether the server is authenticated.
    pub(crate) fn is_verified(self) -> bool {
        matches!(self, Self::Ca | Self::Full)
    }
}

/// What the handshake needs. Files are read at each connect, so that a renewed file is used.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tls {
    pub(crate) verify: Option<Verify>,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

impl Tls {
    pub(crate) fn mode(&self) -> Verify {
        let unsaid = if self.ca.is_some() {
            Verify::Full
        } else {
            Verify::Prefer
        };
        self.verify.unwrap_or(unsaid)
    }

    /// The configuration for one handshake.
    pub(crate) async fn client(&self) -> Result<ClientConfig, String> {
        let provider = Arc::new(ring::default_provider());
        let roots = Arc::new(self.roots().await?);
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = if self.mode() == Verify::Full {
            builder.with_root_certificates(roots)
        } else {
            let chain = (self.mode() == Verify::Ca)
                .then(|| {
                    WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                        .build()
                        .map_err(|error| error.to_string())
                })
                .transpose()?;
            let verifier = Arc::new(AnyName { chain, provider });
            builder
                .dangerous()
                .with_custom_certificate_verifier(verifier)
        };
        let (Some(certificate), Some(key)) = (&self.certificate, &self.key) else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = certificates(certificate).await?;
        let pem = read(key).await?;
        let key = PrivateKeyDer::from_pem_slice(&pem)
            .map_err(|error| format!("{}: {error}", key.display()))?;
        builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| format!("{}: {error}", certificate.display()))
    }

    async fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        match &self.ca {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(ca) => {
                for certificate in certificates(ca).await? {
                    roots
                        .add(certificate)
                        .map_err(|error| format!("{}: {error}", ca.display()))?;
                }
            }
        }
        Ok(roots)
    }
}

/// Larger than any file of certificates or a key.
const LARGEST_FILE: u64 = 1 << 20;

async fn read(path: &Path) -> Result<Vec<u8>, String> {
    let read = async {
        if tokio::fs::metadata(path).await?.len() > LARGEST_FILE {
            return Err(io::Error::other("it has more than 1 MiB"));
        }
        tokio::fs::read(path).await
    };
    read.await
        .map_err(|error| format!("{}: {error}", path.display()))
}

async fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(path).await?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{}: {error}", path.display()))?;
    if certificates.is_empty() {
        return Err(format!("{}: no certificate in it", path.display()));
    }
    Ok(certificates)
}

/// Accepts a certificate for any name; with `chain`, only one of the CA.
#[derive(Debug)]
struct AnyName {
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        // The name is checked after the chain.
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
