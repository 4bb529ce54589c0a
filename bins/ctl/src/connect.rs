//! One connection to one node: plain, or with TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Body;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use crate::addr::Addr;

/// Where to connect to, and how.
#[derive(Clone)]
pub(crate) struct Way {
    addrs: Vec<SocketAddr>,
    /// With TLS, and the name that the certificate must have.
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Way {
    /// Looks the address up.
    pub(crate) async fn to(addr: &Addr, tls: &Arc<ClientConfig>) -> io::Result<Self> {
        let name = addr.server_name().map_err(io::Error::other)?;
        Ok(Self {
            addrs: lookup_host(addr.authority()).await?.collect(),
            tls: name.map(|name| (TlsConnector::from(Arc::clone(tls)), name)),
        })
    }

    /// Connects, to the first address that can be reached.
    pub(crate) async fn connect<B>(&self) -> io::Result<SendRequest<B>>
    where
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        let stream = TcpStream::connect(self.addrs.as_slice()).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => speak(stream).await,
            Some((connector, name)) => speak(connector.connect(name.clone(), stream).await?).await,
        }
    }
}

async fn speak<S, B>(stream: S) -> io::Result<SendRequest<B>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let spoken = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = spoken.map_err(io::Error::other)?;
    // It ends with the sender and the last answer, where failures are seen.
    tokio::spawn(connection);
    Ok(sender)
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Way")
            .field("addrs", &self.addrs)
            .field("tls", &self.tls.is_some())
            .finish()
    }
}
