//! The three ports of a node.

use gaggle_serve::{Options, Server};

use crate::config::{ConfigError, Node};

pub(super) struct Listeners {
    pub(super) peer: Server,
    pub(super) api: Server,
    pub(super) admin: Server,
}

impl Listeners {
    pub(super) async fn bind(config: &Node) -> Result<Self, ConfigError> {
        let bind = async |field: &str, addr: &str| {
            let options = Options {
                max_connections: config.max_connections,
                drain: config.drain_timeout.0,
                ..Options::default()
            };
            Server::bind(addr, options)
                .await
                .map_err(|failure| ConfigError::new(field, failure))
        };
        Ok(Self {
            peer: bind("node.peer-addr", &config.peer_addr).await?,
            api: bind("node.api-addr", &config.api_addr).await?,
            admin: bind("node.admin-addr", &config.admin_addr).await?,
        })
    }
}
