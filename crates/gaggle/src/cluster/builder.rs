//! The builder of a cluster.

use std::fmt;
use std::sync::Arc;

use gaggle_group::{Group, Groups, Peer};
use gaggle_peers::{Options, Peers};
use gaggle_ring::Profile;
use gaggle_serve::Server;
use gaggle_transport_http::{BasePath, ClientOptions, HttpTransport, ServerOptions, Unmarked};
use tokio::net::TcpListener;

use super::security::Security;
use super::{Cluster, ClusterError, Embedded};

/// Sets the members and how they are asked; [`Cluster::join`] makes it.
#[must_use]
pub struct ClusterBuilder {
    members: Vec<String>,
    advertise: Option<String>,
    profile: Profile,
    client: ClientOptions,
    peers: Options,
    serve: gaggle_serve::Options,
    security: Security,
}

impl ClusterBuilder {
    pub(super) fn new(members: Vec<String>) -> Self {
        Self {
            members,
            advertise: None,
            profile: Profile::Gaggle,
            client: ClientOptions::default(),
            peers: Options::default(),
            serve: gaggle_serve::Options::default(),
            security: Security::default(),
        }
    }

    /// The base URL that members use for this program. Default: `http://`, or `https://` with TLS,
    /// and the address it listens on.
    pub fn advertise(mut self, base_url: impl Into<String>) -> Self {
        self.advertise = Some(base_url.into());
        self
    }

    /// How keys are placed. All members must agree. Default [`Profile::Gaggle`];
    /// [`Profile::GROUPCACHE`] shares a ring with golang/groupcache.
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

    /// Everything about membership and health: this program's name in the ring, the cluster's
    /// name, when a member is suspected, and how long nodes and rings are remembered. If
    /// [`groups`](Options::groups) is empty it is filled in, and
    /// [`remember_for`](Options::remember_for) is at least as long as the groups' copies live.
    ///
    /// It replaces the settings of [`member`](Self::member) and [`name`](Self::name).
    pub fn peers(mut self, options: Options) -> Self {
        self.peers = options;
        self
    }

    /// Whether this program is a member of the ring, and so owns keys. A program that is not a
    /// member asks the members and keeps hot copies: a gateway. Default true.
    pub fn member(mut self, member: bool) -> Self {
        self.peers.member = member;
        self
    }

    /// This program's name in the ring. It stays when the address changes. Default: host and port
    /// of its address.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.peers.name = Some(name.into());
        self
    }

    /// How the port is served: bounds and drain.
    pub fn serving(mut self, options: gaggle_serve::Options) -> Self {
        self.serve = options;
        self
    }

    /// Requires one of these tokens from clients of the port, and sends the first of them to other
    /// members.
    #[cfg(feature = "token")]
    pub fn token(mut self, tokens: gaggle_token::Tokens) -> Self {
        self.security.tokens = Some(tokens);
        self
    }

    /// Speaks TLS at the port and with other members, whose addresses must begin with `https://`.
    /// With [`ClientCerts::Required`](gaggle_tls::ClientCerts::Required) members authenticate by
    /// their certificates.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: gaggle_tls::Tls, clients: gaggle_tls::ClientCerts) -> Self {
        self.security.tls = Some(super::security::Tls { tls, clients });
        self
    }

    /// With [`tls`](Self::tls): accepts plain HTTP as well, at the port and to other members,
    /// while a cluster changes to TLS. Plain HTTP needs no certificate.
    #[cfg(feature = "tls")]
    pub fn accept_plain(mut self, accept: bool) -> Self {
        self.security.accept_plain = accept;
        self
    }

    /// Listens on `addr` and shares `groups`. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// If the port is taken, a member is not a base URL or listed twice, two groups have one name,
    /// or a certificate for the port is missing.
    pub async fn serve(
        self,
        addr: &str,
        groups: impl IntoIterator<Item = impl Into<Group>>,
    ) -> Result<Cluster, ClusterError> {
        let options = self.security.serve(self.serve.clone())?;
        let server = Server::bind(addr, options).await?;
        self.start(server, groups)
    }

    /// The same, without waiting, on a socket that already listens: one that a test has bound to a
    /// free port, or that a supervisor has passed on.
    ///
    /// # Errors
    ///
    /// Like [`serve`](Self::serve), except that the port cannot be taken.
    pub fn serve_on(
        self,
        listener: TcpListener,
        groups: impl IntoIterator<Item = impl Into<Group>>,
    ) -> Result<Cluster, ClusterError> {
        let options = self.security.serve(self.serve.clone())?;
        let server = Server::on(listener, options)?;
        self.start(server, groups)
    }

    fn start(
        self,
        server: Server,
        groups: impl IntoIterator<Item = impl Into<Group>>,
    ) -> Result<Cluster, ClusterError> {
        let groups = Groups::new(groups.into_iter().map(Into::into))?;
        let name = self
            .advertise
            .clone()
            .unwrap_or_else(|| format!("{}://{}", self.security.scheme(), server.local_addr()));
        let security = self.security.clone();
        let embedded = self.embed(&name, groups.iter().cloned())?;
        Ok(Cluster::start(server, groups, embedded, &security))
    }

    /// Shares `groups` through the program's existing server, which members reach at the base URL
    /// `name`. Needs a tokio runtime.
    ///
    /// The routes require a token. TLS is used to other members; on the port, the program's server
    /// is responsible for TLS and client certificates. Files of tokens and certificates are not
    /// watched.
    ///
    /// # Errors
    ///
    /// If a member is not a base URL or listed twice, or two groups have one name.
    pub fn embed(
        self,
        name: &str,
        groups: impl IntoIterator<Item = impl Into<Group>>,
    ) -> Result<Embedded, ClusterError> {
        let groups = Groups::new(groups.into_iter().map(Into::into))?;
        let mut options = self.peers;
        if options.groups.is_empty() {
            options.groups = groups.iter().map(|group| group.name().clone()).collect();
            options.groups.sort();
        }
        // Copies on other members live for this long.
        let hot_ttls = groups.iter().map(|group| group.freshness().hot_ttl);
        options.remember_for = hot_ttls.fold(options.remember_for, Ord::max);
        let mut client = self.security.show(self.client);
        let cluster = client
            .cluster
            .get_or_insert_with(|| options.cluster.clone());
        let answers = ServerOptions {
            base_path: client.base_path.clone(),
            encoding: client.encoding,
            unmarked: match self.profile {
                Profile::Gaggle => Unmarked::Route,
                Profile::Groupcache { .. } => Unmarked::Answer,
            },
            cluster: Some(cluster.clone()),
            ..ServerOptions::default()
        };
        let http = HttpTransport::new(client)?;
        let security = self.security.clone();
        let connect = move |name: &str, address: &str| {
            security.check(address)?;
            Ok(http.peer_named(name, address)? as Arc<dyn Peer>)
        };
        let peers = Peers::new(name, self.profile, options, connect)?;
        peers.update(self.members)?;
        for group in groups.iter() {
            group.set_router(Arc::new(peers.clone()));
            group.follow_in_background();
        }
        let routes = gaggle_transport_http::router(groups, answers);
        Ok(Embedded {
            peers,
            routes: self.security.require_token(routes),
        })
    }
}

/// It omits fields that may contain secrets: addresses, headers, certificates.
impl fmt::Debug for ClusterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterBuilder")
            .field("members", &self.members.len())
            .field("profile", &self.profile)
            .field("member", &self.peers.member)
            .field("name", &self.peers.name)
            .field("security", &self.security)
            .finish_non_exhaustive()
    }
}
