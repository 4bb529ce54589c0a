//! A node that gossips, as a [`Discovery`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use chitchat::{
    Chitchat, ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, spawn_chitchat,
};
use gaggle_peers::{Discovery, DiscoveryError, Listed};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};

use crate::admission::Admission;
use crate::dropped::{Counters, Dropped};
use crate::key::Key;
use crate::network::{Network, Udp};
use crate::node::{Node, State};
use crate::observe::{Seen, observe};
use crate::options::{GossipOptions, Me, StartError, check_address};
use crate::seal::Seal;
use crate::seeds;
use crate::socket::{GossipSocket, Heard, OpenSocket};
use crate::wire::Id;

/// How many intervals between signs of life are remembered of each node.
const WINDOW: usize = 64;
/// How many nodes are notified directly of a change of this one. They notify the others.
const TELL: usize = 64;

/// This node in the gossip. Cheap to clone; it falls silent when the last clone is dropped.
///
/// The crate's documentation describes what is exchanged, and how soon it is known.
#[derive(Clone)]
pub struct Gossip(Arc<Inner>);

struct Inner {
    handle: Arc<ChitchatHandle>,
    interval: Duration,
    counters: Arc<Counters>,
    heard: Arc<Heard>,
    /// The list that was returned last. It marks changes since then.
    seen: Mutex<watch::Receiver<Seen>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.handle.abort();
    }
}

impl Gossip {
    /// Listens, and starts to look for the others. The node is `Starting`. It waits for the seeds'
    /// names only if it needs them to find its own address, and then for a bounded time.
    ///
    /// # Errors
    ///
    /// If an option is invalid, or the address cannot be bound.
    pub async fn start(options: GossipOptions, me: Me) -> Result<Self, StartError> {
        Self::start_on(&Udp, options, me).await
    }

    /// The same over the caller's network.
    ///
    /// # Errors
    ///
    /// The same as [`Gossip::start`].
    pub async fn start_on(
        network: &dyn Network,
        options: GossipOptions,
        me: Me,
    ) -> Result<Self, StartError> {
        options.validate()?;
        me.validate()?;
        let listen_failed = |source| StartError::Listen {
            address: options.listen,
            source,
        };
        let datagrams = network.open(options.listen).await.map_err(listen_failed)?;
        let local = datagrams.local_addr().map_err(listen_failed)?;
        let advertise = match options.advertise {
            Some(address) => address,
            None => own_address(local, &options.seeds).await?,
        };
        // Without the scope of IPv6, which messages do not carry: it would be another identity.
        let own = Id {
            generation: generation()?,
            address: SocketAddr::new(advertise.ip(), advertise.port()),
        };
        let counters = Arc::new(Counters::default());
        let heard = Arc::new(Heard::default());
        let socket = GossipSocket {
            datagrams,
            seal: Seal::new(options.keys.clone(), &options.cluster, own.generation),
            admission: Admission::new(own, options.interval, options.dead_grace),
            cluster: options.cluster.clone(),
            counters: counters.clone(),
            heard: heard.clone(),
            buffer: GossipSocket::buffer(),
        };
        let transport = OpenSocket(Mutex::new(Some(Box::new(socket))));
        let node = Node::own(own, &me);
        let values = [
            (Key::Name, me.name.clone()),
            (Key::Address, me.address),
            (Key::Member, me.member.to_string()),
            (Key::State, node.state.as_str().to_owned()),
        ];
        let values = values.map(|(key, value)| (key.as_str().to_owned(), value));
        let handle = spawn_chitchat(config(&options, own, local), values.into(), &transport)
            .await
            .map_err(StartError::Gossip)?;
        let handle = Arc::new(handle);
        let live = handle
            .with_chitchat(|chitchat| chitchat.live_nodes_watcher())
            .await;
        let (seen, receiver) = watch::channel(Seen::alone(node));
        let ended = handle.termination_watcher();
        let observe = observe(live, ended, seen, own, me.name);
        let touch = seeds::keep_in_touch(handle.clone(), options.seeds, options.interval);
        let gossip = Self(Arc::new(Inner {
            handle,
            interval: options.interval,
            counters,
            heard,
            seen: Mutex::new(receiver),
            tasks: vec![tokio::spawn(observe), tokio::spawn(touch)],
        }));
        tracing::info!(listen = %local, advertise = %own.address, "gossip: listening");
        Ok(gossip)
    }

    /// The live nodes by name, this one included.
    pub fn nodes(&self) -> Arc<[Node]> {
        self.lock().borrow().nodes.clone()
    }

    /// The UDP address at which other nodes reach this one.
    pub fn address(&self) -> SocketAddr {
        self.0.handle.chitchat_id().gossip_advertise_addr
    }

    /// The datagrams that had no effect so far.
    pub fn dropped(&self) -> Dropped {
        self.0.counters.snapshot()
    }

    /// Announces this node's state to the others.
    pub async fn set_state(&self, state: State) {
        self.set(Key::State, state.as_str()).await;
    }

    /// Announces the base URL by which peers reach this node from now on.
    ///
    /// # Errors
    ///
    /// If it is not a base URL; see [`Me::address`].
    pub async fn set_address(&self, address: &str) -> Result<(), StartError> {
        check_address(address)?;
        self.set(Key::Address, address).await;
        Ok(())
    }

