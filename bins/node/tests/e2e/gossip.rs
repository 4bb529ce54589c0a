//! Nodes that find each other by gossip, as processes.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;

use crate::support::cluster::free_ports;
use crate::support::config::{Lines, PATIENT};
use crate::support::origin::value_of;
use crate::support::{Caller, Client, Node, Origin, busy, until};

const TOKEN: &str = "the-token-of-the-cluster";

/// How a node of a test gossips, and with whom.
struct Gossips<'a> {
    name: &'a str,
    peer: SocketAddr,
    udp: SocketAddr,
    seed: SocketAddr,
}

impl Gossips<'_> {
    async fn start(&self, dir: &Path, cluster: &str, security: &str, origin: &Origin) -> Node {
        let Self {
            name, udp, seed, ..
        } = self;
        let lines = Lines {
            node: format!("name = {name:?}"),
            cluster: format!(
                "{cluster}\n[cluster.discovery]\nkind = \"gossip\"\nlisten = \"{udp}\"\nseeds = [\"{seed}\"]\n\
                 interval = \"100ms\"\ndead-after = \"1s\"\n{PATIENT}"
            ),
            tables: security.into(),
            ..Lines::default()
        };
        lines.start(dir, name, self.peer, origin).await
    }
}

fn with_token() -> String {
    format!("[security]\ntoken = {TOKEN:?}")
}

async fn members(caller: &Caller, node: &Node) -> Vec<String> {
    let status = caller.json(node.admin, "/status").await;
    let members = status["ring"]["members"].as_array().unwrap().iter();
    let mut members: Vec<String> = members.map(|name| name.as_str().unwrap().into()).collect();
    members.sort();
    members
}

/// Waits until the ring of each node has exactly these members.
async fn ring_of(caller: &Caller, nodes: &[&Node], names: &[&str]) -> Value {
    until("one ring everywhere", async || {
        for node in nodes {
            if members(caller, node).await != names {
                return false;
            }
        }
        true
    })
    .await;
    let status = caller.json(nodes[0].admin, "/status").await;
    for node in nodes {
        let other = caller.json(node.admin, "/status").await;
        assert_eq!(other["ring"]["hash"], status["ring"]["hash"]);
    }
    status["ring"]["hash"].clone()
}

#[tokio::test]
async fn nodes_join_die_and_return_under_another_port() {
    let _busy = busy().await;
    let origin = Origin::of_everything().await;
    let dir = tempfile::tempdir().unwrap();
    let (peer, udp) = (free_ports(5), free_ports(5));
    let names = ["a", "b", "c", "d"];
    let start = async |name: &str, port: usize| {
        let gossips = Gossips {
            name,
            peer: peer[port],
            udp: udp[port],
            seed: udp[0],
        };
        gossips.start(dir.path(), "", &with_token(), &origin).await
    };
    let (a, b, mut c) = tokio::join!(start("a", 0), start("b", 1), start("c", 2));
    let caller = Caller::plain().token(TOKEN);
    let three = ring_of(&caller, &[&a, &b, &c], &names[..3]).await;
    let d = start("d", 3).await;
    let four = ring_of(&caller, &[&a, &b, &c, &d], &names).await;
    assert_ne!(three, four);

    let keys: Vec<_> = (0..100).map(|n| format!("key-{n}").into_bytes()).collect();
    let mut owners = Vec::new();
    for key in &keys {
        owners.push(caller.owner(a.admin, key).await);
    }
    assert!(owners.iter().any(|owner| owner == "c"), "{owners:?}");
    c.process.kill();
    ring_of(&caller, &[&a, &b, &d], &["a", "b", "d"]).await;
    let client = Client::new();
    for key in &keys {
        let answer = client.key(&a, key).await;
        assert_eq!((answer.status, answer.body), (200, value_of(key)));
    }

    // Other ports, for its peers and for gossip.
    c = start("c", 4).await;
    let again = ring_of(&caller, &[&a, &b, &c, &d], &names).await;
    assert_eq!(again, four);
    for node in [&a, &b, &c, &d] {
        for (key, owner) in keys.iter().zip(&owners) {
            assert_eq!(caller.owner(node.admin, key).await, *owner);
        }
        let status = caller.json(node.admin, "/status").await;
        let peers = status["ring"]["peers"].as_array().unwrap();
        let of_c = peers.iter().find(|peer| peer["name"] == "c").unwrap();
        assert_eq!(of_c["address"], format!("http://{}", peer[4]));
    }
    // Keys that it owns are requested from it at the new address. They are not the earlier keys,
    // which other nodes may have kept.
    let mut owned = Vec::new();
    for n in 0..60 {
        let key = format!("later-{n}").into_bytes();
        let answer = client.key(&d, &key).await;
        assert_eq!((answer.status, answer.body), (200, value_of(&key)));
        if caller.owner(d.admin, &key).await == "c" {
            owned.push(key);
        }
    }
    let page = caller.get(c.admin, "/metrics").await.unwrap().text();
    let served = page
        .lines()
        .find(|line| line.starts_with("gaggle_server_requests_total"));
    let served: usize = served.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(
        !owned.is_empty() && served >= owned.len(),
        "{served} of {}",
        owned.len()
    );

    // A node that is told to stop announces it.
    let mut b = b;
    b.process.signal("TERM");
    ring_of(&caller, &[&a, &c, &d], &["a", "c", "d"]).await;
    assert!(b.process.ended().await.success());
}

