//! Clusters of nodes on one loopback address.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use gaggle_testkit::Proxy;
use tempfile::TempDir;

use super::{Client, Node, Origin};

/// An address of 127/8 that no other test uses, and no other program by accident: connections go
/// out from 127.0.0.1. A port that was free on it a moment ago is therefore still free, which on
/// 127.0.0.1 it might not be.
pub(crate) fn loopback() -> Ipv4Addr {
    static COUNT: AtomicU8 = AtomicU8::new(0);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(
        127,
        high % 254 + 1,
        low,
        COUNT.fetch_add(1, Relaxed) % 254 + 1,
    )
}

/// The configuration of a cluster's nodes, as lines of TOML.
#[derive(Default, Clone)]
pub(crate) struct Setup {
    pub(crate) node: String,
    pub(crate) cluster: String,
    pub(crate) group: String,
    pub(crate) origin: String,
    /// More tables.
    pub(crate) tables: String,
}

impl Setup {
    /// A group `scores` that loads from that origin, with defaults for all else.
    pub(crate) fn of(origin: &Origin) -> Self {
        Self {
            origin: origin.table(),
            ..Self::default()
        }
    }

    pub(crate) fn cluster(mut self, lines: &str) -> Self {
        self.cluster = lines.into();
        self
    }

    pub(crate) fn group(mut self, lines: &str) -> Self {
        self.group = lines.into();
        self
    }

    /// The file of the node that peers reach on `me`.
    pub(crate) fn file(&self, me: SocketAddr, peers: &[SocketAddr]) -> String {
        let ip = me.ip();
        let mut file = format!(
            "[node]\npeer-addr = \"{me}\"\napi-addr = \"{ip}:0\"\nadmin-addr = \"{ip}:0\"\nlog-format = \"json\"\n{}\n",
            self.node
        );
        let peers: Vec<_> = peers.iter().map(|peer| format!("http://{peer}")).collect();
        writeln!(file, "[cluster]\npeers = {peers:?}\n{}", self.cluster).unwrap();
        writeln!(file, "[groups.scores]\n{}", self.group).unwrap();
        writeln!(
            file,
            "[groups.scores.origin]\n{}\n{}",
            self.origin, self.tables
        )
        .unwrap();
        file
    }
}

/// Ports that are free on one address of their own. They are below those that the system chooses for
/// port 0 and for connections: none of these can take one before its node listens.
pub(crate) fn free_ports(count: usize) -> Vec<SocketAddr> {
    let ip = loopback();
    let held: Vec<_> = (20_000..32_000)
        .filter_map(|port| TcpListener::bind((ip, port)).ok())
        .take(count)
        .collect();
    assert_eq!(held.len(), count, "no free ports on {ip}");
    held.iter().map(|port| port.local_addr().unwrap()).collect()
}

/// Nodes that know each other.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    /// Holds the configuration files, which a restart reads again.
    _dir: TempDir,
}

impl Cluster {
    pub(crate) async fn start(size: usize, setup: &Setup) -> Self {
        let peers = free_ports(size);
        let dir = tempfile::tempdir().unwrap();
        let mut nodes = Vec::new();
        for (n, me) in peers.iter().enumerate() {
            let config = dir.path().join(format!("node-{n}.toml"));
            std::fs::write(&config, setup.file(*me, &peers)).unwrap();
            nodes.push(Node::start(&config).await);
        }
        Self { nodes, _dir: dir }
    }

    /// Nodes that reach each other through proxies: `proxies[n]` is the way to `nodes[n]`.
    pub(crate) async fn behind_proxies(size: usize, setup: &Setup) -> (Self, Vec<Proxy>) {
        let peers = free_ports(size);
        let mut proxies = Vec::new();
        for peer in &peers {
            proxies.push(Proxy::start(*peer).await.unwrap());
        }
        let known_by: Vec<_> = proxies.iter().map(Proxy::addr).collect();
        let dir = tempfile::tempdir().unwrap();
        let mut nodes = Vec::new();
        for (n, me) in peers.iter().enumerate() {
            let config = dir.path().join(format!("node-{n}.toml"));
            let name = format!("http://{}", known_by[n]);
            let mut setup = setup.clone();
            writeln!(setup.node, "\nadvertise = \"{name}\"").unwrap();
            std::fs::write(&config, setup.file(*me, &known_by)).unwrap();
            let mut node = Node::start(&config).await;
            node.name = name;
            nodes.push(node);
        }
        (Self { nodes, _dir: dir }, proxies)
    }

    /// Which node owns a key, by its index.
    pub(crate) async fn owner(&self, client: &Client, key: &[u8]) -> usize {
        let name = client.owner(&self.nodes[0], key).await;
        self.nodes
            .iter()
            .position(|node| node.name == name)
            .unwrap()
    }

    /// Whether every node has had a sign of life from every other within the time that it allows.
    pub(crate) fn undisturbed(&self) -> bool {
        let lost = |node: &Node| node.process.has_logged("a peer is down");
        !self.nodes.iter().any(lost)
    }

    /// A metric, summed over all nodes and all samples that have these labels.
    pub(crate) async fn metric(&self, client: &Client, name: &str, labels: &[&str]) -> u64 {
        let mut sum = 0;
        for node in &self.nodes {
            sum += client.metric(node, name, labels).await;
        }
        sum
    }
}
