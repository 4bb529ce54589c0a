//! Peers that are refused, and the reasons that are reported.

use std::sync::Arc;
use std::time::SystemTime;

use gaggle_transport_grpc::{ClientOptions, GrpcTransport};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::world::*;

#[tokio::test]
async fn a_peer_is_known_by_its_address_or_by_its_name_in_the_ring() {
    let ca = Ca::new("CA");
    let asker = Certificates::new(&ca, "asker");
    for name in ["127.0.0.1", "cache-0.cache"] {
        let node = Node::start(&Certificates::new(&ca, name)).await;
        let peer = node.peer("cache-0.cache:8001", asker.options());
        for key in ["Tom", "Sam"] {
            ask(&peer, key).await.unwrap();
        }
        drop(peer);
        node.stop().await;
    }
}

#[tokio::test]
async fn a_peer_of_another_name_is_refused_with_the_names_that_it_has() {
    let ca = Ca::new("CA");
    let node = Node::start(&Certificates::new(&ca, "cache-1.cache")).await;
    let peer = node.peer(
        "cache-0.cache:8001",
        Certificates::new(&ca, "asker").options(),
    );
    let reason = refusal(&peer).await;
    assert!(reason.contains("not valid for name"), "{reason}");
    assert!(reason.contains("cache-1.cache"), "{reason}");
}

#[tokio::test]
async fn a_peer_by_another_ca_is_refused() {
    let (ca, foreign) = (Ca::new("CA"), Ca::new("foreign CA"));
    let node = Node::start(&Certificates::new(&foreign, "127.0.0.1")).await;
    let peer = node.peer("a", Certificates::new(&ca, "asker").options());
    let reason = refusal(&peer).await;
    assert!(reason.contains("UnknownIssuer"), "{reason}");
}

#[tokio::test]
async fn a_peer_whose_certificate_has_expired_is_refused() {
    let ca = Ca::new("CA");
    let (cert, key) = ca.issue("127.0.0.1");
    let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert], key)
        .unwrap();
    let server = Arc::new(server);
    let node = Node::with(Some(gaggle_serve::Tls::new(move || server.clone()))).await;
    // The certificate is good for two thousand years; the asker's clock is ahead of that.
    let mut client = (*Certificates::none(&ca).tls.client().config()).clone();
    client.time_provider = Arc::new(FarAhead);
    let client = Arc::new(client);
    let tls = gaggle_transport_grpc::Tls::new(move |_| {
        let client = Arc::clone(&client);
        move || Arc::clone(&client)
    });
    let options = ClientOptions {
        tls: Some(tls),
        connect_timeout: LONG,
        ..ClientOptions::default()
    };
    let reason = refusal(&node.peer("a", options)).await;
    assert!(reason.contains("expired"), "{reason}");
}

#[derive(Debug)]
struct FarAhead;

impl rustls::time_provider::TimeProvider for FarAhead {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .ok()?;
        Some(rustls::pki_types::UnixTime::since_unix_epoch(
            now + 40 * now,
        ))
    }
}

#[tokio::test]
async fn an_asker_without_a_certificate_learns_that_it_needs_one() {
    let ca = Ca::new("CA");
    let node = Node::start(&Certificates::new(&ca, "127.0.0.1")).await;
    let peer = node.peer("a", Certificates::none(&ca).options());
    let reason = refusal(&peer).await;
    assert!(reason.contains("CertificateRequired"), "{reason}");
    drop(peer);
    node.stop().await;
}

#[tokio::test]
async fn tls_and_plain_http_do_not_mix() {
    let ca = Ca::new("CA");
    let certificates = Certificates::new(&ca, "127.0.0.1");

    let node = Node::with(None).await;
    let reason = refusal(&node.peer("a", certificates.options())).await;
    assert!(reason.contains("corrupt message"), "{reason}");

    let node = Node::start(&certificates).await;
    let transport = GrpcTransport::new(ClientOptions::default());
    let peer = transport.peer(&format!("http://{}", node.addr)).unwrap();
    let reason = refusal(&peer).await;
    assert!(reason.contains("http2 error"), "{reason}");

    let error = transport
        .peer(&format!("https://{}", node.addr))
        .unwrap_err();
    assert!(error.reason.contains("https needs TLS"), "{error}");
}
