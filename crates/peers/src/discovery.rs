//! Where the list of members comes from.

use std::sync::Arc;

use async_trait::async_trait;

/// A source of the member list: a fixed list, DNS, a gossip protocol.
#[async_trait]
pub trait Discovery: Send + Sync + 'static {
    /// The base URLs of the members as of now, this node's own or not. Must end within a bounded
    /// time.
    async fn members(&self) -> Result<Vec<String>, DiscoveryError>;

    /// Returns when the list is worth asking for again. Default: never, for a list that does not
    /// change.
    async fn changed(&self) {
        std::future::pending::<()>().await;
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
pub struct StaticList(pub Vec<String>);

#[async_trait]
impl Discovery for StaticList {
    async fn members(&self) -> Result<Vec<String>, DiscoveryError> {
        Ok(self.0.clone())
    }
}
