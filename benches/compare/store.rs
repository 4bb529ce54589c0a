//! `gaggle_paged::PagedCache` beside the caches that one might take instead: what an operation
//! costs in CPU time, all sides in one run.
//!
//! Not a Criterion bench: Criterion finishes one side before it begins the next, and on a shared
//! machine the difference between two minutes is larger than that between two caches. Here the
//! sides take turns in short rounds, whose medians are compared. CPU time of the threads, not time
//! on the clock: it leaves out the time in which another program had the core. Time asleep at a
//! contended lock is left out too, but not the system calls for it.
//!
//! The ratios are to the first side, which is `gaggle-paged` unless `GAGGLE_SIDE` asks for others,
//! separated by commas.

#![allow(clippy::print_stdout, reason = "this is what it is for")]

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;

use gaggle_benches::{Draws, Workload};
use rustix::time::{ClockId, clock_gettime};

mod contenders;

use contenders::{Contender, Foyer, Gaggle, Generic, Locked, Moka, Quick};

const KEYS: usize = 100_000;
/// Of `key-000000` and its value, in bytes.
const PAYLOAD: usize = 10 + Workload::VALUE_BYTES;

/// One side of a comparison, ready to run a round; returns the nanoseconds of CPU time for one
/// operation.
type Side<'a> = (&'static str, Box<dyn FnMut(u32) -> f64 + 'a>);

/// The share of operations that insert: none, or one in so many.
#[derive(Clone, Copy)]
enum Mix {
    Reads,
    OneInsertIn(u32),
}

fn main() {
    // Without `--bench`, as `cargo test` runs it, or with `--test`: one short round that only
    // shows that it runs.
    let arguments: Vec<String> = std::env::args().collect();
    let asked = |name: &str| arguments.iter().any(|argument| argument == name);
    let (rounds, operations) = if asked("--bench") && !asked("--test") {
        (31, 200_000)
    } else {
        (1, 1_000)
    };
    // Some alone, separated by commas. Counting instructions with callgrind wants one.
    let only = std::env::var("GAGGLE_SIDE").ok();

    let load = Workload::new(KEYS);
    let scenarios = [
        ("get hit, all keys fit", Mix::Reads, KEYS * 2),
        (
            "90 % get, 10 % insert, half of the keys fit",
            Mix::OneInsertIn(10),
            KEYS / 2,
        ),
        (
            "50 % get, 50 % insert, half of the keys fit",
            Mix::OneInsertIn(2),
            KEYS / 2,
        ),
    ];
    println!(
        "CPU time for one operation in ns, median of {rounds} rounds by turns; zipf 0.99, {KEYS} keys, 100-byte values"
    );
    for (what, mix, room) in scenarios {
        for threads in [1, 2] {
            let mut sides: Vec<Side<'_>> = vec![
                side::<Gaggle>(&load, mix, room, threads),
                side::<Generic>(&load, mix, room, threads),
                side::<Quick>(&load, mix, room, threads),
                side::<Moka>(&load, mix, room, threads),
                side::<Foyer>(&load, mix, room, threads),
                side::<Locked>(&load, mix, room, threads),
            ];
            sides.retain(|(name, _)| {
                only.as_deref()
                    .is_none_or(|only| only.split(',').any(|only| only == *name))
            });
            println!("\n{what}, threads: {threads}");
            report(&mut sides, rounds, operations);
        }
    }
}

/// Rounds by turns; the side that begins changes, so that none always follows the same other one.
fn report(sides: &mut [Side<'_>], rounds: usize, operations: u32) {
    let mut times = vec![Vec::with_capacity(rounds); sides.len()];
    for (_, round) in sides.iter_mut() {
        round(operations);
    }
    for turn in 0..rounds {
        for place in 0..sides.len() {
            let at = (turn + place) % sides.len();
            times[at].push(sides[at].1(operations));
        }
    }
    // None with a `GAGGLE_SIDE` that there is not.
    let Some(ours) = times.first().cloned() else {
        return;
    };
    for ((name, _), times) in sides.iter().zip(times) {
        // Of each round the ratio, and then the median: a slow minute slows both sides of a round.
        let ratio = median(
            ours.iter()
                .zip(&times)
                .map(|(ours, other)| ours / other)
                .collect(),
        );
        println!(
            "  {name:12} {:8.1}   gaggle-paged / this: {ratio:5.2}",
            median(times)
        );
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

fn side<'a, C: Contender + 'a>(
    load: &'a Workload,
    mix: Mix,
    room: usize,
    threads: u64,
) -> Side<'a> {
    let cache = C::with_room_for(room, PAYLOAD);
    for (key, value) in load.entries() {
        cache.insert(key, value.clone());
    }
    let mut states: Vec<Draws> = (0..threads)
        .map(|turn| Draws::zipf(KEYS, 0.99, turn))
        .collect();
    let round = move |operations: u32| {
        let start = Barrier::new(states.len());
        let spent: f64 = thread::scope(|scope| {
            let threads: Vec<_> = states
                .iter_mut()
                .map(|draws| {
                    let (cache, start) = (&cache, &start);
                    scope.spawn(move || {
                        start.wait();
                        let began = cpu_nanos();
                        run(cache, load, draws, mix, operations);
                        cpu_nanos() - began
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .sum()
        });
        spent / (f64::from(operations) * states.len() as f64)
    };
    (C::NAME, Box::new(round))
}

#[inline(never)]
fn run<C: Contender>(cache: &C, load: &Workload, draws: &mut Draws, mix: Mix, operations: u32) {
    let one_in = match mix {
        Mix::Reads => u32::MAX,
        Mix::OneInsertIn(n) => n,
    };
    let mut left = one_in;
    for _ in 0..operations {
        let (key, value) = load.entry(draws.next());
        left -= 1;
        if left == 0 {
            left = one_in;
            cache.insert(key, value.clone());
        } else {
            black_box(cache.get(key));
        }
    }
}

/// The CPU time of this thread so far.
#[expect(clippy::cast_precision_loss, reason = "hours of nanoseconds fit")]
fn cpu_nanos() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
