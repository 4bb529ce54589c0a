//! A relay between a client and a server that can silence existing connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    /// Connections with a number below this one forward nothing.
    silent_below: Arc<watch::Sender<usize>>,
    connections: Arc<AtomicUsize>,
}

impl Relay {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let silent_below = Arc::new(watch::Sender::new(0));
        let connections = Arc::new(AtomicUsize::new(0));
        tokio::spawn({
            let (silent_below, connections) = (silent_below.clone(), connections.clone());
            async move {
                loop {
                    let (from, _) = listener.accept().await.unwrap();
                    let number = connections.fetch_add(1, SeqCst);
                    let to = TcpStream::connect(server).await.unwrap();
                    let (from_read, from_write) = from.into_split();
                    let (to_read, to_write) = to.into_split();
                    let silence = silent_below.subscribe();
                    tokio::spawn(pass(from_read, to_write, number, silence.clone()));
                    tokio::spawn(pass(to_read, from_write, number, silence));
                }
            }
        });
        Self {
            address,
            silent_below,
            connections,
        }
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    /// From now on nothing passes the existing connections. They stay open, and bytes that are
    /// sent on them are read.
    pub(crate) fn go_silent(&self) {
        self.silent_below.send_replace(self.connections());
    }
}

async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    number: usize,
    silence: watch::Receiver<usize>,
) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(len @ 1..) = from.read(&mut buffer).await {
        let is_silent = *silence.borrow() > number;
        if !is_silent && to.write_all(&buffer[..len]).await.is_err() {
            break;
        }
    }
}
