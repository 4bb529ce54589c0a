//! A peer that is reached by a function call.

use std::collections::HashMap;
use std::sync::Arc;

use gaggle_group::{
    Error, Fetch, Fetched, Greeting, Group, Groups, HandOver, Hello, Hop, Inspect, Inspected,
    Known, News, Notice, Peer, PeerError, Put, Serve, Verdict, Word, async_trait,
};
use tokio::time::sleep;

use super::{Link, Mutant, Network};

/// A [`Peer`] at the other end of a link.
#[derive(Debug)]
pub struct MemoryPeer {
    pub(super) network: Network,
    pub(super) from: String,
    pub(super) to: String,
}

impl MemoryPeer {
    /// The group of that name, or any group if the request is for the node itself.
    async fn reach(&self, group: Option<&str>) -> Result<Group, PeerError> {
        if let Some(delay) = self.network.draw(&self.from, &self.to) {
            sleep(delay).await;
        }
        let link = {
            let link = self.network.link(&self.from, &self.to);
            let arrives = match link {
                Link::Up | Link::Slow(_) => true,
                Link::Stuck => group.is_none(),
                Link::Refused | Link::Lost => false,
            };
            let wiring = self.network.wiring();
            match wiring.nodes.get(&self.to).filter(|_| arrives) {
                Some(groups) => return self.find(groups, group),
                None => link,
            }
        };
        self.lost(link).await
    }

    fn find(
        &self,
        groups: &HashMap<Arc<str>, Group>,
        name: Option<&str>,
    ) -> Result<Group, PeerError> {
        let found = match name {
            Some(name) => groups.get(name),
            None => groups.values().next(),
        };
        found.cloned().ok_or_else(|| PeerError::Refused {
            peer: self.to.as_str().into(),
            reason: "it has no such group".into(),
        })
    }

    /// All groups of the node. What its program reports about itself is not attached.
    fn groups(&self) -> Groups {
        let wiring = self.network.wiring();
        let attached = wiring.nodes.get(&self.to);
        let groups = attached.into_iter().flat_map(HashMap::values).cloned();
        // They are attached by their names, of which no two are the same.
        Groups::new(groups).unwrap_or_default()
    }

    /// The node itself, unless it is [stuck](Link::Stuck).
    async fn reach_working(&self) -> Result<Group, PeerError> {
        match self.network.link(&self.from, &self.to) {
            Link::Stuck => self.lost(Link::Stuck).await,
            _ => self.reach(None).await,
        }
    }

    /// The way of the answer. The answer is lost if the link has been cut meanwhile and messages
    /// take time.
    async fn way_back(&self) -> Result<(), PeerError> {
        let Some(delay) = self.network.draw(&self.from, &self.to) else {
            return Ok(());
        };
        sleep(delay).await;
        match self.network.link(&self.from, &self.to) {
            Link::Up | Link::Slow(_) => Ok(()),
            link => self.lost(link).await,
        }
    }

    async fn lost<T>(&self, link: Link) -> Result<T, PeerError> {
        if matches!(link, Link::Lost | Link::Stuck) {
            std::future::pending::<()>().await;
        }
        Err(PeerError::Unavailable {
            peer: self.to.as_str().into(),
            reason: "connection refused".into(),
        })
    }

    fn failed(&self, failure: &Error) -> PeerError {
        let peer = self.to.as_str().into();
        match Verdict::of(failure) {
            Some(verdict) => PeerError::Verdict { peer, verdict },
            None => PeerError::Refused {
                peer,
                reason: failure.to_string().into(),
            },
        }
    }
}

#[async_trait]
impl Peer for MemoryPeer {
    fn name(&self) -> &str {
        &self.to
    }

    async fn fetch(&self, fetch: Fetch<'_>) -> Result<Fetched, PeerError> {
        let group = self.reach(Some(fetch.group)).await?;
        let request = Serve::new(fetch.key, Hop::Forwarded)
            .within(Some(fetch.deadline))
            .kept_only(fetch.kept_only)
            .traced(fetch.trace)
            .after(if self.network.is(Mutant::NoFence) {
                &[]
            } else {
                fetch.removals
            });
        let served = group.serve(request).await;
        self.way_back().await?;
        served
            .map(|served| Fetched::from(served.answer.into_entry()).asked_for(served.minute_qps))
            .map_err(|failure| self.failed(&failure))
    }

    async fn remove(&self, group: &str, notice: &Notice) -> Result<(), PeerError> {
        let group = self.reach(Some(group)).await?;
        if !self.network.is(Mutant::DeafNow) || !notice.id.number.is_multiple_of(4) {
            group.apply(notice);
        }
        self.way_back().await
    }

    async fn put(&self, put: Put<'_>) -> Result<(), PeerError> {
        let group = self.reach(Some(put.group)).await?;
        let done = group.accept(put.key, put.entry, put.removal);
        self.way_back().await?;
        done.map_err(|failure| self.failed(&failure))
    }

    async fn news(
        &self,
        group: &str,
        known: &Known,
        follower: &str,
    ) -> Result<Option<News>, PeerError> {
        let group = self.reach(Some(group)).await?;
        if self.network.is(Mutant::NoCatchUp) {
            return Ok(None);
        }
        let news = group.news(known, Some(follower));
        self.way_back().await?;
        Ok(Some(news))
    }

    async fn hand_over(&self, hand_over: HandOver<'_>) -> Result<u64, PeerError> {
        let group = self.reach(Some(hand_over.group)).await?;
        let kept = group.take_over(hand_over.entries.to_vec(), hand_over.known);
        self.way_back().await?;
        Ok(kept)
    }

    async fn leaving(&self, word: &Word) -> Result<(), PeerError> {
        let group = self.reach_working().await?;
        group.router().leaves(word);
        self.way_back().await
    }

    async fn inspect(&self, question: Inspect<'_>) -> Result<Inspected, PeerError> {
        let group = match question {
            Inspect::Held { group, .. } => Some(group),
            _ => None,
        };
        self.reach(group).await?;
        let inspected = self.groups().inspect(question);
        self.way_back().await?;
        inspected.ok_or_else(|| self.has_no_such_thing())
    }

    async fn hello(&self, from: &Hello) -> Result<Greeting, PeerError> {
        let group = self.reach(None).await?;
        let router = group.router();
        router.greeted(from);
        let hello = router.hello();
        self.way_back().await?;
        Ok(Greeting::Node(hello))
    }

    async fn ping(&self) -> Result<(), PeerError> {
        self.reach(None).await.map(|_| ())
    }
}
