//! Authorities that sign certificates, and the files that nodes read them from.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An authority.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub(crate) struct Pair {
    cert: rcgen::Certificate,
    key: KeyPair,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names and addresses, as a server and as a client.
    pub(crate) fn issue(&self, names: &[&str]) -> Pair {
        self.issue_until(names, SystemTime::now() + DAY)
    }

    /// One that was valid until yesterday.
    pub(crate) fn expired(&self, names: &[&str]) -> Pair {
        self.issue_until(names, SystemTime::now() - DAY)
    }

    fn issue_until(&self, names: &[&str], end: SystemTime) -> Pair {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = (end - 2 * DAY).into();
        params.not_after = end.into();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap();
        Pair { cert, key }
    }
}

/// How a client connects that trusts these authorities, and shows that certificate.
pub(crate) fn client(trusted: &[&Ca], shown: Option<&Pair>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for ca in trusted {
        roots.add(ca.0.der().clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match shown {
        None => config.with_no_client_auth(),
        Some(pair) => config
            .with_client_auth_cert(pair.chain(), pair.key())
            .unwrap(),
    })
}

impl Pair {
    fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.cert.der().clone()]
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }
}

/// Replaces a file in one step, as docs/src/security.md says.
pub(crate) fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(&beside, path).unwrap();
}

/// The files of one node: `NAME.pem`, `NAME.key` and `NAME-ca.pem`.
pub(crate) struct Files {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) ca: PathBuf,
}

impl Files {
    pub(crate) fn new(dir: &Path, name: &str, pair: &Pair, trusted: &[&Ca]) -> Self {
        let files = Self {
            cert: dir.join(format!("{name}.pem")),
            key: dir.join(format!("{name}.key")),
            ca: dir.join(format!("{name}-ca.pem")),
        };
        files.put(pair);
        files.trust(trusted);
        files
    }

    /// The key first: until both are replaced, they do not belong together, and the node keeps
    /// what it had.
    pub(crate) fn put(&self, pair: &Pair) {
        replace(&self.key, &pair.key.serialize_pem());
        replace(&self.cert, &pair.cert.pem());
    }

    pub(crate) fn trust(&self, trusted: &[&Ca]) {
        let pem: String = trusted.iter().map(|ca| ca.pem()).collect();
        replace(&self.ca, &pem);
    }

    /// The table `security.tls` with a certificate for each port, and one that clients of the
    /// peers' and the admin port have to show.
    pub(crate) fn table(&self) -> String {
        let Self { cert, key, ca } = self;
        format!("[security.tls]\ncert = {cert:?}\nkey = {key:?}\nclient-ca = {ca:?}\n")
    }
}
