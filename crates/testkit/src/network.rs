//! Links between nodes of one process.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gaggle_group::Group;

mod peer;

pub use peer::MemoryPeer;

/// The state of the link from one node to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
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
    /// Requests arrive, and each message takes that long, one way: a distant node, or a path that
    /// is overloaded.
    Slow(Duration),
}

/// Which node can reach which, how long messages take, and whether they arrive. A cheap-clone
/// handle.
#[derive(Clone, Default)]
pub struct Network {
    inner: Arc<Mutex<Wiring>>,
}

/// A defect of the network, to check whether a test would notice it in the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Fetches do not say which removals the asker knows.
    NoFence,
    /// Nodes learn only of removals that are sent to them.
    NoCatchUp,
    /// Some removals are acknowledged and not applied.
    DeafNow,
}

#[derive(Default)]
struct Wiring {
    /// The groups of each node, by name.
    nodes: HashMap<String, HashMap<Arc<str>, Group>>,
    links: HashMap<(String, String), Link>,
    /// How long a message takes at most, one way, and what it is drawn by.
    longest: Duration,
    random: u64,
    mutant: Option<Mutant>,
}

impl Network {
    /// Makes requests to `name` arrive at `group`, in addition to its groups with other names. One
    /// of the same name is replaced.
    pub fn attach(&self, name: &str, group: Group) {
        let mut wiring = self.wiring();
        let groups = wiring.nodes.entry(name.to_owned()).or_default();
        groups.insert(Arc::clone(group.name()), group);
    }

    /// Nothing answers at `name` any more, as when the process has died.
    pub fn detach(&self, name: &str) {
        self.wiring().nodes.remove(name);
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
            .nodes
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

    /// How long the next message takes from one node to another; `None` if it takes no time.
    fn draw(&self, from: &str, to: &str) -> Option<Duration> {
        let slow = match self.link(from, to) {
            Link::Slow(slow) => slow,
            _ => Duration::ZERO,
        };
        let mut wiring = self.wiring();
        if wiring.longest.is_zero() {
            return (!slow.is_zero()).then_some(slow);
        }
        // xorshift64 (G. Marsaglia, 2003).
        let mut random = wiring.random;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        wiring.random = random;
        let most = u64::try_from(wiring.longest.as_micros()).unwrap_or(u64::MAX);
        Some(slow + Duration::from_micros(random % most.max(1)))
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.wiring().mutant == Some(mutant)
    }

    fn wiring(&self) -> MutexGuard<'_, Wiring> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wiring = self.wiring();
        f.debug_struct("Network")
            .field("nodes", &wiring.nodes.keys())
            .field("links", &wiring.links)
            .finish_non_exhaustive()
    }
}
