//! A path that goes silent for the existing connection, and works for new ones.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use gaggle_group::Peer;
use gaggle_transport_grpc::{ClientOptions, GrpcTransport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::node::{Node, echo, fetch, fetch_within, value};

/// A relay whose connections go silent once as many have been made as `silent_below` says.
async fn relay(server: SocketAddr, silent_below: Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (from, _) = listener.accept().await.unwrap();
            let to = TcpStream::connect(server).await.unwrap();
            let (from_read, from_write) = from.into_split();
            let (to_read, to_write) = to.into_split();
            let silent = || {
                let silent_below = silent_below.clone();
                move || silent_below.load(SeqCst) > number
            };
            tokio::spawn(pass(from_read, to_write, silent()));
            tokio::spawn(pass(to_read, from_write, silent()));
        }
    });
    address
}

async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    is_silent: impl Fn() -> bool,
) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(len @ 1..) = from.read(&mut buffer).await {
        if !is_silent() && to.write_all(&buffer[..len]).await.is_err() {
            break;
        }
    }
}

/// By the real clock, as tonic's connection and the server run in other tasks. The result does not
/// depend on its speed.
#[tokio::test]
async fn one_request_or_ping_without_an_answer_is_enough() {
    let node = Node::serve([echo()]).await;
    let silent_below = Arc::new(AtomicUsize::new(0));
    let address = relay(node.addr, silent_below.clone()).await;
    let options = ClientOptions {
        ping_timeout: Duration::from_millis(200),
        ..ClientOptions::default()
    };
    let peer = GrpcTransport::new(options).peer(&format!("http://{address}"));
    let peer = peer.unwrap();
    for by_ping in [false, true] {
        assert_eq!(value(fetch(&peer, "before").await), "before");
        // A connection is not given up earlier.
        sleep(Duration::from_millis(600)).await;
        silent_below.fetch_add(1, SeqCst);
        let silent = if by_ping {
            peer.ping().await
        } else {
            let soon = Duration::from_millis(200);
            fetch_within(&peer, "k", soon).await.map(drop)
        };
        assert!(silent.is_err());
        assert_eq!(value(fetch(&peer, "after").await), "after");
    }
}
