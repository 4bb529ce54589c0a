//! The checked content of the files, and the configurations made from it.

use std::{sync::Arc, time::SystemTime};

use rustls::{
    ClientConfig, Error, InconsistentKeys, RootCertStore, ServerConfig,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
};

use tracing::warn;

use crate::{
    ClientCerts, TlsError, TlsFiles,
    files::{Contents, FileText, Fingerprint},
    validity::Validity,
    verifier::PeerVerifier,
};

/// Sessions that a server keeps for resumption. Each connection uses two.
const SERVER_SESSIONS: usize = 4_096;

/// The content of all files, read together.
pub(crate) struct Material {
    pub(crate) fingerprint: Fingerprint,
    /// 1 for the first, and one more for each reload.
    pub(crate) generation: u64,
    pub(crate) not_after: Option<SystemTime>,
    servers: Option<Servers>,
    verifier: Arc<WebPkiServerVerifier>,
    peer_name: Option<ServerName<'static>>,
    /// The shared part of all clients; each has its own names and sessions.
    client: ClientConfig,
}

struct Servers {
    open: Arc<ServerConfig>,
    /// Requesting certificates, and requiring them.
    checked: Option<(Arc<ServerConfig>, Arc<ServerConfig>)>,
}

impl Material {
    pub(crate) fn new(
        files: &TlsFiles,
        contents: &Contents,
        generation: u64,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let now = SystemTime::now();
        let (identity, not_after) = match (&contents.cert, &contents.key) {
            (Some(cert), Some(key)) => {
                let (identity, not_after) = identity(cert, key, &provider, now)?;
                (Some(identity), Some(not_after))
            }
            _ => (None, None),
        };
        let read = |file: &Option<FileText>| file.as_ref().map(|file| roots(file, now)).transpose();
        let client_roots = read(&contents.client_ca)?;
        let own = read(&contents.ca)?;
        let own = own.or_else(|| client_roots.clone().filter(|_| !files.public_ca));
        let roots = match own {
            Some(roots) if !files.public_ca => roots,
            own => {
                let mut roots = own.map_or_else(RootCertStore::empty, Arc::unwrap_or_clone);
                roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
                Arc::new(roots)
            }
        };
        let peer_name = files.peer_name.as_deref().map(peer_name).transpose()?;
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(setup)?;
        let client = client(&provider, &verifier, identity.as_ref())?;
        let servers = identity
            .map(|identity| Servers::new(&identity, client_roots, &provider))
            .transpose()?;
        Ok(Self {
            fingerprint: contents.fingerprint(),
            generation,
            not_after,
            servers,
            verifier,
            peer_name,
            client,
        })
    }

    pub(crate) fn server(&self, certs: ClientCerts) -> Result<&Arc<ServerConfig>, TlsError> {
        let servers = self.servers.as_ref().ok_or(TlsError::NoIdentity)?;
        match (certs, &servers.checked) {
            (ClientCerts::None, _) => Ok(&servers.open),
            (ClientCerts::Optional, Some((optional, _))) => Ok(optional),
            (ClientCerts::Required, Some((_, required))) => Ok(required),
            (ClientCerts::Optional | ClientCerts::Required, None) => Err(TlsError::NoClientCa),
        }
    }

