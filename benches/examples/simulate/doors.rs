//! What hot copies save: real groups, one for each of a few members, asked as a member's door is
//! asked.
//!
//! Every member sees the same mix of gets at its door, so a few stand for all. Each is a [`Group`]
//! with the default capacity and the default rule ([`Sampled`](gaggle_group::Sampled), one fetch
//! in ten leaves a copy); its peers answer at once and count what they are asked. It first loads
//! all keys that it owns, as its peers' questions would have it do in time, then gets as many gets
//! as there are keys, and then the same number again, which are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use gaggle_group::{
    Entry, Fetch, Fetched, Group, Member, Notice, Peer, PeerError, PeerRequests, Route, Router,
};
use gaggle_ring::Ring;
use tokio::runtime::Runtime;

use super::traffic::Traffic;

/// How many members are asked.
const DOORS: usize = 4;
const VALUE: Bytes = Bytes::from_static(&[7; 100]);

/// How often a get of a key that another member owns goes to that member, for keys of like rank.
pub(crate) struct Doors {
    asked: Vec<u64>,
    fetched: Vec<u64>,
    copies: usize,
}

/// Ranks by powers of the fourth root of two. What copies save depends on nothing but how often a
/// key is asked for, and what is counted for one key alone would be mostly chance.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the logarithm of a rank is small and not negative"
)]
fn class(at: usize) -> usize {
    (((at + 1) as f64).log2() * 4.0) as usize
}

impl Doors {
    pub(crate) fn ask(
        runtime: &Runtime,
        ring: &Ring,
        owners: &[usize],
        traffic: &Traffic,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let classes = class(traffic.len()) + 1;
        let mut doors = Self {
            asked: vec![0; classes],
            fetched: vec![0; classes],
            copies: 0,
        };
        let count = DOORS.min(ring.len());
        for turn in 0..count {
            let me = turn * ring.len() / count;
            // The rule draws from the thread's own generator, and all runs on this thread.
            fastrand::seed(turn as u64);
            let others = Arc::new(Others::new(classes));
            let group = group(ring.clone(), me, Arc::clone(&others))?;
            let mut gets = traffic.gets(turn as u64);
            runtime.block_on(async {
                for (at, _) in owners.iter().enumerate().filter(|(_, owner)| **owner == me) {
                    group.get(traffic.key(at)).await?;
                }
                for at in gets.by_ref().take(traffic.len()) {
                    group.get(traffic.key(at)).await?;
                }
                others.forget();
                for at in gets.by_ref().take(traffic.len()) {
                    group.get(traffic.key(at)).await?;
                    if owners[at] != me {
                        doors.asked[class(at)] += 1;
                    }
                }
                Ok::<_, gaggle_group::Error>(())
            })?;
            for (sum, fetched) in doors.fetched.iter_mut().zip(&others.fetched) {
                *sum += fetched.load(Ordering::Relaxed);
            }
            doors.copies += group.stats().hot.entries;
        }
        doors.copies /= count;
        Ok(doors)
    }

    /// Of the gets of this key at the doors of members that do not own it, the share that goes to
    /// its owner.
    pub(crate) fn forwarded(&self, at: usize) -> f64 {
        let class = class(at);
        match self.asked[class] {
            // Not asked for, so it has left no copies either.
            0 => 1.0,
            asked => self.fetched[class] as f64 / asked as f64,
        }
    }

    /// Hot copies that a member had in the end, on average.
    pub(crate) fn copies(&self) -> usize {
        self.copies
    }
}

fn group(ring: Ring, me: usize, others: Arc<Others>) -> Result<Group, gaggle_group::BuildError> {
    Group::builder("simulated")
        .origin_fn(|_| async { Ok::<_, std::io::Error>(Some(VALUE)) })
        .router(Arc::new(Door { ring, me, others }))
        .build()
}

/// One member's view of the ring.
struct Door {
    ring: Ring,
    me: usize,
    others: Arc<Others>,
}

impl Router for Door {
    fn route(&self, key: &[u8]) -> Route {
        if self.ring.owner_index(key) == Some(self.me) {
            return Route::Mine;
        }
        Route::Theirs(Arc::<Others>::clone(&self.others))
    }

    fn owner(&self, key: &[u8]) -> Member {
        let owner = self.ring.owner_index(key);
        Member {
            address: "".into(),
            name: owner.map_or_else(|| "nobody".into(), |at| self.ring.members()[at].clone()),
            is_self: owner == Some(self.me),
            up: true,
            requests: PeerRequests::default(),
        }
    }

    fn members(&self) -> Vec<Member> {
        Vec::new()
    }

    fn peers(&self) -> Vec<Arc<dyn Peer>> {
        Vec::new()
    }

    fn digest(&self) -> String {
        format!("{:016x}", self.ring.digest())
    }
}

/// All other members: which of them is asked follows from the key.
struct Others {
    fetched: Vec<AtomicU64>,
}

impl Others {
    fn new(classes: usize) -> Self {
        Self {
            fetched: (0..classes).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn forget(&self) {
        for fetched in &self.fetched {
            fetched.store(0, Ordering::Relaxed);
        }
    }
}

#[async_trait]
impl Peer for Others {
    fn name(&self) -> &str {
        "others"
    }

    async fn fetch(&self, fetch: Fetch<'_>) -> Result<Fetched, PeerError> {
        if let Some(at) = Traffic::position(fetch.key) {
            self.fetched[class(at)].fetch_add(1, Ordering::Relaxed);
        }
        Ok(Entry::value(VALUE).into())
    }

    async fn remove(&self, _group: &str, _notice: &Notice) -> Result<(), PeerError> {
        Ok(())
    }

    async fn ping(&self) -> Result<(), PeerError> {
        Ok(())
    }
}
