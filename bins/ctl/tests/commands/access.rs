//! Tokens and TLS: which credentials each node gets, and the errors when they are not accepted.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, crypto};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::harness::{Run, Script, command, ctl, raw, run};

const TOKEN: &str = "a-token-that-nobody-guesses";

fn owner() -> serde_json::Value {
    json!({"owner": "http://a:1", "self": true})
}

async fn node() -> String {
    let asked = format!("GET /owner?key=Tom [Bearer {TOKEN}]");
    let missing = "a token is required: Authorization: Bearer TOKEN";
    Script::default()
        .json(&asked, 200, &owner())
        .on("GET /owner?key=Tom", 401, missing)
        .on(
            "GET /owner?key=Tom [Bearer another-token-of-16]",
            401,
            "the token is not one of this cluster's",
        )
        .on(
            "GET /owner?key=cert",
            403,
            "a client certificate is required",
        )
        .on(
            "GET /owner?key=host",
            421,
            "this port is not asked by that name",
        )
        .on("GET /api?key=Tom", 200, "630")
        .play()
        .await
}

fn token_file(dir: &TempDir, text: &str) -> String {
    let path = dir.path().join("token");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_token_comes_from_a_file_or_the_environment() {
    let node = node().await;
    let dir = tempfile::tempdir().unwrap();
    let file = token_file(&dir, &format!("{TOKEN}\nthe-old-token-of-16-bytes\n"));
    let args = ["owner", "--admin-addr", &node, "Tom"];
    let by_flag = run(command(args).args(["--token-file", &file])).await;
    let by_file = run(command(args).env("GAGGLECTL_TOKEN_FILE", &file)).await;
    let by_text = run(command(args).env("GAGGLECTL_TOKEN", TOKEN)).await;
    let mut both = command(args);
    both.args(["--token-file", &file])
        .env("GAGGLECTL_TOKEN", "another-token-of-16");
    for owner in [by_flag, by_file, by_text, run(&mut both).await] {
        assert_eq!(
            (owner.code, owner.text()),
            (0, "http://a:1\n"),
            "{}",
            owner.stderr
        );
    }
}

#[tokio::test]
async fn another_machine_gets_the_token_over_tls_only_or_with_plain() {
    // An address for documentation, which no machine has. Nothing is sent, so the test does not
    // wait.
    for args in [
        &["owner", "Tom"][..],
        &["stats"],
        &["remove", "Tom"],
        &["put", "Tom", "631"],
    ] {
        let mut ask = command(args);
        ask.args(["--admin-addr", "192.0.2.1:9990"]);
        let refused = run(ask.env("GAGGLECTL_TOKEN", TOKEN)).await;
        assert_eq!(refused.code, 2, "{args:?}: {}", refused.stderr);
        for part in ["192.0.2.1:9990", "without TLS", "https://", "--plain"] {
            assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
        }
        assert!(!refused.stderr.contains(TOKEN), "{}", refused.stderr);
    }
    // The request is sent, so the failure is another one.
    let ask = |addr: &str| {
        let mut ask = command(["owner", "--timeout", "10ms", "--admin-addr", addr, "Tom"]);
        ask.env("GAGGLECTL_TOKEN", TOKEN);
        ask
    };
    let plain = "192.0.2.1:9990";
    let said = [
        run(ask(plain).arg("--plain")).await,
        run(ask(plain).env("GAGGLECTL_PLAIN", "true")).await,
        run(&mut ask("https://192.0.2.1:9990")).await,
        run(ask(plain).env_remove("GAGGLECTL_TOKEN")).await,
    ];
    for tried in said {
        tried.assert_fails(3, &["192.0.2.1:9990"]);
    }
}

#[tokio::test]
async fn a_front_door_does_not_get_the_token() {
    let node = node().await;
    let args = ["get", "--api-addr", &node, "Tom"];
    let get = run(command(args).env("GAGGLECTL_TOKEN", TOKEN)).await;
    assert_eq!((get.code, get.text()), (0, "630"), "{}", get.stderr);
}

#[tokio::test]
async fn a_refusal_says_what_to_do_and_shows_no_token() {
    let node = node().await;
    let ask = async |key: &str, token: Option<&str>| {
        let mut owner = command(["owner", "--admin-addr", &node, key]);
        if let Some(token) = token {
            owner.env("GAGGLECTL_TOKEN", token);
        }
        run(&mut owner).await
    };
    let none = ask("Tom", None).await;
    none.assert_fails(
        2,
        &[&node, "it requires a token: give one with --token-file"],
    );
    let wrong = ask("Tom", Some("another-token-of-16")).await;
    wrong.assert_fails(
        2,
        &[&node, "it refuses the token: the token is not one of this"],
    );
    assert!(!wrong.stderr.contains("another"), "{}", wrong.stderr);
    let cert = ask("cert", None).await;
    cert.assert_fails(
        2,
        &["a client certificate is required: give one with --cert and --key"],
    );
    let host = ask("host", None).await;
    host.assert_fails(
        2,
        &["it refuses the request: this port is not asked by that name"],
    );
}

#[tokio::test]
async fn a_token_that_cannot_be_used_is_named_and_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    for (text, problem) in [
        ("", "its first line is no token"),
        ("s3cret with blanks", "its first line is no token"),
    ] {
        let file = token_file(&dir, text);
        let owner = ctl(&["owner", "--token-file", &file, "Tom"]).await;
        owner.assert_fails(2, &[&file, problem]);
        assert!(!owner.stderr.contains("s3cret"), "{}", owner.stderr);
    }
    let missing = dir.path().join("missing").to_str().unwrap().to_owned();
    let owner = ctl(&["owner", "--token-file", &missing, "Tom"]).await;
    owner.assert_fails(2, &[&missing]);
    let owner = ctl(&["owner", "--token-file", dir.path().to_str().unwrap(), "Tom"]).await;
    owner.assert_fails(2, &["it is no regular file"]);
}

