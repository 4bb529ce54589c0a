//! The `client` table of the cluster: how this node asks other nodes.

use std::time::Duration;

use gaggle_transport_grpc::ClientOptions as GrpcOptions;
use gaggle_transport_http::{Batching, ClientOptions as HttpOptions};
use serde::{Deserialize, Serialize};

use super::{Cluster, ConfigError, Transport, units::Span};

/// Fields that are not given have the transport's defaults, which differ in some fields.
/// `ClientOptions` of [`gaggle_transport_http`] and [`gaggle_transport_grpc`] have what each field
/// means.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Client {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connect_timeout: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remove_timeout: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_requests_per_peer: Option<usize>,
    /// With `http` only, like all fields up to `max_waiting`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) read_timeout: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idle_per_peer: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idle_timeout: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unacknowledged_timeout: Option<Span>,
    /// Whether gets of one peer share requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) batching: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) requests_at_once: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) smallest_batch: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) longest_batch_wait: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_waiting: Option<usize>,
    /// With `grpc` only, like the next field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) keep_alive_interval: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) keep_alive_timeout: Option<Span>,
}

impl Client {
    /// Refuses fields that the transport does not have: they would have no effect.
    pub(super) fn fits(&self, transport: Transport) -> Result<(), ConfigError> {
        let http = [
            ("read-timeout", self.read_timeout.is_some()),
            ("idle-per-peer", self.idle_per_peer.is_some()),
            ("idle-timeout", self.idle_timeout.is_some()),
            (
                "unacknowledged-timeout",
                self.unacknowledged_timeout.is_some(),
            ),
            ("batching", self.batching.is_some()),
            ("requests-at-once", self.requests_at_once.is_some()),
            ("smallest-batch", self.smallest_batch.is_some()),
            ("longest-batch-wait", self.longest_batch_wait.is_some()),
            ("max-waiting", self.max_waiting.is_some()),
        ];
        let grpc = [
            ("keep-alive-interval", self.keep_alive_interval.is_some()),
            ("keep-alive-timeout", self.keep_alive_timeout.is_some()),
        ];
        let (others, other) = match transport {
            Transport::Http => (&grpc[..], "grpc"),
            Transport::Grpc => (&http[..], "http"),
        };
        match others.iter().find(|(_, given)| *given) {
            Some((field, _)) => Err(ConfigError::new(
                format!("cluster.client.{field}"),
                format!("only cluster.transport = \"{other}\" has this"),
            )),
            None => Ok(()),
        }
    }
}

/// A given value, or the default.
fn span(given: Option<Span>, default: Duration) -> Duration {
    given.map_or(default, |span| span.0)
}

impl Cluster {
    /// How this node asks other nodes over HTTP.
    ///
    /// # Errors
    ///
    /// If the base path is none.
    pub(crate) fn http_client_options(&self) -> Result<HttpOptions, ConfigError> {
        let client = &self.client;
        let defaults = HttpOptions::default();
        let batching = Batching::default();
        let batching = Batching {
            requests_at_once: client.requests_at_once.unwrap_or(batching.requests_at_once),
            smallest_batch: client.smallest_batch.unwrap_or(batching.smallest_batch),
            longest_wait: span(client.longest_batch_wait, batching.longest_wait),
            max_waiting: client.max_waiting.unwrap_or(batching.max_waiting),
        };
        Ok(HttpOptions {
            base_path: self.base_path()?,
            encoding: self.encoding.into(),
            cluster: Some(self.name.as_str().into()),
            connect_timeout: span(client.connect_timeout, defaults.connect_timeout),
            read_timeout: span(client.read_timeout, defaults.read_timeout),
            idle_per_peer: client.idle_per_peer.unwrap_or(defaults.idle_per_peer),
            idle_timeout: span(client.idle_timeout, defaults.idle_timeout),
            unacknowledged_timeout: span(
                client.unacknowledged_timeout,
                defaults.unacknowledged_timeout,
            ),
            max_requests_per_peer: client
                .max_requests_per_peer
                .unwrap_or(defaults.max_requests_per_peer),
            batching: client.batching.unwrap_or(true).then_some(batching),
            ping_timeout: self.ping_timeout(defaults.ping_timeout),
            remove_timeout: span(client.remove_timeout, defaults.remove_timeout),
            ..defaults
        })
    }

