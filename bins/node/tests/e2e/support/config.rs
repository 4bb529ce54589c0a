//! Configurations that differ from node to node.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use super::{Node, Origin};

/// The configuration of one node with a group `scores`, as lines of TOML.
#[derive(Default, Clone)]
pub(crate) struct Lines {
    /// Of `[node]`, in addition to the addresses.
    pub(crate) node: String,
    /// Of `[cluster]`, and tables in it.
    pub(crate) cluster: String,
    pub(crate) group: String,
    /// More tables.
    pub(crate) tables: String,
}

impl Lines {
    /// The file of a node that listens to its peers there, and whose other ports are the system's
    /// choice.
    pub(crate) fn file(&self, peer: SocketAddr, others: Ipv4Addr, origin: &str) -> String {
        let Self {
            node,
            cluster,
            group,
            tables,
        } = self;
        format!(
            "[node]\npeer-addr = \"{peer}\"\napi-addr = \"{others}:0\"\nadmin-addr = \"{others}:0\"\n\
             log-format = \"json\"\n{node}\n[cluster]\n{cluster}\n[groups.scores]\n{group}\n\
             [groups.scores.origin]\n{origin}\n{tables}\n"
        )
    }

    /// Writes the file of a node that other nodes reach at `peer`.
    pub(crate) fn write(&self, path: &Path, peer: SocketAddr, origin: &Origin) {
        let SocketAddr::V4(v4) = peer else {
            panic!("{peer}");
        };
        std::fs::write(path, self.file(peer, *v4.ip(), &origin.table())).unwrap();
    }

    /// Writes the file of a node and starts it.
    pub(crate) async fn start(
        &self,
        dir: &Path,
        name: &str,
        peer: SocketAddr,
        origin: &Origin,
    ) -> Node {
        let path: PathBuf = dir.join(format!("{name}.toml"));
        self.write(&path, peer, origin);
        Node::start(&path).await
    }
}

/// Ports of 127.0.0.1 itself, which other spellings stand for as well. Below those that
/// connections leave from, so that one that was free a moment ago is free still.
pub(crate) fn localhost_ports(count: usize) -> Vec<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + (std::process::id() % 20_000) as u16;
    let ports = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Relaxed));
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok();
    ports.filter(free).take(count).collect()
}

/// The last lines of `[cluster]`, for a test that counts loads: a busy machine may delay a node
/// for longer than a peer has to show a sign of life, and then other nodes load what it owns.
pub(crate) const PATIENT: &str = "[cluster.health]\nping-timeout = \"10s\"\n";

/// How nodes list each other.
pub(crate) fn peers(listed: &[impl AsRef<str>]) -> String {
    let listed: Vec<_> = listed.iter().map(AsRef::as_ref).collect();
    format!("peers = {listed:?}\n")
}