/// An authority, and what it has issued for 127.0.0.1, as files.
struct Authority {
    dir: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
    cert: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, own).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = vec!["127.0.0.1".to_owned()];
        let cert = CertificateParams::new(names).unwrap();
        let cert = cert.signed_by(&key, &issuer).unwrap();
        let dir = tempfile::tempdir().unwrap();
        for (name, pem) in [
            ("ca", issuer.pem()),
            ("cert", cert.pem()),
            ("key", key.serialize_pem()),
        ] {
            fs::write(dir.path().join(name), pem).unwrap();
        }
        Self {
            dir,
            issuer,
            cert: cert.der().clone(),
            key: key.serialize_der(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A node that answers every request with `630`, and whether it asks for certificates by this
    /// authority.
    async fn node(&self, asks: bool) -> String {
        let provider = Arc::new(crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = if asks {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            config.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            config.with_no_client_auth()
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let config = config
            .with_single_cert(vec![self.cert.clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let answer = service_fn(async |_: Request<_>| {
                        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"630"))))
                    });
                    let stream = TokioIo::new(stream);
                    // What fails is what the client sees.
                    let _ = http1::Builder::new().serve_connection(stream, answer).await;
                });
            }
        });
        format!("https://{addr}")
    }
}

async fn get(node: &str, files: &[(&str, &Path)]) -> Run {
    let mut get = command(["get", "--api-addr", node, "Tom"]);
    for (flag, path) in files {
        get.arg(flag).arg(path);
    }
    run(&mut get).await
}

#[tokio::test]
async fn a_node_at_an_https_address_is_asked_over_tls() {
    let authority = Authority::new();
    let ca = authority.path("ca");
    let node = authority.node(false).await;
    let value = get(&node, &[("--ca", &ca)]).await;
    assert_eq!((value.code, value.text()), (0, "630"), "{}", value.stderr);
    let mut by_env = command(["get", "Tom"]);
    by_env
        .env("GAGGLECTL_API_ADDR", &node)
        .env("GAGGLECTL_CA", &ca);
    assert_eq!(run(&mut by_env).await.text(), "630");

    // The public authorities did not issue it, and neither did another one.
    let unknown = get(&node, &[]).await;
    unknown.assert_fails(3, &[&node, "cannot be reached: ", "UnknownIssuer"]);
    let other = Authority::new();
    let foreign = get(&node, &[("--ca", &other.path("ca"))]).await;
    foreign.assert_fails(3, &["cannot be reached: "]);
    let named = node.replace("127.0.0.1", "localhost");
    let misnamed = get(&named, &[("--ca", &ca)]).await;
    misnamed.assert_fails(
        3,
        &["cannot be reached: ", "certificate not valid for name"],
    );
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_it_is_asked_for() {
    let authority = Authority::new();
    let node = authority.node(true).await;
    let [ca, cert, key] = ["ca", "cert", "key"].map(|name| authority.path(name));
    let shown = [("--ca", &*ca), ("--cert", &*cert), ("--key", &*key)];
    let value = get(&node, &shown).await;
    assert_eq!((value.code, value.text()), (0, "630"), "{}", value.stderr);
    let none = get(&node, &shown[..1]).await;
    none.assert_fails(3, &[&node, "CertificateRequired"]);
    let other = Authority::new();
    let [cert, key] = ["cert", "key"].map(|name| other.path(name));
    let foreign = get(&node, &[("--ca", &ca), ("--cert", &cert), ("--key", &key)]).await;
    foreign.assert_fails(3, &[&node]);
}

#[tokio::test]
async fn the_bench_speaks_tls_too() {
    let authority = Authority::new();
    let node = authority.node(false).await;
    let ca = authority.path("ca");
    let mut bench = command(["bench", "--json", "--requests", "20", "--warmup", "0s"]);
    bench.args([
        "--connections",
        "2",
        "--group",
        "scores",
        "--api-addr",
        &node,
    ]);
    let bench = run(bench.arg("--ca").arg(ca)).await;
    assert_eq!(bench.code, 0, "{}", bench.stderr);
    assert_eq!(bench.json()["ok"], 20);
}

#[tokio::test]
async fn tls_and_plain_http_do_not_mix() {
    let plain = node().await;
    let tls = get(&format!("https://{plain}"), &[]).await;
    tls.assert_fails(3, &["cannot be reached: "]);
    let authority = Authority::new();
    let node = authority.node(false).await;
    let plain = get(&node.replace("https://", ""), &[]).await;
    plain.assert_fails(3, &["the connection broke: "]);
    let closed = raw(b"", true).await;
    let closed = get(&format!("https://{closed}"), &[]).await;
    closed.assert_fails(3, &["cannot be reached: "]);
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    let [ca, cert, key] = ["ca", "cert", "key"].map(|name| authority.path(name));
    let missing = authority.path("missing");
    let node = "https://127.0.0.1:1";
    for files in [
        vec![("--ca", &*missing)],
        vec![("--ca", &*key)],
        vec![("--ca", &*ca), ("--cert", &*missing), ("--key", &*key)],
        vec![("--ca", &*ca), ("--cert", &*cert), ("--key", &*cert)],
    ] {
        let refused = get(node, &files).await;
        let (_, path) = files.last().unwrap();
        let named = files
            .iter()
            .any(|(_, path)| refused.stderr.contains(path.to_str().unwrap()));
        assert!(named, "{path:?}: {}", refused.stderr);
        refused.assert_fails(2, &[]);
    }
}
