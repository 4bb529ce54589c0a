//! Who has how many keys, and who answers how many gets.

use gaggle_ring::Ring;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::doors::Doors;
use super::traffic::Traffic;

pub(crate) struct Balance {
    /// The most keys that a member has, over the mean.
    pub(crate) keys: f64,
    /// The same of the gets that a member answers, be it for its own door or for another's.
    pub(crate) gets: f64,
    /// Of all gets, the share that the owner of the hottest key answers.
    pub(crate) hottest: f64,
    /// Of all gets, the share that goes from one member to another.
    pub(crate) hops: f64,
}

/// The share of a key's gets that goes to its owner from the doors of others: all of them, where
/// there are no copies.
pub(crate) fn without_copies(_at: usize) -> f64 {
    1.0
}

impl Balance {
    /// `owners` are indexes of members, by key. Nothing is drawn here: gets are shares of the
    /// whole, and every member's door sees the same part of them.
    pub(crate) fn of(
        members: usize,
        owners: &[usize],
        traffic: &Traffic,
        forwarded: impl Fn(usize) -> f64,
    ) -> Self {
        let doors = members as f64;
        let mut keys = vec![0_u32; members];
        let mut answered = vec![0.0; members];
        let (mut by_copies, mut hops) = (0.0, 0.0);
        for (at, &owner) in owners.iter().enumerate() {
            let (share, forwarded) = (traffic.share(at), forwarded(at));
            // One door in all is the owner's own.
            let elsewhere = share * (doors - 1.0) / doors;
            let by_one_copy = share / doors * (1.0 - forwarded);
            keys[owner] += 1;
            // Its own door's gets, and what the others forward. Every member, itself put right
            // here, answers the rest.
            answered[owner] += share / doors + elsewhere * forwarded - by_one_copy;
            by_copies += by_one_copy;
            hops += elsewhere * forwarded;
        }
        let busiest = answered.iter().copied().fold(0.0, f64::max) + by_copies;
        Self {
            keys: over_mean(&keys),
            gets: busiest * doors,
            hottest: owners.first().map_or(0.0, |&owner| answered[owner]) + by_copies,
            hops,
        }
    }
}

impl Doors {
    pub(crate) fn balance(&self, members: usize, owners: &[usize], traffic: &Traffic) -> Balance {
        Balance::of(members, owners, traffic, |at| self.forwarded(at))
    }
}

/// The most keys that a member has over the mean, of so many other keys: of many, it tells the
/// ring's own unevenness.
pub(crate) fn of_other_keys(ring: &Ring, keys: u64) -> f64 {
    let mut counts = vec![0; ring.len()];
    for n in 0..keys {
        if let Some(owner) = ring.owner_index(&n.to_le_bytes()) {
            counts[owner] += 1;
        }
    }
    over_mean(&counts)
}

/// The same of keys that are thrown at members by dice: what no placement can avoid.
pub(crate) fn by_chance(members: usize, keys: usize) -> f64 {
    let mut dice = SmallRng::seed_from_u64(members as u64);
    let mut counts = vec![0; members];
    for _ in 0..keys {
        counts[dice.random_range(0..members)] += 1;
    }
    over_mean(&counts)
}

fn over_mean(counts: &[u32]) -> f64 {
    let sum: f64 = counts.iter().copied().map(f64::from).sum();
    let most = counts.iter().copied().max().map_or(0.0, f64::from);
    most * counts.len() as f64 / sum
}
