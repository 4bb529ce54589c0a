//! Each port, as an attacker would try it.

use std::net::SocketAddr;
use std::path::PathBuf;

use axum::http::HeaderName;
use tempfile::TempDir;

use crate::support::cluster::free_ports;
use crate::support::config::{Lines, peers};
use crate::support::origin::value_of;
use crate::support::{Caller, Node, Origin, until};

mod browsers;
mod certificates;
mod cluster_name;
mod exposure;
mod paths;

const FIRST: &str = "the-first-token-of-the-cluster";
const SECOND: &str = "the-other-token-of-the-cluster";

/// What the node's own port for peers answers to a get of `Tom`.
const TOM: &str = "/_groupcache/scores/Tom";

/// Nodes that require one of two tokens, and the origin that they ask.
struct Scene {
    nodes: Vec<Node>,
    origin: Origin,
    /// Where the tokens are.
    token: PathBuf,
    dir: TempDir,
}

impl Scene {
    async fn start(count: usize, node: &str) -> Self {
        let origin = Origin::of_everything().await;
        let dir = tempfile::tempdir().unwrap();
        let token = dir.path().join("token");
        std::fs::write(&token, format!("{FIRST}\n{SECOND}\n")).unwrap();
        let ports = free_ports(count);
        let listed: Vec<_> = ports.iter().map(ToString::to_string).collect();
        let lines = Lines {
            node: node.into(),
            cluster: peers(&listed),
            tables: format!("[security]\ntoken-file = {token:?}"),
            ..Lines::default()
        };
        let mut nodes = Vec::new();
        for (n, port) in ports.iter().enumerate() {
            let name = format!("node-{n}");
            nodes.push(lines.start(dir.path(), &name, *port, &origin).await);
        }
        Self {
            nodes,
            origin,
            token,
            dir,
        }
    }

    /// Makes a node keep the value of `Tom`.
    async fn warm(&self) {
        assert_eq!(get_tom(self.nodes[0].api).await, value_of(b"Tom"));
        assert_eq!(self.origin.asked_for(b"Tom"), 1);
    }

    /// Panics if the node had to load it again.
    async fn is_still_warm(&self) {
        assert_eq!(get_tom(self.nodes[0].api).await, value_of(b"Tom"));
        assert_eq!(self.origin.asked_for(b"Tom"), 1, "the value was removed");
    }
}

async fn get_tom(api: SocketAddr) -> Vec<u8> {
    let answer = Caller::plain().get(api, "/v1/scores/Tom").await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.body
}

