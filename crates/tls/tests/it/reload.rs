use std::fs;

use gaggle_tls::{ClientCerts, Tls};
use rustls::{HandshakeKind, pki_types::CertificateDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::*;

/// The certificate that a server presents.
fn shown(both: &Both) -> CertificateDer<'static> {
    let chain = both.0.get_ref().1.peer_certificates().unwrap();
    chain.first().unwrap().clone().into_owned()
}

async fn still_works(both: &mut Both) {
    let (client, server) = both;
    client.write_all(b"ping").await.unwrap();
    client.flush().await.unwrap();
    let mut read = [0; 4];
    server.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"ping");
}

#[tokio::test]
async fn a_new_certificate_is_shown_by_new_connections_and_old_ones_go_on() {
    let ca = Ca::new();
    let dir = Dir::new(&ca, &ca.issue(&["localhost"]));
    let tls = Tls::load(dir.files()).unwrap();
    let (server, client) = (tls.server(ClientCerts::Required).unwrap(), tls.client());
    let peer = client.peer("localhost:1");
    let mut old = connect(server.config(), peer.config(), "localhost")
        .await
        .unwrap();

    assert!(!tls.reload().unwrap(), "nothing has changed");
    let (server_before, peer_before) = (server.config(), peer.config());
    assert!(std::sync::Arc::ptr_eq(&peer_before, &peer.config()));

    dir.put(&ca.issue(&["localhost"]));
    assert!(tls.reload().unwrap());
    assert_eq!(tls.generation(), 2);
    assert!(!std::sync::Arc::ptr_eq(&server_before, &server.config()));
    assert!(!std::sync::Arc::ptr_eq(&peer_before, &peer.config()));

    let new = connect(server.config(), peer.config(), "localhost")
        .await
        .unwrap();
    assert_ne!(shown(&old), shown(&new));
    still_works(&mut old).await;
}

#[tokio::test]
async fn after_a_change_of_the_ca_its_certificates_alone_are_good_and_no_session_is_resumed() {
    let (ca, next) = (Ca::new(), Ca::new());
    let dir = Dir::new(&ca, &ca.issue(&["localhost"]));
    let tls = Tls::load(dir.files()).unwrap();
    // Without certificates of clients sessions are resumed.
    let (server, client) = (tls.server(ClientCerts::None).unwrap(), tls.client());
    let kind = |both: &Both| both.0.get_ref().1.handshake_kind();
    let mut kept = connect(server.config(), client.config(), "localhost")
        .await
        .unwrap();
    assert_eq!(kind(&kept), Some(HandshakeKind::Full));
    let again = connect(server.config(), client.config(), "localhost")
        .await
        .unwrap();
    assert_eq!(kind(&again), Some(HandshakeKind::Resumed));
    let old_client = client.config();

    dir.put(&next.issue(&["localhost"]));
    dir.write("ca.crt", &next.pem());
    assert!(tls.reload().unwrap());
    let new = connect(server.config(), client.config(), "localhost")
        .await
        .unwrap();
    assert_eq!(kind(&new), Some(HandshakeKind::Full));
    still_works(&mut kept).await;
    // A client that still has a session of the old server, and its CA.
    let failed = connect(server.config(), old_client, "localhost")
        .await
        .unwrap_err();
    assert!(failed.client.contains("UnknownIssuer"), "{failed:?}");
}

#[tokio::test]
async fn where_clients_show_certificates_no_session_outlives_them() {
    let ca = Ca::new();
    let dir = Dir::new(&ca, &ca.issue(&["localhost"]));
    let tls = Tls::load(dir.files()).unwrap();
    for certs in [ClientCerts::Optional, ClientCerts::Required] {
        let (server, client) = (tls.server(certs).unwrap(), tls.client());
        for _ in 0..3 {
            let both = connect(server.config(), client.config(), "localhost")
                .await
                .unwrap();
            let kind = both.0.get_ref().1.handshake_kind();
            assert_eq!(kind, Some(HandshakeKind::Full));
        }
    }
}

#[tokio::test]
async fn with_files_that_are_wrong_the_old_ones_stay() {
    let ca = Ca::new();
    let dir = Dir::new(&ca, &ca.issue(&["localhost"]));
    let tls = Tls::load(dir.files()).unwrap();
    let (server, client) = (tls.server(ClientCerts::Required).unwrap(), tls.client());
    let before = server.config();

    // An incomplete change: the key is still the old one.
    let next = ca.issue(&["localhost"]);
    dir.write("tls.crt", &next.cert);
    let said = tls.reload().unwrap_err().to_string();
    assert!(said.contains("does not belong to"), "{said}");
    fs::remove_file(dir.path("ca.crt")).unwrap();
    assert!(tls.reload().is_err());
    assert!(std::sync::Arc::ptr_eq(&before, &server.config()));
    connect(server.config(), client.config(), "localhost")
        .await
        .unwrap();

    dir.write("ca.crt", &ca.pem());
    dir.put(&next);
    assert!(tls.reload().unwrap());
}

/// Advances the paused time of a watch until it has read something new.
async fn until_generation(tls: &Tls, generation: u64) {
    let passes = async {
        while tls.generation() < generation {
            tokio::time::sleep(Tls::WATCH_EVERY).await;
        }
    };
    let most = 60 * Tls::WATCH_EVERY;
    tokio::time::timeout(most, passes)
        .await
        .expect("it is noticed");
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn a_watch_notices_files_that_are_rewritten_and_links_that_are_swapped() {
    let ca = Ca::new();
    let dir = Dir::new(&ca, &ca.issue(&["localhost"]));
    // As Kubernetes does it: the files are links into a directory that is itself a link.
    for (version, pair) in [
        ("v1", ca.issue(&["localhost"])),
        ("v2", ca.issue(&["localhost"])),
    ] {
        fs::create_dir(dir.path(version)).unwrap();
        dir.write(&format!("{version}/tls.crt"), &pair.cert);
        dir.write(&format!("{version}/tls.key"), &pair.key);
    }
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(target, dir.path("new")).unwrap();
        fs::rename(dir.path("new"), dir.path(name)).unwrap();
    };
    link("v1", "data");
    link("data/tls.crt", "tls.crt");
    link("data/tls.key", "tls.key");
    let tls = Tls::load(dir.files()).unwrap();
    let watch = tokio::spawn(tls.clone().watch(Tls::WATCH_EVERY));
    link("v2", "data");
    until_generation(&tls, 2).await;
    // An error in between does not end the watch.
    dir.write("ca.crt", "nothing");
    assert!(tls.reload().is_err());
    dir.write("ca.crt", &Ca::new().pem());
    until_generation(&tls, 3).await;
    watch.abort();
}