    /// Announces that this node leaves, and waits until each of the others has confirmed it, at
    /// most for `within`. Returns whether all have. This node still answers them until it is
    /// dropped.
    pub async fn leave(&self, within: Duration) -> bool {
        self.set_state(State::Leaving).await;
        timeout(within, self.all_have_heard()).await.is_ok()
    }

    async fn all_have_heard(&self) {
        // A round sends the news, the next one shows that they arrived.
        let mut rounds = interval(self.0.interval);
        loop {
            rounds.tick().await;
            let version = self.version().await;
            let missing = self.others(|node| self.0.heard.version(node.generation) < version);
            if missing.is_empty() {
                return;
            }
            self.tell(missing);
        }
    }

    async fn set(&self, key: Key, value: &str) {
        self.0
            .handle
            .with_chitchat(|chitchat| chitchat.self_node_state().set(key.as_str(), value))
            .await;
        self.tell(self.others(|_| true));
    }

    /// The version of this node's values.
    async fn version(&self) -> u64 {
        let of = |chitchat: &mut Chitchat| chitchat.self_node_state().max_version();
        self.0.handle.with_chitchat(of).await
    }

    /// The gossip addresses of the other nodes for which `of_those` holds.
    fn others(&self, of_those: impl Fn(&Node) -> bool) -> Vec<SocketAddr> {
        let own = self.address();
        let nodes = self.nodes();
        let others = nodes
            .iter()
            .filter(|node| node.gossip != own && of_those(node));
        others.map(|node| node.gossip).collect()
    }

    fn tell(&self, mut others: Vec<SocketAddr>) {
        fastrand::shuffle(&mut others);
        for address in others.into_iter().take(TELL) {
            if self.0.handle.gossip(address).is_err() {
                return; // it has ended, which `members` reports
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, watch::Receiver<Seen>> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For one follower: a change is reported to the first waiter after a call of `members`.
#[async_trait]
impl Discovery for Gossip {
    async fn members(&self) -> Result<Vec<Listed>, DiscoveryError> {
        let seen = self.lock().borrow_and_update().clone();
        match seen.ended {
            None => Ok(seen.nodes.iter().map(Node::listed).collect()),
            Some(source) => Err(DiscoveryError {
                what: "gossip".into(),
                source: Arc::new(source),
            }),
        }
    }

    async fn changed(&self) {
        let mut receiver = self.lock().clone();
        if receiver.changed().await.is_err() {
            // It has ended, which has been reported.
            std::future::pending::<()>().await;
        }
    }
}

fn config(options: &GossipOptions, own: Id, local: SocketAddr) -> ChitchatConfig {
    ChitchatConfig {
        chitchat_id: ChitchatId::new("", own.generation, own.address),
        cluster_id: options.cluster.clone(),
        gossip_interval: options.interval,
        listen_addr: local,
        // chitchat resolves them too rarely.
        seed_nodes: Vec::new(),
        failure_detector_config: FailureDetectorConfig {
            // chitchat's phi is the silence divided by the mean interval.
            phi_threshold: options.dead_after.as_secs_f64() / options.interval.as_secs_f64(),
            sampling_window_size: WINDOW,
            max_interval: options.interval * 4,
            initial_interval: options.interval,
            dead_node_grace_period: options.dead_grace,
        },
        // Nothing is ever deleted.
        marked_for_deletion_grace_period: options.dead_grace,
        catchup_callback: None,
        extra_liveness_predicate: None,
    }
}

/// Later starts have higher ones, if the host's clock is correct.
fn generation() -> Result<u64, StartError> {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_nanos()).ok())
        .filter(|generation| *generation > 0)
        .ok_or(StartError::Clock)
}

/// The address of this host that the first seed would see, or any other host. Nothing is sent: a
/// connected datagram socket knows the source address of its packets.
async fn own_address(local: SocketAddr, names: &[String]) -> Result<SocketAddr, StartError> {
    if !local.ip().is_unspecified() {
        return Ok(local);
    }
    // From the networks for documentation: no host has such an address.
    let elsewhere: [IpAddr; 2] = [
        Ipv4Addr::new(203, 0, 113, 1).into(),
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    ];
    let elsewhere = elsewhere.map(|ip| SocketAddr::new(ip, 9));
    let towards = |remote: SocketAddr| {
        let socket = UdpSocket::bind((local.ip(), 0)).ok()?;
        socket.connect(remote).ok()?;
        let ip = socket.local_addr().ok()?.ip();
        (!ip.is_unspecified()).then(|| SocketAddr::new(ip, local.port()))
    };
    let seeds = seeds::resolve(names).await;
    // A host's own name may resolve to a loopback address, at which no other host reaches it.
    let beyond = |address: &SocketAddr| !address.ip().is_loopback();
    let found = seeds.iter().copied().filter_map(towards);
    let mut beyond_loopback = found.filter(beyond);
    beyond_loopback
        .next()
        .or_else(
            || match seeds.is_empty() || names.iter().any(|name| !is_loopback(name)) {
                true => elsewhere.into_iter().filter_map(towards).find(beyond),
                false => None,
            },
        )
        .or_else(|| seeds.iter().copied().chain(elsewhere).find_map(towards))
        .ok_or(StartError::Advertise { listen: local })
}

/// Whether it is written as a loopback address.
fn is_loopback(seed: &str) -> bool {
    let address: Result<SocketAddr, _> = seed.parse();
    address.is_ok_and(|address| address.ip().is_loopback()) || seed.starts_with("localhost:")
}
