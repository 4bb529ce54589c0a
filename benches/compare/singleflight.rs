//! `gaggle_singleflight::Flights` beside what one might take instead: the time of a lone load and
//! of crowds, all sides in one run. `compare_singleflight_memory` tells what a waiter weighs.
//!
//! The sides take turns in short rounds. "ns" is time on the clock, "CPU ns" that of all threads
//! of the process, which another program on the machine disturbs less. Both are for one load or
//! one waiter, and hold the task that every waiter is; the lines at the top are tasks that share
//! no load.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench that cannot run says so and ends; what it finds it prints"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use gaggle_benches::{on_worker, one_thread, two_workers};
use rustix::time::ClockId;
use tokio::runtime::Runtime;

mod crowd;
mod sharers;
mod turns;

use crowd::{Crowd, Meeting, Notified, Sharing, Size, gather};
use sharers::{Answer, Cells, CellsAndTasks, Foyer, Gaggle, Moka, Sharer};
use turns::{by_turns, cpu_nanos, is_measuring, median, median_ratio};

/// One side: its name, and a round, which returns how long one load or waiter took.
type Side<'a> = (&'static str, Box<dyn FnMut() -> Spent + 'a>);

#[derive(Clone, Copy)]
struct Spent {
    nanos: f64,
    cpu_nanos: f64,
}

fn main() {
    let (rounds, crowd_rounds, loads, shrink) = if is_measuring() {
        (31, 15, 20_000, 1)
    } else {
        (1, 1, 50, 100)
    };
    println!("Medians of {rounds} rounds by turns ({crowd_rounds} for crowds)");

    let runtimes = [
        ("1 thread", one_thread().expect("a runtime")),
        ("2 workers", two_workers().expect("a runtime")),
    ];
    for (on, runtime) in &runtimes {
        println!("\nA load by a lone caller, ready at once, {on}");
        let mut sides = [
            bare_tasks(runtime, loads),
            lone::<Gaggle>(runtime, loads),
            lone::<CellsAndTasks>(runtime, loads),
            lone::<Foyer>(runtime, loads),
            lone::<Cells>(runtime, loads),
            lone::<Moka>(runtime, loads),
        ];
        report(&mut sides, rounds);
    }
    let (_, runtime) = &runtimes[1];
    for size in [
        Size {
            keys: 1,
            callers: 100_000 / shrink,
        },
        Size {
            keys: 1_000 / shrink,
            callers: 100,
        },
    ] {
        println!(
            "\n{} waiters on each of {} keys, 2 workers",
            size.callers, size.keys
        );
        let mut sides = [
            crowds("a task on Notify", runtime, size, || Notified),
            shared_by::<Gaggle>(runtime, size),
            shared_by::<CellsAndTasks>(runtime, size),
            shared_by::<Foyer>(runtime, size),
            shared_by::<Cells>(runtime, size),
            shared_by::<Moka>(runtime, size),
        ];
        report(&mut sides, crowd_rounds);
    }
}

/// The first side is the task alone, the second is ours.
fn report(sides: &mut [Side<'_>], rounds: usize) {
    println!(
        "  {:24} {:>8} {:>10} {:>12} {:>14} {:>14}",
        "", "ns", "above task", "CPU ns", "CPU above task", "CPU, ours/this"
    );
    let spent = by_turns(sides, rounds, |(_, round)| round());
    let clock = |side: &[Spent]| side.iter().map(|spent| spent.nanos).collect::<Vec<_>>();
    let cpu = |side: &[Spent]| side.iter().map(|spent| spent.cpu_nanos).collect::<Vec<_>>();
    let above = |these: &[f64], tasks: &[f64]| {
        median(
            these
                .iter()
                .zip(tasks)
                .map(|(this, task)| this - task)
                .collect(),
        )
    };
    let (task_clock, task_cpu, our_cpu) = (clock(&spent[0]), cpu(&spent[0]), cpu(&spent[1]));
    for ((name, _), spent) in sides.iter().zip(spent) {
        let (clock, cpu) = (clock(&spent), cpu(&spent));
        println!(
            "  {name:24} {:8.0} {:10.0} {:12.0} {:14.0} {:14.2}",
            median(clock.clone()),
            above(&clock, &task_clock),
            median(cpu.clone()),
            above(&cpu, &task_cpu),
            median_ratio(&our_cpu, &cpu),
        );
    }
}

/// Takes both times for `count` pieces of work.
fn timed(
    runtime: &Runtime,
    count: usize,
    work: impl Future<Output = ()> + Send + 'static,
) -> Spent {
    let began = cpu_nanos(ClockId::ProcessCPUTime);
    let took = on_worker(runtime, work);
    let cpu = cpu_nanos(ClockId::ProcessCPUTime) - began;
    Spent {
        nanos: took.as_secs_f64() * 1e9 / count as f64,
        cpu_nanos: cpu / count as f64,
    }
}

fn bare_tasks(runtime: &Runtime, loads: usize) -> Side<'_> {
    let round = move || {
        timed(runtime, loads, async move {
            for _ in 0..loads {
                let task = tokio::spawn(async { Bytes::from_static(&[7; 100]) });
                assert!(task.await.is_ok());
            }
        })
    };
    ("a task alone", Box::new(round))
}

/// A new key each time: a cache would have the old one.
fn lone<S: Sharer>(runtime: &Runtime, loads: usize) -> Side<'_> {
    let side = Arc::new(S::new());
    let mut next = 0;
    let round = move || {
        let keys: Vec<Bytes> = (next..next + loads)
            .map(|n| Bytes::from(format!("key-{n:09}")))
            .collect();
        next += loads;
        let side = Arc::clone(&side);
        timed(runtime, loads, async move {
            for key in &keys {
                let answer = side.get(key, || async { Ok(Bytes::from_static(&[7; 100])) });
                assert!(answer.await.is_value());
            }
        })
    };
    (S::NAME, Box::new(round))
}

fn shared_by<S: Sharer>(runtime: &Runtime, size: Size) -> Side<'_> {
    let side = Arc::new(S::new());
    crowds(S::NAME, runtime, size, move || Sharing(Arc::clone(&side)))
}

fn crowds<'a, C: Crowd + Send + Sync + 'static>(
    name: &'static str,
    runtime: &'a Runtime,
    size: Size,
    crowd: impl Fn() -> C + 'a,
) -> Side<'a> {
    let mut turn = 0;
    let round = move || {
        let crowd = crowd();
        turn += 1;
        let meetings = Meeting::each(size, turn);
        let mut tasks = Vec::with_capacity(size.waiters());
        let served = Arc::new(AtomicUsize::new(0));
        let served_in = Arc::clone(&served);
        let spent = timed(runtime, size.waiters(), async move {
            gather(&crowd, &meetings, size, &mut tasks);
            let mut served = 0;
            for task in tasks {
                served += usize::from(task.await.is_ok_and(|got| got));
            }
            served_in.store(served, Ordering::Relaxed);
        });
        assert_eq!(served.load(Ordering::Relaxed), size.waiters());
        spent
    };
    (name, Box::new(round))
}
