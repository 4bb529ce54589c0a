//! Identity: names and addresses of real nodes.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use axum::Router;
use serde_json::Value;
use tokio::time::timeout;

use crate::configuration::{GOOD, complaint, run, write};
use crate::support::cluster::free_ports;
use crate::support::config::{Lines, PATIENT, localhost_ports, peers};
use crate::support::origin::value_of;
use crate::support::tls::replace;
use crate::support::{Caller, Client, Node, Origin, PATIENCE, busy, loopback, until};

const TOKEN: &str = "the-token-of-the-cluster";

fn keys(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|n| format!("key-{n}").into_bytes())
        .collect()
}

async fn ring(caller: &Caller, node: &Node) -> Value {
    caller.json(node.admin, "/status").await["ring"].take()
}

/// Waits until all of them have one ring of that many members.
async fn one_ring(caller: &Caller, nodes: &[&Node], members: usize) {
    until("all nodes to have one ring", async || {
        let mut rings = Vec::new();
        for node in nodes {
            rings.push(ring(caller, node).await);
        }
        rings.iter().all(|ring| {
            ring["hash"] == rings[0]["hash"] && ring["members"].as_array().unwrap().len() == members
        })
    })
    .await;
}

async fn ready(node: &Node) {
    until("a node to be ready", async || {
        Caller::plain().status(node.admin, "GET", "/readyz").await == 200
    })
    .await;
}

/// Three nodes whose lists spell them in different ways, listening on `ip`.
async fn spelled_in_many_ways(ip: Ipv4Addr) {
    let _busy = busy().await;
    let origin = Origin::of_everything().await;
    let dir = tempfile::tempdir().unwrap();
    let ports = localhost_ports(3);
    let [a, b, c] = ports[..] else {
        panic!("{ports:?}");
    };
    let lists = [
        vec![
            format!("127.0.0.1:{a}"),
            format!("localhost:{b}"),
            format!("[::ffff:127.0.0.1]:{c}"),
        ],
        vec![
            format!("http://[::ffff:7f00:1]:{a}"),
            format!("HTTP://LOCALHOST:{b}"),
            format!("http://127.0.0.1:{c}"),
        ],
        // One of them twice.
        vec![
            format!("http://localhost:{a}"),
            format!("127.0.0.1:{a}"),
            format!("http://127.0.0.1:{b}"),
            format!("LocalHost:{c}"),
        ],
    ];
    let mut nodes = Vec::new();
    for (n, list) in lists.iter().enumerate() {
        let lines = Lines {
            cluster: format!("{}{PATIENT}", peers(list)),
            tables: format!("[security]\ntoken = {TOKEN:?}"),
            ..Lines::default()
        };
        let path = dir.path().join(format!("node-{n}.toml"));
        let peer = SocketAddr::from((ip, ports[n]));
        std::fs::write(&path, lines.file(peer, loopback(), &origin.table())).unwrap();
        nodes.push(Node::start(&path).await);
    }
    let (caller, client) = (Caller::plain().token(TOKEN), Client::new());
    for node in &nodes {
        ready(node).await;
    }
    one_ring(&caller, &nodes.iter().collect::<Vec<_>>(), 3).await;
    let keys = keys(300);
    for node in &nodes {
        for key in &keys {
            let answer = client.key(node, key).await;
            assert_eq!((answer.status, answer.body), (200, value_of(key)));
        }
    }
    origin.assert_asked_once(&keys);
    for key in &keys[..50] {
        let owner = caller.owner(nodes[0].admin, key).await;
        for node in &nodes[1..] {
            assert_eq!(caller.owner(node.admin, key).await, owner);
        }
    }
    for node in &nodes {
        let ring = ring(&caller, node).await;
        assert_eq!(ring["disagreements"], Value::Array(vec![]));
        assert!(!node.process.has_logged("a node disagrees with this one"));
        let own = ring["peers"].as_array().unwrap().iter();
        assert_eq!(own.filter(|peer| peer["self"] == true).count(), 1);
    }
}

#[tokio::test]
async fn one_node_has_one_name_however_it_is_spelled() {
    spelled_in_many_ways(Ipv4Addr::LOCALHOST).await;
}

#[tokio::test]
async fn nodes_that_listen_on_every_address_find_themselves_in_a_list() {
    spelled_in_many_ways(Ipv4Addr::UNSPECIFIED).await;
}

