//! A node: its parts, and how it starts and stops.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use gaggle_api_http::{Admin, FrontOptions, Readiness, Reload as _, RequestStats};
use gaggle_console::Console;
use gaggle_group::{ByteBudget, Groups, Router as _};
use gaggle_peers::Peers;
use gaggle_serve::Server;
use gaggle_telemetry::{Log, Traces};
use gaggle_tls::Tls;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower::Service;
use tracing::info;

use crate::config::{Config, ConfigError, Drain, Port};
use crate::systemd::Systemd;

mod access;
mod console;
mod followers;
mod groups;
mod listeners;
mod members;
mod metrics;
mod origins;
mod peers;
mod prepared;
pub(crate) mod reload;
mod resp;
mod snapshots;
pub(crate) mod trial;

pub(crate) use followers::name_at_source;
use followers::{Feeds, Followers};
use listeners::Listeners;
use members::Members;
use prepared::Prepared;
use reload::{Reloader, Running, Source};
use snapshots::Snapshots;

/// A node that listens and has not begun to answer.
pub(crate) struct Node {
    listeners: Listeners,
    resp: Option<gaggle_api_resp::Serving>,
    peer_routes: axum::Router,
    groups: Groups,
    feeds: Feeds,
    admin: axum::Router,
    console: Console,
    readiness: Readiness,
    peers: Peers,
    members: Members,
    settle: Duration,
    front: FrontOptions,
    drain: Drain,
    config: Arc<Config>,
    running: Running,
    reload: (reload::ReloadHandle, reload::Asked),
}

/// The node's connections to the process that it runs in.
#[derive(Default)]
pub(crate) struct Surroundings {
    /// The receiver of the node's state.
    pub(crate) systemd: Systemd,
    /// Where its configuration comes from, if it can be read again.
    pub(crate) source: Option<Source>,
}

impl Node {
    /// Binds the ports, opens the origins and makes the ring. Every error in the configuration is
    /// reported here, before the first request.
    pub(crate) async fn start(
        config: &Config,
        log: &Log,
        traces: Option<&Traces>,
    ) -> Result<Self, ConfigError> {
        let Prepared {
            mut listeners,
            credentials,
            origins,
            feeds,
        } = Prepared::of(config).await?;
        let addr = listeners.peer.local_addr();
        let (members, address) = Members::open(config, &credentials, addr).await?;
        let (peers, transport) = peers::ring(config, &credentials, &address)?;
        let mut groups = Vec::with_capacity(config.groups.len());
        let in_flight = ByteBudget::new(config.node.max_in_flight.0, ByteBudget::DEFAULT_MAX_WAIT);
        for ((group_name, group), origin) in config.groups.iter().zip(origins) {
            let (peers, in_flight) = (peers.clone(), in_flight.clone());
            groups.push(groups::build(group_name, group, origin, peers, in_flight)?);
        }
        let groups = Groups::new(groups).map_err(|failure| ConfigError::new("groups", failure))?;

        let resp = listeners.resp.take();
        let resp = resp.map(|server| server.groups(&groups)).transpose();
        let resp = resp.map_err(|failure| ConfigError::new("node.resp-group", failure))?;

        let (readiness, reload) = (Readiness::new(), reload::channel());
        let requests = RequestStats::new();
        let version = env!("CARGO_PKG_VERSION");
        let metrics = metrics::Parts {
            version,
            groups: groups.clone(),
            log: log.clone(),
            ports: metrics::Ports::of(&listeners),
            readiness: readiness.clone(),
            requests: requests.clone(),
            discovery: metrics::Discovered::of(&peers, members.are_asked_for()),
            transport,
            traces: traces.cloned(),
        };
        let console = console::of(
            &groups,
            config,
            console::Parts {
                version,
                readiness: readiness.clone(),
                reload: reload.0.clone(),
                peers: peers.clone(),
                admin: listeners.admin.local_addr(),
            },
        );
        let admin = gaggle_api_http::admin(Admin {
            version: version.into(),
            groups: groups.clone(),
            readiness: readiness.clone(),
            hosts: config.admin_hosts(),
            metrics: metrics::page(match &resp {
                Some(resp) => metrics.metrics().with(resp::Counted(resp.monitor())),
                None => metrics.metrics(),
            }),
            reload: Arc::new(reload.0.clone()),
            console: console.clone(),
            origins: console::origins(config),
        });
        let required = |port| access::required(&config.security, &credentials, port);
        let admin = admin.layer(required(Port::Admin));
        Ok(Self {
            peer_routes: peers::routes(&config.cluster, groups.clone())?
                .layer(required(Port::Peers)),
            running: Running {
                groups: groups.clone(),
                peers: peers.clone(),
                in_flight,
                log: log.clone(),
                credentials,
            },
            config: Arc::new(config.clone()),
            reload,
            groups,
            feeds,
            admin,
            console,
            listeners,
            resp,
            readiness,
            peers,
            members,
            settle: config.cluster.settle.0,
            front: FrontOptions {
                requests: Some(requests),
                ..config.front_options()
            },
            drain: config.node.drain(),
        })
    }

