//! How many gets a ring answers without a hop, by what its nodes keep of each other's keys.
//!
//! ```sh
//! cargo run --release -p gaggle-benches --example hot_copies
//! ```
//!
//! 100,000 keys are asked for by Zipf's law with exponent 0.99, on any node. A node answers the
//! keys that it owns and those of which it has a copy; any other get is a hop. Only the copies are
//! played, each node's in a store of its own with room for a fixed number of entries of 100 bytes,
//! and they do not expire. Half-way through the popular keys are others: the ranks move on by
//! 5,000 keys.
//!
//! - `groupcache`: one fetch in ten leaves a copy, in strict LRU order.
//! - `all, lru`: each does, in strict LRU order.
//! - `all, paged`: each does, in the order of `gaggle_paged`, which is what a group does by
//!   default while it knows no rates.
//! - `oracle`: the copies are those of the most popular keys at any time.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "this is what it is for, with numbers that are small"
)]

use std::num::NonZeroUsize;

use bytes::Bytes;
use gaggle_paged::{Options, PagedCache, Xxh3State};
use lru::LruCache;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Zipf};

const KEYS: usize = 100_000;
const GETS_PER_NODE: usize = 1_000_000;
const MOVED: usize = 5_000;
const VALUE: Bytes = Bytes::from_static(&[0; 100]);
/// What an entry takes in the paged store, as `hit_ratio` finds it: in a store of few entries,
/// whose pages are small, and in a larger one.
const BYTES_PER_ENTRY: [u64; 2] = [192, 154];

/// What a node keeps of the keys of others.
trait Copies {
    fn get(&mut self, key: usize) -> bool;
    fn fetched(&mut self, key: usize);
}

struct Lru {
    kept: LruCache<usize, ()>,
    one_in: u32,
    random: SmallRng,
}

impl Copies for Lru {
    fn get(&mut self, key: usize) -> bool {
        self.kept.get(&key).is_some()
    }

    fn fetched(&mut self, key: usize) {
        if self.random.random_range(0..self.one_in) == 0 {
            self.kept.put(key, ());
        }
    }
}

impl Copies for PagedCache {
    fn get(&mut self, key: usize) -> bool {
        self.get_with(&key.to_be_bytes(), |_| ()).is_some()
    }

    fn fetched(&mut self, key: usize) {
        self.insert(&key.to_be_bytes(), VALUE);
    }
}

fn lru(entries: usize, one_in: u32, seed: u64) -> Box<dyn Copies> {
    Box::new(Lru {
        kept: LruCache::new(NonZeroUsize::new(entries).unwrap()),
        one_in,
        random: SmallRng::seed_from_u64(seed),
    })
}

fn paged(entries: usize, seed: u64) -> Box<dyn Copies> {
    let options = Options {
        capacity: BYTES_PER_ENTRY[usize::from(entries > 1_000)] * entries as u64,
        shards: Some(1),
        ..Options::default()
    };
    Box::new(PagedCache::with_hasher(options, Xxh3State::with_seed(seed)))
}

/// Gets and those of them that were answered without a hop.
#[derive(Default)]
struct Count(u64, u64);

impl Count {
    fn add(&mut self, answered: bool) {
        self.0 += 1;
        self.1 += u64::from(answered);
    }

    fn percent(&self) -> f64 {
        self.1 as f64 * 100.0 / self.0 as f64
    }
}

/// In percent before and after the popular keys have changed, a while after each beginning; and
/// the hops in the first 100,000 gets.
fn play(nodes: usize, mut copies: Vec<Box<dyn Copies>>) -> (f64, f64, u64) {
    let mut random = SmallRng::seed_from_u64(630);
    let ranks = Zipf::new(KEYS as f64, 0.99).unwrap();
    let mut by_rank: Vec<usize> = (0..KEYS).collect();
    by_rank.shuffle(&mut random);
    let gets = nodes * GETS_PER_NODE;
    let (mut before, mut after, mut hops) = (Count::default(), Count::default(), 0);
    for n in 0..gets {
        if n == gets / 2 {
            by_rank.rotate_right(MOVED);
        }
        let key = by_rank[ranks.sample(&mut random) as usize - 1];
        let node = random.random_range(0..nodes);
        // Which node owns a key is as good as random.
        let answered = key % nodes == node || copies[node].get(key);
        if !answered {
            copies[node].fetched(key);
        }
        hops += u64::from(n < 100_000 && !answered);
        if (gets / 4..gets / 2).contains(&n) {
            before.add(answered);
        } else if n >= gets / 4 * 3 {
            after.add(answered);
        }
    }
    (before.percent(), after.percent(), hops)
}

/// The share of gets that a node answers which owns its part and has the copies of the most
/// popular keys.
fn oracle(nodes: usize, entries: usize) -> f64 {
    let mass = |keys: usize| {
        (1..=keys)
            .map(|rank| (rank as f64).powf(-0.99))
            .sum::<f64>()
    };
    // A part of the most popular are its own.
    let top = entries * nodes / (nodes - 1);
    let own = 1.0 / nodes as f64;
    100.0 * (own + (1.0 - own) * mass(top) / mass(KEYS))
}

fn main() {
    println!("{GETS_PER_NODE} gets on each node; answered without a hop, in percent");
    for (nodes, entries) in [(3, 300), (10, 300), (3, 3_000), (10, 3_000)] {
        println!(
            "\n{nodes} nodes, {entries} copies on each; oracle {:.1}",
            oracle(nodes, entries)
        );
        println!(
            "  {:12} {:>7} {:>12} {:>26}",
            "", "before", "after", "hops in 100,000 gets"
        );
        let each = |make: &dyn Fn(u64) -> Box<dyn Copies>| (0..nodes as u64).map(make).collect();
        for (name, copies) in [
            ("groupcache", each(&|seed| lru(entries, 10, seed))),
            ("all, lru", each(&|seed| lru(entries, 1, seed))),
            ("all, paged", each(&|seed| paged(entries, seed))),
        ] {
            let (before, after, hops) = play(nodes, copies);
            println!("  {name:12} {before:7.1} {after:12.1} {hops:26}");
        }
    }
}
