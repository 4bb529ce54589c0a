//! Plans past one machine: what rings of 10 to 10,000 members do to keys, gets and the origin.
//!
//! ```sh
//! cargo run --release -p gaggle-benches --example simulate           # 1,000,000 keys: within two minutes
//! cargo run --release -p gaggle-benches --example simulate -- 20000  # does it still run?
//! ```
//!
//! Prints two tables in Markdown, for both profiles of `gaggle_ring`. Gets follow Zipf's law with
//! exponent 0.99 and come to all members' doors alike. Rings, and the groups that show what hot
//! copies save, are the real ones; members, network and origin are not there. Every key is asked
//! for in proportion to its share of the gets, in which nothing is left to chance, so that a
//! figure for 10,000 members is no noisier than one for 10. Seeds are fixed: two runs differ in
//! times only.

#![allow(
    clippy::print_stdout,
    reason = "a program that prints what it has found"
)]

use std::error::Error;
use std::sync::Arc;

use gaggle_benches::one_thread;
use gaggle_ring::{Profile, Ring};

#[path = "simulate/balance.rs"]
mod balance;
#[path = "simulate/changes.rs"]
mod changes;
#[path = "simulate/doors.rs"]
mod doors;
#[path = "simulate/traffic.rs"]
mod traffic;

use balance::{Balance, by_chance, of_other_keys, without_copies};
use changes::{Changes, cpu_ms};
use doors::Doors;
use traffic::Traffic;

const MEMBERS: [usize; 4] = [10, 100, 1_000, 10_000];
const PROFILES: [Profile; 2] = [Profile::Gaggle, Profile::GROUPCACHE];

/// So many keys for each of the traffic's tell what of the unevenness is the ring's own.
const MANY: u64 = 50;
/// Gets of the cluster after a join, for each key.
const GETS: f64 = 10.0;

/// One profile with one number of members.
struct Plan {
    profile: Profile,
    members: usize,
    build_ms: f64,
    by_chance: f64,
    of_many: f64,
    plain: Balance,
    copied: Balance,
    copies: usize,
    changes: Changes,
}

fn main() -> Result<(), Box<dyn Error>> {
    let keys: usize = std::env::args()
        .nth(1)
        .map_or(Ok(1_000_000), |text| text.parse())?;
    if !(1..=10_000_000).contains(&keys) {
        return Err("from 1 to 10,000,000 keys, please".into());
    }
    let traffic = Traffic::zipf(keys)?;
    let gets = GETS * keys as f64;
    // Few keys are for a quick look; a join then says little anyway.
    let turns = (keys / 100_000).clamp(1, 10);
    let mut plans = Vec::new();
    for profile in PROFILES {
        for members in MEMBERS {
            plans.push(plan(profile, members, &traffic, turns, gets)?);
        }
    }
    println!(
        "{keys} keys, zipf {}; the hottest has {:.1} % of the gets\n",
        traffic::EXPONENT,
        traffic.share(0) * 1e2
    );
    print_balance(&plans);
    println!();
    print_changes(&plans, gets, turns);
    Ok(())
}

fn member(n: usize) -> Arc<str> {
    format!("http://10.0.{}.{}:8001", n / 256, n % 256).into()
}

fn plan(
    profile: Profile,
    members: usize,
    traffic: &Traffic,
    turns: usize,
    gets: f64,
) -> Result<Plan, Box<dyn Error>> {
    let names: Vec<Arc<str>> = (0..members).map(member).collect();
    let began = cpu_ms();
    let ring = Ring::new(profile, names)?;
    let build_ms = cpu_ms() - began;
    let owners: Vec<usize> = traffic
        .keys()
        .map(|key| ring.owner_index(key))
        .collect::<Option<_>>()
        .ok_or("a ring without members")?;
    let doors = Doors::ask(&one_thread()?, &ring, &owners, traffic)?;
    Ok(Plan {
        profile,
        members,
        build_ms,
        by_chance: by_chance(members, traffic.len()),
        of_many: of_other_keys(&ring, MANY * traffic.len() as u64),
        plain: Balance::of(members, &owners, traffic, without_copies),
        copied: doors.balance(members, &owners, traffic),
        copies: doors.copies(),
        changes: Changes::measure(&ring, &owners, traffic, &doors, turns, gets)?,
    })
}

fn print_balance(plans: &[Plan]) {
    println!(
        "| profile | members | keys, max/mean | by chance | of {MANY} times as many keys | gets, max/mean | with hot copies | the hottest key's owner answers | with hot copies | hops for a get | with hot copies | hot copies of a member |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for plan in plans {
        let (plain, copied) = (&plan.plain, &plan.copied);
        println!(
            "| {} | {} | {:.3} | {:.3} | {:.3} | {:.2} | {:.3} | {:.2} % | {:.3} % | {:.3} | {:.3} | {} |",
            plan.profile,
            plan.members,
            plain.keys,
            plan.by_chance,
            plan.of_many,
            plain.gets,
            copied.gets,
            plain.hottest * 1e2,
            copied.hottest * 1e2,
            plain.hops,
            copied.hops,
            plan.copies,
        );
    }
}

fn print_changes(plans: &[Plan], gets: f64, turns: usize) {
    println!(
        "Averages of {turns} joins and {turns} leaves, each of one member; times are medians. Loads within the next {gets} gets of all members together.\n"
    );
    println!(
        "| profile | members | a join moves, of 1/N | a leave moves, of 1/N | loads after a join, of all keys | of 1/N | of these gets | a join takes | a leave takes | from nothing |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for plan in plans {
        let changes = &plan.changes;
        let loads = changes.loads;
        println!(
            "| {} | {} | {:.3} | {:.3} | {:.4} % | {:.3} | {:.5} % | {:.2} ms | {:.2} ms | {:.1} ms |",
            plan.profile,
            plan.members,
            changes.joined,
            changes.left,
            loads * 1e2,
            loads * (plan.members + 1) as f64,
            loads / GETS * 1e2,
            changes.join_ms,
            changes.leave_ms,
            plan.build_ms,
        );
    }
}
