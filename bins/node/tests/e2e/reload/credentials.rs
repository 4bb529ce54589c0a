//! Tokens and certificates that are replaced while requests come in.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use axum::body::Bytes;
use gaggle_tls::{Tls, TlsFiles};
use http_body_util::{BodyExt as _, Empty};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::Scene;
use crate::support::cluster::free_ports;
use crate::support::origin::value_of;
use crate::support::{Client, Origin, PATIENCE, Setup, until};

/// Requests one after the other, until it is told to end.
struct Requests {
    end: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    asking: JoinHandle<Vec<String>>,
}

impl Requests {
    /// `ask` is given the number of the request, and says what went wrong.
    fn start<F>(ask: impl Fn(usize) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send,
    {
        let (end, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (ends, counts) = (Arc::clone(&end), Arc::clone(&done));
        let asking = tokio::spawn(async move {
            let mut failures = Vec::new();
            while !ends.load(Relaxed) {
                let n = counts.load(Relaxed);
                if let Err(failure) = ask(n).await {
                    failures.push(format!("{n}: {failure}"));
                }
                counts.store(n + 1, Relaxed);
            }
            failures
        });
        Self { end, done, asking }
    }

    /// Waits for so many more requests.
    async fn more(&self, count: usize) {
        let goal = self.done.load(Relaxed) + count;
        until("requests to go on", async || {
            self.done.load(Relaxed) >= goal
        })
        .await;
    }

    async fn end_without_a_failure(self) {
        self.end.store(true, Relaxed);
        let failures = self.asking.await.unwrap();
        assert!(failures.is_empty(), "{failures:?}");
    }
}

const FIRST: &str = "the-first-token-0123456789";
const SECOND: &str = "the-second-token-0123456789";
const THIRD: &str = "the-third-token-0123456789";

/// The status and the body of a request to the admin port.
async fn ask(scene: &Scene, method: Method, target: &str, token: &str) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
    let url = format!("http://{}{target}", scene.node.admin);
    let request = client.build().unwrap().request(method, url);
    let answer = request.bearer_auth(token).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn status_with(scene: &Scene, token: &str) -> u16 {
    ask(scene, Method::GET, "/status", token).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_replaced_under_load() {
    let origin = Origin::of_everything().await;
    let dir = tempfile::tempdir().unwrap();
    let ports = free_ports(2);
    let (mut scenes, mut files) = (Vec::new(), Vec::new());
    for (n, me) in ports.iter().enumerate() {
        let file = dir.path().join(format!("token-{n}"));
        std::fs::write(&file, FIRST).unwrap();
        let setup = Setup {
            tables: format!("[security]\ntoken-file = {file:?}"),
            ..Setup::of(&origin)
        };
        scenes.push(Scene::start_at(*me, &ports, &setup, |_| {}).await);
        files.push(file);
    }
    let (api, client) = (scenes[0].node.api, Client::new());
    // Another key each time: half of them are the other node's.
    let requests = Requests::start(move |n| {
        let client = client.clone();
        async move {
            let key = format!("key-{n}");
            let target = format!("/v1/scores/{key}");
            let answer = client.send(Method::GET, api, &target, String::new()).await;
            let answer = answer.map_err(|failure| failure.to_string())?;
            let is_right = answer.status == 200 && answer.body == value_of(key.as_bytes());
            is_right
                .then_some(())
                .ok_or_else(|| answer.status.to_string())
        }
    });
    requests.more(50).await;
    for (generation, (text, token)) in [
        (format!("{FIRST}\n{SECOND}"), FIRST),
        (format!("{SECOND}\n{FIRST}"), SECOND),
        (SECOND.to_owned(), SECOND),
    ]
    .into_iter()
    .enumerate()
    {
        for (scene, file) in scenes.iter().zip(&files) {
            std::fs::write(file, &text).unwrap();
            scene.node.process.signal("HUP");
            until("the token to be read again", async || {
                let (status, body) = ask(scene, Method::GET, "/status", token).await;
                assert_eq!(status, 200, "{body}");
                let status: Value = serde_json::from_str(&body).unwrap();
                status["generation"] == generation + 2
            })
            .await;
            requests.more(50).await;
        }
    }
    requests.end_without_a_failure().await;
    for scene in &scenes {
        // Until now each request had a token that was accepted, including those between the nodes.
        assert!(!scene.node.process.has_logged("a request was refused"));
        assert_eq!(status_with(scene, FIRST).await, 401);
        assert_eq!(status_with(scene, SECOND).await, 200);
    }
    let (_, page) = ask(&scenes[0], Method::GET, "/metrics", SECOND).await;
    let of_peers = page.lines().find(|line| {
        line.starts_with("gaggle_loads_total") && line.contains("peer\",result=\"ok\"")
    });
    let of_peers = of_peers.unwrap().rsplit(' ').next().unwrap();
    assert!(of_peers.parse::<u64>().unwrap() > 50, "{of_peers}");

    // Files that cannot be used change nothing.
    std::fs::write(&files[0], "short").unwrap();
    let (status, line) = ask(&scenes[0], Method::POST, "/reload", SECOND).await;
    assert_eq!(status, 422);
    assert!(line.starts_with("security.token-file: "), "{line}");
    assert_eq!(status_with(&scenes[0], SECOND).await, 200);
    // Without a word to the node.
    std::fs::write(&files[0], THIRD).unwrap();
    until("the token file to be looked at", async || {
        status_with(&scenes[0], THIRD).await == 200
    })
    .await;
    // From another file.
    let other = dir.path().join("other");
    std::fs::write(&other, FIRST).unwrap();
    let text = std::fs::read_to_string(&scenes[0].file).unwrap();
    let text = text.replace(files[0].to_str().unwrap(), other.to_str().unwrap());
    std::fs::write(&scenes[0].file, text).unwrap();
    let (status, body) = ask(&scenes[0], Method::POST, "/reload", THIRD).await;
    assert_eq!(status, 200, "{body}");
    let expected = json!({"generation": 5, "changed": ["security.token-file"]});
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected);
    assert_eq!(status_with(&scenes[0], THIRD).await, 401);
    assert_eq!(status_with(&scenes[0], FIRST).await, 200);
}

struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Replaces the certificate and its key by ones for that name.
    fn issue(&self, dir: &Path, name: &str) {
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap();
        std::fs::write(dir.join("tls.crt"), cert.pem()).unwrap();
        std::fs::write(dir.join("tls.key"), key.serialize_pem()).unwrap();
    }
}

/// Makes a connection for each request, to servers with a certificate by one of these CAs.
#[derive(Clone)]
struct Https(hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Empty<Bytes>>);

impl Https {
    fn trusting(dir: &Path, cas: &[&Ca]) -> Self {
        let path = dir.join(format!("ca-{}", cas.len()));
        let pem: String = cas.iter().map(|ca| ca.0.pem()).collect();
        std::fs::write(&path, pem).unwrap();
        let files = TlsFiles {
            ca: Some(path),
            ..TlsFiles::default()
        };
        let mut config = (*Tls::load(files).unwrap().client().config()).clone();
        config.alpn_protocols.clear();
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_http1()
            .wrap_connector(http);
        let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Self(client)
    }

