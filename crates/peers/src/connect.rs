//! The caller's function that makes a handle from a name and an address.

use std::sync::Arc;

use gaggle_group::Peer;
use gaggle_ring::RingError;

/// Makes a handle for a peer. The error describes the problem with its address.
pub trait Connect: Send + Sync + 'static {
    /// The handle of the peer of that `name` in the ring, which is reached at the base URL
    /// `address`. It must not wait for the peer. [`Peer::name`] is the name.
    fn connect(
        &self,
        name: &str,
        address: &str,
    ) -> Result<Arc<dyn Peer>, Box<dyn std::error::Error + Send + Sync>>;
}

impl<F> Connect for F
where
    F: Fn(&str, &str) -> Result<Arc<dyn Peer>, Box<dyn std::error::Error + Send + Sync>>
        + Send
        + Sync
        + 'static,
{
    fn connect(
        &self,
        name: &str,
        address: &str,
    ) -> Result<Arc<dyn Peer>, Box<dyn std::error::Error + Send + Sync>> {
        self(name, address)
    }
}

/// Why a membership is not possible.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeersError {
    /// The ring refuses the list.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// No handle can be made for a member.
    #[error("peer {address:?}: {source}")]
    Connect {
        /// The member's address, as listed.
        address: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
