//! Clients that speak TLS, which has a buffer between the answers and the socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::{LONG, Port};
use gaggle_api_resp::{Access, Options, Rights, Tls};
use gaggle_group::Group;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What a server shows, and a client that trusts it.
fn pair() -> (Tls, Arc<ClientConfig>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let cert = params.self_signed(&key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = Arc::new(server);
    (Tls::new(move || server.clone()), Arc::new(client))
}

/// A client whose socket holds little.
async fn connect(port: &Port, client: Arc<ClientConfig>) -> TlsStream<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let socket = socket.connect(port.addr).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connected = TlsConnector::from(client).connect(name, socket);
    timeout(LONG, connected).await.unwrap().unwrap()
}

/// A group whose values have as many bytes as their keys say.
fn lengths() -> Group {
    Group::builder("lengths")
        .origin_fn(|key: Bytes| async move {
            let len: usize = String::from_utf8_lossy(&key).parse().unwrap();
            Ok::<_, std::io::Error>(Some(Bytes::from(vec![b'x'; len])))
        })
        .build()
        .unwrap()
}

#[tokio::test]
async fn the_end_of_an_answer_is_sent_though_the_socket_was_full() {
    let (tls, client) = pair();
    let options = Options {
        tls: Some(tls),
        ..Options::default()
    };
    let port = Port::of([lengths()], options).await;
    let mut client = connect(&port, client).await;
    // Of each length another part is left in the buffer of TLS when the socket is full.
    for len in [100_000, 1 << 20, (4 << 20) + 1, (6 << 20) + 30_000] {
        for _ in 0..4 {
            let ask = format!("GET {len}\r\nGET {len}\r\nECHO end\r\n");
            client.write_all(ask.as_bytes()).await.unwrap();
            let one = format!("${len}\r\n{}\r\n", "x".repeat(len));
            let expected = format!("{one}{one}$3\r\nend\r\n");
            let mut got = vec![0; expected.len()];
            let read = timeout(LONG, client.read_exact(&mut got)).await;
            read.expect("all of it comes").unwrap();
            assert!(got == expected.as_bytes());
        }
    }
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_with_and_without_a_password() {
    for access in [
        Access::open(Rights::Read),
        Access::password(|_| Some(Rights::Read)),
    ] {
        let (tls, client) = pair();
        let options = Options {
            tls: Some(tls),
            access,
            request_timeout: Duration::from_secs(1),
            stall_timeout: Duration::from_millis(100),
            min_rate: u32::MAX,
            max_output: 10_000,
            ..Options::default()
        };
        let port = Port::of([lengths()], options).await;
        let client = connect(&port, client).await;
        let (_unread, mut to) = tokio::io::split(client);
        let asks = "ECHO 0123456789\r\n".repeat(1000);
        let stalled = async { while to.write_all(asks.as_bytes()).await.is_ok() {} };
        timeout(LONG, stalled).await.expect("it is cut");
        assert_eq!(port.monitor.counts().timed_out, 1);
    }
}