#[tokio::test]
async fn without_a_token_of_the_cluster_every_request_is_refused() {
    let scene = Scene::start(1, "").await;
    let node = &scene.nodes[0];
    scene.warm().await;
    let bearer = |value: &str| Caller::plain().header("Authorization", value);
    let strangers = [
        ("nothing", Caller::plain()),
        (
            "another token",
            Caller::plain().token("a-token-of-another-cluster"),
        ),
        (
            "the beginning",
            Caller::plain().token(&FIRST[..FIRST.len() - 1]),
        ),
        (
            "one letter more",
            Caller::plain().token(&format!("{FIRST}x")),
        ),
        ("in capitals", Caller::plain().token(&FIRST.to_uppercase())),
        ("both", Caller::plain().token(&format!("{FIRST}\t{SECOND}"))),
        ("no token", bearer("Bearer")),
        ("an empty one", bearer("Bearer ")),
        ("another scheme", bearer(&format!("Basic {FIRST}"))),
        ("no scheme", bearer(FIRST)),
        ("another header", Caller::plain().header("X-Token", FIRST)),
        (
            "two",
            Caller::plain()
                .token("another-token-0123456789")
                .token(FIRST),
        ),
    ];
    for (what, stranger) in &strangers {
        for (addr, requests) in [
            (
                node.peer,
                &[
                    ("GET", TOM),
                    ("GET", "/_groupcache/scores/nobody"),
                    ("GET", "/_groupcache/nothing/Tom"),
                    ("DELETE", TOM),
                    ("POST", "/_groupcache/"),
                    ("PUT", TOM),
                    ("GET", "/"),
                ][..],
            ),
            (
                node.admin,
                &[
                    ("GET", "/status"),
                    ("GET", "/metrics"),
                    ("GET", "/owner?group=scores&key=Tom"),
                    ("GET", "/nothing"),
                    ("DELETE", "/v1/scores/Tom"),
                    ("DELETE", "/v1/nothing/Tom"),
                    ("DELETE", "/v1/scores"),
                    ("PUT", "/v1/scores/Tom"),
                    ("POST", "/v1/scores/remove"),
                    ("POST", "/reload"),
                    // Apart from the page at `/`, only these two need no authentication, and only
                    // in this spelling.
                    ("GET", "/livez/"),
                    ("GET", "//livez"),
                    ("GET", "/livez/../status"),
                    ("GET", "/readyz%2F..%2Fstatus"),
                    ("GET", "/status?/livez"),
                    ("GET", "/LIVEZ"),
                ],
            ),
        ] {
            for (method, target) in requests {
                let answer = stranger.send(addr, method, target, "Tom").await.unwrap();
                let text = answer.text();
                assert_eq!(answer.status, 401, "{what}: {method} {target}: {text}");
                assert_eq!(answer.header("www-authenticate"), "Bearer");
                // The answer is the same whether or not the path exists.
                let expected = [
                    "a token is required: Authorization: Bearer TOKEN",
                    "the token is not one of this cluster's",
                ];
                assert!(
                    expected.contains(&&*text),
                    "{what}: {method} {target}: {text}"
                );
                let headers: Vec<_> = answer.headers.keys().map(HeaderName::as_str).collect();
                let known = [
                    "content-type",
                    "x-content-type-options",
                    "www-authenticate",
                    "content-length",
                    "connection",
                    "date",
                ];
                assert!(
                    headers.iter().all(|name| known.contains(name)),
                    "{headers:?}"
                );
            }
        }
        for page in ["/livez", "/readyz"] {
            let answer = stranger.get(node.admin, page).await.unwrap();
            assert_eq!(answer.status, 200, "{what}: {page}: {}", answer.text());
        }
    }
    scene.is_still_warm().await;
    assert_eq!(scene.origin.asked().len(), 1);
    for token in [FIRST, SECOND] {
        let caller = Caller::plain().token(token);
        assert_eq!(caller.status(node.admin, "GET", "/status").await, 200);
        let answer = caller.get(node.peer, TOM).await.unwrap();
        assert_eq!(answer.status, 200);
    }
    // The token gives access to what it protects.
    let caller = Caller::plain().token(SECOND);
    assert_eq!(caller.status(node.peer, "DELETE", TOM).await, 200);
    get_tom(node.api).await;
    assert_eq!(scene.origin.asked_for(b"Tom"), 2);
}

#[tokio::test]
async fn the_token_is_shown_nowhere() {
    // Everything except the output of libraries.
    let level = "log-level = \"info,gaggle=trace,gaggle_node=trace,gaggle_group=trace,gaggle_peers=trace,\
                 gaggle_transport_http=trace,gaggle_api_http=trace,gaggle_serve=trace,gaggle_token=trace,hyper=trace,\
                 hyper_util=trace,reqwest=trace\"\nlog-interval = \"0s\"";
    let scene = Scene::start(2, level).await;
    let (own, wrong) = (Caller::plain().token(FIRST), "a-guess-at-the-token-0123");
    let mut pages = Vec::new();
    for node in &scene.nodes {
        for key in 0..50 {
            let target = format!("/v1/scores/key-{key}");
            assert_eq!(own.status(node.api, "GET", &target).await, 200);
        }
        for addr in [node.peer, node.admin] {
            let guess = Caller::plain().token(wrong);
            pages.push(guess.get(addr, "/status").await.unwrap().text());
        }
        for page in [
            "/status",
            "/metrics",
            "/owner?group=scores&key=a",
            "/nothing",
        ] {
            pages.push(own.get(node.admin, page).await.unwrap().text());
        }
        let removed = own.status(node.admin, "DELETE", "/v1/scores/key-1").await;
        assert_eq!(removed, 200);
    }
    let peers = pages
        .iter()
        .map(|page| page.matches("gaggle_peer_requests_total").count());
    assert!(peers.sum::<usize>() > 0, "{pages:?}");
    // The content of an invalid file is not quoted either.
    std::fs::write(&scene.token, format!("{FIRST} {SECOND}\n")).unwrap();
    let reload = own.send(scene.nodes[0].admin, "POST", "/reload", "");
    let reload = reload.await.unwrap();
    assert_eq!(reload.status, 422, "{}", reload.text());
    pages.push(reload.text());
    let config = scene.dir.path().join("node-0.toml");
    let config = config.to_str().unwrap();
    let check = crate::configuration::run(&["check", "--config", config], &[]);
    let line = crate::configuration::complaint(&check);
    assert!(line.contains("security.token-file"), "{line}");
    pages.push(line);
    std::fs::write(&scene.token, FIRST).unwrap();
    let check = crate::configuration::run(&["check", "--offline", "--config", config], &[]);
    assert_eq!(check.status.code(), Some(0));
    pages.push(String::from_utf8(check.stdout).unwrap());
    for secret in [FIRST, SECOND, wrong] {
        for page in &pages {
            assert!(!page.contains(secret), "{page}");
        }
        for node in &scene.nodes {
            assert_eq!(node.process.lines_with(secret), 0, "a line has {secret}");
        }
    }
    // The log was readable, and reported the guesses.
    until("refusals in the log", async || {
        scene
            .nodes
            .iter()
            .all(|node| node.process.lines_with("a request was refused") >= 2)
    })
    .await;
}

