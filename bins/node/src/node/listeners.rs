//! The three ports of a node.

use std::time::Duration;

use gaggle_serve::{Options, Server};
use tracing::warn;

use crate::config::{ConfigError, Node};
use crate::descriptors::{self, Caps};

/// How long requests of the admin port have, after those of the others have ended.
const ADMIN_DRAIN: Duration = Duration::from_millis(250);

pub(super) struct Listeners {
    pub(super) peer: Server,
    pub(super) api: Server,
    pub(super) admin: Server,
}

/// More than people and scrapers of metrics ever have open.
const ADMIN_CONNECTIONS: usize = 100;

/// How many connections each port may have open: what is configured, as far as there are descriptors.
fn caps(config: &Node) -> Caps {
    let available = descriptors::raise().unwrap_or_else(|failure| {
        warn!(error = %failure, "the limit of descriptors cannot be raised");
        descriptors::limit()
    });
    let wanted = Caps {
        front_door: config.max_connections,
        peers: config.max_connections,
        admin: config.max_connections.min(ADMIN_CONNECTIONS),
    };
    let caps = descriptors::caps(available, wanted);
    if caps != wanted {
        warn!(
            descriptors = available,
            front_door = caps.front_door,
            peers = caps.peers,
            admin = caps.admin,
            "fewer connections than node.max-connections, as there are too few descriptors"
        );
    }
    caps
}

impl Listeners {
    pub(super) async fn bind(config: &Node) -> Result<Self, ConfigError> {
        let (caps, drain) = (caps(config), config.drain().requests);
        let bind = async |field: &str, addr: &str, max_connections: usize, drain: Duration| {
            let options = Options {
                max_connections,
                drain,
                ..Options::default()
            };
            Server::bind(addr, options)
                .await
                .map_err(|failure| ConfigError::new(field, failure))
        };
        Ok(Self {
            peer: bind("node.peer-addr", &config.peer_addr, caps.peers, drain).await?,
            api: bind("node.api-addr", &config.api_addr, caps.front_door, drain).await?,
            // It closes when the others have, and answers at once.
            admin: bind(
                "node.admin-addr",
                &config.admin_addr,
                caps.admin,
                ADMIN_DRAIN,
            )
            .await?,
        })
    }
}
