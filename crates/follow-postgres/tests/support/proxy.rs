//! A proxy to a server that can fall silent, as when a machine is down.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Proxy {
    pub(crate) port: u16,
    frozen: watch::Sender<bool>,
    server: watch::Sender<u16>,
}

impl Proxy {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let (frozen, is_frozen) = watch::channel(false);
        let (server, to) = watch::channel(port);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = SocketAddr::from((Ipv4Addr::LOCALHOST, *to.borrow()));
                tokio::spawn(carry(client, server, is_frozen.clone()));
            }
        });
        Self {
            port: own,
            frozen,
            server,
        }
    }

    /// New connections go to this port.
    pub(crate) fn lead_to(&self, port: u16) {
        self.server.send_replace(port);
    }

    /// From now on nothing goes through, and no connection is closed.
    pub(crate) fn freeze(&self) {
        self.frozen.send_replace(true);
    }
}

async fn carry(mut client: TcpStream, server: SocketAddr, mut frozen: watch::Receiver<bool>) {
    let mut server = TcpStream::connect(server).await.unwrap();
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => return,
        _ = frozen.wait_for(|frozen| *frozen) => {}
    }
    // The sockets stay open until the test ends.
    std::future::pending::<()>().await;
}
