//! The protocols of other systems, byte by byte and in clusters.

use crate::support::client::Answer;
use crate::support::origin::value_of;
use crate::support::{Client, Cluster, Origin, Setup, raw};

async fn scores() -> Origin {
    Origin::serve(|key| match key {
        b"Tom" => Some(b"630".to_vec()),
        b"empty" => Some(Vec::new()),
        _ => None,
    })
    .await
}

fn dialect(base_path: &str, encoding: &str) -> String {
    format!("profile = \"groupcache\"\nbase-path = {base_path:?}\nencoding = {encoding:?}")
}

/// The answer of a single node of that dialect on its peers' port.
async fn answers(base_path: &str, encoding: &str, targets: &[&str]) -> Vec<Answer> {
    let origin = scores().await;
    let setup = Setup::of(&origin).cluster(&dialect(base_path, encoding));
    let cluster = Cluster::start(1, &setup).await;
    let mut answers = Vec::new();
    for target in targets {
        answers.push(raw::get(cluster.nodes[0].peer, target).await);
    }
    answers
}

#[tokio::test]
async fn gocache_and_geecache_get_raw_values() {
    for base_path in ["/_gocache/", "/_geecache/", "/geecache/"] {
        let targets = [
            format!("{base_path}scores/Tom"),
            format!("{base_path}scores/empty"),
        ];
        let answers = answers(base_path, "raw", &[&targets[0], &targets[1]]).await;
        for (answer, value) in answers.iter().zip([&b"630"[..], b""]) {
            assert_eq!(
                (answer.status, &answer.body[..]),
                (200, value),
                "{base_path}"
            );
            assert_eq!(answer.header("content-type"), "application/octet-stream");
        }
    }
}

#[tokio::test]
async fn groupcache_gets_protobuf() {
    let targets = ["/_groupcache/scores/Tom", "/_groupcache/scores/empty"];
    let answers = answers("/_groupcache/", "protobuf", &targets).await;
    for (answer, bytes) in answers.iter().zip([&b"\x0A\x03630"[..], b"\x0A\x00"]) {
        assert_eq!((answer.status, &answer.body[..]), (200, bytes));
        assert_eq!(answer.header("content-type"), "application/x-protobuf");
    }
}

#[tokio::test]
async fn refusals_have_groupcaches_statuses_and_texts() {
    let targets = [
        "/_groupcache/nobody/Tom",
        "/_groupcache/scores",
        "/_groupcache/scores/Kesa",
        "/elsewhere/scores/Tom",
    ];
    let answers = answers("/_groupcache/", "protobuf", &targets).await;
    let told: Vec<_> = answers
        .iter()
        .map(|answer| (answer.status, answer.text()))
        .collect();
    let expected = [
        (404, "no such group: nobody\n"),
        (400, "bad request\n"),
        (404, "Kesa not found\n"),
        (404, "not found\n"),
    ];
    assert_eq!(
        told,
        expected.map(|(status, text)| (status, text.to_owned()))
    );
}

#[tokio::test]
async fn a_cluster_works_in_each_dialect() {
    for (base_path, encoding) in [
        ("/_groupcache/", "protobuf"),
        ("/_gocache/", "raw"),
        ("/geecache/", "raw"),
        ("/_geecache/", "raw"),
        ("/_geecache/", "protobuf"),
        ("/carrotCache/", "protobuf"),
    ] {
        let origin = Origin::of_everything().await;
        let setup = Setup::of(&origin).cluster(&dialect(base_path, encoding));
        let cluster = Cluster::start(2, &setup).await;
        let client = Client::new();
        let keys: Vec<_> = (0..40).map(|n| format!("key-{n}").into_bytes()).collect();
        for node in &cluster.nodes {
            for key in &keys {
                let answer = client.key(node, key).await;
                assert_eq!(
                    (answer.status, answer.body),
                    (200, value_of(key)),
                    "{base_path}"
                );
            }
        }
        origin.assert_asked_once(&keys);
        let fetched = ["source=\"peer\"", "result=\"ok\""];
        let fetched = cluster
            .metric(&client, "gaggle_loads_total", &fetched)
            .await;
        assert_eq!(
            fetched, 40,
            "each key is one node's own and fetched by the other: {base_path}"
        );
    }
}