    /// How this node asks other nodes over gRPC.
    pub(crate) fn grpc_client_options(&self) -> GrpcOptions {
        let client = &self.client;
        let defaults = GrpcOptions::default();
        GrpcOptions {
            cluster: Some(self.name.as_str().into()),
            connect_timeout: span(client.connect_timeout, defaults.connect_timeout),
            ping_timeout: self.ping_timeout(defaults.ping_timeout),
            remove_timeout: span(client.remove_timeout, defaults.remove_timeout),
            keep_alive_interval: span(client.keep_alive_interval, defaults.keep_alive_interval),
            keep_alive_timeout: span(client.keep_alive_timeout, defaults.keep_alive_timeout),
            max_requests_per_peer: client
                .max_requests_per_peer
                .unwrap_or(defaults.max_requests_per_peer),
            ..defaults
        }
    }

    /// The transport's timeout for a ping. It exceeds the health check's as much as by default, so
    /// that the health check gives up first.
    fn ping_timeout(&self, transport: Duration) -> Duration {
        let checked = gaggle_peers::Options::default().ping_timeout;
        let more = transport.saturating_sub(checked);
        self.health.ping_timeout.0.saturating_add(more)
    }

    /// How the peers' port answers HTTP, whatever the transport.
    ///
    /// # Errors
    ///
    /// If the base path is none.
    pub(crate) fn http_server_options(
        &self,
    ) -> Result<gaggle_transport_http::ServerOptions, ConfigError> {
        use gaggle_transport_http::{ServerOptions, Unmarked};
        Ok(ServerOptions {
            base_path: self.base_path()?,
            encoding: self.encoding.into(),
            unmarked: match self.profile {
                super::Profile::Gaggle => Unmarked::Route,
                // A Go node cannot mark what it forwards.
                super::Profile::Groupcache => Unmarked::Answer,
            },
            body_timeout: self.body_timeout.0,
            cluster: Some(self.name.as_str().into()),
        })
    }

    /// How the peers' port answers gRPC.
    pub(crate) fn grpc_server_options(&self) -> gaggle_transport_grpc::ServerOptions {
        gaggle_transport_grpc::ServerOptions {
            body_timeout: self.body_timeout.0,
            cluster: Some(self.name.as_str().into()),
            ..Default::default()
        }
    }

    pub(super) fn base_path(&self) -> Result<gaggle_transport_http::BasePath, ConfigError> {
        self.base_path
            .parse()
            .map_err(|failure| ConfigError::new("cluster.base-path", failure))
    }

    /// The `client` table with what follows from the transport, for printing.
    pub(super) fn client_spelled_out(&self) -> Result<Client, ConfigError> {
        Ok(match self.transport {
            Transport::Http => {
                let options = self.http_client_options()?;
                let batching = options.batching.as_ref();
                Client {
                    connect_timeout: Some(Span(options.connect_timeout)),
                    remove_timeout: Some(Span(options.remove_timeout)),
                    max_requests_per_peer: Some(options.max_requests_per_peer),
                    read_timeout: Some(Span(options.read_timeout)),
                    idle_per_peer: Some(options.idle_per_peer),
                    idle_timeout: Some(Span(options.idle_timeout)),
                    unacknowledged_timeout: Some(Span(options.unacknowledged_timeout)),
                    batching: Some(batching.is_some()),
                    requests_at_once: batching.map(|batching| batching.requests_at_once),
                    smallest_batch: batching.map(|batching| batching.smallest_batch),
                    longest_batch_wait: batching.map(|batching| Span(batching.longest_wait)),
                    max_waiting: batching.map(|batching| batching.max_waiting),
                    ..Client::default()
                }
            }
            Transport::Grpc => {
                let options = self.grpc_client_options();
                Client {
                    connect_timeout: Some(Span(options.connect_timeout)),
                    remove_timeout: Some(Span(options.remove_timeout)),
                    max_requests_per_peer: Some(options.max_requests_per_peer),
                    keep_alive_interval: Some(Span(options.keep_alive_interval)),
                    keep_alive_timeout: Some(Span(options.keep_alive_timeout)),
                    ..Client::default()
                }
            }
        })
    }
}
