//! Origins that fail, hang or are files, and nodes with more than one group.

use crate::support::origin::{Mode, value_of};
use crate::support::{Client, Cluster, Origin, Setup};

/// Asks two nodes for new keys, so that owners and others answer; every answer has that status and
/// one line of text.
async fn every_node_answers(status: u16, mode: Mode, transport: &str) -> Origin {
    let origin = Origin::of_everything().await;
    let setup = Setup::of(&origin)
        .cluster(transport)
        .group("load-timeout = \"300ms\"");
    let cluster = Cluster::start(2, &setup).await;
    let client = Client::new();
    let good = client.key(&cluster.nodes[0], b"before").await;
    assert_eq!(good.status, 200);
    origin.set(mode);
    for node in &cluster.nodes {
        for n in 0..6 {
            let answer = client.key(node, format!("key-{n}").as_bytes()).await;
            let line = answer.text();
            assert_eq!(answer.status, status, "{line}");
            assert!(!line.is_empty() && !line.contains('\n'), "{line:?}");
            assert!(!line.contains("key-"), "{line:?}");
        }
    }
    // Cached values are still served, and failures are not kept.
    let owner = cluster.owner(&client, b"before").await;
    assert_eq!(
        client.key(&cluster.nodes[owner], b"before").await.body,
        good.body
    );
    origin.set(Mode::Open);
    for node in &cluster.nodes {
        let answer = client.key(node, b"key-0").await;
        assert_eq!((answer.status, answer.body), (200, value_of(b"key-0")));
    }
    origin
}

#[tokio::test]
async fn an_origin_that_fails_is_502() {
    let origin = every_node_answers(502, Mode::Failing, "transport = \"http\"").await;
    // The owner's verdict is accepted: no node asked the failing origin a second time for one
    // request.
    assert_eq!(origin.asked_for(b"key-1"), 2);
}

#[tokio::test]
async fn an_origin_that_fails_is_502_over_grpc() {
    let origin = every_node_answers(502, Mode::Failing, "transport = \"grpc\"").await;
    assert_eq!(origin.asked_for(b"key-1"), 2);
}

#[tokio::test]
async fn an_origin_that_hangs_is_504_at_the_load_timeout() {
    every_node_answers(504, Mode::Gated, "").await;
}

#[tokio::test]
async fn files_are_served_and_nothing_outside_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    std::fs::create_dir_all(root.join("a")).unwrap();
    std::fs::write(root.join("a/b"), "in a folder").unwrap();
    std::fs::write(root.join("empty"), "").unwrap();
    std::fs::write(dir.path().join("secret"), "not for you").unwrap();
    let setup = Setup {
        origin: format!("kind = \"files\"\nroot = {root:?}"),
        ..Setup::default()
    };
    let cluster = Cluster::start(2, &setup).await;
    let client = Client::new();
    for node in &cluster.nodes {
        for (key, status, body) in [
            ("a/b", 200, "in a folder"),
            ("empty", 200, ""),
            ("a", 404, "a not found"),
            ("c", 404, "c not found"),
            ("../secret", 404, "../secret not found"),
        ] {
            let answer = client.key(node, key.as_bytes()).await;
            assert_eq!(
                (answer.status, answer.text().as_str()),
                (status, body),
                "{key}"
            );
        }
    }
}

#[tokio::test]
async fn groups_of_one_node_are_kept_apart() {
    let first = Origin::serve(|_| Some(b"score".to_vec())).await;
    let second = Origin::serve(|_| Some(b"page".to_vec())).await;
    let setup = Setup {
        tables: format!("[groups.pages.origin]\n{}", second.table()),
        ..Setup::of(&first)
    };
    let cluster = Cluster::start(2, &setup).await;
    let client = Client::new();
    for node in &cluster.nodes {
        for (target, status, body) in [
            ("/v1/scores/Tom", 200, "score"),
            ("/v1/pages/Tom", 200, "page"),
            ("/api?group=scores&key=Tom", 200, "score"),
            ("/api?key=Tom&group=pages", 200, "page"),
            ("/v1/nobody/Tom", 404, "no such group: nobody"),
            ("/api?key=Tom&group=nobody", 404, "no such group: nobody"),
        ] {
            let answer = client.get(node.api, target).await;
            assert_eq!(
                (answer.status, answer.text().as_str()),
                (status, body),
                "{target}"
            );
        }
        let answer = client.get(node.api, "/api?key=Tom").await;
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains("group="), "{}", answer.text());
    }
    first.assert_asked_once(&[b"Tom".to_vec()]);
    second.assert_asked_once(&[b"Tom".to_vec()]);
}

#[tokio::test]
async fn an_unknown_key_is_404_with_its_name() {
    let origin = Origin::serve(|key| (key == b"Tom").then(|| b"630".to_vec())).await;
    let cluster = Cluster::start(2, &Setup::of(&origin)).await;
    let client = Client::new();
    for node in &cluster.nodes {
        for target in ["/api?key=Kesa", "/v1/scores/Kesa"] {
            let answer = client.get(node.api, target).await;
            assert_eq!(
                (answer.status, answer.text().as_str()),
                (404, "Kesa not found")
            );
        }
        let keys = [b"Kesa".to_vec(), b"Tom".to_vec()];
        let rows = client.batch(node, &keys).await;
        assert_eq!(rows, [(404, Vec::new()), (200, b"630".to_vec())]);
    }
}
