//! CAs, directories of certificates, and nodes that use them.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::Request;
use bytes::Bytes;
use gaggle_group::{Fetch, Group, Groups, Key, Peer, PeerError};
use gaggle_serve::{ClientCertificate, Options, Server};
use gaggle_tls::{ClientCerts, TlsFiles};
use gaggle_transport_grpc::{ClientOptions, GrpcPeer, GrpcTransport, ServerOptions, Tls, router};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Longer than any step here takes, so that a test that hangs fails.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate of that name and its key, in PEM.
    pub(crate) fn issue(&self, name: &str) -> (String, String) {
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap();
        (cert.pem(), key.serialize_pem())
    }
}

/// A node's certificates, in files.
pub(crate) struct Certificates {
    dir: TempDir,
    pub(crate) tls: gaggle_tls::Tls,
}

impl Certificates {
    /// For a node of that name, by `ca`, which it trusts as well.
    pub(crate) fn new(ca: &Ca, name: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let files = write(&dir, ca, name, &ca.pem());
        let tls = gaggle_tls::Tls::load(files).unwrap();
        Self { dir, tls }
    }

    /// The CAs alone, and no certificate to show.
    pub(crate) fn none(ca: &Ca) -> Self {
        let dir = TempDir::new().unwrap();
        let mut files = write(&dir, ca, "unused", &ca.pem());
        (files.cert, files.key) = (None, None);
        let tls = gaggle_tls::Tls::load(files).unwrap();
        Self { dir, tls }
    }

    /// Replaces them.
    pub(crate) fn replace(&self, ca: &Ca, name: &str, trusted: &str) {
        write(&self.dir, ca, name, trusted);
        assert!(self.tls.reload().unwrap());
    }

    pub(crate) fn options(&self) -> ClientOptions {
        let client = self.tls.client();
        let tls = Tls::new(move |name| {
            let peer = client.peer(name);
            move || peer.config()
        });
        ClientOptions {
            tls: Some(tls),
            // The connection is local, but a busy machine may take its time.
            connect_timeout: LONG,
            ..ClientOptions::default()
        }
    }
}

fn write(dir: &TempDir, ca: &Ca, name: &str, trusted: &str) -> TlsFiles {
    let (cert, key) = ca.issue(name);
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    TlsFiles {
        cert: Some(write("tls.crt", &cert)),
        key: Some(write("tls.key", &key)),
        client_ca: Some(write("ca.crt", trusted)),
        ..TlsFiles::default()
    }
}

/// A node that answers each key with itself, and knows which certificates clients have shown.
pub(crate) struct Node {
    pub(crate) addr: SocketAddr,
    pub(crate) shown: Arc<Mutex<BTreeSet<Vec<u8>>>>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<gaggle_serve::Drained>,
}

impl Node {
    pub(crate) async fn start(certificates: &Certificates) -> Self {
        let server = certificates.tls.server(ClientCerts::Required).unwrap();
        Self::with(Some(gaggle_serve::Tls::new(move || server.config()))).await
    }

    pub(crate) async fn with(tls: Option<gaggle_serve::Tls>) -> Self {
        let group = Group::builder("echo")
            .origin_fn(|key: Bytes| async move { Ok::<_, std::io::Error>(Some(key)) })
            .build()
            .unwrap();
        let shown = Arc::new(Mutex::new(BTreeSet::new()));
        let seen = Arc::clone(&shown);
        let router = router(Groups::new([group]).unwrap(), ServerOptions::default());
        let router = router.layer(axum::middleware::map_request(move |request: Request| {
            if let Some(certificate) = request.extensions().get::<ClientCertificate>() {
                seen.lock().unwrap().insert(certificate.der().to_vec());
            }
            async { request }
        }));
        let options = Options {
            tls,
            ..Options::default()
        };
        let server = Server::bind("127.0.0.1:0", options).await.unwrap();
        let addr = server.local_addr();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.serve(router, async {
            let _ = stopped.await;
        }));
        Self {
            addr,
            shown,
            stop,
            serving,
        }
    }

    /// A handle for this node by that name in the ring.
    pub(crate) fn peer(&self, name: &str, options: ClientOptions) -> Arc<GrpcPeer> {
        let transport = GrpcTransport::new(options);
        let url = format!("https://{}", self.addr);
        transport.peer_named(name, &url).unwrap()
    }

    /// Ends it when all is answered.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        assert_eq!(self.serving.await.unwrap().cut, 0);
    }
}

/// Asks for a key, whose value is the key.
pub(crate) async fn ask(peer: &GrpcPeer, key: &str) -> Result<(), PeerError> {
    let key = Key::copy_from_slice(key.as_bytes());
    let fetched = peer.fetch(Fetch::new("echo", &key, 1 << 20, LONG)).await?;
    assert_eq!(fetched.entry.value, Some(key));
    Ok(())
}

/// Why it is not available.
pub(crate) async fn refusal(peer: &GrpcPeer) -> String {
    match ask(peer, "Tom").await {
        Err(PeerError::Unavailable { reason, .. }) => reason.to_string(),
        other => panic!("{other:?}"),
    }
}
