//! The three ports of a node.

use std::time::Duration;

use gaggle_api_resp::RespServer;
use gaggle_serve::Server;
use tracing::warn;

use super::{access, resp};
use crate::config::{Config, ConfigError, Credentials, Node, Port};
use crate::descriptors::{self, Caps};

/// How long requests of the admin port have, after those of the other ports have ended.
const ADMIN_DRAIN: Duration = Duration::from_millis(250);
/// How long a client of the admin port may neither send nor read anything.
const ADMIN_STALL: Duration = Duration::from_secs(5);

pub(super) struct Listeners {
    pub(super) peer: Server,
    pub(super) api: Server,
    pub(super) admin: Server,
    /// For Redis' clients, if there is one.
    pub(super) resp: Option<RespServer>,
    /// The number of descriptors, and of connections that each port may have with them, if those
    /// are fewer than configured. A port for Redis' clients may have as many as the front door.
    pub(super) fewer: Option<(u64, Caps)>,
}

/// More than people and scrapers of metrics ever have open.
const ADMIN_CONNECTIONS: usize = 100;

/// How many connections each port may have open: what is configured, as far as there are
/// descriptors.
fn caps(config: &Node, available: u64) -> (Caps, Caps) {
    let wanted = Caps {
        front_door: config.max_connections * clients_ports(config),
        peers: config.max_connections,
        admin: config.max_connections.min(ADMIN_CONNECTIONS),
    };
    (wanted, descriptors::caps(available, wanted))
}

/// The ports of clients, which share the descriptors of the front door: two, if there is a port
/// for Redis' clients.
fn clients_ports(config: &Node) -> usize {
    1 + usize::from(config.resp_addr.is_some())
}

impl Listeners {
    pub(super) async fn bind(
        config: &Config,
        credentials: &Credentials,
    ) -> Result<Self, ConfigError> {
        let whole = config;
        let security = &config.security;
        let config = &config.node;
        let drain = config.drain().requests;
        let raised = descriptors::raise();
        let available = raised
            .as_ref()
            .map_or_else(|_| descriptors::limit(), |limit| *limit);
        let (wanted, caps) = caps(config, available);
        let bind = async |port: Port, addr: &str, max_connections: usize, drain: Duration| {
            let mut options = config.port_options(max_connections, drain);
            options.tls = access::served(security, credentials, port)?;
            if port == Port::Admin {
                // Probes share its few connections with clients that have no token.
                options.stall_timeout = options.stall_timeout.min(ADMIN_STALL);
                options.body_timeout = options.body_timeout.min(ADMIN_STALL);
            }
            Server::bind(addr, options)
                .await
                .map_err(|failure| ConfigError::new(port.field(), failure))
        };
        let of_clients = (caps.front_door / clients_ports(config)).max(1);
        let each = Caps {
            front_door: of_clients,
            ..caps
        };
        let listeners = Self {
            peer: bind(Port::Peers, &config.peer_addr, caps.peers, drain).await?,
            api: bind(Port::FrontDoor, &config.api_addr, of_clients, drain).await?,
            // It closes after the other ports, and answers at once.
            admin: bind(Port::Admin, &config.admin_addr, caps.admin, ADMIN_DRAIN).await?,
            resp: resp::bind(whole, credentials, of_clients, drain).await?,
            fewer: (caps != wanted).then_some((available, each)),
        };
        if let Err(failure) = raised {
            warn!(error = %failure, "the limit of descriptors cannot be raised");
        }
        Ok(listeners)
    }
}
