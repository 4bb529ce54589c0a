//! Tokens, certificates and authorities that are replaced by their files alone.

use std::net::SocketAddr;
use std::sync::Mutex;

use serde_json::Value;

use super::{OLD, Scene};
use crate::support::cluster::free_ports;
use crate::support::config::{Lines, peers};
use crate::support::tls::{Files, client, replace};
use crate::support::{Ca, Caller, Node, until};

const NEW: &str = "the-new-token-of-the-cluster";

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_rotated_by_its_files_alone() {
    let dir = tempfile::tempdir().unwrap();
    let files: Vec<_> = (0..3)
        .map(|n| dir.path().join(format!("token-{n}")))
        .collect();
    for file in &files {
        std::fs::write(file, OLD).unwrap();
    }
    // Gossip is signed with the same tokens.
    let udp = free_ports(3);
    let lines = |n: usize, _: &[SocketAddr]| Lines {
        // Every get of another node's key is asked of it.
        group: "hot-copies = \"off\"".into(),
        cluster: format!(
            "quiet = \"500ms\"\n[cluster.discovery]\nkind = \"gossip\"\nlisten = \"{}\"\nseeds = [\"{}\"]\n\
             interval = \"100ms\"\ndead-after = \"2s\"\n",
            udp[n], udp[0]
        ),
        tables: format!("[security]\ntoken-file = {:?}", files[n]),
        ..Lines::default()
    };
    let mut scene = Scene::start(dir.path(), &Caller::plain().token(OLD), lines).await;
    let ring = scene.ring().await;
    let rings: Vec<_> = scene
        .nodes
        .iter()
        .map(|node| node.process.lines_with("the ring has changed"))
        .collect();
    let load = scene.front_doors.load();
    load.more(100).await;
    let steps = [
        (format!("{OLD}\n{NEW}\n"), OLD),
        (format!("{NEW}\n{OLD}\n"), NEW),
        (format!("{NEW}\n"), NEW),
    ];
    for (number, (text, sent)) in steps.iter().enumerate() {
        let before = scene.peer_requests("ok").await;
        for file in &files {
            replace(file, text);
        }
        until("all nodes to have looked at the file", async || {
            let changed = "the cluster's token has changed";
            scene
                .nodes
                .iter()
                .all(|node| node.process.lines_with(changed) == number + 1)
        })
        .await;
        for caller in &mut scene.callers {
            *caller = Caller::plain().token(sent);
        }
        load.more(100).await;
        assert!(scene.peer_requests("ok").await > before, "step {number}");
        // Removals are requests between nodes as well.
        let target = format!("/v1/scores/key-{number}");
        let removed = scene.callers[0].send(scene.nodes[0].admin, "DELETE", &target, "");
        let removed = removed.await.unwrap();
        assert_eq!(removed.status, 200, "{}", removed.text());
    }
    load.end_without_a_failure().await;
    assert_eq!(scene.ring().await, ring);
    assert_eq!(scene.peer_requests("error").await, 0);
    let old = Caller::plain().token(OLD);
    for (n, rings) in rings.iter().enumerate() {
        scene.nobody_was_refused(n);
        let log = &scene.nodes[n].process;
        assert_eq!(log.lines_with("without a valid signature"), 0, "node {n}");
        // The ring stayed what it was once there were three.
        assert_eq!(log.lines_with("the ring has changed"), *rings, "node {n}");
        assert_eq!(
            old.status(scene.nodes[n].admin, "GET", "/status").await,
            401
        );
        let status = scene.status(n).await;
        assert_eq!(status["ring"]["disagreements"], Value::Array(vec![]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_their_authority_are_rotated_by_their_files_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (Ca::new("old"), Ca::new("new"));
    let files = Mutex::new(Vec::new());
    let lines = |_: usize, ports: &[SocketAddr]| {
        let mut files = files.lock().unwrap();
        let pair = old.issue(&[&ports[0].ip().to_string()]);
        let name = format!("tls-{}", files.len());
        let of_node = Files::new(dir.path(), &name, &pair, &[&old]);
        let lines = Lines {
            group: "hot-copies = \"off\"".into(),
            cluster: peers(
                &ports
                    .iter()
                    .map(|port| format!("https://{port}"))
                    .collect::<Vec<_>>(),
            ),
            tables: of_node.table(),
            ..Lines::default()
        };
        files.push(of_node);
        lines
    };
    let (of_old, of_new) = (old.issue(&["operator"]), new.issue(&["operator"]));
    let first = Caller::over_tls(client(&[&old, &new], Some(&of_old)));
    let mut scene = Scene::start(dir.path(), &first, lines).await;
    let files = files.into_inner().unwrap();
    let ring = scene.ring().await;
    let load = scene.front_doors.load();
    load.more(100).await;

    // 1. Both authorities are trusted.
    for of_node in &files {
        of_node.trust(&[&old, &new]);
    }
    let newer = Caller::over_tls(client(&[&old, &new], Some(&of_new)));
    takes(&scene, &newer).await;
    load.more(100).await;
    // 2. Nodes and operators have certificates by the new one.
    for of_node in &files {
        of_node.put(&new.issue(&[&scene.ports[0].ip().to_string()]));
    }
    let newest = Caller::over_tls(client(&[&new], Some(&of_new)));
    takes(&scene, &newest).await;
    scene.callers = vec![newest.clone(); 3];
    load.more(100).await;
    // 3. The old one is no longer trusted.
    for of_node in &files {
        of_node.trust(&[&new]);
    }
    for n in 0..3 {
        until("the old authority to be forgotten", async || {
            first.get(scene.nodes[n].admin, "/livez").await.is_err()
        })
        .await;
    }
    load.more(100).await;
    load.end_without_a_failure().await;
    assert_eq!(scene.ring().await, ring);
    assert_eq!(scene.peer_requests("error").await, 0);
    for n in 0..3 {
        let status = scene.status(n).await;
        assert_eq!(status["ring"]["disagreements"], Value::Array(vec![]));
        assert!(!scene.nodes[n].process.has_logged("a peer is down"));
    }

    // Earlier connections of the nodes are still in use, and new ones are made as well.
    scene.nodes[0].process.kill();
    let config = dir.path().join("node-0.toml");
    scene.nodes[0] = Node::start(&config).await;
    assert_eq!(scene.ring().await, ring);
    for n in 0..3 {
        until("requests over new connections", async || {
            for key in 0..20 {
                let target = format!("/v1/scores/key-{key}");
                assert_eq!(
                    newest
                        .get(scene.nodes[n].api, &target)
                        .await
                        .unwrap()
                        .status,
                    200
                );
            }
            let status = scene.status(n).await;
            let peers = status["ring"]["peers"].as_array().unwrap();
            let others: Vec<_> = peers.iter().filter(|peer| peer["self"] == false).collect();
            others
                .iter()
                .all(|peer| peer["up"] == true && peer["requests"]["ok"] != 0)
        })
        .await;
    }
}

/// Waits until each port of each node accepts that caller, and the caller accepts them.
async fn takes(scene: &Scene, caller: &Caller) {
    for node in &scene.nodes {
        for (addr, target) in [
            (node.admin, "/status"),
            (node.peer, "/_groupcache/scores/key-1"),
            (node.api, "/v1/scores/key-1"),
        ] {
            until("new files to be in use", async || {
                caller.status(addr, "GET", target).await == 200
            })
            .await;
        }
    }
}
