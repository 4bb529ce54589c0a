//! Following: learns removals that this node was not notified of.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use super::removal::within;
use super::{Group, Inner};
use crate::removal::log::KEPT_FOR;
use crate::{News, Peer, PeerError};

/// How often every other node is asked. Together with the timeout of a request, less than a
/// second.
const EVERY: Duration = Duration::from_millis(400);
/// A node that has heard others within this time is in contact.
const IN_CONTACT: Duration = Duration::from_secs(2);
/// The timeout of a request.
const AT_MOST: Duration = Duration::from_millis(400);
/// For how many rounds a peer that does not support following is skipped.
const PASSED_OVER: u32 = 150;

/// When this node was last in contact with another one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Contact {
    /// The other node's name.
    pub peer: Arc<str>,
    /// How long ago it last reported the removals it knows; `None` if it never did.
    pub heard: Option<Duration>,
}

impl Group {
    /// Follows the removals of all other nodes, as long as it is polled: asks each of them for
    /// those that it knows and this node does not, every 400 ms, and applies them. Every node of a
    /// cluster must run this, gateways too; a node that does is notified of removals, member of
    /// the ring or not.
    ///
    /// A node that missed removals of an issuer that it knows, and which no node lists any more
    /// (beyond 65,536 of them, or ten minutes), drops all its entries.
    pub async fn follow(&self) {
        let mut without = Without::default();
        loop {
            self.inner.follow_once(&mut without).await;
            sleep(EVERY).await;
        }
    }

    /// Runs [`follow`](Self::follow) in a task of its own, which ends when no other handle of the
    /// group is left. Needs a tokio runtime.
    pub fn follow_in_background(&self) {
        let group = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            let mut without = Without::default();
            while let Some(inner) = group.upgrade() {
                inner.follow_once(&mut without).await;
                drop(inner);
                sleep(EVERY).await;
            }
        });
    }

    /// When each of the other nodes was last heard, by name. Empty if [`follow`](Self::follow)
    /// does not run.
    pub fn contacts(&self) -> Vec<Contact> {
        let heard = self
            .inner
            .heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        heard
            .iter()
            .map(|(peer, at)| Contact {
                peer: Arc::clone(peer),
                heard: at.map(|at| at.elapsed()),
            })
            .collect()
    }
}

/// Peers of a kind that does not support following, and for how many rounds they are skipped.
pub(super) type Without = BTreeMap<Arc<str>, u32>;

impl Inner {
    /// Asks every other node once.
    pub(super) async fn follow_once(&self, without: &mut Without) {
        let peers = self.router().listeners();
        self.keep_contacts(&peers);
        without.retain(|_, rounds| {
            *rounds -= 1;
            *rounds > 0
        });
        let asked = peers
            .iter()
            .filter(|peer| !without.contains_key(peer.name()));
        let asked: Vec<_> = asked.collect();
        let caught_up = join_all(asked.iter().map(|peer| self.catch_up(&***peer))).await;
        for (peer, caught_up) in asked.into_iter().zip(caught_up) {
            match caught_up {
                Ok(true) => {}
                Ok(false) => {
                    without.insert(peer.name().into(), PASSED_OVER);
                }
                Err(failure) => {
                    debug!(group = %self.name, error = %failure, "a peer sent no removals");
                }
            }
        }
        self.log().prune(self.clock.now());
        self.has_followed.store(true, Relaxed);
    }

    /// Applies the removals that a peer knows and this node does not; false if that kind of peer
    /// does not support following.
    async fn catch_up(&self, peer: &dyn Peer) -> Result<bool, PeerError> {
        loop {
            let known = self.log().known();
            let router = self.router();
            let address = router.address();
            let asked = peer.news(&self.name, &known, &address);
            let Some(news) = within(AT_MOST, peer, asked).await? else {
                return Ok(false);
            };
            self.heard_from(peer.name());
            for follower in &news.followers {
                router.heard_of(follower);
            }
            let more = news.more;
            // If none was news, the same ones would be sent again.
            if !(self.take(peer, news) && more) {
                return Ok(true);
            }
        }
    }

    /// Whether any of it was news.
    fn take(&self, peer: &dyn Peer, news: News) -> bool {
        let mut any = false;
        for notice in &news.notices {
            any |= self.apply(notice);
        }
        let missed = {
            let log = self.log();
            news.unlisted.iter().any(|upto| log.misses(*upto))
        };
        if missed {
            if !self.tiers.main.is_empty() || !self.tiers.hot.is_empty() {
                warn!(group = %self.name, peer = peer.name(), "removals were missed that are no longer listed; all values are dropped");
            }
            // Before they count as known, and again: a fetch in between may have returned an old
            // value from a peer that does not know them either.
            self.drop_unvouched();
        }
        for upto in news.unlisted {
            self.log().skip(upto, self.clock.now());
        }
        if missed {
            self.drop_unvouched();
        }
        any || missed
    }

    /// Whether this node has recently heard which removals others know, if it follows any.
    /// Otherwise, for example after a suspension, its entries must not be handed on: the requester
    /// may have forgotten a removal that this node has yet to learn.
    pub(super) fn is_in_contact(&self) -> bool {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = heard.values().flatten().max();
        heard.is_empty() || latest.is_some_and(|at| at.elapsed() < IN_CONTACT)
    }

    /// A node that was out of contact for longer than removals are listed cannot know what it
    /// missed.
    fn heard_from(&self, peer: &str) {
        let now = Instant::now();
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = heard.values().flatten().max().copied();
        heard.insert(peer.into(), Some(now));
        drop(heard);
        if latest.is_some_and(|latest| now.saturating_duration_since(latest) > KEPT_FOR) {
            warn!(group = %self.name, "no contact with any other node for longer than removals are listed; all values are dropped");
            self.drop_unvouched();
        }
    }

    fn keep_contacts(&self, peers: &[Arc<dyn Peer>]) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = BTreeMap::new();
        for peer in peers {
            kept.insert(
                peer.name().into(),
                heard.get(peer.name()).copied().flatten(),
            );
        }
        // Of the nodes that have left, the one heard last: this node, alone again, still knows
        // since when.
        if let Some((name, at)) = heard.iter().max_by_key(|(_, at)| **at) {
            kept.entry(Arc::clone(name)).or_insert(*at);
        }
        *heard = kept;
    }
}
