//! Certificates, and connections that use them.

use std::{
    io,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use gaggle_serve::{Options, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    server::WebPkiClientVerifier,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::support::*;

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

pub(crate) type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// A certificate for localhost, until then.
    pub(crate) fn issue_until(&self, end: SystemTime) -> Identity {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = (SystemTime::now() - 30 * DAY).into();
        params.not_after = end.into();
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        (cert.der().clone(), key)
    }

    pub(crate) fn issue(&self) -> Identity {
        self.issue_until(SystemTime::now() + DAY)
    }

    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }

    /// A server that presents a certificate, and requests or requires those of clients.
    pub(crate) fn server(&self, clients: Clients) -> ServerConfig {
        let (cert, key) = self.issue();
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots()), provider());
        let builder = match clients {
            Clients::Any => builder.with_no_client_auth(),
            Clients::Asked => {
                builder.with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
            }
            Clients::Shown => builder.with_client_cert_verifier(verifier.build().unwrap()),
        };
        let mut config = builder.with_single_cert(vec![cert], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config
    }

    /// A client that trusts this CA alone, and shows a certificate if it has one.
    pub(crate) fn client(&self, identity: Option<Identity>) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots());
        match identity {
            Some((cert, key)) => builder.with_client_auth_cert(vec![cert], key).unwrap(),
            None => builder.with_no_client_auth(),
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Clients {
    Any,
    Asked,
    Shown,
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The same configuration for each connection.
pub(crate) fn always(config: ServerConfig) -> Tls {
    let config = Arc::new(config);
    Tls::new(move || Arc::clone(&config))
}

/// A configuration that the test replaces.
pub(crate) fn replaceable(config: ServerConfig) -> (Tls, Arc<Mutex<Arc<ServerConfig>>>) {
    let current = Arc::new(Mutex::new(Arc::new(config)));
    let source = Arc::clone(&current);
    (Tls::new(move || source.lock().unwrap().clone()), current)
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "so that a call reads as a literal"
)]
pub(crate) fn with(tls: Tls, options: Options) -> Options {
    Options {
        tls: Some(tls),
        ..options
    }
}

pub(crate) type Client = TlsStream<TcpStream>;

pub(crate) async fn try_connect(running: &Running, config: ClientConfig) -> io::Result<Client> {
    let name = ServerName::try_from("localhost").unwrap();
    let socket = running.connect().await;
    soon(TlsConnector::from(Arc::new(config)).connect(name, socket)).await
}

pub(crate) async fn connect(running: &Running, config: ClientConfig) -> Client {
    try_connect(running, config).await.unwrap()
}
