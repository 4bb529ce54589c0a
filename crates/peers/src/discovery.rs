//! The source of the list of members.

use std::sync::Arc;

use async_trait::async_trait;

/// A source of the member list: a fixed list, DNS, a file, a gossip protocol.
#[async_trait]
pub trait Discovery: Send + Sync + 'static {
    /// The nodes of the cluster at this moment, with or without this node. It must end within a
    /// bounded time.
    async fn members(&self) -> Result<Vec<Listed>, DiscoveryError>;

    /// Returns when the list should be requested again. Default: never, for a list that does not
    /// change.
    async fn changed(&self) {
        std::future::pending::<()>().await;
    }

    /// Whether the list may grow because the cluster is still starting: nodes then wait until it
    /// stops growing. A fixed list does not grow.
    fn grows(&self) -> bool {
        true
    }
}

/// A node of the cluster in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// The base URL by which it is reached.
    pub address: String,
    /// Its name in the ring, if the list has it. A node that has answered reports its own name.
    pub name: Option<String>,
    /// Whether it is a member of the ring: a gateway is not. If the list does not say, it counts
    /// as a member until it has answered.
    pub member: Option<bool>,
    /// Whether it has announced that it leaves: it is in no ring.
    pub leaving: bool,
}

impl Listed {
    /// A node of which only the base URL is known.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            name: None,
            member: None,
            leaving: false,
        }
    }

    /// The same with its name in the ring.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
            ..self
        }
    }

    /// The same as a member of the ring, or not.
    #[must_use]
    pub fn member(self, member: bool) -> Self {
        Self {
            member: Some(member),
            ..self
        }
    }

    /// The same as a leaving node, or not.
    #[must_use]
    pub fn leaving(self, leaving: bool) -> Self {
        Self { leaving, ..self }
    }
}

impl From<String> for Listed {
    fn from(address: String) -> Self {
        Self::new(address)
    }
}

impl From<&str> for Listed {
    fn from(address: &str) -> Self {
        Self::new(address)
    }
}

impl From<&String> for Listed {
    fn from(address: &String) -> Self {
        Self::new(address)
    }
}

/// The list could not be obtained; the last good one stays in force.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what}: {source}")]
pub struct DiscoveryError {
    /// The source, such as a DNS name.
    pub what: String,
    /// Why there is no list.
    pub source: Arc<dyn std::error::Error + Send + Sync>,
}

/// A list that is given once and never changes.
#[derive(Debug, Clone)]
pub struct StaticList(pub Vec<Listed>);

#[async_trait]
impl Discovery for StaticList {
    async fn members(&self) -> Result<Vec<Listed>, DiscoveryError> {
        Ok(self.0.clone())
    }

    fn grows(&self) -> bool {
        false
    }
}
