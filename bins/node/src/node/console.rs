//! What the node reports to operators, on its own admin port and, in short, through every other
//! node's.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use gaggle_api_http::{Readiness, Reload as _};
use gaggle_console::Console;
use gaggle_group::{About, Groups, Router as _};
use gaggle_peers::Peers;
use tokio::time::Instant;
use url::{Host, Url};

use super::reload::ReloadHandle;
use crate::config::{Config, Origin, Port};

/// The parts of each report of the node.
pub(super) struct Parts {
    pub(super) version: &'static str,
    pub(super) readiness: Readiness,
    pub(super) reload: ReloadHandle,
    pub(super) peers: Peers,
    /// Where the admin port listens.
    pub(super) admin: SocketAddr,
}

/// The last hour of the node, which begins now. Its reports have these parts from now on.
pub(super) fn of(groups: &Groups, config: &Config, parts: Parts) -> Console {
    let Parts {
        version,
        readiness,
        reload,
        peers,
        admin,
    } = parts;
    let scheme = match config.security.tls_of(Port::Admin) {
        Some(_) => "https",
        None => "http",
    };
    // Without a reference to the console: it holds the groups, which would hold it in turn.
    let began = Instant::now();
    groups.set_about(move || {
        let mut about = About::default();
        about.version = version.into();
        about.state = readiness.as_str().into();
        about.generation = reload.generation();
        about.uptime = began.elapsed();
        about.admin = admin_url(scheme, &peers.address(), admin).map(Arc::from);
        about
    });
    Console::new(groups.clone())
}

/// The kind of each group's origin, as the configuration names it.
pub(super) fn origins(config: &Config) -> BTreeMap<String, String> {
    let kind = |origin: &Origin| match origin {
        Origin::Sqlite(_) => "sqlite",
        Origin::Postgres(_) => "postgres",
        Origin::Mysql(_) => "mysql",
        Origin::Http(_) => "http",
        Origin::Object(_) => "object",
        Origin::Files(_) => "files",
    };
    let groups = config.groups.iter();
    groups
        .filter_map(|(name, group)| {
            let origin = group.origin.as_ref()?;
            Some((name.clone(), kind(origin).to_owned()))
        })
        .collect()
}

/// The admin port at the host by which peers reach this node. `None` where only this machine can
/// reach the admin port and peers reach the node from elsewhere, or while the node does not know
/// how it is reached.
fn admin_url(scheme: &str, address: &str, admin: SocketAddr) -> Option<String> {
    let address = Url::parse(address).ok()?;
    let host = address.host()?;
    let is_local = match &host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
    };
    let is_reachable = is_local || !admin.ip().is_loopback();
    is_reachable.then(|| format!("{scheme}://{host}:{}", admin.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_admin_port_is_reported_if_others_can_reach_it() {
        let url = |address, admin: &str| admin_url("http", address, admin.parse().unwrap());
        for (address, admin, expected) in [
            (
                "http://10.0.0.1:8001",
                "0.0.0.0:9990",
                Some("http://10.0.0.1:9990"),
            ),
            ("http://10.0.0.1:8001", "127.0.0.1:9990", None),
            (
                "http://127.0.0.1:8001",
                "127.0.0.1:9990",
                Some("http://127.0.0.1:9990"),
            ),
            (
                "https://[fd00::1]:8001",
                "[::]:9990",
                Some("http://[fd00::1]:9990"),
            ),
            (
                "http://gaggle-0.gaggle:8001",
                "0.0.0.0:1",
                Some("http://gaggle-0.gaggle:1"),
            ),
            ("", "0.0.0.0:9990", None),
        ] {
            assert_eq!(
                url(address, admin).as_deref(),
                expected,
                "{address} {admin}"
            );
        }
    }
}
