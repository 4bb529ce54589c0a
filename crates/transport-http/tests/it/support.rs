//! Groups, servers and clients for tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{
    Entry, Fetch, Freshness, Group, Groups, Key, Member, Notice, Peer, PeerError, PeerRequests,
    RemovalId, Route, Router, Scope,
};
use gaggle_transport_http::{ClientOptions, HttpPeer, HttpTransport, ServerOptions, router};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Longer than any step here takes, so that a test that hangs fails.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Tom 630, and an empty value under the key `empty`; all other keys are absent.
pub(crate) fn scores() -> Group {
    Group::builder("scores")
        .origin_fn(|key: Bytes| async move {
            Ok::<_, std::io::Error>(match &key[..] {
                b"Tom" => Some("630"),
                b"empty" => Some(""),
                _ => None,
            })
        })
        .build()
        .unwrap()
}

/// A group whose value for every key is that key.
pub(crate) fn echo() -> Group {
    Group::builder("echo")
        .origin_fn(|key: Bytes| async move { Ok::<_, std::io::Error>(Some(key)) })
        .build()
        .unwrap()
}

pub(crate) async fn serve(
    groups: impl IntoIterator<Item = Group>,
    options: ServerOptions,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = router(Groups::new(groups).unwrap(), options);
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

pub(crate) fn peer(address: SocketAddr) -> Arc<HttpPeer> {
    peer_with(address, ClientOptions::default())
}

pub(crate) fn peer_with(address: SocketAddr, options: ClientOptions) -> Arc<HttpPeer> {
    HttpTransport::new(options)
        .unwrap()
        .peer(&format!("http://{address}"))
        .unwrap()
}

pub(crate) async fn fetch(peer: &HttpPeer, group: &str, key: &[u8]) -> Result<Entry, PeerError> {
    fetch_most(peer, group, key, 1 << 20).await
}

pub(crate) async fn fetch_most(
    peer: &HttpPeer,
    group: &str,
    key: &[u8],
    max_value: u64,
) -> Result<Entry, PeerError> {
    let key = Key::copy_from_slice(key);
    let fetched = peer.fetch(Fetch::new(group, &key, max_value, LONG)).await;
    fetched.map(|fetched| fetched.entry)
}

pub(crate) fn found(value: impl Into<Bytes>) -> Entry {
    Entry::value(value)
}

/// An absence that is not to be kept.
pub(crate) fn absent() -> Entry {
    Entry::absent().with_freshness(Freshness::for_ttl(Duration::ZERO))
}

/// The first removal by a node with a unique identity.
pub(crate) fn new_id() -> RemovalId {
    static ISSUED: AtomicU64 = AtomicU64::new(1);
    RemovalId {
        issuer: ISSUED.fetch_add(1, Relaxed),
        number: 1,
    }
}

/// A removal of these keys that no node knows.
pub(crate) fn removal(keys: &[&[u8]]) -> Notice {
    let keys = keys.iter().map(|key| Key::copy_from_slice(key));
    Notice {
        id: new_id(),
        scope: Scope::Keys(keys.collect()),
    }
}

pub(crate) fn reason(failure: &PeerError) -> &str {
    match failure {
        PeerError::Unavailable { reason, .. } | PeerError::Refused { reason, .. } => reason,
        other => panic!("a verdict: {other:?}"),
    }
}

/// A router that assigns every key to the other node.
pub(crate) struct AllTheirs(pub(crate) Arc<dyn Peer>);

impl Router for AllTheirs {
    fn route(&self, _key: &[u8]) -> Route {
        Route::Theirs(self.0.clone())
    }

    fn owner(&self, _key: &[u8]) -> Member {
        Member {
            address: "".into(),
            name: self.0.name().into(),
            is_self: false,
            up: true,
            requests: PeerRequests::default(),
        }
    }

    fn members(&self) -> Vec<Member> {
        vec![self.owner(b"")]
    }

    fn peers(&self) -> Vec<Arc<dyn Peer>> {
        vec![self.0.clone()]
    }

    fn digest(&self) -> String {
        String::new()
    }
}

/// Sends bytes on a new connection and returns all that comes back, without the date.
pub(crate) async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    timeout(LONG, connection.read_to_end(&mut answer))
        .await
        .expect("the server ends")
        .unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let head: Vec<_> = head
        .split("\r\n")
        .filter(|line| !line.starts_with("date: "))
        .collect();
    format!("{}\r\n\r\n{body}", head.join("\r\n"))
}

/// The answer to a request line, with these further header lines.
pub(crate) async fn ask(address: SocketAddr, line: &str, headers: &str) -> String {
    let request = format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    raw(address, request.as_bytes()).await
}
