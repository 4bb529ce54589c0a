//! Links between nodes of one process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gaggle_group::{
    Entry, Error, Fetch, Greeting, Group, HandOver, Hello, Hop, Known, News, Notice, Peer,
    PeerError, Put, Serve, Verdict, Word, async_trait,
};
use tokio::time::sleep;

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

/// Which node can reach which, how long messages take, and what becomes of them. A cheap-clone
/// handle.
#[derive(Clone, Default)]
pub struct Network {
    inner: Arc<Mutex<Wiring>>,
}

/// A defect of the network's, to see whether a test would notice it in the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Fetches do not say which removals the asker knows.
    NoFence,
    /// Nodes learn of no removals but those that they are told of.
    NoCatchUp,
    /// Removals are acknowledged and not applied, now and then.
    DeafNow,
}

#[derive(Default)]
struct Wiring {
    groups: HashMap<String, Group>,
    links: HashMap<(String, String), Link>,
    /// How long a message takes at most, one way, and what it is drawn by.
    longest: Duration,
    random: u64,
    mutant: Option<Mutant>,
}

impl Network {
    /// Lets requests to `name` arrive at `group`.
    pub fn attach(&self, name: &str, group: Group) {
        self.wiring().groups.insert(name.to_owned(), group);
    }

    /// Nothing answers at `name` any more, as when the process has died.
    pub fn detach(&self, name: &str) {
        self.wiring().groups.remove(name);
    }

    /// From now on each message takes up to `longest`, one way, as drawn from `seed`; and answers
    /// are lost with their link.
    pub fn delay(&self, longest: Duration, seed: u64) {
        let mut wiring = self.wiring();
        wiring.longest = longest;
        wiring.random = seed | 1;
    }

    /// From now on the network has that defect.
    pub fn mutate(&self, mutant: Mutant) {
        self.wiring().mutant = Some(mutant);
    }

    /// Sets the link from one node to another, in that direction only.
    pub fn set(&self, from: &str, to: &str, link: Link) {
        self.wiring()
            .links
            .insert((from.to_owned(), to.to_owned()), link);
    }

    /// The state of the link from one node to another.
    pub fn link(&self, from: &str, to: &str) -> Link {
        let wiring = self.wiring();
        let link = wiring.links.get(&(from.to_owned(), to.to_owned()));
        link.copied().unwrap_or_default()
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

    /// How long the next message takes; `None` where messages take no time.
    fn draw(&self) -> Option<Duration> {
        let mut wiring = self.wiring();
        if wiring.longest.is_zero() {
            return None;
        }
        // xorshift64 (G. Marsaglia, 2003).
        let mut random = wiring.random;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        wiring.random = random;
        let most = u64::try_from(wiring.longest.as_micros()).unwrap_or(u64::MAX);
        Some(Duration::from_micros(random % most.max(1)))
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.wiring().mutant == Some(mutant)
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
        if let Some(delay) = self.network.draw() {
            sleep(delay).await;
        }
        let link = {
            let link = self.network.link(&self.from, &self.to);
            let wiring = self.network.wiring();
            match (link, wiring.groups.get(&self.to)) {
                (Link::Up, Some(group)) => return Ok(group.clone()),
                (Link::Stuck, Some(group)) if pinging => return Ok(group.clone()),
                (link, _) => link,
            }
        };
        self.lost(link).await
    }

    /// The answer's way. It is lost where the link has been cut meanwhile, if messages take time.
    async fn way_back(&self) -> Result<(), PeerError> {
        let Some(delay) = self.network.draw() else {
            return Ok(());
        };
        sleep(delay).await;
        match self.network.link(&self.from, &self.to) {
            Link::Up => Ok(()),
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

    async fn fetch(&self, fetch: Fetch<'_>) -> Result<Entry, PeerError> {
        let group = self.reach(false).await?;
        let request = Serve::new(fetch.key, Hop::Forwarded)
            .within(Some(fetch.deadline))
            .kept_only(fetch.kept_only)
            .after(if self.network.is(Mutant::NoFence) {
                &[]
            } else {
                fetch.removals
            });
        let answer = group.serve(request).await;
        self.way_back().await?;
        answer
            .map(gaggle_group::Answer::into_entry)
            .map_err(|failure| self.failed(&failure))
    }

    async fn remove(&self, _group: &str, notice: &Notice) -> Result<(), PeerError> {
        let group = self.reach(false).await?;
        if !self.network.is(Mutant::DeafNow) || !notice.id.number.is_multiple_of(4) {
            group.apply(notice);
        }
        self.way_back().await
    }

    async fn put(&self, put: Put<'_>) -> Result<(), PeerError> {
        let group = self.reach(false).await?;
        let done = group.accept(put.key, put.entry, put.removal);
        self.way_back().await?;
        done.map_err(|failure| self.failed(&failure))
    }

    async fn news(
        &self,
        _group: &str,
        known: &Known,
        follower: &str,
    ) -> Result<Option<News>, PeerError> {
        let group = self.reach(false).await?;
        if self.network.is(Mutant::NoCatchUp) {
            return Ok(None);
        }
        let news = group.news(known, Some(follower));
        self.way_back().await?;
        Ok(Some(news))
    }

    async fn hand_over(&self, hand_over: HandOver<'_>) -> Result<u64, PeerError> {
        let group = self.reach(false).await?;
        let kept = group.take_over(hand_over.entries.to_vec(), hand_over.known);
        self.way_back().await?;
        Ok(kept)
    }

    async fn leaving(&self, word: &Word) -> Result<(), PeerError> {
        let group = self.reach(false).await?;
        group.router().leaves(word);
        self.way_back().await
    }

    async fn hello(&self, from: &Hello) -> Result<Greeting, PeerError> {
        let group = self.reach(true).await?;
        let router = group.router();
        router.greeted(from);
        let hello = router.hello();
        self.way_back().await?;
        Ok(Greeting::Node(hello))
    }

    async fn ping(&self) -> Result<(), PeerError> {
        self.reach(true).await.map(|_| ())
    }
}
