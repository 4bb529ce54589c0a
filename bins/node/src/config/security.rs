//! The `security` table: authentication at this node's ports, and of other nodes.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::secret::Secret;
use super::{Config, ConfigError, Discovery, addresses};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Security {
    /// A file with the cluster's token in its first line, and in the second one, if there is one,
    /// another that is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<PathBuf>,
    /// The token itself, for the environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<Secret>,
    /// Whether the peers' and the admin port may be open to other machines without authentication.
    pub(crate) insecure: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<Tls>,
}

/// The ways to set a token.
const TOKEN: &str = "security.token-file or GAGGLE_SECURITY__TOKEN";

/// The value of `ca` if a public authority signs the peers' certificates.
pub(super) const PUBLIC: &str = "public";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Tls {
    /// This node's certificate and those of its issuers, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cert: Option<PathBuf>,
    /// The certificate's private key, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<PathBuf>,
    /// The authority of client certificates at the peers' and the admin port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_ca: Option<PathBuf>,
    /// The authority of the peers' certificates; by default `client_ca`. [`PUBLIC`] is not a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
    /// A name that each node's certificate may have instead of its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) peer_name: Option<String>,
    /// The ports that speak TLS.
    pub(crate) ports: Vec<Port>,
    /// The authority of client certificates at the front door.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) front_door_client_ca: Option<PathBuf>,
    /// Whether these ports take plain HTTP as well, while a cluster changes over.
    pub(crate) accept_plain: bool,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            cert: None,
            key: None,
            client_ca: None,
            ca: None,
            peer_name: None,
            ports: vec![Port::FrontDoor, Port::Peers, Port::Admin, Port::Resp],
            front_door_client_ca: None,
            accept_plain: false,
        }
    }
}

/// A port of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Port {
    FrontDoor,
    Peers,
    Admin,
    Resp,
}

impl Port {
    /// The field with its address.
    pub(crate) fn field(self) -> &'static str {
        match self {
            Self::FrontDoor => "node.api-addr",
            Self::Peers => "node.peer-addr",
            Self::Admin => "node.admin-addr",
            Self::Resp => "node.resp-addr",
        }
    }

    /// Its name in `security.tls.ports`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::FrontDoor => "front-door",
            Self::Peers => "peers",
            Self::Admin => "admin",
            Self::Resp => "resp",
        }
    }
}

impl Security {
    /// The parts of the port's TLS, if it speaks TLS.
    pub(crate) fn tls_of(&self, port: Port) -> Option<&Tls> {
        self.tls.as_ref().filter(|tls| tls.ports.contains(&port))
    }

    /// Whether requests to the peers' and the admin port need a token.
    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some() || self.token_file.is_some()
    }

    /// Whether that port accepts plain HTTP in addition to TLS, or instead of it. The front door
    /// does not if its clients have to show a certificate: over plain HTTP no client would need
    /// one, and there is no token in its place.
    pub(crate) fn takes_plain(&self, port: Port) -> bool {
        self.tls_of(port).is_none_or(|tls| {
            let checked = port == Port::FrontDoor && tls.front_door_client_ca.is_some();
            tls.accept_plain && !checked
        })
    }

    /// Whether that port requires authentication. A certificate that a plain request does not need
    /// is not authentication.
    fn is_proven(&self, port: Port) -> bool {
        let mutual = |tls: &Tls| tls.client_ca.is_some() && !tls.accept_plain;
        self.has_token() || self.tls_of(port).is_some_and(mutual)
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.token.is_some() && self.token_file.is_some() {
            return Err(ConfigError::new(
                "security.token",
                "there is security.token-file as well; expected one of the two",
            ));
        }
        self.token_in_place()?;
        not_empty("security.token-file", self.token_file.as_ref())?;
        match &self.tls {
            Some(tls) => tls.validate(),
            None => Ok(()),
        }
    }
}

fn not_empty(field: &str, path: Option<&PathBuf>) -> Result<(), ConfigError> {
    match path {
        Some(path) if path.as_os_str().is_empty() => {
            Err(ConfigError::new(field, "is empty; expected a file"))
        }
        _ => Ok(()),
    }
}

