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

/// How long the others expect a leaving member to still answer.
const GONE_WITHIN: Duration = Duration::from_secs(120);

/// How long a member that leaves hands over its entries.
const HANDS_OVER_FOR: Duration = Duration::from_secs(1);

/// Groups that are shared with the other members of a cluster, and the port on which those ask for
/// values.
///
/// Dropping it closes the port like [`leave`](Self::leave), but without waiting.
#[must_use = "dropping it closes the port"]
pub struct Cluster {
    addr: SocketAddr,
    peers: Peers,
    groups: Groups,
    /// Dropped to stop.
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Drained>,
    /// The tasks that announce this member, and that watch files of credentials.
    tasks: JoinSet<()>,
}

/// A member's part without a port of its own: for a program that has a server already.
#[must_use = "its routes answer the other members"]
pub struct Embedded {
    /// The ring; [`Peers::update`] and [`Peers::follow`] change its members.
    pub peers: Peers,
    /// Answers other members: requests below the base path, and 404 for the rest. Give it to the
    /// server's own router as its `fallback_service`.
    pub routes: axum::Router,
}

/// Why a cluster cannot be joined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// Two groups have one name.
    #[error(transparent)]
    Groups(#[from] DuplicateGroup),
    /// The list of members is not a valid ring.
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
    /// Starts to join the cluster of these members: base URLs such as `http://10.0.0.2:8001`, this
    /// program's own among them or not.
    pub fn join(members: impl IntoIterator<Item = impl Into<String>>) -> ClusterBuilder {
        ClusterBuilder::new(members.into_iter().map(Into::into).collect())
    }

    fn start(server: Server, groups: Groups, embedded: Embedded, security: &Security) -> Self {
        let Embedded { peers, routes } = embedded;
        let addr = server.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            let until = async {
                // Err ends it: the sender is dropped and never used.
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

    /// Notifies the other members that this one leaves, hands over what its groups hold (for a
    /// second at most), and then shuts the port down: running requests finish, for as long as the
    /// serving options allow. The groups remain usable, and ask the other members for two minutes
    /// at least. Returns the result of draining the connections; `None` if serving had ended
    /// before, as when the runtime shuts down.
    pub async fn leave(mut self) -> Option<Drained> {
        self.tasks.abort_all();
        self.peers.leave(GONE_WITHIN).await;
        let until = Instant::now() + HANDS_OVER_FOR;
        for group in self.groups.iter() {
            let left = until.saturating_duration_since(Instant::now());
            // A member that gets no entries loads them itself.
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
