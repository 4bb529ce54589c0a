//! A node that can be killed, and the peer that asks it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{
    Entry, Fetch, Fetched, Group, Groups, Key, Notice, Peer, PeerError, RemovalId, Scope, Verdict,
};
use gaggle_transport_grpc::{ClientOptions, GrpcPeer, GrpcTransport, ServerOptions, router};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// Long enough never to end a successful test.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A server with its own runtime, so that it can be ended with all its connections, like a
/// process.
pub(crate) struct Node {
    pub(crate) addr: SocketAddr,
    runtime: Option<Runtime>,
}

impl Node {
    pub(crate) async fn serve(groups: impl IntoIterator<Item = Group>) -> Self {
        Self::serve_router(router(
            Groups::new(groups).unwrap(),
            ServerOptions::default(),
        ))
        .await
    }

    pub(crate) async fn serve_router(router: axum::Router) -> Self {
        Self::serve_at(([127, 0, 0, 1], 0).into(), router).await
    }

    pub(crate) async fn serve_at(addr: SocketAddr, router: axum::Router) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let bound = runtime.spawn(async move { TcpListener::bind(addr).await.unwrap() });
        let listener = bound.await.unwrap();
        let addr = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            addr,
            runtime: Some(runtime),
        }
    }

    /// Ends it; its port is free and its connections are closed once this returns.
    pub(crate) async fn kill(mut self) -> SocketAddr {
        let runtime = self.runtime.take().unwrap();
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(LONG))
            .await
            .unwrap();
        self.addr
    }

    pub(crate) fn peer(&self) -> Arc<GrpcPeer> {
        self.peer_with(ClientOptions::default())
    }

    pub(crate) fn peer_with(&self, mut options: ClientOptions) -> Arc<GrpcPeer> {
        // The connection is local, but a busy machine may take its time.
        options.connect_timeout = LONG;
        options.ping_timeout = LONG;
        GrpcTransport::new(options)
            .peer(&format!("http://{}", self.addr))
            .unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A group called `g` whose values are their keys.
pub(crate) fn echo() -> Group {
    Group::builder("g")
        .origin_fn(|key: Bytes| async move { Ok::<_, std::io::Error>(Some(key)) })
        .build()
        .unwrap()
}

/// Asks for a key of `g`, with room for anything and for a long time.
pub(crate) async fn fetch(peer: &GrpcPeer, key: impl Into<Bytes>) -> Result<Entry, PeerError> {
    fetch_within(peer, key, LONG).await
}

pub(crate) async fn fetch_within(
    peer: &GrpcPeer,
    key: impl Into<Bytes>,
    deadline: Duration,
) -> Result<Entry, PeerError> {
    let key = key.into();
    let fetched = peer.fetch(Fetch::new("g", &key, 64 << 20, deadline)).await;
    fetched.map(|fetched| fetched.entry)
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

pub(crate) fn value(fetched: Result<impl Into<Fetched>, PeerError>) -> Bytes {
    let entry = fetched.map(|fetched| fetched.into().entry);
    match entry {
        Ok(Entry {
            value: Some(value), ..
        }) => value,
        other => panic!("no value: {other:?}"),
    }
}

pub(crate) fn verdict(fetched: Result<impl std::fmt::Debug, PeerError>) -> Verdict {
    match fetched {
        Err(PeerError::Verdict { verdict, .. }) => verdict,
        other => panic!("no verdict: {other:?}"),
    }
}