#[tokio::test]
async fn who_does_not_belong_does_not_get_in() {
    let _busy = busy().await;
    let origin = Origin::of_everything().await;
    let dir = tempfile::tempdir().unwrap();
    let (peer, udp) = (free_ports(5), free_ports(5));
    let start = async |name: &str, n: usize, cluster: &str, security: &str| {
        let gossips = Gossips {
            name,
            peer: peer[n],
            udp: udp[n],
            seed: udp[0],
        };
        gossips.start(dir.path(), cluster, security, &origin).await
    };
    let token = with_token();
    let (a, b) = tokio::join!(start("a", 0, "", &token), start("b", 1, "", &token));
    let caller = Caller::plain().token(TOKEN);
    ring_of(&caller, &[&a, &b], &["a", "b"]).await;

    let other = "[security]\ntoken = \"the-token-of-another-one\"";
    let (without, wrong, foreign) = tokio::join!(
        start("without", 2, "settle = \"1s\"\nquiet = \"500ms\"", ""),
        start("wrong", 3, "settle = \"1s\"\nquiet = \"500ms\"", other),
        start(
            "foreign",
            4,
            "settle = \"1s\"\nquiet = \"500ms\"\nname = \"west\"",
            &token
        ),
    );
    let strangers = [
        (&without, Caller::plain(), "without"),
        (
            &wrong,
            Caller::plain().token("the-token-of-another-one"),
            "wrong",
        ),
        (&foreign, caller.clone(), "foreign"),
    ];
    // The node that is their seed has received datagrams from each of them, and dropped them.
    for what in [
        "gossip: received a message without a valid signature",
        "gossip: received a message of another cluster",
    ] {
        a.process.logged(what).await;
    }
    for (stranger, own, name) in &strangers {
        stranger.process.logged("the node is ready").await;
        assert_eq!(members(own, stranger).await, [*name]);
    }
    for node in [&a, &b] {
        assert_eq!(members(&caller, node).await, ["a", "b"]);
        let said = node.process.lines_with("the ring has changed");
        assert!(said <= 2, "{said} rings");
        let status = caller.json(node.admin, "/status").await;
        let peers = status["ring"]["peers"].as_array().unwrap();
        assert_eq!(peers.len(), 2, "{peers:?}");
    }
    let keys: Vec<_> = (0..100).map(|n| format!("key-{n}").into_bytes()).collect();
    let client = Client::new();
    for node in [&a, &b] {
        for key in &keys {
            let answer = client.key(node, key).await;
            assert_eq!((answer.status, answer.body), (200, value_of(key)));
        }
    }
    origin.assert_asked_once(&keys);
    for (stranger, own, _) in &strangers {
        let page = own.get(stranger.admin, "/metrics").await.unwrap().text();
        let served = page
            .lines()
            .find(|line| line.starts_with("gaggle_server_requests_total"));
        assert!(served.unwrap().ends_with(" 0"), "{served:?}");
    }
}