impl Tls {
    fn validate(&self) -> Result<(), ConfigError> {
        let field = |name: &str| format!("security.tls.{name}");
        let missing = |name: &str, of: &str| {
            let problem = format!("missing; expected a PEM file beside {of}");
            Err(ConfigError::new(field(name), problem))
        };
        let (cert, key) = (self.cert.as_ref(), self.key.as_ref());
        match (cert, key) {
            (None, None) => return missing("cert", "security.tls.key"),
            (Some(_), None) => return missing("key", "security.tls.cert"),
            (None, Some(_)) => return missing("cert", "security.tls.key"),
            (Some(_), Some(_)) => {}
        }
        for (name, path) in [
            ("cert", cert),
            ("key", key),
            ("client-ca", self.client_ca.as_ref()),
            ("ca", self.ca.as_ref()),
            ("front-door-client-ca", self.front_door_client_ca.as_ref()),
        ] {
            not_empty(&field(name), path)?;
        }
        if self.ports.is_empty() {
            return Err(ConfigError::new(
                field("ports"),
                "names no port; expected some of \"front-door\", \"peers\", \"admin\", \"resp\", or no [security.tls]",
            ));
        }
        for (n, port) in self.ports.iter().enumerate() {
            if self.ports[..n].contains(port) {
                let twice = format!("{:?} is listed twice", port.name());
                return Err(ConfigError::new(field("ports"), twice));
            }
        }
        let speaks = |port: Port| self.ports.contains(&port);
        if self.client_ca.is_some()
            && ![Port::Peers, Port::Admin, Port::Resp]
                .into_iter()
                .any(speaks)
        {
            return Err(ConfigError::new(
                field("client-ca"),
                "neither the peers', the admin nor the resp port is in security.tls.ports, so that no client is asked for a certificate",
            ));
        }
        if self.front_door_client_ca.is_some() && !speaks(Port::FrontDoor) {
            return Err(ConfigError::new(
                field("front-door-client-ca"),
                "the front door is not in security.tls.ports, so that no client is asked for a certificate",
            ));
        }
        if speaks(Port::Peers) && self.ca.is_none() && self.client_ca.is_none() {
            return Err(ConfigError::new(
                field("ca"),
                format!(
                    "missing: without security.tls.client-ca the authority of the peers' certificates is not set; expected \
                     its PEM file, or {PUBLIC:?} if any public authority may sign them"
                ),
            ));
        }
        match &self.peer_name {
            Some(name) => addresses::host_name(&field("peer-name"), name),
            None => Ok(()),
        }
    }
}

impl Config {
    /// Refuses ports that any other machine could use without authentication, unless `insecure` is
    /// set.
    pub(super) fn validate_exposure(&self) -> Result<(), ConfigError> {
        if self.security.insecure {
            return Ok(());
        }
        let ports = [
            (Port::Peers, &self.node.peer_addr),
            (Port::Admin, &self.node.admin_addr),
        ];
        let resp = self.node.resp_addr.iter().map(|addr| (Port::Resp, addr));
        for (port, address) in ports.into_iter().chain(resp) {
            if addresses::is_loopback(address) || self.security.is_proven(port) {
                continue;
            }
            let plain = match self.security.tls_of(port) {
                Some(tls) if tls.client_ca.is_some() => {
                    " (with security.tls.accept-plain no client needs a certificate)"
                }
                _ => "",
            };
            return Err(ConfigError::new(
                port.field(),
                format!(
                    "{address:?} can be reached from other machines, which can then read and remove what is \
                     cached{plain}; expected a token ({TOKEN}), or mutual TLS (security.tls with client-ca and {:?} among \
                     its ports), or, where the network is private, security.insecure = true",
                    port.name()
                ),
            ));
        }
        let Some(Discovery::Gossip(gossip)) = &self.cluster.discovery else {
            return Ok(());
        };
        // Datagrams, whose sender no certificate identifies.
        let listen = gossip.listen.to_string();
        if addresses::is_loopback(&listen) || self.security.has_token() {
            return Ok(());
        }
        Err(ConfigError::new(
            "cluster.discovery.listen",
            format!(
                "{listen:?} can be reached from other machines, which can then announce members of the cluster; expected a \
                 token ({TOKEN}), which signs gossip, since security.tls.client-ca does not protect it, or, where the \
                 network is private, security.insecure = true"
            ),
        ))
    }
}