#[tokio::test]
async fn the_front_door_only_reads() {
    let scene = Scene::start(1, "").await;
    let node = &scene.nodes[0];
    scene.warm().await;
    let hints = [
        ("X-HTTP-Method-Override", "DELETE"),
        ("X-HTTP-Method", "PUT"),
        ("X-Method-Override", "DELETE"),
        ("Gaggle-Control", "1"),
        ("Gaggle-Batch", "1"),
        ("Gaggle-Forwarded", "1"),
        ("Gaggle-Removal", "1-1"),
        ("Gaggle-Removals", "1-1"),
        ("Gaggle-Key", "Tom"),
        ("Authorization", "Bearer the-first-token-of-the-cluster"),
        ("X-Original-URL", "/reload"),
        ("Upgrade", "h2c"),
    ];
    let mut asked = 0;
    for (name, value) in hints {
        let caller = Caller::plain().header(name, value);
        for method in [
            "PUT", "DELETE", "PATCH", "POST", "OPTIONS", "TRACE", "REMOVE", "PURGE",
        ] {
            for target in [
                "/v1/scores/Tom",
                "/v1/scores/remove",
                "/api?group=scores&key=Tom",
                "/v1/scores",
                "/_groupcache/scores/Tom",
                "/_groupcache/",
                "/reload",
                "/",
            ] {
                let answer = caller.send(node.api, method, target, "Tom").await.unwrap();
                let is_a_batch = method == "POST" && target == "/v1/scores";
                let expected = match method {
                    "POST" if is_a_batch => &[400][..],
                    // It lists the methods that exist.
                    "OPTIONS" => &[204, 404, 405],
                    _ => &[404, 405],
                };
                assert!(
                    expected.contains(&answer.status),
                    "{name}: {method} {target}: {} {}",
                    answer.status,
                    answer.text()
                );
                asked += 1;
            }
        }
        // A get with such a header is a get.
        let answer = caller.get(node.api, "/v1/scores/Tom").await.unwrap();
        assert_eq!(
            (answer.status, answer.body),
            (200, value_of(b"Tom")),
            "{name}"
        );
        // The paths of the other ports do not exist here.
        for page in [
            "/status",
            "/metrics",
            "/livez",
            "/owner?group=scores&key=Tom",
            TOM,
        ] {
            assert_eq!(caller.status(node.api, "GET", page).await, 404, "{page}");
        }
    }
    assert_eq!(asked, 12 * 8 * 8);
    scene.is_still_warm().await;
    assert_eq!(scene.origin.asked().len(), 1);
    let status = Caller::plain()
        .token(FIRST)
        .json(node.admin, "/status")
        .await;
    assert_eq!(status["groups"]["scores"]["removals"], 0);
    assert_eq!(status["generation"], 1);
}
