use std::sync::Arc;

use gaggle_tls::{ClientCerts, Tls, TlsFiles};

use crate::support::*;

fn loaded(ca: &Ca, names: &[&str]) -> (Dir, Tls) {
    let dir = Dir::new(ca, &ca.issue(names));
    let tls = Tls::load(dir.files()).unwrap();
    (dir, tls)
}

/// A client that trusts `ca`, with a certificate if there is one.
fn client(ca: &Ca, pair: Option<&Pair>) -> Tls {
    let unused = Ca::new();
    let dir = Dir::new(ca, pair.unwrap_or(&unused.issue(&["unused"])));
    let mut files = dir.files();
    if pair.is_none() {
        (files.cert, files.key) = (None, None);
    }
    Tls::load(files).unwrap()
}

#[tokio::test]
async fn a_server_may_have_the_dialled_name_the_peers_or_the_common_one() {
    let ca = Ca::new();
    let cases = [
        // The certificate's names, the dialled name, the ring's name, and the common name.
        (&["10.0.0.1"][..], "10.0.0.1", "x:1", None, true),
        (
            &["cache-0.cache"],
            "10.0.0.1",
            "cache-0.cache:8001",
            None,
            true,
        ),
        (&["10.0.0.1"], "localhost", "10.0.0.1:8001", None, true),
        (
            &["peers.gaggle"],
            "10.0.0.1",
            "x:1",
            Some("peers.gaggle"),
            true,
        ),
        (&["*.cache.svc"], "cache-1.cache.svc", "x:1", None, true),
        (&["other"], "10.0.0.1", "cache-0:8001", Some("peers"), false),
        (&["cache-1"], "10.0.0.1", "cache-0:8001", None, false),
        (&["10.0.0.1"], "10.0.0.2", "", None, false),
    ];
    for (names, dialled, ring_name, common, good) in cases {
        let dir = Dir::new(&ca, &ca.issue(names));
        let tls = Tls::load(TlsFiles {
            peer_name: common.map(str::to_owned),
            ..dir.files()
        })
        .unwrap();
        let server = tls.server(ClientCerts::None).unwrap().config();
        let client = tls.client().peer(ring_name).config();
        let connected = connect(server, client, dialled).await;
        assert_eq!(connected.is_ok(), good, "{names:?} {dialled} {ring_name}");
        if let Err(failed) = connected {
            for name in names {
                assert!(failed.client.contains("not valid for name"), "{failed:?}");
                assert!(failed.client.contains(name), "{failed:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_peer_may_be_known_by_several_names() {
    let ca = Ca::new();
    for (name, good) in [("gaggle-0", true), ("node-1", true), ("other", false)] {
        let (_dir, tls) = loaded(&ca, &[name]);
        let server = tls.server(ClientCerts::None).unwrap().config();
        let peer = tls
            .client()
            .peer_named(["https://node-1:8001", "not a name", "gaggle-0"]);
        let connected = connect(server, peer.config(), "127.0.0.1").await;
        assert_eq!(connected.is_ok(), good, "{name}");
    }
}

#[tokio::test]
async fn where_public_cas_sign_servers_the_ca_of_clients_does_not() {
    let ca = Ca::new();
    let (dir, tls) = loaded(&ca, &["localhost"]);
    let with = |ca: Option<&str>| {
        let files = TlsFiles {
            ca: ca.map(|name| dir.path(name)),
            public_ca: true,
            ..dir.files()
        };
        Tls::load(files).unwrap().client().config()
    };
    let server = tls.server(ClientCerts::Required).unwrap().config();
    let failed = connect(server.clone(), with(None), "localhost").await;
    let failed = failed.unwrap_err();
    assert!(failed.client.contains("UnknownIssuer"), "{failed:?}");
    connect(server, with(Some("ca.crt")), "localhost")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_server_by_another_ca_is_refused_whatever_its_name() {
    let (ca, foreign) = (Ca::new(), Ca::new());
    let (_server, server) = loaded(&foreign, &["localhost"]);
    let server = server.server(ClientCerts::None).unwrap().config();
    let client = client(&ca, None).client().peer("localhost").config();
    let failed = connect(server, client, "localhost").await.unwrap_err();
    assert!(failed.client.contains("UnknownIssuer"), "{failed:?}");
    assert!(failed.server.contains("UnknownCA"), "{failed:?}");
}

#[tokio::test]
async fn without_a_ca_of_its_own_a_client_trusts_the_public_ones_alone() {
    let ca = Ca::new();
    let (_dir, server) = loaded(&ca, &["localhost"]);
    let server = server.server(ClientCerts::None).unwrap().config();
    let client = Tls::load(TlsFiles::default()).unwrap().client().config();
    let failed = connect(server, client, "localhost").await.unwrap_err();
    assert!(failed.client.contains("UnknownIssuer"), "{failed:?}");
}

#[tokio::test]
async fn clients_come_in_by_their_certificate() {
    let (ca, foreign) = (Ca::new(), Ca::new());
    let (_dir, tls) = loaded(&ca, &["localhost"]);
    let good = client(&ca, Some(&ca.issue(&["client"])));
    let none = client(&ca, None);
    // The client trusts the server, but its certificate is by another CA.
    let stranger = client(&ca, Some(&foreign.issue(&["client"])));
    let cases = [
        (ClientCerts::None, &good, Ok(false)),
        (ClientCerts::None, &none, Ok(false)),
        (ClientCerts::None, &stranger, Ok(false)),
        (ClientCerts::Optional, &good, Ok(true)),
        (ClientCerts::Optional, &none, Ok(false)),
        (ClientCerts::Optional, &stranger, Err("UnknownIssuer")),
        (ClientCerts::Required, &good, Ok(true)),
        (ClientCerts::Required, &none, Err("no certificate")),
        (ClientCerts::Required, &stranger, Err("UnknownIssuer")),
    ];
    for (certs, client, expected) in cases {
        let server = tls.server(certs).unwrap();
        let client = client.client().config();
        match (
            connect(server.config(), client, "localhost").await,
            expected,
        ) {
            (Ok((_, stream)), Ok(shown)) => {
                assert_eq!(server.has_client_certificate(stream.get_ref().1), shown);
            }
            (Err(failed), Err(why)) => assert!(failed.server.contains(why), "{failed:?}"),
            (connected, expected) => panic!("{certs:?}: {connected:?}, not {expected:?}"),
        }
    }
}

#[tokio::test]
async fn a_client_whose_certificate_has_expired_meanwhile_is_refused() {
    let ca = Ca::new();
    let (_dir, tls) = loaded(&ca, &["localhost"]);
    let now = std::time::SystemTime::now();
    // Loading such a certificate is an error, so the test builds this configuration itself.
    let expired = ca.issue_for(&["client"], now - 2 * DAY, now - DAY);
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(ca.pem().as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(expired.cert.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(expired.key.as_bytes()).unwrap(),
        )
        .unwrap();
    let server = tls.server(ClientCerts::Required).unwrap().config();
    let failed = connect(server, Arc::new(client), "localhost").await;
    let failed = failed.unwrap_err();
    assert!(failed.server.contains("certificate expired"), "{failed:?}");
}

#[tokio::test]
async fn a_server_offers_both_versions_of_http() {
    let ca = Ca::new();
    let (_dir, tls) = loaded(&ca, &["localhost"]);
    for offered in [&b"h2"[..], b"http/1.1"] {
        let mut client = (*tls.client().config()).clone();
        client.alpn_protocols = vec![offered.to_vec()];
        let server = tls.server(ClientCerts::None).unwrap().config();
        let (_, stream) = connect(server, Arc::new(client), "localhost")
            .await
            .unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(offered));
    }
}
