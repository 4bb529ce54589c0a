//! Keys are bytes: each arrives unchanged, through every endpoint and over both transports.

use serde_json::json;

use crate::support::client::{escape, outcome};
use crate::support::{Client, Cluster, Origin, Setup, busy, raw};

const MAX_KEY: usize = 1024;

fn nasty() -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = [
        "",
        " ",
        "a b",
        "a+b",
        "+",
        "a  b",
        " a",
        "a ",
        "/",
        "//",
        "///",
        "a/b",
        "a//b",
        "a/",
        "/a",
        "a",
        "%",
        "%%",
        "%2F",
        "%2f",
        "a%2Fb",
        "%25",
        "%00",
        "%zz",
        ".",
        "..",
        "./a",
        "../a",
        "a/.",
        "a/..",
        "a/../b",
        "../../scores/a",
        "%2E%2E",
        "?",
        "a?b",
        "?key=a",
        "#",
        "a#b",
        "&",
        "a&b",
        "key=a&key=b",
        "=",
        "a=b",
        ";",
        ",",
        "\"",
        "'",
        "\\",
        "\\u0000",
        "张三",
        "é",
        "e\u{301}",
        "\u{202e}",
        "\0",
        "a\0b",
        "\r\n",
        "a\r\nb: c",
        "\n",
        "\t",
        "\u{7f}",
        "_groupcache/",
        "http://a/",
        "not found",
        "null",
    ]
    .iter()
    .map(|key| key.as_bytes().to_vec())
    .collect();
    keys.extend([
        vec![0xFF],
        vec![0xFF, 0xFE],
        vec![0x80],
        b"a\xC3".to_vec(),
        (0..=255).collect(),
        vec![b'x'; MAX_KEY],
        vec![0xFF; MAX_KEY],
        vec![b'/'; MAX_KEY],
    ]);
    keys
}

/// The value of a key: its bytes in hexadecimal, after a letter so that it is never empty.
fn named(key: &[u8]) -> Vec<u8> {
    let mut value = b"k".to_vec();
    value.extend(
        key.iter()
            .flat_map(|byte| format!("{byte:02x}").into_bytes()),
    );
    value
}

async fn all_ways_lead_to(cluster: &Cluster, key: &[u8]) {
    let shown = key.escape_ascii().to_string();
    let (escaped, value) = (escape(key), named(key));
    for node in &cluster.nodes {
        for target in [
            format!("/v1/scores/{escaped}"),
            format!("/api?group=scores&key={escaped}"),
            format!("/api?key={escaped}"),
        ] {
            let answer = raw::get(node.api, &target).await;
            assert_eq!(
                (answer.status, answer.body.escape_ascii().to_string()),
                (200, value.escape_ascii().to_string()),
                "key {shown:?} as {target} at {}",
                node.name
            );
            assert_eq!(answer.header("content-type"), "application/octet-stream");
        }
    }
}

async fn keys_come_back_as_themselves(cluster_lines: &str) {
    let _busy = busy().await;
    let origin = Origin::serve(|key| Some(named(key))).await;
    let setup = Setup::of(&origin)
        .cluster(cluster_lines)
        // There are no copies, so that each get of another node's key is forwarded.
        .group("hot-copies = \"off\"\nmax-key = \"1KiB\"");
    let cluster = Cluster::start(3, &setup).await;
    let client = Client::new();
    let keys = nasty();
    for key in &keys {
        all_ways_lead_to(&cluster, key).await;
    }
    let text: Vec<_> = keys
        .iter()
        .filter_map(|key| std::str::from_utf8(key).ok())
        .collect();
    for node in &cluster.nodes {
        let rows = client.batch(node, &keys).await;
        for (key, row) in keys.iter().zip(rows) {
            assert_eq!(row, (200, named(key)), "keys64 {}", key.escape_ascii());
        }
        let rows = client.batch_rows(node, &json!({ "keys": text })).await;
        for (key, row) in text.iter().zip(&rows) {
            assert_eq!(row["key"], *key);
            assert_eq!(outcome(row), (200, named(key.as_bytes())), "keys {key:?}");
        }
    }
    let mut owned = [0; 3];
    for key in &keys {
        owned[cluster.owner(&client, key).await] += 1;
    }
    println!(
        "{cluster_lines:?}: {} keys, {owned:?} on each node",
        keys.len()
    );
    assert!(owned.iter().all(|keys| *keys > 0), "{owned:?}");
    origin.assert_asked_once(&keys);
}

#[tokio::test]
async fn keys_come_back_as_themselves_over_http() {
    keys_come_back_as_themselves("transport = \"http\"").await;
}

#[tokio::test]
async fn keys_come_back_as_themselves_over_grpc() {
    keys_come_back_as_themselves("transport = \"grpc\"").await;
}

#[tokio::test]
async fn keys_come_back_as_themselves_in_groupcaches_profile() {
    keys_come_back_as_themselves("profile = \"groupcache\"").await;
}

#[tokio::test]
async fn what_needs_no_escape_is_taken_as_it_stands() {
    let origin = Origin::serve(|key| Some(named(key))).await;
    let cluster = Cluster::start(1, &Setup::of(&origin)).await;
    for (target, key) in [
        ("/v1/scores/a/b", "a/b"),
        ("/v1/scores//", "/"),
        ("/v1/scores/a//b/", "a//b/"),
        ("/v1/scores/..", ".."),
        ("/v1/scores/a/../b", "a/../b"),
        ("/v1/scores/a+b", "a+b"),
        ("/v1/scores/a=b&c", "a=b&c"),
        ("/v1/scores/a?b", "a"),
        ("/v1/scores/", ""),
        ("/api?key=a+b", "a b"),
        ("/api?key=a/b?c=d", "a/b?c=d"),
        ("/api?key=", ""),
        ("/api?key=..&x=1", ".."),
    ] {
        let answer = raw::get(cluster.nodes[0].api, target).await;
        assert_eq!(
            (answer.status, answer.text()),
            (200, String::from_utf8(named(key.as_bytes())).unwrap()),
            "{target}"
        );
    }
    for target in ["/v1/scores/%", "/v1/scores/%4", "/api?key=%zz", "/api"] {
        let answer = raw::get(cluster.nodes[0].api, target).await;
        assert_eq!(answer.status, 400, "{target}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_key_over_the_limit_is_refused_everywhere() {
    let origin = Origin::serve(|key| Some(named(key))).await;
    let cluster = Cluster::start(2, &Setup::of(&origin).group("max-key = \"1KiB\"")).await;
    let client = Client::new();
    for byte in [b'x', 0xFF] {
        let long = vec![byte; MAX_KEY + 1];
        for node in &cluster.nodes {
            let escaped = escape(&long);
            for target in [
                format!("/v1/scores/{escaped}"),
                format!("/api?key={escaped}"),
            ] {
                let answer = raw::get(node.api, &target).await;
                assert_eq!(answer.status, 414);
                let line = answer.text();
                assert!(line.contains("1025") && line.contains("1024"), "{line}");
                assert!(!line.contains('\n') && !line.contains("xxxx"), "{line}");
            }
            let rows = client.batch(node, std::slice::from_ref(&long)).await;
            assert_eq!(rows, [(414, Vec::new())]);
            // A peer's request.
            let answer = raw::get(node.peer, &format!("/_groupcache/scores/{escaped}")).await;
            assert_eq!(answer.status, 414);
        }
    }
    assert!(origin.asked().is_empty());
}
