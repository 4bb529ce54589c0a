//! The cluster: processes behind proxies, an origin, and the list of front doors that a balancer
//! would keep.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gaggle_testkit::Proxy;
use tempfile::TempDir;

use crate::ledger::Ledger;
use crate::support::backend::Power;
use crate::support::cluster::free_ports;
use crate::support::{Backend, Client, Node, Setup};

pub(crate) const NODES: usize = 3;

/// The deadline of a load, and so of a get.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

pub(crate) const CAPACITY: u64 = 32 << 20;

/// What the origin can do: 200 answers per second.
pub(crate) const POWER: Power = Power {
    slots: 8,
    takes: Duration::from_millis(40),
    finishes_abandoned: true,
};

pub(crate) struct Scene {
    pub(crate) nodes: Vec<Node>,
    pub(crate) proxies: Vec<Proxy>,
    pub(crate) origin: Backend,
    pub(crate) front_doors: FrontDoors,
    /// Resident memory of each node when it was empty.
    pub(crate) empty: Vec<u64>,
    configs: Vec<PathBuf>,
    binary: PathBuf,
    _dir: TempDir,
}

/// A node as a client reaches it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrontDoor {
    pub(crate) node: usize,
    pub(crate) api: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// Whether the node is running normally: not stopped, killed or told to end.
    pub(crate) is_open: bool,
    /// Increases with each change of `is_open`.
    pub(crate) changes: u32,
}

/// The front doors, as a balancer with perfect knowledge would list them.
#[derive(Clone)]
pub(crate) struct FrontDoors(Arc<Mutex<Vec<FrontDoor>>>);

impl FrontDoors {
    /// One of the open front doors.
    pub(crate) fn any(&self, random: u64) -> Option<FrontDoor> {
        let front_doors = self.0.lock().unwrap();
        let open: Vec<_> = front_doors
            .iter()
            .filter(|front_door| front_door.is_open)
            .collect();
        let at = random.checked_rem(open.len() as u64)?;
        open.get(at as usize).map(|front_door| **front_door)
    }

    /// Whether the node has been running normally since the front door was chosen.
    pub(crate) fn was_whole(&self, front_door: FrontDoor) -> bool {
        self.0.lock().unwrap()[front_door.node].changes == front_door.changes
    }

    pub(crate) fn is_open(&self, node: usize) -> bool {
        self.0.lock().unwrap()[node].is_open
    }

    fn set(&self, node: usize, is_open: bool) {
        let front_door = &mut self.0.lock().unwrap()[node];
        front_door.is_open = is_open;
        front_door.changes += 1;
    }
}

/// The release binary, unless it is missing or older than the debug one.
fn binary() -> PathBuf {
    let debug = PathBuf::from(env!("CARGO_BIN_EXE_gaggle-node"));
    let built = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    let release = debug
        .parent()
        .and_then(Path::parent)
        .map(|target| target.join("release/gaggle-node"));
    match release {
        Some(release) if built(&release) >= built(&debug) => release,
        _ => debug,
    }
}

impl Scene {
    pub(crate) async fn set(ledger: &Arc<Ledger>) -> Self {
        let values = Arc::clone(ledger);
        let origin = Backend::serve(POWER, move |key| values.value(key)).await;
        let group = format!(
            "capacity = \"{}MiB\"\nload-timeout = \"{}s\"\nmax-origin-loads = {}",
            CAPACITY >> 20,
            DEADLINE.as_secs(),
            POWER.slots
        );
        let setup = Setup {
            origin: origin.table(),
            ..Setup::default()
        };
        let setup = setup.group(&group);
        let dir = tempfile::tempdir().unwrap();
        let peers = free_ports(NODES);
        let mut proxies = Vec::new();
        for peer in &peers {
            proxies.push(Proxy::start(*peer).await.unwrap());
        }
        let names: Vec<_> = proxies.iter().map(Proxy::addr).collect();
        let mut configs = Vec::new();
        for (n, me) in peers.iter().enumerate() {
            let mut setup = setup.clone();
            setup.node = format!("advertise = \"http://{}\"", names[n]);
            let config = dir.path().join(format!("node-{n}.toml"));
            std::fs::write(&config, setup.file(*me, &names)).unwrap();
            configs.push(config);
        }
        let mut scene = Self {
            nodes: Vec::new(),
            proxies,
            origin,
            front_doors: FrontDoors(Arc::default()),
            empty: Vec::new(),
            configs,
            binary: binary(),
            _dir: dir,
        };
        println!("soak: {NODES} nodes of {}", scene.binary.display());
        for at in 0..NODES {
            let node = scene.start(at).await;
            scene.empty.push(node.process.resident());
            scene.front_doors.0.lock().unwrap().push(FrontDoor {
                node: at,
                api: node.api,
                admin: node.admin,
                is_open: true,
                changes: 0,
            });
            scene.nodes.push(node);
        }
        scene
    }

    async fn start(&self, at: usize) -> Node {
        let mut program = Command::new(&self.binary);
        program.env_clear().stdin(std::process::Stdio::null());
        Node::start_by(program, &self.configs[at]).await
    }

    /// From now on no client is sent to that node.
    pub(crate) fn close(&self, at: usize) {
        self.front_doors.set(at, false);
    }

    /// Clients are sent to it again.
    pub(crate) fn open(&self, at: usize) {
        self.front_doors.set(at, true);
    }

    /// Starts a node that has ended, and lets clients in when it says that it is ready.
    pub(crate) async fn restart(&mut self, at: usize) {
        self.nodes[at].process.kill();
        self.nodes[at] = self.start(at).await;
        let node = &self.nodes[at];
        let client = Client::new();
        crate::support::until("a node to be ready", async || {
            client.get(node.admin, "/readyz").await.status == 200
        })
        .await;
        {
            let mut front_doors = self.front_doors.0.lock().unwrap();
            front_doors[at].api = node.api;
            front_doors[at].admin = node.admin;
        }
        self.open(at);
    }
}
