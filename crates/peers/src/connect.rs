//! What a caller brings along: how a handle is made from a name.

use std::sync::Arc;

use gaggle_group::Peer;
use gaggle_ring::RingError;

/// Makes a handle for the peer of that base URL. The error says what is wrong with the URL.
pub trait Connect: Send + Sync + 'static {
    /// The handle; must not wait for the peer.
    fn connect(
        &self,
        name: &str,
    ) -> Result<Arc<dyn Peer>, Box<dyn std::error::Error + Send + Sync>>;
}

impl<F> Connect for F
where
    F: Fn(&str) -> Result<Arc<dyn Peer>, Box<dyn std::error::Error + Send + Sync>>
        + Send
        + Sync
        + 'static,
{
    fn connect(
        &self,
        name: &str,
    ) -> Result<Arc<dyn Peer>, Box<dyn std::error::Error + Send + Sync>> {
        self(name)
    }
}

/// Why a membership cannot be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeersError {
    /// The ring refuses the list.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// No handle can be made for a member.
    #[error("peer {name:?}: {source}")]
    Connect {
        /// The member's name, as listed.
        name: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
