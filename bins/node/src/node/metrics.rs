//! The metrics page of a node: its groups, and all other parts with counters.

use std::sync::Arc;

use gaggle_api_http::{MetricsPage, Readiness, RequestStats};
use gaggle_group::Groups;
use gaggle_peers::{DiscoveryStats, Peers};
use gaggle_serve::{Counted, Counts};
use gaggle_telemetry::{
    BuildInfo, CONTENT_TYPE, Families, Log, Metrics, PLAIN_CONTENT_TYPE, Source, Traces,
};
use gaggle_transport_http::{BatchStats, HttpTransport};

use super::listeners::Listeners;

/// The sources of a node's page.
pub(super) struct Parts {
    pub(super) version: &'static str,
    pub(super) groups: Groups,
    pub(super) log: Log,
    pub(super) ports: Ports,
    pub(super) readiness: Readiness,
    pub(super) requests: RequestStats,
    pub(super) discovery: Discovered,
    /// The transport to the peers, if that is HTTP.
    pub(super) transport: Option<HttpTransport>,
    /// The exporter of spans, if there is one.
    pub(super) traces: Option<Traces>,
}

impl Parts {
    pub(super) fn metrics(self) -> Metrics {
        let build = BuildInfo {
            version: self.version.into(),
        };
        let metrics = Metrics::new(self.groups, build)
            .with(Ready(self.readiness))
            .with(self.ports)
            .with(FrontDoor(self.requests))
            .with(self.discovery)
            .with(Batches(self.transport))
            .with_log(self.log)
            .with_process();
        match self.traces {
            Some(traces) => metrics.with(traces),
            None => metrics,
        }
    }
}

/// The page in both formats: OpenMetrics, unless the request names the older one alone.
pub(super) fn page(metrics: Metrics) -> MetricsPage {
    let metrics = Arc::new(metrics);
    let plain = Arc::clone(&metrics);
    MetricsPage::new(CONTENT_TYPE, move || metrics.encode())
        .or_plain(PLAIN_CONTENT_TYPE, move || plain.encode_plain())
}

