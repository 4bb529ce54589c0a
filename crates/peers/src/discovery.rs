//! Where the list of members comes from.

use std::sync::Arc;

use async_trait::async_trait;

/// A source of the member list: a fixed list, DNS, a file, a gossip protocol.
#[async_trait]
pub trait Discovery: Send + Sync + 'static {
    /// The nodes of the cluster as of now, this node or not. Must end within a bounded time.
    async fn members(&self) -> Result<Vec<Listed>, DiscoveryError>;

    /// Returns when the list is worth asking for again. Default: never, for a list that does not
    /// change.
    async fn changed(&self) {
        std::future::pending::<()>().await;
    }

    /// Whether the list may still grow for no other reason than that the cluster is starting:
    /// nodes then wait for a moment in which it does not. A fixed list does not.
    fn grows(&self) -> bool {
        true
    }
}

/// A node of the cluster, as a list has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// The base URL by which it is reached.
    pub address: String,
    /// Its name in the ring, where the list knows that. A node that has been met says so itself.
    pub name: Option<String>,
    /// Whether it is a member of the ring: a front end is not. Taken for one where the list does
    /// not know, until it has been met.
    pub member: Option<bool>,
    /// Whether it has said that it is about to go: it is in no ring.
    pub leaving: bool,
}

impl Listed {
    /// A node of which nothing is known but its base URL.
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

    /// The same as a member of the ring, or as none.
    #[must_use]
    pub fn member(self, member: bool) -> Self {
        Self {
            member: Some(member),
            ..self
        }
    }

    /// The same as one that is about to go, or not.
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

/// The list could not be had; the last good one stays in force.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what}: {source}")]
pub struct DiscoveryError {
    /// What was asked, such as a DNS name.
    pub what: String,
    /// Why it brought no list.
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
