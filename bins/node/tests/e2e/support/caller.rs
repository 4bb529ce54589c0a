//! A client of a port: with a token or a certificate, over TLS or not, with a request written by
//! hand.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::client::{Answer, escape};
use super::{PATIENCE, raw};

/// Makes a connection for each request. By default it speaks plain HTTP and has no credentials.
#[derive(Clone, Default)]
pub(crate) struct Caller {
    tls: Option<Arc<ClientConfig>>,
    headers: Vec<(String, String)>,
}

impl Caller {
    pub(crate) fn plain() -> Self {
        Self::default()
    }

    pub(crate) fn over_tls(config: Arc<ClientConfig>) -> Self {
        Self {
            tls: Some(config),
            headers: Vec::new(),
        }
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// With one header more. A `Host` takes the place of the right one.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) async fn get(&self, addr: SocketAddr, target: &str) -> Result<Answer, String> {
        self.send(addr, "GET", target, "").await
    }

    /// The error is what this side sees: an alert of TLS, or why there is no connection.
    pub(crate) async fn send(
        &self,
        addr: SocketAddr,
        method: &str,
        target: &str,
        body: &str,
    ) -> Result<Answer, String> {
        let request = self.request(addr, method, target, body);
        let asked = timeout(PATIENCE, self.exchange(addr, request.as_bytes())).await;
        let bytes = asked.expect("an end of the exchange")?;
        raw::read(&bytes).ok_or_else(|| format!("no answer: {:?}", String::from_utf8_lossy(&bytes)))
    }

    /// The status alone; 0 where there is no answer.
    pub(crate) async fn status(&self, addr: SocketAddr, method: &str, target: &str) -> u16 {
        let answer = self.send(addr, method, target, "").await;
        answer.map_or(0, |answer| answer.status)
    }

    /// A document of the admin port.
    pub(crate) async fn json(&self, addr: SocketAddr, target: &str) -> Value {
        let answer = self.get(addr, target).await.unwrap();
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        answer.json()
    }

    /// The name in the ring of a key's owner, as the node with that admin port sees it.
    pub(crate) async fn owner(&self, admin: SocketAddr, key: &[u8]) -> String {
        let target = format!("/owner?group=scores&key={}", escape(key));
        let owner = self.json(admin, &target).await;
        owner["name"].as_str().unwrap().into()
    }

    fn request(&self, addr: SocketAddr, method: &str, target: &str, body: &str) -> String {
        let mut request = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
        let says_host = self.headers.iter().any(|(name, _)| name == "Host");
        if !says_host {
            write!(request, "Host: {addr}\r\n").unwrap();
        }
        for (name, value) in &self.headers {
            write!(request, "{name}: {value}\r\n").unwrap();
        }
        write!(request, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        request
    }

    async fn exchange(&self, addr: SocketAddr, request: &[u8]) -> Result<Vec<u8>, String> {
        let stream = TcpStream::connect(addr).await;
        let stream = stream.map_err(|failure| format!("cannot connect: {failure}"))?;
        match &self.tls {
            None => told(stream, request).await,
            Some(config) => {
                let connector = TlsConnector::from(Arc::clone(config));
                let stream = connector.connect(ServerName::from(addr.ip()), stream).await;
                told(stream.map_err(|failure| failure.to_string())?, request).await
            }
        }
    }
}

/// Sends, and reads to the end.
async fn told<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    request: &[u8],
) -> Result<Vec<u8>, String> {
    // The server answers before it has read everything.
    let sent = async {
        stream.write_all(request).await?;
        stream.flush().await
    };
    let sent = sent.await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer).await;
    match read {
        Ok(_) if answer.is_empty() && sent.is_err() => Err(format!("{sent:?}")),
        Ok(_) => Ok(answer),
        Err(failure) => Err(failure.to_string()),
    }
}