    /// This node's name in the ring; empty while it does not know.
    pub(crate) fn name(&self) -> Arc<str> {
        self.peers.me()
    }

    /// The same as a handle, for later calls.
    pub(crate) fn named(&self) -> impl Fn() -> Arc<str> + Send + Sync + use<> {
        let peers = self.peers.clone();
        move || peers.me()
    }

    /// Answers, reports that it is ready once the membership has settled, and runs until `stop`.
    /// Then it drains: it reports that it is not ready, tells the other nodes that it leaves,
    /// gives them what it holds and writes its snapshots while it stays open for the drain delay,
    /// closes the front door and the peers' port as their requests end, and the admin port last,
    /// so that it can be watched. Meanwhile it follows its tokens and certificates, and reads its
    /// configuration again when it is asked to.
    ///
    /// # Errors
    ///
    /// If no other node can know how to reach this one.
    pub(crate) async fn run(
        self,
        surroundings: Surroundings,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ConfigError> {
        let Surroundings { systemd, source } = surroundings;
        let Listeners {
            peer,
            api,
            admin,
            resp: _,
            fewer,
        } = self.listeners;
        if let Some((descriptors, caps)) = fewer {
            info!(
                descriptors,
                front_door = caps.front_door,
                resp = self.resp.as_ref().map(|_| caps.front_door),
                peers = caps.peers,
                admin = caps.admin,
                "fewer connections than node.max-connections, as there are no more descriptors"
            );
        }
        info!(
            peer = %peer.local_addr(),
            api = %api.local_addr(),
            admin = %admin.local_addr(),
            "listening"
        );
        if let Some(resp) = &self.resp {
            info!(resp = %resp.local_addr(), "listening for Redis' clients");
        }
        let (close, _) = watch::channel(Phase::Open);
        let until = |phase: Phase| {
            let mut now = close.subscribe();
            async move {
                // An error means that the sender is gone, which is the end as well.
                let _ = now.wait_for(|now| *now >= phase).await;
            }
        };
        // Ended as this ends.
        let mut following = JoinSet::new();
        for group in self.groups.iter() {
            let group = group.clone();
            following.spawn(async move { group.follow().await });
        }
        following.spawn(async move { self.console.run().await });
        let arriving = following.spawn({
            let peers = self.peers.clone();
            async move { arrive(&peers).await }
        });
        let credentials = &self.running.credentials;
        if let Some(tokens) = credentials.tokens.clone() {
            following.spawn(tokens.watch(Tls::WATCH_EVERY));
        }
        for tls in [&credentials.tls, &credentials.front_door] {
            if let Some(tls) = tls.clone() {
                following.spawn(tls.watch(Tls::WATCH_EVERY));
            }
        }
        let (handle, asked) = self.reload;
        let config = Arc::clone(&self.config);
        let (load, mut hangups) = source.map(|source| (source.load, source.hangups)).unzip();
        let reloading = load.map(|load| {
            let reloader = Reloader {
                asked,
                handle: handle.clone(),
                load,
                running: self.running,
                readiness: self.readiness.clone(),
                systemd: systemd.clone(),
                started: Arc::clone(&self.config),
                current: self.config,
            };
            following.spawn(reloader.run())
        });
        let leaving = self.groups.clone();
        let (followed, feeds) = (self.groups.clone(), self.feeds);
        let front_door = gaggle_api_http::front_service(self.groups, self.front);
        let serving = async {
            tokio::join!(
                serve("peer", peer, self.peer_routes, until(Phase::Draining)),
                serve("api", api, front_door, until(Phase::Draining)),
                resp::serve(self.resp, until(Phase::Draining)),
            );
            close.send_replace(Phase::Closed);
        };
        let (followers, snapshots) = (Mutex::new(None), Mutex::new(None));
        let settling = async {
            systemd.status("waiting for the other members");
            self.members.settle(&self.peers, self.settle).await?;
            self.members.ready().await;
            // The ring determines which node follows.
            let started = Followers::start(feeds, &followed);
            *followers.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
            // The ring also determines which keys this node loads.
            let started = Snapshots::start(&config, &followed);
            *snapshots.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
            let (node, members) = (self.peers.me(), self.peers.members().len());
            info!(%node, members, ring = %self.peers.digest(), "the node is ready");
            self.readiness.set_ready(true);
            systemd.ready(&format!("serving; configuration {}", handle.generation()));
            Ok(())
        };
        // Once the node is ready: systemd allows no reload before that, and an early one waits.
        let heeding = async {
            match &mut hangups {
                Some(hangups) => handle.at_each(hangups).await,
                None => std::future::pending().await,
            }
        };
        let mut failed = None;
        let stopping = async {
            let mut stop = pin!(stop);
            tokio::select! {
                () = &mut stop => {}
                settled = settling => match settled {
                    Ok(()) => tokio::select! {
                        () = &mut stop => {}
                        () = heeding => {}
                    },
                    Err(failure) => failed = Some(failure),
                },
            }
            systemd.stopping();
            arriving.abort();
            if let Some(reloading) = reloading {
                reloading.abort();
            }
            info!(delay = ?self.drain.delay, "stopping");
            self.readiness.set_ready(false);
            let closing = Instant::now() + self.drain.delay;
            let remember = async {
                let started = snapshots
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                if let Some(snapshots) = started {
                    snapshots.stop(self.drain).await;
                }
            };
            let let_go = async {
                let started = followers
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                if let Some(followers) = started {
                    followers.stop().await;
                }
            };
            tokio::join!(
                remember,
                let_go,
                self.members.leave(),
                leave(&self.peers, &leaving, self.drain.whole(), closing),
            );
            tokio::time::sleep_until(closing).await;
            close.send_replace(Phase::Draining);
        };
        let running = async {
            tokio::join!(
                serving,
                stopping,
                serve("admin", admin, self.admin, until(Phase::Closed))
            );
        };
        tokio::select! {
            () = running => {}
            () = self.members.follow(&self.peers) => {}
        }
        info!(node = %self.peers.me(), "stopped");
        failed.map_or(Ok(()), Err)
    }
}

/// Tells the other nodes that this one stays. More than once: an announcement by an earlier
/// process of this name, that it leaves, may still be on its way.
async fn arrive(peers: &Peers) {
    for pause in [0, 1, 4] {
        tokio::time::sleep(Duration::from_secs(pause)).await;
        peers.arrive().await;
    }
}

/// Tells the other nodes that this one leaves, and gives them what it holds until the node closes.
async fn leave(peers: &Peers, groups: &Groups, gone_within: Duration, closing: Instant) {
    let told = peers.leave(gone_within).await;
    for group in groups.iter() {
        let left = closing.saturating_duration_since(Instant::now());
        let handed = group.hand_over(left).await;
        info!(
            group = %group.name(),
            nodes = told,
            sent = handed.sent,
            kept = handed.kept,
            complete = handed.complete,
            "handed over"
        );
    }
}

/// The progress of a node's shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Open,
    Draining,
    Closed,
}

async fn serve<S>(
    port: &'static str,
    server: Server,
    service: S,
    stop: impl Future<Output = ()> + Send,
) where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let drained = server.serve(service, stop).await;
    if drained.cut > 0 {
        tracing::warn!(
            port,
            connections = drained.cut,
            "connections were cut when the drain timeout passed"
        );
    }
}