/// The connections of each port, by the port's name in logs.
pub(super) struct Ports([(&'static str, Counts); 3]);

impl Ports {
    pub(super) fn of(listeners: &Listeners) -> Self {
        Self([
            ("api", listeners.api.counts()),
            ("peer", listeners.peer.counts()),
            ("admin", listeners.admin.counts()),
        ])
    }
}

impl Source for Ports {
    fn collect(&self, families: &mut Families) {
        let counted = self
            .0
            .each_ref()
            .map(|(port, counts)| (*port, counts.snapshot()));
        let each = |value: fn(&Counted) -> u64| {
            counted
                .iter()
                .map(move |(port, counted)| ([*port], value(counted)))
        };
        families.gauge(
            "gaggle_connections",
            "Connections that are open, by port: the front door (api), the peers' (peer) and the admin port.",
            ["port"],
            each(|counted| counted.open as u64),
        );
        families.gauge(
            "gaggle_connections_limit",
            "Connections that may be open.",
            ["port"],
            each(|counted| counted.limit as u64),
        );
        families.counter(
            "gaggle_connections_accepted",
            "Connections that were served, including those that are open.",
            ["port"],
            each(|counted| counted.accepted),
        );
        families.counter(
            "gaggle_connections_waited",
            "Those of them that had to wait because the limit was reached.",
            ["port"],
            each(|counted| counted.waited),
        );
        families.counter(
            "gaggle_connections_made_room",
            "Idle connections that were closed to make room for others.",
            ["port"],
            each(|counted| counted.made_room),
        );
        families.counter(
            "gaggle_connections_cut",
            "Connections that were cut: headers that did not arrive (head), a response that was not taken (response), a client that did not close (closing), no request while others waited (room), a shutdown (shutdown).",
            ["port", "reason"],
            counted.iter().flat_map(|(port, counted)| {
                let reasons = counted.cut.by_reason();
                reasons.map(|(reason, count)| ([*port, reason], count))
            }),
        );
        families.counter(
            "gaggle_accept_failures",
            "Times that no connection could be accepted, most likely for lack of descriptors.",
            ["port"],
            each(|counted| counted.accept_failures),
        );
        families.counter(
            "gaggle_tls_handshake_failures",
            "Clients that were refused during the TLS handshake.",
            ["port"],
            each(|counted| counted.handshake_failures),
        );
        families.counter(
            "gaggle_connection_requests",
            "Requests that have arrived over the connections, batches counted once.",
            ["port"],
            each(|counted| counted.requests),
        );
    }
}

struct Ready(Readiness);

impl Source for Ready {
    fn collect(&self, families: &mut Families) {
        families.gauge(
            "gaggle_ready",
            "Whether the node is ready for traffic: 1, or 0 while it starts or stops.",
            [],
            [([], u64::from(self.0.is_ready()))],
        );
    }
}

struct FrontDoor(RequestStats);

impl Source for FrontDoor {
    fn collect(&self, families: &mut Families) {
        let counts = self.0.snapshot();
        let statuses: Vec<(&str, String, u64)> = counts
            .routes
            .iter()
            .flat_map(|of| {
                let each = of.statuses.iter();
                each.map(|(status, count)| (of.route.as_str(), status.to_string(), *count))
            })
            .collect();
        families.counter(
            "gaggle_http_requests",
            "Requests that the front door has answered, by route and status.",
            ["port", "route", "status"],
            statuses
                .iter()
                .map(|(route, status, count)| (["api", *route, status.as_str()], *count)),
        );
        families.histogram(
            "gaggle_http_request_seconds",
            "How long it took until the head of an answer was ready, in seconds.",
            ["route"],
            counts
                .routes
                .iter()
                .map(|of| ([of.route.as_str()], of.seconds.clone())),
        );
    }
}

/// Returns the statistics of the requests for the list of members. `None` if the list does not
/// change.
pub(super) struct Discovered(Option<Box<dyn Fn() -> DiscoveryStats + Send + Sync>>);

impl Discovered {
    /// The metrics of the discovery; nothing if the list is static.
    pub(super) fn of(peers: &Peers, is_asked: bool) -> Self {
        let peers = peers.clone();
        Self(is_asked.then(|| Box::new(move || peers.discovery_stats()) as _))
    }
}

impl Source for Discovered {
    fn collect(&self, families: &mut Families) {
        let stats = self.0.as_ref().map(|ask| ask());
        families.counter(
            "gaggle_discovery_lists",
            "Times that the list of members was obtained, as cluster.discovery says.",
            [],
            stats.map(|stats| ([], stats.lists)),
        );
        families.counter(
            "gaggle_discovery_failures",
            "Times that it could not be obtained. The last list stays in force.",
            [],
            stats.map(|stats| ([], stats.failures)),
        );
        families.gauge(
            "gaggle_discovery_nodes",
            "Nodes on the last list, including this one if it is listed.",
            [],
            stats.map(|stats| ([], stats.nodes)),
        );
        families.gauge(
            "gaggle_discovery_age_seconds",
            "How long ago the last list was obtained, in seconds.",
            [],
            stats
                .and_then(|stats| stats.age)
                .map(|age| ([], age.as_secs_f64())),
        );
    }
}

/// The requests to peers that ask for several keys. Over gRPC there are none.
struct Batches(Option<HttpTransport>);

impl Source for Batches {
    fn collect(&self, families: &mut Families) {
        let stats = self
            .0
            .as_ref()
            .map_or_else(BatchStats::default, HttpTransport::batch_stats);
        families.counter(
            "gaggle_peer_batches",
            "Requests that asked a peer for several keys.",
            [],
            [([], stats.batches)],
        );
        families.counter(
            "gaggle_peer_batched_keys",
            "The keys that they asked for.",
            [],
            [([], stats.keys)],
        );
    }
}

#[cfg(test)]
mod tests;
