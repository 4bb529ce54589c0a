//! The network for datagrams.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;

/// A network that carries datagrams. [`Udp`] is the one in use; tests have others, which lose
/// datagrams or are partitioned.
#[async_trait]
pub trait Network: Send + Sync + 'static {
    /// Binds the address; port 0 is any free port.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    async fn open(&self, listen: SocketAddr) -> io::Result<Box<dyn Datagrams>>;
}

/// An address of a [`Network`].
#[async_trait]
pub trait Datagrams: Send + Sync + 'static {
    /// The address.
    ///
    /// # Errors
    ///
    /// If the system does not return it.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Sends one datagram, which may get lost.
    ///
    /// # Errors
    ///
    /// If the system refuses it. The next one can still be sent.
    async fn send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()>;

    /// Waits for a datagram, and returns its length and its sender. A datagram that does not fit
    /// is cut off. It is cancel-safe.
    ///
    /// # Errors
    ///
    /// If the system fails. The next one can still be received.
    async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
}

/// UDP, over IPv4 or IPv6 as the address says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Udp;

#[async_trait]
impl Network for Udp {
    async fn open(&self, listen: SocketAddr) -> io::Result<Box<dyn Datagrams>> {
        Ok(Box::new(tokio::net::UdpSocket::bind(listen).await?))
    }
}

#[async_trait]
impl Datagrams for tokio::net::UdpSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }

    async fn send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        self.send_to(datagram, to).await.map(drop)
    }

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.recv_from(buffer).await
    }
}
