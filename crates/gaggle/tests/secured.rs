//! Members that speak TLS and show a token.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use gaggle::{ClientCerts, Cluster, ClusterBuilder, Group, Tls, TlsFiles, Tokens};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};

const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A certificate for 127.0.0.1, by a CA of its own.
fn certificates(dir: &Path) -> Tls {
    let mut ca = CertificateParams::new([]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let key = KeyPair::generate().unwrap();
    let cert = params.signed_by(&key, &ca).unwrap();
    let file = |name: &str, text: String| {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        Some(path)
    };
    Tls::load(TlsFiles {
        cert: file("tls.crt", cert.pem()),
        key: file("tls.key", key.serialize_pem()),
        client_ca: file("ca.crt", ca.pem()),
        ..TlsFiles::default()
    })
    .unwrap()
}

fn group(loads: &Arc<AtomicU32>) -> Group {
    let loads = Arc::clone(loads);
    Group::builder("echo")
        .origin_fn(move |key: Bytes| {
            loads.fetch_add(1, SeqCst);
            async move { Ok::<_, std::io::Error>(Some(key)) }
        })
        .build()
        .unwrap()
}

async fn two(
    groups: &[Group; 2],
    secure: impl Fn(ClusterBuilder) -> ClusterBuilder,
) -> Vec<Cluster> {
    let mut clusters = Vec::new();
    for group in groups {
        let none: [&str; 0] = [];
        let builder = secure(Cluster::join(none));
        clusters.push(builder.serve("127.0.0.1:0", [group.clone()]).await.unwrap());
    }
    let members: Vec<String> = clusters
        .iter()
        .map(|cluster| cluster.address().to_string())
        .collect();
    for cluster in &clusters {
        cluster.peers().update(members.iter().cloned()).unwrap();
    }
    clusters
}

#[tokio::test]
async fn members_share_over_tls_with_a_token_and_strangers_are_let_in_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let tls = certificates(dir.path());
    let tokens = Tokens::parse(TOKEN).unwrap();
    let loads = Arc::new(AtomicU32::new(0));
    let groups = [group(&loads), group(&loads)];
    let secure = |cluster: ClusterBuilder| {
        cluster
            .tls(tls.clone(), ClientCerts::Required)
            .token(tokens.clone())
    };
    let clusters = two(&groups, secure).await;
    for key in 0..50 {
        for group in &groups {
            assert_eq!(group.get(key.to_string()).await.unwrap(), key.to_string());
        }
    }
    assert_eq!(loads.load(SeqCst), 50, "each key was loaded once");

    let address = clusters[0].address();
    assert!(address.starts_with("https://"), "{address}");
    // The port answers no request in plain HTTP.
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()
        .unwrap();
    let url = format!("http://{}/_groupcache/echo/1", clusters[0].addr());
    let answer = client.get(&url).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    // No request goes to an address without TLS.
    let plain = format!("http://{}", clusters[1].addr());
    let refused = clusters[0].peers().update([plain]).unwrap_err();
    assert!(refused.to_string().contains("over TLS"), "{refused}");
    for cluster in clusters {
        cluster.leave().await;
    }
}

#[tokio::test]
async fn without_the_token_a_request_is_refused() {
    let tokens = Tokens::parse(TOKEN).unwrap();
    let loads = Arc::new(AtomicU32::new(0));
    let groups = [group(&loads), group(&loads)];
    let clusters = two(&groups, |cluster| cluster.token(tokens.clone())).await;
    for key in 0..20 {
        for group in &groups {
            group.get(key.to_string()).await.unwrap();
        }
    }
    assert_eq!(loads.load(SeqCst), 20);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/_groupcache/echo/1", clusters[0].address());
    let answer = client.get(&url).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    let answer = client.get(&url).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(answer.status(), 200);

    // A member's routes in the program's own server require it as well.
    let none: [&str; 0] = [];
    let embedded = Cluster::join(none)
        .token(tokens)
        .embed("http://127.0.0.1:1", [group(&loads)])
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "http://{}/_groupcache/echo/1",
        listener.local_addr().unwrap()
    );
    tokio::spawn(async move { axum::serve(listener, embedded.routes).await });
    assert_eq!(client.get(&url).send().await.unwrap().status(), 401);
    let answer = client.get(&url).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[test]
fn what_is_printed_holds_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let builder = Cluster::join(["http://name:hunter2@10.0.0.1:8001"])
        .token(Tokens::parse(TOKEN).unwrap())
        .tls(certificates(dir.path()), ClientCerts::None);
    let shown = format!("{builder:?}");
    assert!(
        shown.contains("token: true") && shown.contains("tls: true"),
        "{shown}"
    );
    assert!(
        !shown.contains(&TOKEN[..8]) && !shown.contains("hunter2"),
        "{shown}"
    );
}
