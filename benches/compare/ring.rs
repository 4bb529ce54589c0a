//! `gaggle_ring::Ring` beside the placements that one might take instead: what a look-up costs,
//! how even the load is, what a join moves and how long it takes, all sides in one run.
//!
//! Look-ups and joins are CPU time of one thread, the sides by turns. Balance and movement are
//! counted on many keys, the same for all sides; members weigh the same. Even a perfect placement
//! leaves some members more keys than others by chance: the line "by chance" is the median of
//! throwing as many keys at random.

#![allow(clippy::print_stdout, reason = "this is what it is for")]

use std::hint::black_box;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rustix::time::ClockId;

mod placements;
mod turns;

use placements::{Gaggle, Groupcache, Hashring, Jump, Ketama, Member, Placement};
use turns::{by_turns, cpu_nanos, is_measuring, median, median_ratio};

/// Lie side by side and come round in order, so that what is measured is the placement and not the
/// keys.
const TIMED_KEYS: u32 = 100_000;
const MEMBERS: [Member; 4] = [3, 16, 100, 1_000];

struct Size {
    rounds: usize,
    /// Joins are slower, and vary less.
    join_rounds: usize,
    /// Over the timed keys, in one round.
    passes: u32,
    counted_keys: u32,
}

/// One side: its name, a round of look-ups, a join, and what is counted.
struct Side {
    name: &'static str,
    look_up: Box<dyn Fn(u32) -> f64>,
    join: Box<dyn Fn() -> f64>,
    count: Box<dyn Fn(u32) -> Count>,
}

struct Count {
    max_over_mean: f64,
    min_over_mean: f64,
    /// Times the number of members that there are then: 1 is the least possible.
    moved: f64,
    /// Of those moved, the ones that went to a member that had been there before.
    astray: u32,
}

fn main() {
    let size = if is_measuring() {
        Size {
            rounds: 31,
            join_rounds: 15,
            passes: 10,
            counted_keys: 20_000_000,
        }
    } else {
        Size {
            rounds: 1,
            join_rounds: 1,
            passes: 1,
            counted_keys: 10_000,
        }
    };
    println!(
        "CPU time of one thread, medians of {} rounds by turns ({} for joins); balance and movement of {} keys",
        size.rounds, size.join_rounds, size.counted_keys
    );
    for members in MEMBERS {
        println!("\n{members} members");
        println!(
            "  {:28} {:>10} {:>12} {:>9} {:>9} {:>9} {:>10}",
            "", "look-up ns", "gaggle/this", "max/mean", "min/mean", "moved x N", "join ms"
        );
        report(members, &size);
    }
}

fn report(members: Member, size: &Size) {
    let mut sides = [
        side::<Gaggle>(members),
        side::<Groupcache>(members),
        side::<Ketama>(members),
        side::<Hashring>(members),
        side::<Jump>(members),
    ];
    let look_ups = by_turns(&mut sides, size.rounds, |side| (side.look_up)(size.passes));
    let joins = by_turns(&mut sides, size.join_rounds, |side| (side.join)());
    let ours = look_ups[0].clone();
    for ((side, look_ups), joins) in sides.iter().zip(look_ups).zip(joins) {
        let count = (side.count)(size.counted_keys);
        let ratio = median_ratio(&ours, &look_ups);
        println!(
            "  {:28} {:10.1} {ratio:12.2} {:9.4} {:9.4} {:9.4} {:10.4}{}",
            side.name,
            median(look_ups),
            count.max_over_mean,
            count.min_over_mean,
            count.moved,
            median(joins) / 1e6,
            match count.astray {
                0 => String::new(),
                astray => format!("   {astray} keys moved between members that stay"),
            }
        );
    }
    let (max, min) = by_chance(members, size.counted_keys);
    println!(
        "  {:28} {:>10} {:>12} {max:9.4} {min:9.4}",
        "by chance", "", ""
    );
}

fn side<P: Placement + 'static>(members: Member) -> Side {
    let placement = std::rc::Rc::new(P::new(members));
    let (joining, counting) = (placement.clone(), placement.clone());
    let keys: Vec<[u8; 10]> = (0..TIMED_KEYS)
        .map(|n| {
            let mut key = *b"key-000000";
            write_digits(&mut key[4..], n);
            key
        })
        .collect();
    Side {
        name: P::NAME,
        look_up: Box::new(move |passes| look_up(&*placement, &keys, passes)),
        join: Box::new(move || {
            let began = cpu_nanos(ClockId::ThreadCPUTime);
            let joined = black_box(joining.joined(members));
            let took = cpu_nanos(ClockId::ThreadCPUTime) - began;
            // After the time was taken: that an old one is dropped is timed on no side.
            drop(joined);
            took
        }),
        count: Box::new(move |keys| count(&*counting, members, keys)),
    }
}

/// Nanoseconds for one look-up.
#[inline(never)]
fn look_up(placement: &impl Placement, keys: &[[u8; 10]], passes: u32) -> f64 {
    let began = cpu_nanos(ClockId::ThreadCPUTime);
    for _ in 0..passes {
        for key in keys {
            black_box(placement.look_up(black_box(key)));
        }
    }
    let took = cpu_nanos(ClockId::ThreadCPUTime) - began;
    took / (f64::from(passes) * keys.len() as f64)
}

/// `key-00000000`, `key-00000001`, … and their owners, before and after a join.
fn count<P: Placement>(placement: &P, members: Member, keys: u32) -> Count {
    let grown = placement.joined(members);
    let mut loads = vec![0_u32; members.into()];
    let (mut moved, mut astray) = (0, 0);
    let mut key = *b"key-00000000";
    for n in 0..keys {
        write_digits(&mut key[4..], n);
        let (before, after) = (placement.owner(&key), grown.owner(&key));
        loads[usize::from(before)] += 1;
        if after != before {
            moved += 1;
            astray += u32::from(after != members);
        }
    }
    let (max_over_mean, min_over_mean) = over_mean(&loads);
    Count {
        max_over_mean,
        min_over_mean,
        moved: f64::from(moved) / f64::from(keys) * f64::from(members + 1),
        astray,
    }
}

/// The balance of keys that are thrown at members by dice; medians of five throws.
fn by_chance(members: Member, keys: u32) -> (f64, f64) {
    let (max, min) = (0..5)
        .map(|seed| {
            let mut dice = SmallRng::seed_from_u64(seed);
            let mut loads = vec![0_u32; members.into()];
            for _ in 0..keys {
                loads[dice.random_range(0..usize::from(members))] += 1;
            }
            over_mean(&loads)
        })
        .unzip();
    (median(max), median(min))
}

fn over_mean(loads: &[u32]) -> (f64, f64) {
    let mean = loads.iter().map(|&load| f64::from(load)).sum::<f64>() / loads.len() as f64;
    let over = |load: Option<&u32>| load.map_or(0.0, |&load| f64::from(load) / mean);
    (over(loads.iter().max()), over(loads.iter().min()))
}

fn write_digits(into: &mut [u8], mut number: u32) {
    for digit in into.iter_mut().rev() {
        *digit = b"0123456789"[(number % 10) as usize];
        number /= 10;
    }
}
