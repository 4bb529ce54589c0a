//! A network in memory, which can be cut, loses datagrams and keeps a record of them.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gaggle_discovery_gossip::{Datagrams, Network};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// How long a datagram takes.
const LATENCY: Duration = Duration::from_millis(1);
/// The number of usual datagrams that a socket's buffer holds.
const BUFFERED: usize = 256;
/// The most bytes in a datagram.
const LARGEST: usize = 65_507;

#[derive(Clone, Default)]
pub(crate) struct Mesh(Arc<Mutex<Inner>>);

/// A datagram as it was sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

type Passes = Box<dyn Fn(SocketAddr, SocketAddr) -> bool + Send>;

#[derive(Default)]
struct Inner {
    sockets: HashMap<SocketAddr, Sender<(SocketAddr, Vec<u8>)>>,
    passes: Option<Passes>,
    loss: f64,
    record: Option<Vec<Sent>>,
}

impl Mesh {
    /// From now on a datagram passes if this predicate allows its sender and receiver.
    pub(crate) fn cut(&self, passes: impl Fn(SocketAddr, SocketAddr) -> bool + Send + 'static) {
        self.0.lock().unwrap().passes = Some(Box::new(passes));
    }

    pub(crate) fn heal(&self) {
        self.0.lock().unwrap().passes = None;
    }

    /// That part of all datagrams is lost from now on.
    pub(crate) fn lose(&self, part: f64) {
        self.0.lock().unwrap().loss = part;
    }

    pub(crate) fn record(&self) {
        self.0.lock().unwrap().record = Some(Vec::new());
    }

    pub(crate) fn recorded(&self) -> Vec<Sent> {
        self.0.lock().unwrap().record.take().unwrap()
    }

    /// Sends a datagram that may claim to be from anywhere.
    pub(crate) fn inject(&self, sent: Sent) {
        let mesh = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(LATENCY).await;
            mesh.deliver(sent);
        });
    }

    fn deliver(&self, Sent { from, to, bytes }: Sent) {
        let inner = self.0.lock().unwrap();
        if let Some(socket) = inner.sockets.get(&to) {
            // A full buffer drops datagrams, like a socket's.
            drop(socket.try_send((from, bytes)));
        }
    }
}

#[async_trait]
impl Network for Mesh {
    async fn open(&self, listen: SocketAddr) -> io::Result<Box<dyn Datagrams>> {
        let mut inner = self.0.lock().unwrap();
        if inner
            .sockets
            .get(&listen)
            .is_some_and(|socket| !socket.is_closed())
        {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let (sender, receiver) = channel(BUFFERED);
        inner.sockets.insert(listen, sender);
        Ok(Box::new(Socket {
            mesh: self.clone(),
            address: listen,
            receiver: tokio::sync::Mutex::new(receiver),
        }))
    }
}

struct Socket {
    mesh: Mesh,
    address: SocketAddr,
    receiver: tokio::sync::Mutex<Receiver<(SocketAddr, Vec<u8>)>>,
}

#[async_trait]
impl Datagrams for Socket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    async fn send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        assert!(
            datagram.len() <= LARGEST,
            "a datagram of {}",
            datagram.len()
        );
        let sent = Sent {
            from: self.address,
            to,
            bytes: datagram.to_vec(),
        };
        {
            let mut inner = self.mesh.0.lock().unwrap();
            if let Some(record) = &mut inner.record {
                record.push(sent.clone());
            }
            let cut = inner
                .passes
                .as_ref()
                .is_some_and(|passes| !passes(self.address, to));
            if cut || fastrand::f64() < inner.loss {
                return Ok(());
            }
        }
        self.mesh.inject(sent);
        Ok(())
    }

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (from, bytes) = self
            .receiver
            .lock()
            .await
            .recv()
            .await
            .ok_or(io::ErrorKind::BrokenPipe)?;
        let length = bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        Ok((length, from))
    }
}
