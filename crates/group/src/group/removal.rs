//! Removing a key, here and on every node.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::{Group, Inner};
use crate::{Key, Peer, PeerError};

/// What became of a removal.
#[derive(Debug, Clone, Default)]
pub struct Removal {
    /// The nodes that have dropped their copies.
    pub removed: Vec<Arc<str>>,
    /// The nodes that could not be told. Each may serve its copy until that expires or the removal is repeated.
    pub missed: Vec<Missed>,
}

/// A node that a removal did not reach.
#[derive(Debug, Clone)]
pub struct Missed {
    /// The node's name.
    pub peer: Arc<str>,
    /// Why.
    pub error: PeerError,
}

impl Group {
    /// Drops this node's copies of `key`, and keeps loads that are under way from bringing the old value back. Says
    /// whether there was a copy. What a transport's server calls.
    pub fn forget(&self, key: &[u8]) -> bool {
        self.inner.forget(key)
    }

    /// Removes `key` on every node: the owner first, so that no other node fetches the old value from it after its own
    /// copy is gone.
    pub async fn remove(&self, key: &[u8]) -> Removal {
        let inner = &self.inner;
        let router = inner.router();
        let owner = router.owner(key).name;
        let me = router.members().into_iter().find(|member| member.is_self);
        let key = Key::copy_from_slice(key);
        let mut removal = Removal::default();

        let (first, rest): (Vec<_>, Vec<_>) = router
            .peers()
            .into_iter()
            .partition(|peer| peer.name() == &*owner);
        for peer in first {
            removal.note(peer.name(), inner.remove_at(&*peer, &key).await);
        }
        inner.forget(&key);
        if let Some(me) = me {
            removal.removed.push(me.name);
        }
        let told = join_all(rest.iter().map(|peer| inner.remove_at(&**peer, &key))).await;
        for (peer, done) in rest.iter().zip(told) {
            removal.note(peer.name(), done);
        }
        removal
    }
}

impl Removal {
    fn note(&mut self, peer: &str, done: Result<(), PeerError>) {
        match done {
            Ok(()) => self.removed.push(peer.into()),
            Err(error) => self.missed.push(Missed {
                peer: peer.into(),
                error,
            }),
        }
    }
}

impl Inner {
    /// Detaches the key's flights, then empties the caches: see `keep` for why in this order.
    fn forget(&self, key: &[u8]) -> bool {
        self.fetches.forget(key);
        self.loads.forget(key);
        self.tiers.remove(key)
    }

    async fn remove_at(&self, peer: &dyn Peer, key: &Key) -> Result<(), PeerError> {
        let limit = self.limits.load_timeout;
        timeout(limit, peer.remove(&self.name, key))
            .await
            .unwrap_or_else(|_| {
                Err(PeerError::Unavailable {
                    peer: peer.name().into(),
                    reason: format!("no answer within {limit:?}").into(),
                })
            })
    }
}