    /// A configuration for connections to a server whose certificate may also be for those names.
    pub(crate) fn client(&self, names: &[ServerName<'static>]) -> ClientConfig {
        let names = names.iter().chain(&self.peer_name).cloned().collect();
        let verifier = PeerVerifier::new(Arc::clone(&self.verifier), names);
        let mut client = self.client.clone();
        client
            .dangerous()
            .set_certificate_verifier(Arc::new(verifier));
        client.resumption = rustls::client::Resumption::in_memory_sessions(8);
        client
    }
}

impl Servers {
    fn new(
        identity: &Arc<CertifiedKey>,
        client_roots: Option<Arc<RootCertStore>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, TlsError> {
        let checked = match client_roots {
            Some(roots) => {
                let builder =
                    || WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
                let optional = builder().allow_unauthenticated().build().map_err(setup)?;
                let required = builder().build().map_err(setup)?;
                Some((
                    Arc::new(server(identity, provider, Some(optional))?),
                    Arc::new(server(identity, provider, Some(required))?),
                ))
            }
            None => None,
        };
        Ok(Self {
            open: Arc::new(server(identity, provider, None)?),
            checked,
        })
    }
}

fn server(
    identity: &Arc<CertifiedKey>,
    provider: &Arc<CryptoProvider>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?;
    let resolver = Arc::new(SingleCertAndKey::from(Arc::clone(identity)));
    let mut config = match verifier {
        None => {
            let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
            config.session_storage = rustls::server::ServerSessionMemoryCache::new(SERVER_SESSIONS);
            config
        }
        Some(verifier) => {
            let mut config = builder
                .with_client_cert_verifier(verifier)
                .with_cert_resolver(resolver);
            // A resumed session would outlive the certificate that it was made with.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            config
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn client(
    provider: &Arc<CryptoProvider>,
    verifier: &Arc<WebPkiServerVerifier>,
    identity: Option<&Arc<CertifiedKey>>,
) -> Result<ClientConfig, TlsError> {
    let verifier: Arc<dyn ServerCertVerifier> = verifier.clone();
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(match identity {
        Some(identity) => {
            let resolver = SingleCertAndKey::from(Arc::clone(identity));
            builder.with_client_cert_resolver(Arc::new(resolver))
        }
        None => builder.with_no_client_auth(),
    })
}

fn identity(
    cert: &FileText,
    key: &FileText,
    provider: &CryptoProvider,
    now: SystemTime,
) -> Result<(Arc<CertifiedKey>, SystemTime), TlsError> {
    let chain = certificates(cert)?;
    let mut not_after = None;
    for (at, certificate) in chain.iter().enumerate() {
        let validity = Validity::of(certificate, &cert.path)?;
        match validity.check(now, &cert.path) {
            Ok(()) => {
                let end = validity.not_after();
                not_after = Some(not_after.map_or(end, |not_after: SystemTime| not_after.min(end)));
            }
            Err(error) if at == 0 => return Err(error),
            // A verifier may find a path to its CA without it, for example if a root was signed by
            // an older one that has expired since.
            Err(error) => {
                warn!(certificate = at + 1, %error, "a certificate after the first one is not valid now");
            }
        }
    }
    let secret = PrivateKeyDer::from_pem_slice(&key.text).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => TlsError::NoKey {
            path: key.path.clone(),
        },
        error => pem(key, &error),
    })?;
    let identity =
        CertifiedKey::from_der(chain, secret, provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::KeyMismatch {
                key: key.path.clone(),
                cert: cert.path.clone(),
            },
            Error::InvalidCertificate(_) => bad_certificate(cert, &error),
            error => TlsError::BadKey {
                path: key.path.clone(),
                problem: error.to_string(),
            },
        })?;
    Ok((Arc::new(identity), not_after.unwrap_or(now)))
}

fn certificates(file: &FileText) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&file.text)
        .collect::<Result<_, _>>()
        .map_err(|error| pem(file, &error))?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate {
            path: file.path.clone(),
        });
    }
    Ok(certificates)
}

/// The CAs in a file. Some of a bundle may have expired; if all have, that is an error.
fn roots(file: &FileText, now: SystemTime) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    let mut outside = None;
    for certificate in certificates(file)? {
        match Validity::of(&certificate, &file.path)?.check(now, &file.path) {
            Ok(()) => roots
                .add(certificate)
                .map_err(|error| bad_certificate(file, &error))?,
            Err(error) => outside = Some(error),
        }
    }
    match outside {
        Some(error) if roots.is_empty() => Err(error),
        _ => Ok(Arc::new(roots)),
    }
}

fn peer_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::PeerName {
        name: name.to_owned(),
    })
}

fn pem(file: &FileText, error: &rustls::pki_types::pem::Error) -> TlsError {
    TlsError::Pem {
        path: file.path.clone(),
        problem: error.to_string(),
    }
}

fn bad_certificate(file: &FileText, error: &Error) -> TlsError {
    TlsError::BadCertificate {
        path: file.path.clone(),
        problem: error.to_string(),
    }
}

fn setup(error: impl std::fmt::Display) -> TlsError {
    TlsError::Setup(Error::General(error.to_string()))
}
