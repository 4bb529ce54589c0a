//! What the tests of both kinds of servers share.
#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{Content, Hint, Key, Load, Loaded, Origin, OriginError};
use gaggle_testservers::Tls;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const LIMIT: u64 = 1 << 20;
/// How long a test waits for an expected event.
pub(crate) const BOUND: Duration = Duration::from_secs(30);

pub(crate) fn key(key: impl AsRef<[u8]>) -> Key {
    Key::copy_from_slice(key.as_ref())
}

pub(crate) fn value_of(loaded: Loaded) -> Option<Bytes> {
    match loaded.content {
        Content::Value(value) => Some(value),
        Content::Absent => None,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn load(
    origin: &impl Origin,
    of: impl AsRef<[u8]>,
) -> Result<Option<Bytes>, OriginError> {
    let of = key(of);
    Ok(value_of(origin.load(Load::new(&of, LIMIT)).await?))
}

pub(crate) async fn text(origin: &impl Origin, of: impl AsRef<[u8]>) -> Option<String> {
    let value = load(origin, of).await.unwrap()?;
    Some(String::from_utf8(value.to_vec()).unwrap())
}

pub(crate) async fn many(
    origin: &impl Origin,
    keys: &[impl AsRef<[u8]>],
) -> Vec<Result<Loaded, OriginError>> {
    let keys: Vec<Key> = keys.iter().map(key).collect();
    let loads: Vec<Load<'_>> = keys.iter().map(|key| Load::new(key, LIMIT)).collect();
    let outcomes = origin.load_many(&loads).await;
    assert_eq!(outcomes.len(), keys.len());
    outcomes
}

/// A comparable form of an outcome.
pub(crate) fn shown(outcome: Result<Loaded, OriginError>) -> Result<(Option<Bytes>, Hint), String> {
    let loaded = outcome.map_err(|error| format!("{:?} {error}", error.fault()))?;
    let freshness = loaded.freshness;
    Ok((value_of(loaded), freshness))
}

/// What this thread logs, at every level, while it lives.
pub(crate) struct Logged {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Logged {
    pub(crate) fn from_now() -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&text);
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || Writer(Arc::clone(&writer)))
            .finish();
        Self {
            text,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.text.lock().unwrap().clone()).unwrap()
    }

    /// Whether a line of the level WARN holds all of these.
    pub(crate) fn warns_of(&self, parts: &[&str]) -> bool {
        let text = self.text();
        let mut lines = text.lines().filter(|line| line.contains(" WARN "));
        lines.any(|line| parts.iter().all(|part| line.contains(part)))
    }
}

struct Writer(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Polls until something holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let polling = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(BOUND, polling).await;
    assert!(in_time.is_ok(), "never: {what}");
}

/// A forwarder in front of a server, which counts what the server sends.
pub(crate) struct Counting {
    pub(crate) address: SocketAddr,
    received: Arc<AtomicU64>,
}

impl Counting {
    pub(crate) async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(forward(client, server, Arc::clone(&count)));
            }
        });
        Self { address, received }
    }

    /// The bytes that the server has sent so far.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }
}

async fn forward(client: TcpStream, server: TcpStream, count: Arc<AtomicU64>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
        let _ = to_server.shutdown().await;
    });
    let mut buffer = vec![0; 64 << 10];
    while let Ok(len @ 1..) = from_server.read(&mut buffer).await {
        count.fetch_add(len as u64, Relaxed);
        if to_client.write_all(&buffer[..len]).await.is_err() {
            return;
        }
    }
}

/// A port on which nothing listens.
pub(crate) async fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

/// An authority, and a certificate of it for `localhost`: the authority's certificate in PEM, and
/// the server's.
pub(crate) fn certificates() -> (String, Tls) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(params, ca_key);
    let server_key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&server_key, &issuer).unwrap();
    let tls = Tls {
        certificate: certificate.pem(),
        key: server_key.serialize_pem(),
    };
    (ca.pem(), tls)
}

/// Loads many keys one by one, and each once in batches of random sizes, and compares the results.
pub(crate) async fn assert_batches_equal_singles(origin: &impl Origin, keys: &[Vec<u8>]) {
    let mut singles = HashMap::new();
    for of in keys {
        let of = key(of);
        let loaded = origin.load(Load::new(&of, LIMIT)).await;
        singles.insert(of, shown(loaded));
    }
    let mut random = fastrand::Rng::with_seed(7);
    let mut rest = keys;
    while !rest.is_empty() {
        let len = random.usize(1..=rest.len().min(200));
        let (these, others) = rest.split_at(len);
        for (of, outcome) in these.iter().zip(many(origin, these).await) {
            assert_eq!(&shown(outcome), &singles[&key(of)], "{of:?}");
        }
        rest = others;
    }
}
