//! A node of another cluster at an address of this one.

use crate::support::cluster::free_ports;
use crate::support::config::{Lines, PATIENT, peers};
use crate::support::origin::value_of;
use crate::support::{Caller, Client, Origin, busy, until};

#[tokio::test]
async fn a_node_of_another_cluster_is_left_out_and_refused() {
    let _busy = busy().await;
    let origin = Origin::of_everything().await;
    let dir = tempfile::tempdir().unwrap();
    let ports = free_ports(3);
    let listed: Vec<_> = ports.iter().map(ToString::to_string).collect();
    let mut nodes = Vec::new();
    for (n, name) in ["east", "east", "west"].iter().enumerate() {
        let lines = Lines {
            cluster: format!("name = {name:?}\n{}{PATIENT}", peers(&listed)),
            ..Lines::default()
        };
        let file = format!("node-{n}");
        nodes.push(lines.start(dir.path(), &file, ports[n], &origin).await);
    }
    let caller = Caller::plain();
    until("the ring to be without the stranger", async || {
        let mut members = Vec::new();
        for node in &nodes {
            let status = caller.json(node.admin, "/status").await;
            members.push(status["ring"]["members"].as_array().unwrap().len());
        }
        members == [2, 2, 1]
    })
    .await;
    for (node, stranger, theirs, ours) in [
        (&nodes[0], &nodes[2], "west", "east"),
        (&nodes[1], &nodes[2], "west", "east"),
        (&nodes[2], &nodes[0], "east", "west"),
    ] {
        let how = format!("it is of the cluster {theirs:?}, this node of {ours:?}");
        let status = caller.json(node.admin, "/status").await;
        let told = status["ring"]["disagreements"].as_array().unwrap();
        let of_it = told
            .iter()
            .find(|told| told["node"] == stranger.ring_name());
        assert_eq!(of_it.unwrap()["how"], how, "{told:?}");
        let line = node.process.logged("a node disagrees with this one").await;
        assert_eq!(line["how"], how);
        let client = Client::new();
        let counted = client.metric(node, "gaggle_ring_disagreements", &[]).await;
        assert_eq!(counted, told.len() as u64);
    }
    // A request that names another cluster is refused; a request that names none is not.
    let east = caller.clone().header("Gaggle-Cluster", "east");
    for (method, target) in [
        ("GET", "/_groupcache/scores/Tom"),
        ("DELETE", "/_groupcache/scores/Tom"),
    ] {
        let answer = east.send(nodes[2].peer, method, target, "").await.unwrap();
        assert_eq!(answer.status, 421, "{}", answer.text());
        assert_eq!(answer.text(), "this node is of another cluster\n");
        assert_eq!(east.status(nodes[0].peer, method, target).await, 200);
    }
    // No node asks it for keys, and it asks no other node: each ring loads for itself.
    let keys: Vec<_> = (0..100).map(|n| format!("key-{n}").into_bytes()).collect();
    let client = Client::new();
    for node in &nodes[..2] {
        for key in &keys {
            let answer = client.key(node, key).await;
            assert_eq!((answer.status, answer.body), (200, value_of(key)));
            assert_ne!(client.owner(node, key).await, nodes[2].name);
        }
    }
    let asked = |key: &Vec<u8>| origin.asked_for(key);
    assert!(keys.iter().all(|key| asked(key) == 1));
    for key in &keys {
        assert_eq!(client.key(&nodes[2], key).await.status, 200);
    }
    assert!(keys.iter().all(|key| asked(key) == 2));
    // None of this counted as a failure to be retried.
    for node in &nodes {
        assert!(
            !node
                .process
                .has_logged("a peer failed; loading in its place")
        );
    }
}
