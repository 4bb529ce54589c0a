//! A ring of nodes of both kinds.

use std::net::{SocketAddr, TcpListener};

use gaggle_ring::{Profile, Ring};
use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

use crate::go::GoNode;
use crate::support::client::escape;
use crate::support::{Client, Node, Origin, Process, Setup, loopback, until};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Go,
    Gaggle,
}

pub(crate) enum Member {
    Go(GoNode),
    Gaggle(Node),
}

/// The ring: its addresses stay, and the nodes that answer on them may change.
pub(crate) struct Mixed {
    pub(crate) members: Vec<Member>,
    /// What all members should agree on.
    pub(crate) ring: Ring,
    peers: Vec<SocketAddr>,
    setup: Setup,
    origin: String,
    dir: TempDir,
}

/// What a member has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Loads from the origin that returned a value.
    pub(crate) loads: u64,
    /// Values that came from peers.
    pub(crate) from_peers: u64,
    /// Requests to peers that returned neither a value nor "not found".
    pub(crate) peer_errors: u64,
}

impl Member {
    pub(crate) fn is_go(&self) -> bool {
        matches!(self, Self::Go(_))
    }

    /// Where `/api` is.
    pub(crate) fn front_door(&self) -> SocketAddr {
        match self {
            Self::Go(node) => node.api,
            Self::Gaggle(node) => node.api,
        }
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        match self {
            Self::Go(node) => &mut node.process,
            Self::Gaggle(node) => &mut node.process,
        }
    }

    /// The owner of a key, as this member sees it.
    pub(crate) async fn owner(&self, client: &Client, key: &[u8]) -> String {
        match self {
            Self::Go(node) => {
                let target = format!("/owner?key={}", escape(key));
                client.get(node.api, &target).await.text()
            }
            Self::Gaggle(node) => client.owner(node, key).await,
        }
    }

    pub(crate) async fn counts(&self, client: &Client) -> Counts {
        match self {
            Self::Go(node) => {
                let stats = client.get(node.api, "/stats").await.json();
                let count = |name: &str| stats.get(name).and_then(Value::as_u64).unwrap();
                Counts {
                    loads: count("LocalLoads"),
                    from_peers: count("PeerLoads"),
                    peer_errors: count("PeerErrors"),
                }
            }
            Self::Gaggle(node) => {
                let ok = r#"result="ok""#;
                let error = r#"result="error""#;
                let (loads, peers) = ("gaggle_loads_total", "gaggle_peer_requests_total");
                Counts {
                    loads: client
                        .metric(node, loads, &[ok, r#"source="origin""#])
                        .await,
                    from_peers: client.metric(node, peers, &[ok]).await,
                    peer_errors: client.metric(node, peers, &[error]).await,
                }
            }
        }
    }
}

/// Asks a front door for a key; both kinds have this one.
pub(crate) fn api(key: &[u8]) -> String {
    format!("/api?key={}", escape(key))
}

/// The origin's URL, to which the Go node appends a key; gaggle-node's has a place for it, at the
/// same end.
fn prefix(origin: &Origin) -> String {
    let table = origin.table();
    let url = table.split('"').find_map(|part| part.strip_suffix("{key}"));
    url.unwrap().into()
}

impl Mixed {
    pub(crate) async fn start(kinds: &[Kind], origin: &Origin) -> Self {
        let ip = loopback();
        let held: Vec<_> = kinds
            .iter()
            .map(|_| TcpListener::bind((ip, 0)).unwrap())
            .collect();
        let peers: Vec<_> = held.iter().map(|port| port.local_addr().unwrap()).collect();
        drop(held);
        let names = peers.iter().map(|peer| format!("http://{peer}"));
        let mut mixed = Self {
            members: Vec::new(),
            ring: Ring::new(Profile::GROUPCACHE, names).unwrap(),
            peers,
            setup: Setup::of(origin).cluster(r#"profile = "groupcache""#),
            origin: prefix(origin),
            dir: tempfile::tempdir().unwrap(),
        };
        for (at, kind) in kinds.iter().enumerate() {
            let member = mixed.launch(at, *kind).await;
            mixed.members.push(member);
        }
        mixed
    }

    /// Starts a node of that kind on the address at that place of the ring.
    async fn launch(&self, at: usize, kind: Kind) -> Member {
        let me = self.peers[at];
        match kind {
            Kind::Go => {
                let names: Vec<_> = self.ring.members().iter().map(|name| &**name).collect();
                Member::Go(GoNode::start(me, &names.join(","), &self.origin).await)
            }
            Kind::Gaggle => {
                let config = self.dir.path().join(format!("node-{at}.toml"));
                std::fs::write(&config, self.setup.file(me, &self.peers)).unwrap();
                Member::Gaggle(Node::start(&config).await)
            }
        }
    }

    /// Puts a new node, of either kind, in the place of one that was killed.
    pub(crate) async fn put(&mut self, at: usize, kind: Kind) {
        self.members[at].process().kill();
        self.members[at] = self.launch(at, kind).await;
    }

    /// A node on another address that considers itself a member of the ring; the other members do
    /// not know it yet.
    pub(crate) async fn add(&mut self, kind: Kind) {
        let port = TcpListener::bind((self.peers[0].ip(), 0)).unwrap();
        let me = port.local_addr().unwrap();
        drop(port);
        self.peers.push(me);
        self.ring = self.ring.with(format!("http://{me}")).unwrap();
        let member = self.launch(self.peers.len() - 1, kind).await;
        self.members.push(member);
    }

    /// Tells a Go node of the ring as it is now.
    pub(crate) async fn tell(&self, client: &Client, at: usize) {
        let names: Vec<_> = self.ring.members().iter().map(|name| &**name).collect();
        let told = client
            .send(
                Method::POST,
                self.members[at].front_door(),
                "/peers",
                names.join(","),
            )
            .await
            .unwrap();
        assert_eq!(told.status, 200, "{}", told.text());
    }

    /// The base URL of the node at that place.
    pub(crate) fn name(&self, at: usize) -> String {
        format!("http://{}", self.peers[at])
    }

    pub(crate) fn front_doors(&self) -> Vec<SocketAddr> {
        self.members.iter().map(Member::front_door).collect()
    }

    /// The place of the node that owns a key, up or down.
    pub(crate) fn owner(&self, key: &[u8]) -> usize {
        self.ring.owner_index(key).unwrap()
    }

    /// Waits until every Gaggle node thinks that of the node at that place.
    pub(crate) async fn until_seen(&self, client: &Client, at: usize, up: bool) {
        let peer = format!("peer=\"{}\"", self.name(at));
        for (other, member) in self.members.iter().enumerate() {
            let Member::Gaggle(node) = member else {
                continue;
            };
            if other == at {
                continue;
            }
            until("a peer that is seen to be up, or down", async || {
                client.metric(node, "gaggle_peer_up", &[&peer]).await == u64::from(up)
            })
            .await;
        }
    }
}