#[tokio::test]
async fn a_node_that_is_not_in_its_list_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let (others, own) = (free_ports(2), localhost_ports(1)[0]);
    let listed: Vec<_> = others.iter().map(ToString::to_string).collect();
    let list = peers(&listed);
    let ip = others[0].ip();
    let ports = format!("api-addr = \"{ip}:0\"\nadmin-addr = \"{ip}:0\"\n");
    // The configured address is not in the list, which is known at once, and by `check`.
    for told in [
        "advertise = \"http://10.9.8.7:8001\"".to_owned(),
        format!("advertise = \"http://{ip}:1\""),
    ] {
        let text =
            format!("[node]\npeer-addr = \"{ip}:0\"\n{ports}{told}\n[cluster]\n{list}{GOOD}");
        let config = write(dir.path(), &text);
        for command in [&["serve"][..], &["check"], &["check", "--offline"]] {
            let line = complaint(&run(&[command, &["--config", &config]].concat(), &[]));
            assert!(
                line.starts_with("gaggle-node: node.advertise: ")
                    && line.contains("is not in cluster.peers"),
                "{line}"
            );
        }
    }
    // It listens on every address, and no listed address answers as this node, which is known once
    // it has asked.
    let text = format!(
        "[node]\npeer-addr = \"0.0.0.0:{own}\"\n{ports}[cluster]\nsettle = \"500ms\"\nquiet = \"100ms\"\n{list}\
         [security]\ninsecure = true\n{GOOD}"
    );
    let config = write(dir.path(), &text);
    let ended = tokio::task::spawn_blocking(move || run(&["serve", "--config", &config], &[]));
    let ended = timeout(PATIENCE, ended).await.unwrap().unwrap();
    assert_eq!(ended.status.code(), Some(2));
    let stderr = String::from_utf8(ended.stderr).unwrap();
    let last = stderr.lines().last().unwrap();
    assert!(
        last.starts_with(
            "gaggle-node: node.advertise: missing: node.peer-addr is an unspecified address"
        ) && last.contains("none of cluster.peers has answered as this node within 500ms")
            && last.ends_with("expected the base URL by which the other nodes reach it"),
        "{stderr}"
    );
}

/// The file with the members of a cluster, at these addresses.
fn list(path: &Path, addresses: &[SocketAddr]) {
    let lines: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    replace(path, &lines.join("\n"));
}

fn by_file(path: &Path) -> String {
    format!("[cluster.discovery]\nkind = \"file\"\npath = {path:?}\nevery = \"100ms\"\n")
}

#[tokio::test]
async fn a_named_node_that_returns_under_another_address_owns_what_it_owned() {
    let _busy = busy().await;
    let origin = Origin::of_everything().await;
    let dir = tempfile::tempdir().unwrap();
    let ports = free_ports(4);
    let members = dir.path().join("members");
    list(&members, &ports[..3]);
    let start = async |n: usize, port: SocketAddr| {
        let lines = Lines {
            node: format!("name = \"cache-{n}\""),
            cluster: by_file(&members) + PATIENT,
            ..Lines::default()
        };
        lines
            .start(dir.path(), &format!("node-{n}"), port, &origin)
            .await
    };
    let mut nodes = Vec::new();
    for (n, port) in ports[..3].iter().enumerate() {
        nodes.push(start(n, *port).await);
    }
    let caller = Caller::plain();
    one_ring(&caller, &nodes.iter().collect::<Vec<_>>(), 3).await;
    let keys = keys(200);
    let owners = async |node: &Node| {
        let mut owners = Vec::new();
        for key in &keys {
            owners.push(caller.owner(node.admin, key).await);
        }
        owners
    };
    let before = owners(&nodes[0]).await;
    for name in ["cache-0", "cache-1", "cache-2"] {
        assert!(before.iter().any(|owner| owner == name), "{before:?}");
    }
    let hash = ring(&caller, &nodes[0]).await["hash"].clone();

    nodes[1].process.kill();
    nodes[1] = start(1, ports[3]).await;
    list(&members, &[ports[0], ports[3], ports[2]]);
    for node in &nodes {
        until("the new address to be known", async || {
            let ring = ring(&caller, node).await;
            let peers = ring["peers"].as_array().unwrap();
            let address = |peer: &Value| {
                let address = peer["address"].as_str().unwrap();
                address.trim_start_matches("http://") == ports[3].to_string()
            };
            let is_there =
                |peer: &Value| peer["name"] == "cache-1" && peer["up"] == true && address(peer);
            ring["hash"] == hash && peers.len() == 3 && peers.iter().any(is_there)
        })
        .await;
        assert_eq!(owners(node).await, before);
    }
    // The other nodes ask it there: it alone loads what it owns.
    let client = Client::new();
    for node in &nodes {
        for key in &keys {
            assert_eq!(client.key(node, key).await.status, 200);
        }
    }
    origin.assert_asked_once(&keys);
}

#[tokio::test]
async fn two_nodes_of_one_name_are_told_apart_in_the_log() {
    let origin = Origin::of_everything().await;
    let dir = tempfile::tempdir().unwrap();
    let ports = free_ports(3);
    let listed: Vec<_> = ports.iter().map(ToString::to_string).collect();
    let mut nodes = Vec::new();
    for (n, name) in ["one", "twin", "twin"].iter().enumerate() {
        let lines = Lines {
            node: format!("name = {name:?}"),
            cluster: peers(&listed),
            ..Lines::default()
        };
        let file = format!("node-{n}");
        nodes.push(lines.start(dir.path(), &file, ports[n], &origin).await);
    }
    let caller = Caller::plain();
    for (own, other) in [(1, 2), (2, 1)] {
        let message = "another node has this node's name; it is left out";
        let line = nodes[own].process.logged(message).await;
        assert_eq!(line["node"], "twin");
        let address = line["address"].as_str().unwrap();
        assert_eq!(
            address.trim_start_matches("http://"),
            ports[other].to_string()
        );
    }
    // The third uses the one that was started last.
    until("the last of the name to have it", async || {
        let ring = ring(&caller, &nodes[0]).await;
        let peers = ring["peers"].as_array().unwrap();
        let twins: Vec<_> = peers.iter().filter(|peer| peer["name"] == "twin").collect();
        let at = |peer: &&Value| {
            let address = peer["address"].as_str().unwrap();
            address.trim_start_matches("http://") == ports[2].to_string()
        };
        peers.len() == 2 && twins.len() == 1 && twins.iter().all(at)
    })
    .await;
    let client = Client::new();
    for key in keys(50) {
        for node in &nodes {
            let answer = client.key(node, &key).await;
            assert_eq!((answer.status, answer.body), (200, value_of(&key)));
        }
    }
}