    async fn get(&self, url: &str) -> Result<(), String> {
        let answer = self.0.get(url.parse().unwrap()).await;
        let answer = answer.map_err(|failure| format!("{failure:?}"))?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await;
        body.map_err(|failure| failure.to_string())?;
        (status == 200)
            .then_some(())
            .ok_or_else(|| status.to_string())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_replaced_under_load() {
    let origin = Origin::of_everything().await;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (old, new) = (Ca::new("old"), Ca::new("new"));
    let me = free_ports(1)[0];
    let name = me.ip().to_string();
    old.issue(dir, &name);
    let (cert, key) = (dir.join("tls.crt"), dir.join("tls.key"));
    let setup = Setup {
        tables: format!("[security.tls]\ncert = {cert:?}\nkey = {key:?}\nports = [\"front-door\"]"),
        ..Setup::of(&origin)
    };
    let scene = Scene::start_at(me, &[me], &setup, |_| {}).await;
    let url = format!("https://{}/v1/scores/Tom", scene.node.api);
    let (either, newer) = (
        Https::trusting(dir, &[&old, &new]),
        Https::trusting(dir, &[&new]),
    );
    either.get(&url).await.unwrap();
    newer.get(&url).await.unwrap_err();

    let requests = Requests::start({
        let url = url.clone();
        move |_| {
            let (client, url) = (either.clone(), url.clone());
            async move { client.get(&url).await }
        }
    });
    requests.more(20).await;
    new.issue(dir, &name);
    scene.hang_up(2).await;
    newer.get(&url).await.unwrap();
    requests.more(20).await;

    std::fs::write(&cert, "no certificate").unwrap();
    let answer = scene.post().await;
    assert_eq!(answer.status, 422);
    assert!(
        answer.text().starts_with("security.tls: "),
        "{}",
        answer.text()
    );
    assert_eq!(scene.generation().await, 2);
    newer.get(&url).await.unwrap();
    // Without a word to the node.
    old.issue(dir, &name);
    until("the certificate to be looked at", async || {
        newer.get(&url).await.is_err()
    })
    .await;
    requests.more(20).await;
    requests.end_without_a_failure().await;
}
