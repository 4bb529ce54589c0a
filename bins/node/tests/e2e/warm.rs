//! Warm starts: what a node with a snapshot has loaded before the first get.

use std::path::Path;

use crate::configuration::{complaint, run, write};
use crate::support::origin::value_of;
use crate::support::{Client, Cluster, Origin, Setup, until};

const KEYS: usize = 50;

fn keys() -> Vec<Vec<u8>> {
    // Any bytes, and slashes.
    let key = |n: usize| [format!("a/{n}/").as_bytes(), &n.to_be_bytes()].concat();
    (0..KEYS).map(key).collect()
}

fn with_snapshot(origin: &Origin, path: &Path) -> Setup {
    Setup::of(origin).group(&format!("snapshot = {path:?}"))
}

/// One node that has been asked for all keys.
async fn asked_for_all(origin: &Origin, path: &Path) -> Cluster {
    let cluster = Cluster::start(1, &with_snapshot(origin, path)).await;
    let client = Client::new();
    cluster.nodes[0].process.logged("the node is ready").await;
    for key in keys() {
        let answer = client.key(&cluster.nodes[0], &key).await;
        assert_eq!(answer.body, value_of(&key));
    }
    cluster
}

async fn stop(cluster: &mut Cluster) {
    let process = &mut cluster.nodes[0].process;
    process.signal("TERM");
    let status = process.ended().await;
    assert_eq!(status.code(), Some(0), "{status}");
}

#[tokio::test]
async fn a_node_loads_what_it_held_before_anybody_asks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scores.keys");
    let origin = Origin::of_everything().await;
    let mut cluster = asked_for_all(&origin, &path).await;
    stop(&mut cluster).await;
    assert!(path.exists());
    origin.assert_asked_once(&keys());

    cluster.nodes[0].restart().await;
    let client = Client::new();
    let warmed = ["group=\"scores\"", "result=\"loaded\""];
    until("the node to be warm", async || {
        cluster
            .metric(&client, "gaggle_warmed_total", &warmed)
            .await
            == KEYS as u64
    })
    .await;
    assert!(keys().iter().all(|key| origin.asked_for(key) == 2));
    assert_eq!(cluster.metric(&client, "gaggle_gets_total", &[]).await, 0);
    let node = &cluster.nodes[0];
    let line = node.process.logged("warmed").await;
    assert_eq!(
        (&line["group"], &line["loaded"]),
        (&"scores".into(), &KEYS.into())
    );
    let status = client.get(node.admin, "/status").await.json();
    assert_eq!(status["groups"]["scores"]["warmed_total"]["loaded"], KEYS);
    for key in keys() {
        let answer = client.key(node, &key).await;
        assert!(answer.header("cache-status").starts_with("gaggle; hit"));
        assert_eq!(answer.body, value_of(&key));
    }
    assert!(origin.asked().values().all(|times| *times == 2));
}

#[tokio::test]
async fn a_truncated_file_is_reported_and_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scores.keys");
    let origin = Origin::of_everything().await;
    let mut cluster = asked_for_all(&origin, &path).await;
    stop(&mut cluster).await;
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();

    cluster.nodes[0].restart().await;
    let line = "the snapshot cannot be used, so the group starts cold";
    let line = cluster.nodes[0].process.logged(line).await;
    assert_eq!(line["path"], path.to_str().unwrap());
    assert!(
        line["reason"]
            .as_str()
            .unwrap()
            .starts_with("is incomplete: ")
    );
    let client = Client::new();
    for key in keys() {
        let answer = client.key(&cluster.nodes[0], &key).await;
        assert_eq!(answer.body, value_of(&key));
    }
    stop(&mut cluster).await;
    assert_eq!(std::fs::read(&path).unwrap().len(), whole.len());
}

#[tokio::test]
async fn a_file_that_is_no_snapshot_is_reported_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("precious");
    std::fs::write(&path, "precious").unwrap();
    let origin = Origin::of_everything().await;
    let mut cluster = asked_for_all(&origin, &path).await;
    let line =
        "the snapshot is not used and will not be replaced, so the group starts cold each time";
    let line = cluster.nodes[0].process.logged(line).await;
    assert_eq!(line["reason"], "is not a snapshot of keys");
    stop(&mut cluster).await;
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[test]
fn check_reports_where_no_snapshot_can_be() {
    let dir = tempfile::tempdir().unwrap();
    let ports = "[node]\npeer-addr = \"127.0.0.1:0\"\napi-addr = \"127.0.0.1:0\"\nadmin-addr = \"127.0.0.1:0\"\n";
    let group = |name: &str, snapshot: &str| {
        format!(
            "[groups.{name}]\nsnapshot = {snapshot:?}\norigin = {{ kind = \"files\", root = \".\" }}\n"
        )
    };
    let check = |args: &[&str], text: String| {
        let config = write(dir.path(), &text);
        complaint(&run(&[&["check", "--config", &config], args].concat(), &[]))
    };
    let missing = dir.path().join("missing/scores.keys");
    let line = check(
        &[],
        ports.to_owned() + &group("a", missing.to_str().unwrap()),
    );
    assert!(
        line.starts_with("gaggle-node: groups.a.snapshot: there is no directory "),
        "{line}"
    );
    let line = check(&["--offline"], group("a", "same") + &group("b", "same"));
    let problem = "groups.b.snapshot: \"same\" is the snapshot of the group \"a\" as well";
    assert!(line.contains(problem), "{line}");
    let line = check(&["--offline"], group("a", ".."));
    assert!(line.contains("groups.a.snapshot: "), "{line}");
    let lru = group("a", "a").replace("origin", "store = \"lru\"\norigin");
    let line = check(&["--offline"], lru);
    assert!(line.contains("groups.a.snapshot: "), "{line}");
    let seldom = group("a", "a").replace("origin", "snapshot-interval = \"10ms\"\norigin");
    let line = check(&["--offline"], seldom);
    assert!(
        line.contains("groups.a.snapshot-interval: expected at least 1s"),
        "{line}"
    );
}
