//! Links between nodes of one process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gaggle_group::{
    Fetch, Fetched, Group, Hop, Key, Loaded, Peer, PeerError, Verdict, async_trait,
};

/// The state of the link from one node to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Link {
    /// Requests arrive.
    #[default]
    Up,
    /// Requests fail at once, as when nothing listens.
    Refused,
    /// Requests are lost: they never end by themselves.
    Lost,
    /// Pings are answered, other requests are lost: a node whose work hangs.
    Stuck,
}

/// Which node can reach which. A cheap-clone handle.
#[derive(Clone, Default)]
pub struct Network {
    inner: Arc<Mutex<Wiring>>,
}

#[derive(Default)]
struct Wiring {
    groups: HashMap<String, Group>,
    links: HashMap<(String, String), Link>,
}

impl Network {
    /// Lets requests to `name` arrive at `group`.
    pub fn attach(&self, name: &str, group: Group) {
        self.wiring().groups.insert(name.to_owned(), group);
    }

    /// Sets the link from one node to another, in that direction only.
    pub fn set(&self, from: &str, to: &str, link: Link) {
        self.wiring()
            .links
            .insert((from.to_owned(), to.to_owned()), link);
    }

    /// Sets all links from and to `name`.
    pub fn isolate(&self, name: &str, link: Link) {
        let mut wiring = self.wiring();
        let others: Vec<String> = wiring
            .groups
            .keys()
            .filter(|other| *other != name)
            .cloned()
            .collect();
        for other in others {
            wiring.links.insert((name.to_owned(), other.clone()), link);
            wiring.links.insert((other, name.to_owned()), link);
        }
    }

    /// A handle for `to`, as `from` holds it.
    pub fn peer(&self, from: &str, to: &str) -> MemoryPeer {
        MemoryPeer {
            network: self.clone(),
            from: from.to_owned(),
            to: to.to_owned(),
        }
    }

    fn wiring(&self) -> MutexGuard<'_, Wiring> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A [`Peer`] at the other end of a link.
pub struct MemoryPeer {
    network: Network,
    from: String,
    to: String,
}

impl MemoryPeer {
    async fn reach(&self, pinging: bool) -> Result<Group, PeerError> {
        let link = {
            let wiring = self.network.wiring();
            let link = wiring
                .links
                .get(&(self.from.clone(), self.to.clone()))
                .copied();
            match (link.unwrap_or_default(), wiring.groups.get(&self.to)) {
                (Link::Up, Some(group)) => return Ok(group.clone()),
                (Link::Stuck, Some(group)) if pinging => return Ok(group.clone()),
                (link, _) => link,
            }
        };
        if matches!(link, Link::Lost | Link::Stuck) {
            std::future::pending::<()>().await;
        }
        Err(PeerError::Unavailable {
            peer: self.to.as_str().into(),
            reason: "connection refused".into(),
        })
    }
}

#[async_trait]
impl Peer for MemoryPeer {
    fn name(&self) -> &str {
        &self.to
    }

    async fn fetch(&self, fetch: Fetch<'_>) -> Result<Fetched, PeerError> {
        let group = self.reach(false).await?;
        match group
            .serve(fetch.key, Hop::Forwarded, Some(fetch.deadline))
            .await
        {
            Ok(answer) => Ok(Fetched::Found(Loaded {
                value: answer.value,
                ttl: answer.ttl,
            })),
            Err(failure) => match Verdict::of(&failure) {
                None => Ok(Fetched::NotFound),
                Some(verdict) => Err(PeerError::Verdict {
                    peer: self.to.as_str().into(),
                    verdict,
                }),
            },
        }
    }

    async fn remove(&self, _group: &str, key: &Key) -> Result<(), PeerError> {
        self.reach(false).await?.forget(key);
        Ok(())
    }

    async fn ping(&self) -> Result<(), PeerError> {
        self.reach(true).await.map(|_| ())
    }
}
