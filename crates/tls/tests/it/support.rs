use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use gaggle_tls::TlsFiles;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use rustls::{ClientConfig, ServerConfig, pki_types::ServerName};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two CAs with one name would differ only in their signatures, which gives another error
        // text.
        let key = KeyPair::generate().unwrap();
        let name = format!("CA {:x?}", &key.public_key_raw()[1..9]);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names, as both a server and a client.
    pub(crate) fn issue(&self, names: &[&str]) -> Pair {
        let now = SystemTime::now();
        self.issue_for(names, now - DAY, now + DAY)
    }

    pub(crate) fn issue_for(&self, names: &[&str], from: SystemTime, to: SystemTime) -> Pair {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = from.into();
        params.not_after = to.into();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap();
        Pair {
            cert: cert.pem(),
            key: key.serialize_pem(),
        }
    }
}

/// A directory with `tls.crt`, `tls.key` and `ca.crt`.
pub(crate) struct Dir(TempDir);

impl Dir {
    pub(crate) fn new(ca: &Ca, pair: &Pair) -> Self {
        let dir = Self(TempDir::new().unwrap());
        dir.write("ca.crt", &ca.pem());
        dir.put(pair);
        dir
    }

    pub(crate) fn put(&self, pair: &Pair) {
        self.write("tls.crt", &pair.cert);
        self.write("tls.key", &pair.key);
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn files(&self) -> TlsFiles {
        TlsFiles {
            cert: Some(self.path("tls.crt")),
            key: Some(self.path("tls.key")),
            client_ca: Some(self.path("ca.crt")),
            ..TlsFiles::default()
        }
    }
}

pub(crate) type Pipe = tokio::io::DuplexStream;
pub(crate) type Both = (client::TlsStream<Pipe>, server::TlsStream<Pipe>);

/// A handshake with the server that is dialled by that name, and a byte each way: a server that
/// refuses a client's certificate does so after the client's part of the handshake is over.
pub(crate) async fn connect(
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    dialled: &str,
) -> Result<Both, Failed> {
    let (near, far) = duplex(64 << 10);
    let name = ServerName::try_from(dialled.to_owned()).unwrap();
    let accept = async {
        let mut stream = TlsAcceptor::from(server).accept(far).await?;
        stream.write_all(b"x").await?;
        stream.flush().await?;
        stream.read_u8().await?;
        Ok(stream)
    };
    let connect = async {
        let mut stream = TlsConnector::from(client).connect(name, near).await?;
        stream.write_all(b"x").await?;
        stream.flush().await?;
        stream.read_u8().await?;
        Ok(stream)
    };
    match tokio::join!(connect, accept) {
        (Ok(client), Ok(server)) => Ok((client, server)),
        (client, server) => Err(Failed {
            client: said(client.err()),
            server: said(server.err()),
        }),
    }
}

/// Each side's error of a failed handshake.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) client: String,
    pub(crate) server: String,
}

fn said(error: Option<io::Error>) -> String {
    match error {
        // The other side has closed.
        Some(error) if error.kind() == ErrorKind::UnexpectedEof => String::new(),
        Some(error) => error.to_string(),
        None => String::new(),
    }
}
