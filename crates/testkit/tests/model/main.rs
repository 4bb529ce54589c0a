//! A cluster's promises on removals and freshness, against random schedules in virtual time.
//!
//! Each seed is one schedule: gets, removals of keys and of the whole group, values put, changes
//! of the origin's values, an origin that fails, partitions, delays, crashes and restarts, member
//! lists that differ from node to node, on three members and two gateways. A model knows when each
//! value was loaded, and computes how old an answer may be.
//!
//! `GAGGLE_SEEDS=5000` tries that many; `GAGGLE_SEED=17` tries that one and prints what happened.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod random;
mod schedule;
mod world;

use gaggle_testkit::Mutant;

use crate::schedule::{Violation, play};

/// Schedules that once failed.
const KEPT: &[u64] = &[32_633];

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// The violation of a seed's schedule, if there is one.
fn run(seed: u64, mutant: Option<Mutant>, verbose: bool) -> Option<Violation> {
    // Random choices of the nodes: which copies they keep, how much they shorten a ttl.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(play(seed, mutant, verbose))
}

#[test]
fn no_get_is_answered_with_what_was_removed() {
    if let Some(seed) = from_env("GAGGLE_SEED") {
        assert_eq!(run(seed, None, true), None);
        return;
    }
    let first = from_env("GAGGLE_FIRST_SEED").unwrap_or(1);
    let many = from_env("GAGGLE_SEEDS").unwrap_or(300);
    let mut gets = 0;
    for seed in KEPT.iter().copied().chain(first..first + many) {
        if let Some(violation) = run(seed, None, false) {
            panic!("GAGGLE_SEED={seed}: {violation:?}");
        }
        gets += 1;
    }
    println!("{gets} schedules, seeds {first} to {}", first + many - 1);
}

/// A network with a defect must be noticed within a few hundred schedules: otherwise the model
/// checks nothing.
fn caught(mutant: Mutant) {
    let seed = (1..=400).find(|seed| run(*seed, Some(mutant), false).is_some());
    println!("{mutant:?}: noticed in schedule {seed:?}");
    assert!(seed.is_some(), "{mutant:?} goes unnoticed");
}

#[test]
fn fetches_that_carry_no_removals_are_noticed() {
    caught(Mutant::NoFence);
}

#[test]
fn nodes_that_do_not_catch_up_are_noticed() {
    caught(Mutant::NoCatchUp);
}

#[test]
fn removals_that_are_not_applied_are_noticed() {
    caught(Mutant::DeafNow);
}
