//! Requests on kept connections over loopback, plain and over TLS. Both ends are in this process
//! and share its two workers, so that TLS is paid for twice.

#![allow(
    clippy::expect_used,
    reason = "a bench that cannot run says so and ends"
)]

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use bytes::Bytes;
use criterion::{SamplingMode, Throughput};
use futures_util::future::join_all;
use gaggle_benches::{criterion, on_worker, two_workers};
use gaggle_serve::{Options, Server, Tls};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: t\r\n\r\n";

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

fn main() {
    let mut criterion = criterion();
    let runtime = two_workers().expect("a runtime");
    let (server, client) = certificates();
    let mut group = criterion.benchmark_group("serve");
    group.sampling_mode(SamplingMode::Flat);
    for (size, len) in [("100 B", 100), ("16 KiB", 16 << 10), ("1 MiB", 1 << 20)] {
        for clients in [1_usize, 16] {
            for secure in [false, true] {
                let tls = secure.then(|| {
                    let server = Arc::clone(&server);
                    Tls::new(move || Arc::clone(&server))
                });
                let address = runtime.block_on(serve(len, tls));
                let over = if secure { "over TLS" } else { "plain" };
                group.throughput(Throughput::Elements(clients as u64));
                group.bench_function(format!("{over}, {size}, {clients} connections"), |b| {
                    b.iter_custom(|iters| {
                        let client = secure.then(|| Arc::clone(&client));
                        let connect =
                            join_all((0..clients).map(|_| connect(address, client.clone())));
                        let connections = runtime.block_on(connect);
                        on_worker(&runtime, async move {
                            let asked = connections
                                .into_iter()
                                .map(|connection| tokio::spawn(ask(connection, len, iters)));
                            for asked in join_all(asked).await {
                                asked.expect("answers");
                            }
                        })
                    });
                });
            }
        }
    }
    group.finish();
    criterion.final_summary();
}

/// A server's certificate, and a client that trusts it.
fn certificates() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let cert = params.self_signed(&key).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("the key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("the key of the certificate");
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).expect("a certificate");
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

async fn serve(len: usize, tls: Option<Tls>) -> SocketAddr {
    let value = Bytes::from(vec![7; len]);
    let router = Router::new().fallback(move || {
        let value = value.clone();
        async move { value }
    });
    let options = Options {
        tls,
        ..Options::default()
    };
    let server = Server::bind("127.0.0.1:0", options).await.expect("a port");
    let address = server.local_addr();
    tokio::spawn(server.serve(router, pending()));
    address
}

async fn connect(address: SocketAddr, tls: Option<Arc<ClientConfig>>) -> Box<dyn Io> {
    let socket = TcpStream::connect(address).await.expect("a connection");
    socket.set_nodelay(true).expect("a socket's option");
    match tls {
        None => Box::new(socket),
        Some(config) => {
            let name = ServerName::try_from("localhost").expect("a name");
            let connecting = TlsConnector::from(config).connect(name, socket);
            Box::new(connecting.await.expect("a handshake"))
        }
    }
}

/// Asks so many times, one after the other.
async fn ask(mut connection: Box<dyn Io>, len: usize, times: u64) {
    let mut answer = vec![0; len + 1_024];
    for _ in 0..times {
        connection.write_all(REQUEST).await.expect("a request");
        connection.flush().await.expect("a request");
        let (mut have, mut whole) = (0, None);
        while whole.is_none_or(|whole| have < whole) {
            let read = connection
                .read(&mut answer[have..])
                .await
                .expect("an answer");
            assert_ne!(read, 0, "the server has closed");
            have += read;
            if whole.is_none() {
                let head = answer[..have].windows(4).position(|end| end == b"\r\n\r\n");
                whole = head.map(|head| head + 4 + len);
            }
        }
    }
}