#[tokio::test]
async fn a_listed_web_server_is_reported_once_and_owns_nothing() {
    let origin = Origin::of_everything().await;
    let dir = tempfile::tempdir().unwrap();
    let (me, asked) = (
        free_ports(1)[0],
        std::sync::Arc::<std::sync::atomic::AtomicUsize>::default(),
    );
    let listener = tokio::net::TcpListener::bind((loopback(), 0))
        .await
        .unwrap();
    let web = listener.local_addr().unwrap();
    let counts = asked.clone();
    let site = Router::new().fallback(move || {
        counts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        async { (axum::http::StatusCode::NOT_FOUND, "no such page") }
    });
    let serving = tokio::spawn(async move { axum::serve(listener, site).await });
    let lines = Lines {
        cluster: format!(
            "{}[cluster.health]\ngreet-every = \"100ms\"",
            peers(&[me.to_string(), web.to_string()])
        ),
        ..Lines::default()
    };
    let node = lines.start(dir.path(), "node", me, &origin).await;
    ready(&node).await;
    let caller = Caller::plain();
    let line = node.process.logged("a node disagrees with this one").await;
    let how = line["how"].as_str().unwrap();
    let expected = format!("what answers at http://{web} is no node of Gaggle or groupcache");
    assert!(how.starts_with(&expected), "{how}");
    until("it to be asked again and again", async || {
        asked.load(std::sync::atomic::Ordering::Relaxed) >= 10
    })
    .await;
    assert_eq!(node.process.lines_with("a node disagrees"), 1);
    let ring = ring(&caller, &node).await;
    assert_eq!(ring["members"].as_array().unwrap().len(), 1, "{ring}");
    assert_eq!(ring["disagreements"].as_array().unwrap().len(), 1, "{ring}");
    let (client, keys) = (Client::new(), keys(100));
    for key in &keys {
        assert_eq!(client.owner(&node, key).await, node.name);
        assert_eq!(client.key(&node, key).await.status, 200);
    }
    origin.assert_asked_once(&keys);
    assert!(
        !node
            .process
            .has_logged("a peer failed; loading in its place")
    );
    serving.abort();
}

#[tokio::test]
async fn nodes_that_start_together_are_ready_when_they_have_found_each_other() {
    let _busy = busy().await;
    let origin = Origin::of_everything().await;
    let dir = tempfile::tempdir().unwrap();
    let ports = free_ports(3);
    let members = dir.path().join("members");
    let udp: Vec<SocketAddr> = free_ports(3);
    for source in ["file", "gossip"] {
        // The list has each node from its start, like a name service.
        list(&members, &ports[..1]);
        let start = async |n: usize| {
            let discovery = match source {
                "file" => by_file(&members),
                _ => format!(
                    "[cluster.discovery]\nkind = \"gossip\"\nlisten = \"{}\"\nseeds = [\"{}\"]\n",
                    udp[n], udp[0]
                ),
            };
            let lines = Lines {
                cluster: discovery,
                ..Lines::default()
            };
            lines
                .start(dir.path(), &format!("{source}-{n}"), ports[n], &origin)
                .await
        };
        let grows = async {
            tokio::task::yield_now().await;
            list(&members, &ports[..2]);
            tokio::task::yield_now().await;
            list(&members, &ports);
        };
        let (a, b, c, ()) = tokio::join!(start(0), start(1), start(2), grows);
        let nodes = [a, b, c];
        let caller = Caller::plain();
        // It is asked repeatedly; the log has the exact moment.
        until("all to be ready", async || {
            let mut all = true;
            for node in &nodes {
                let status = caller.json(node.admin, "/status").await;
                let members = status["ring"]["members"].as_array().unwrap().len();
                let is_ready = status["state"] == "ready";
                assert!(!is_ready || members == 3, "{source}: ready with {members}");
                all &= is_ready;
            }
            all
        })
        .await;
        for node in &nodes {
            let line = node.process.logged("the node is ready").await;
            assert_eq!(line["members"], 3, "{source}: {line}");
            let late = node.process.lines_with("calls itself ready all the same");
            assert_eq!(late, 0, "{source}");
        }
        one_ring(&caller, &nodes.iter().collect::<Vec<_>>(), 3).await;
    }
}
