//! Peers whose behaviour a test sets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gaggle_group::{
    Entry, Fetch, Fetched, Key, Notice, Peer, PeerError, Route, Router, Verdict, Word, async_trait,
};
use gaggle_peers::{Options, Peers, Profile};
use tokio::time::sleep;

pub(crate) const ME: &str = "http://10.0.0.1:8001";
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// The behaviour of a node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Does {
    pub(crate) takes: Duration,
    pub(crate) ping_takes: Duration,
    /// It answers neither requests nor pings.
    pub(crate) is_dead: bool,
    /// It answers pings, and its requests break off.
    pub(crate) breaks: bool,
    /// It answers pings, and its origin fails.
    pub(crate) fails: bool,
}

const WELL: Does = Does {
    takes: Duration::from_millis(1),
    ping_takes: Duration::from_millis(1),
    is_dead: false,
    breaks: false,
    fails: false,
};

/// The peers that were told, and the time until this node is gone.
type Told = (String, Option<Duration>);

/// All nodes, by number from 1, and their requests.
#[derive(Clone, Default)]
pub(crate) struct World {
    does: Arc<Mutex<BTreeMap<String, Does>>>,
    asked: Arc<Mutex<BTreeMap<String, u32>>>,
    told: Arc<Mutex<Vec<Told>>>,
}

pub(crate) fn name(number: usize) -> String {
    format!("http://10.0.0.{number}:8001")
}

/// Its name in the ring.
pub(crate) fn ring_name(number: usize) -> String {
    format!("10.0.0.{number}:8001")
}

/// The node announces it.
pub(crate) fn word(number: usize, gone_within: Option<Duration>) -> Word {
    Word::new(ring_name(number), gone_within)
}

pub(crate) fn keys(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|n| format!("key-{n}"))
}

impl World {
    /// Sets the behaviour of the node from now on.
    pub(crate) fn set(&self, number: usize, change: impl FnOnce(&mut Does)) {
        let mut does = self.does.lock().unwrap();
        change(does.entry(name(number)).or_insert(WELL));
    }

    /// How many fetches were sent to it.
    pub(crate) fn asked(&self, number: usize) -> u32 {
        let asked = self.asked.lock().unwrap();
        asked.get(&name(number)).copied().unwrap_or(0)
    }

    /// The peers that were told whether this node stays.
    pub(crate) fn told(&self) -> Vec<Told> {
        std::mem::take(&mut self.told.lock().unwrap())
    }

    /// This node, in a ring with the other members up to that number.
    pub(crate) fn peers(&self, members: usize) -> Peers {
        self.peers_with(members, Profile::Gaggle, Options::default())
    }

    pub(crate) fn peers_with(&self, members: usize, profile: Profile, options: Options) -> Peers {
        let world = self.clone();
        let connect = move |name: &str, address: &str| {
            let (world, name, address) = (world.clone(), name.to_owned(), address.to_owned());
            let fake = Fake {
                world,
                name,
                address,
            };
            Ok(Arc::new(fake) as Arc<dyn Peer>)
        };
        let peers = Peers::new(ME, profile, options, connect).unwrap();
        peers.update((2..=members).map(name)).unwrap();
        peers
    }
}

struct Fake {
    world: World,
    name: String,
    address: String,
}

impl Fake {
    fn does(&self) -> Does {
        let does = self.world.does.lock().unwrap();
        does.get(&self.address).copied().unwrap_or(WELL)
    }

    fn broken(&self) -> PeerError {
        PeerError::Unavailable {
            peer: self.name.as_str().into(),
            reason: "broken off".into(),
        }
    }
}

#[async_trait]
impl Peer for Fake {
    fn name(&self) -> &str {
        &self.name
    }

    async fn fetch(&self, _: Fetch<'_>) -> Result<Fetched, PeerError> {
        *self
            .world
            .asked
            .lock()
            .unwrap()
            .entry(self.address.clone())
            .or_default() += 1;
        let does = self.does();
        sleep(does.takes).await;
        if does.is_dead || does.breaks {
            return Err(self.broken());
        }
        if does.fails {
            return Err(PeerError::Verdict {
                peer: self.name.as_str().into(),
                verdict: Verdict::OriginFailed {
                    message: "down".into(),
                },
            });
        }
        Ok(Entry::absent().into())
    }

    async fn remove(&self, _: &str, _: &Notice) -> Result<(), PeerError> {
        Ok(())
    }

    async fn leaving(&self, word: &Word) -> Result<(), PeerError> {
        if self.does().is_dead {
            std::future::pending::<()>().await;
        }
        let told = (self.address.clone(), word.gone_within);
        self.world.told.lock().unwrap().push(told);
        Ok(())
    }

    async fn ping(&self) -> Result<(), PeerError> {
        let does = self.does();
        sleep(does.ping_takes).await;
        if does.is_dead {
            Err(self.broken())
        } else {
            Ok(())
        }
    }
}

/// Where it is reached.
pub(crate) fn address_of(peer: &dyn Peer) -> String {
    format!("http://{}", peer.name())
}

/// The numbers of the members that are in the ring, in order.
pub(crate) fn ring(peers: &Peers) -> Vec<usize> {
    let members = peers.members();
    let number = |name: &str| name.split(['.', ':']).nth(4).unwrap().parse().unwrap();
    let mut numbers: Vec<usize> = members
        .iter()
        .map(|member| number(&member.address))
        .collect();
    numbers.sort_unstable();
    numbers
}

/// Whether the member is considered up.
pub(crate) fn is_up(peers: &Peers, number: usize) -> bool {
    let members = peers.members();
    let member = members
        .iter()
        .find(|member| *member.address == *name(number));
    member.unwrap().up
}

/// The first key that the member owns.
pub(crate) fn key_of(peers: &Peers, number: usize) -> Key {
    let key = keys(10_000).find(|key| *peers.owner(key.as_bytes()).address == *name(number));
    Key::from(key.unwrap())
}

/// Asks for a key by its route, unless that leads to no peer. Returns the peer that was asked.
pub(crate) async fn get(peers: &Peers, key: &Key) -> Option<String> {
    let Route::Theirs(peer) = peers.route(key) else {
        return None;
    };
    let asked = address_of(&*peer);
    let fetch = Fetch::new("g", key, 1 << 20, 2 * SECOND);
    // The result does not matter here.
    let _ = tokio::time::timeout(2 * SECOND, peer.fetch(fetch)).await;
    Some(asked)
}
