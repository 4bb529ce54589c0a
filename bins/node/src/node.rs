//! A node: what it is made of, and how it starts and stops.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use gaggle_api_http::{Admin, FrontOptions, MetricsPage, Readiness};
use gaggle_discovery_dns::DnsDiscovery;
use gaggle_group::{
    ByteBudget, Clock, FreshnessPolicy, Group, GroupBuilder, Groups, Limits, NoHotCopies,
    RequestRate, Router as _,
};
use gaggle_peers::Peers;
use gaggle_serve::Server;
use gaggle_telemetry::{BuildInfo, Log, Metrics};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower::Service;
use tracing::info;

use crate::config::{self, Config, ConfigError, Drain, HotCopies};

mod listeners;
mod origins;
mod peers;

use listeners::Listeners;

/// A node that listens and has not begun to answer.
pub(crate) struct Node {
    name: String,
    listeners: Listeners,
    peer_routes: axum::Router,
    groups: Groups,
    admin: axum::Router,
    readiness: Readiness,
    peers: Peers,
    discovery: Option<DnsDiscovery>,
    drain: Drain,
}

impl Node {
    /// Binds the ports, opens the origins and makes the ring. Everything that the configuration can get wrong shows
    /// here, before the first request.
    pub(crate) async fn start(config: &Config, log: &Log) -> Result<Self, ConfigError> {
        let listeners = Listeners::bind(&config.node).await?;
        let addr = listeners.peer.local_addr();
        let discovery = peers::discovery(&config.cluster, addr.port())?;
        let name = match &config.node.advertise {
            Some(advertise) => advertise.clone(),
            None => peers::own_name(addr, discovery.as_ref()).await?,
        };
        let hot_ttls = config.groups.values().map(|group| group.hot_ttl.0);
        let peers = peers::ring(&config.cluster, &name, hot_ttls.max().unwrap_or_default())?;
        if let Some(discovery) = &discovery {
            // Before the node is ready: a ring of itself alone would send every key to the origin. But not at any price:
            // where a name lists only nodes that are ready, the first one finds none.
            peers.update_from(discovery).await;
        }
        let mut groups = Vec::with_capacity(config.groups.len());
        let in_flight = ByteBudget::new(config.node.max_in_flight.0, ByteBudget::DEFAULT_MAX_WAIT);
        for (group_name, group) in &config.groups {
            groups.push(build_group(group_name, group, peers.clone(), in_flight.clone()).await?);
        }
        let groups = Groups::new(groups).map_err(|failure| ConfigError::new("groups", failure))?;

        let readiness = Readiness::new();
        let version = env!("CARGO_PKG_VERSION");
        let metrics = Metrics::new(
            groups.clone(),
            BuildInfo {
                version: version.into(),
            },
        )
        .with_log(log.clone());
        let admin = gaggle_api_http::admin(Admin {
            node: name.clone(),
            version: version.into(),
            groups: groups.clone(),
            readiness: readiness.clone(),
            metrics: MetricsPage::new(gaggle_telemetry::CONTENT_TYPE, move || metrics.encode()),
        });
        info!(node = %name, members = peers.members().len(), ring = %peers.digest(), "the node is in the ring");
        Ok(Self {
            peer_routes: peers::routes(&config.cluster, groups.clone())?,
            groups,
            admin,
            name,
            listeners,
            readiness,
            peers,
            discovery,
            drain: config.node.drain(),
        })
    }

    /// The base URL that peers use for this node.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Answers until `stop`, then drains: calls itself not ready, tells the other nodes that it leaves, gives them what it
    /// holds while it stays open for the drain delay, closes the front door and the peers' port as their requests end, and
    /// the admin port last, so that it can be watched.
    pub(crate) async fn run(self, stop: impl Future<Output = ()> + Send + 'static) {
        let Listeners {
            peer,
            api,
            admin,
            fewer,
        } = self.listeners;
        if let Some((descriptors, caps)) = fewer {
            info!(
                descriptors,
                front_door = caps.front_door,
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
        let arriving = following.spawn({
            let peers = self.peers.clone();
            async move { arrive(&peers).await }
        });
        let leaving = self.groups.clone();
        let front_door = gaggle_api_http::front_service(self.groups, FrontOptions::default());
        let serving = async {
            tokio::join!(
                serve("peer", peer, self.peer_routes, until(Phase::Draining)),
                serve("api", api, front_door, until(Phase::Draining)),
            );
            close.send_replace(Phase::Closed);
        };
        let stopping = async {
            self.readiness.set_ready(true);
            stop.await;
            arriving.abort();
            info!(delay = ?self.drain.delay, "stopping");
            self.readiness.set_ready(false);
            let closing = Instant::now() + self.drain.delay;
            leave(&self.peers, &leaving, self.drain.whole(), closing).await;
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
            () = follow(&self.peers, self.discovery.as_ref()) => {}
        }
        info!(node = %self.name, "stopped");
    }
}

/// Tells the other nodes that this one is here to stay. More than once: word of an earlier process of this name, that it
/// leaves, may still be on its way.
async fn arrive(peers: &Peers) {
    for pause in [0, 1, 4] {
        tokio::time::sleep(Duration::from_secs(pause)).await;
        peers.arrive().await;
    }
}

/// Tells the other nodes that this one goes, and gives them what it holds until the node closes.
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

/// Keeps the ring in step with its members, where they change. Never ends.
async fn follow(peers: &Peers, discovery: Option<&DnsDiscovery>) {
    match discovery {
        Some(discovery) => peers.follow(discovery).await,
        None => std::future::pending().await,
    }
}

/// How far a node's end has come.
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

async fn build_group(
    name: &str,
    config: &config::Group,
    peers: Peers,
    in_flight: ByteBudget,
) -> Result<Group, ConfigError> {
    let limits = Limits {
        max_key: usize::try_from(config.max_key.0).unwrap_or(usize::MAX),
        max_value: config.max_value.0,
        load_timeout: config.load_timeout.0,
        max_origin_loads: origins::most_loads(config),
        adapt_origin_loads: config.max_origin_loads.adapt,
        max_wait: config.max_wait.map(|wait| wait.0),
        circuit_breaker: config.circuit_breaker,
        max_loads: config.max_loads,
        ..Limits::default()
    };
    let builder = Group::builder(name)
        .capacity(config.capacity.0)
        .limits(limits)
        .in_flight(in_flight)
        .freshness(FreshnessPolicy {
            ttl: config.ttl.map(|ttl| ttl.0),
            ttl_jitter: config.ttl_jitter,
            stale_while_revalidate: config.stale_while_revalidate.0,
            stale_if_error: config.stale_if_error.0,
            negative_ttl: config.negative_ttl.map(|ttl| ttl.0),
            refresh_ahead: config.refresh_ahead,
            hot_ttl: config.hot_ttl.0,
            origin_decides: config.freshness == config::Freshness::Origin,
        })
        .router(Arc::new(peers))
        .origin_arc(origins::open(name, config).await?);
    hot_copies(builder, config.hot_copies)
        .build()
        .map_err(|failure| ConfigError::new(format!("groups.{name}"), failure))
}

fn hot_copies(builder: GroupBuilder, policy: HotCopies) -> GroupBuilder {
    match policy {
        HotCopies::Sampled => builder,
        HotCopies::Rate => builder.hot_copies(RequestRate::new(100, Clock::monotonic())),
        HotCopies::Off => builder.hot_copies(NoHotCopies),
    }
}
