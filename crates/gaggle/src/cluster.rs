//! Sharing groups with other programs, in two lines.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gaggle_group::{DuplicateGroup, Group, Groups, Peer, Router as _};
use gaggle_peers::{Options, Peers, PeersError};
use gaggle_ring::Profile;
use gaggle_serve::{Drained, ServeError, Server};
use gaggle_transport_http::{
    BasePath, ClientError, ClientOptions, HttpTransport, ServerOptions, Unmarked,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// For how long the others take a member that leaves to be there still.
const GONE_WITHIN: Duration = Duration::from_secs(120);

/// How long a member that leaves gives away what it holds.
const HANDS_OVER_FOR: Duration = Duration::from_secs(1);

/// Groups shared with the other members of a cluster, and the port on which they ask for them.
///
/// Dropping it closes the port as [`leave`](Self::leave) does, without waiting for it.
pub struct Cluster {
    addr: SocketAddr,
    peers: Peers,
    groups: Groups,
    /// Dropped to stop.
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Drained>,
    arriving: JoinHandle<()>,
}

/// Says who the members are and how they are asked; [`Cluster::join`] starts it.
#[must_use]
pub struct ClusterBuilder {
    members: Vec<String>,
    advertise: Option<String>,
    profile: Profile,
    client: ClientOptions,
    serve: gaggle_serve::Options,
}

/// A member's part without a port of its own: for a program that has a server already.
pub struct Embedded {
    /// The ring; [`Peers::update`] and [`Peers::follow`] change its members.
    pub peers: Peers,
    /// Answers other members: what is below the base path, and 404 for the rest. Give it to the server's own router as
    /// its `fallback_service`.
    pub routes: axum::Router,
}

/// Why a cluster cannot be joined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// Two groups have one name.
    #[error(transparent)]
    Groups(#[from] DuplicateGroup),
    /// The list of members cannot be a ring.
    #[error(transparent)]
    Peers(#[from] PeersError),
    /// No client can be made.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The port cannot be listened on.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

impl Cluster {
    /// Starts to join the cluster of these members: base URLs such as `http://10.0.0.2:8001`, this program's own among
    /// them or not.
    pub fn join(members: impl IntoIterator<Item = impl Into<String>>) -> ClusterBuilder {
        ClusterBuilder {
            members: members.into_iter().map(Into::into).collect(),
            advertise: None,
            profile: Profile::Gaggle,
            client: ClientOptions::default(),
            serve: gaggle_serve::Options::default(),
        }
    }

    /// This program's name in the ring.
    pub fn name(&self) -> Arc<str> {
        self.peers.me()
    }

    /// The base URL that members use for this program.
    pub fn address(&self) -> Arc<str> {
        self.peers.address()
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The ring; [`Peers::update`] and [`Peers::follow`] change its members.
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Tells the other members that this one goes, gives them what its groups hold (for a second at most), and then stops
    /// answering: lets running requests finish, for as long as the serving options allow. The groups stay, and ask the other
    /// members for two minutes at least. Says what became of the connections; `None` if serving had ended before, as when the
    /// runtime shuts down.
    pub async fn leave(self) -> Option<Drained> {
        self.arriving.abort();
        self.peers.leave(GONE_WITHIN).await;
        let until = Instant::now() + HANDS_OVER_FOR;
        for group in self.groups.iter() {
            let left = until.saturating_duration_since(Instant::now());
            // Whoever gets nothing loads by itself.
            let _ = group.hand_over(left).await;
        }
        drop(self.stop);
        self.serving.await.ok()
    }
}

impl ClusterBuilder {
    /// The base URL that members use for this program. Default: `http://` and the address it listens on.
    pub fn advertise(mut self, base_url: impl Into<String>) -> Self {
        self.advertise = Some(base_url.into());
        self
    }

    /// How keys are placed. All members must agree. Default [`Profile::Gaggle`]; [`Profile::GROUPCACHE`] shares a ring
    /// with golang/groupcache.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// The path that peer requests begin with. All members must agree. Default `/_groupcache/`.
    pub fn base_path(mut self, path: BasePath) -> Self {
        self.client.base_path = path;
        self
    }

    /// How other members are asked: timeouts, bounds, encoding.
    pub fn client(mut self, options: ClientOptions) -> Self {
        self.client = options;
        self
    }

    /// How the port is served: bounds and drain.
    pub fn serving(mut self, options: gaggle_serve::Options) -> Self {
        self.serve = options;
        self
    }

    /// Listens on `addr` and shares `groups`. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// If the port is taken, a member is no base URL or listed twice, or two groups have one name.
    pub async fn serve(
        self,
        addr: &str,
        groups: impl IntoIterator<Item = Group>,
    ) -> Result<Cluster, ClusterError> {
        let server = Server::bind(addr, self.serve.clone()).await?;
        let addr = server.local_addr();
        let name = self
            .advertise
            .clone()
            .unwrap_or_else(|| format!("http://{addr}"));
        let groups = Groups::new(groups)?;
        let Embedded { peers, routes } = self.embed(&name, groups.iter().cloned())?;
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            let until = async {
                // Err is the end: the sender is dropped and never used.
                let _ = stopped.await;
            };
            server.serve(routes, until).await
        });
        let arriving = tokio::spawn({
            let peers = peers.clone();
            async move { peers.arrive().await }
        });
        Ok(Cluster {
            addr,
            peers,
            groups,
            stop,
            serving,
            arriving,
        })
    }

    /// Shares `groups` through a server that the program has already, which members reach at the base URL `name`. Needs
    /// a tokio runtime.
    ///
    /// # Errors
    ///
    /// If a member is no base URL or listed twice, or two groups have one name.
    pub fn embed(
        self,
        name: &str,
        groups: impl IntoIterator<Item = Group>,
    ) -> Result<Embedded, ClusterError> {
        let groups = Groups::new(groups)?;
        let options = ServerOptions {
            base_path: self.client.base_path.clone(),
            encoding: self.client.encoding,
            unmarked: match self.profile {
                Profile::Gaggle => Unmarked::Route,
                Profile::Groupcache { .. } => Unmarked::Answer,
            },
            ..ServerOptions::default()
        };
        let http = HttpTransport::new(self.client)?;
        let connect =
            move |name: &str, address: &str| Ok(http.peer_named(name, address)? as Arc<dyn Peer>);
        let peers = Peers::new(name, self.profile, Options::default(), connect)?;
        peers.update(self.members)?;
        for group in groups.iter() {
            group.set_router(Arc::new(peers.clone()));
            group.follow_in_background();
        }
        Ok(Embedded {
            peers,
            routes: gaggle_transport_http::router(groups, options),
        })
    }
}
