//! Sharing groups with other programs, in two lines.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gaggle_group::{DuplicateGroup, Group, Groups, Router as _};
use gaggle_peers::{Peers, PeersError};
use gaggle_serve::{Drained, ServeError, Server};
use gaggle_transport_http::ClientError;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

mod builder;
mod security;

pub use builder::ClusterBuilder;
use security::Security;

/// For how long the others take a member that leaves to be there still.
const GONE_WITHIN: Duration = Duration::from_secs(120);

/// How long a member that leaves gives away what it holds.
const HANDS_OVER_FOR: Duration = Duration::from_secs(1);

/// Groups shared with the other members of a cluster, and the port on which they ask for them.
///
/// Dropping it closes the port as [`leave`](Self::leave) does, without waiting for it.
#[must_use = "dropping it closes the port"]
pub struct Cluster {
    addr: SocketAddr,
    peers: Peers,
    groups: Groups,
    /// Dropped to stop.
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Drained>,
    /// What says that this member is there, and what follows files of credentials.
    tasks: JoinSet<()>,
}

/// A member's part without a port of its own: for a program that has a server already.
#[must_use = "its routes answer the other members"]
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
    /// The files have no certificate for the port.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] gaggle_tls::TlsError),
}

impl Cluster {
    /// Starts to join the cluster of these members: base URLs such as `http://10.0.0.2:8001`, this program's own among
    /// them or not.
    pub fn join(members: impl IntoIterator<Item = impl Into<String>>) -> ClusterBuilder {
        ClusterBuilder::new(members.into_iter().map(Into::into).collect())
    }

    fn start(server: Server, groups: Groups, embedded: Embedded, security: &Security) -> Self {
        let Embedded { peers, routes } = embedded;
        let addr = server.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            let until = async {
                // Err is the end: the sender is dropped and never used.
                let _ = stopped.await;
            };
            server.serve(routes, until).await
        });
        let mut tasks = JoinSet::new();
        tasks.spawn({
            let peers = peers.clone();
            async move {
                peers.arrive().await;
            }
        });
        security.watch(&mut tasks);
        Self {
            addr,
            peers,
            groups,
            stop,
            serving,
            tasks,
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

    /// The groups that are shared, for a front door or metrics.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Tells the other members that this one goes, gives them what its groups hold (for a second at most), and then stops
    /// answering: lets running requests finish, for as long as the serving options allow. The groups stay, and ask the other
    /// members for two minutes at least. Says what became of the connections; `None` if serving had ended before, as when the
    /// runtime shuts down.
    pub async fn leave(mut self) -> Option<Drained> {
        self.tasks.abort_all();
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

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups: Vec<_> = self.groups.iter().map(Group::name).collect();
        f.debug_struct("Cluster")
            .field("name", &self.name())
            .field("addr", &self.addr)
            .field("members", &self.peers.members().len())
            .field("groups", &groups)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded")
            .field("name", &self.peers.me())
            .field("members", &self.peers.members().len())
            .finish_non_exhaustive()
    }
}
