//! What a waiter weighs, of `gaggle_singleflight::Flights` and of what one might take instead.
//!
//! Bytes that are allocated on the heap at the moment when all callers of a crowd wait, as asked
//! of the allocator (which adds its own to each allocation), for one waiter. Every waiter is a
//! task; what the same number of tasks takes that hold the same things and wait for nothing is
//! taken off. The table of tasks' handles is made before, and so are the caches.
//!
//! It is a program apart from `compare_singleflight`, since the allocator that counts would cost
//! each side time.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench that cannot run says so and ends; what it finds it prints"
)]

use std::alloc::System;
use std::sync::Arc;

use bytes::Bytes;
use gaggle_benches::{Gate, two_workers};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::runtime::Runtime;

mod crowd;
mod sharers;
mod turns;

use crowd::{Crowd, Idle, Meeting, Notified, Sharing, Size, gather};
use sharers::{Cells, CellsAndTasks, Foyer, Gaggle, Moka, Sharer};
use turns::{by_turns, is_measuring, median};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

type Side<'a> = (&'static str, Box<dyn FnMut() -> Heap + 'a>);

/// For one waiter.
#[derive(Clone, Copy)]
struct Heap {
    bytes: f64,
    allocations: f64,
}

fn main() {
    let (rounds, shrink) = if is_measuring() { (5, 1) } else { (1, 100) };
    let runtime = two_workers().expect("a runtime");
    println!("Heap for one waiter, medians of {rounds} rounds by turns");
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
        println!("\n{} waiters on each of {} keys", size.callers, size.keys);
        let mut sides = [
            crowds("an idle task", &runtime, size, || Idle(Arc::default())),
            crowds("a task on Notify", &runtime, size, || Notified),
            shared_by::<Gaggle>(&runtime, size),
            shared_by::<CellsAndTasks>(&runtime, size),
            shared_by::<Foyer>(&runtime, size),
            shared_by::<Cells>(&runtime, size),
            shared_by::<Moka>(&runtime, size),
        ];
        report(&mut sides, rounds);
    }
    println!("\nThe future that a caller holds, in bytes; a part of its task");
    let _on = runtime.enter();
    future::<Gaggle>();
    future::<CellsAndTasks>();
    future::<Foyer>();
    future::<Cells>();
    future::<Moka>();
}

/// Tokio rounds tasks up to 128 bytes, which hides small futures and makes large ones larger; so
/// here they are alone. The load's future is what the crowds' is: a gate and little more.
fn future<S: Sharer>() {
    let (side, gate) = (S::new(), Arc::new(Gate::new(1)));
    let bytes = size_of_val(&side.get(&Bytes::from_static(b"key"), || {
        let gate = Arc::clone(&gate);
        async move {
            gate.opened().await;
            Ok(Bytes::from_static(&[7; 100]))
        }
    }));
    println!("  {:24} {bytes:8}", S::NAME);
}

/// The first side is the idle task.
fn report(sides: &mut [Side<'_>], rounds: usize) {
    println!(
        "  {:24} {:>8} {:>11} {:>11} {:>11}",
        "", "bytes", "above idle", "allocations", "above idle"
    );
    let heaps = by_turns(sides, rounds, |(_, round)| round());
    let middle = |side: &[Heap], of: fn(&Heap) -> f64| median(side.iter().map(of).collect());
    let bytes = |side: &[Heap]| middle(side, |heap| heap.bytes);
    let allocations = |side: &[Heap]| middle(side, |heap| heap.allocations);
    for ((name, _), heap) in sides.iter().zip(&heaps) {
        println!(
            "  {name:24} {:8.1} {:11.1} {:11.2} {:11.2}",
            bytes(heap),
            bytes(heap) - bytes(&heaps[0]),
            allocations(heap),
            allocations(heap) - allocations(&heaps[0]),
        );
    }
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
        turn += 1;
        runtime.block_on(weigh(&crowd(), size, turn))
    };
    (name, Box::new(round))
}

/// Runs on the caller's thread, beside the workers that run the callers.
async fn weigh<C: Crowd>(crowd: &C, size: Size, turn: usize) -> Heap {
    let meetings = Meeting::all(size, turn);
    let mut tasks = Vec::with_capacity(size.waiters());
    let before = ALLOCATOR.stats();
    gather(crowd, &meetings, size, &mut tasks);
    meetings[0].joined.opened().await;
    let after = ALLOCATOR.stats();

    for meeting in &meetings {
        meeting.load.arrive();
    }
    for task in tasks {
        if C::ENDLESS {
            task.abort();
        }
        let ended = task.await;
        assert!(ended.is_ok_and(|got| got) || C::ENDLESS);
    }
    let live = |stats: stats_alloc::Stats| {
        (
            stats.bytes_allocated - stats.bytes_deallocated,
            stats.allocations - stats.deallocations,
        )
    };
    let ((bytes, allocations), (bytes_before, allocations_before)) = (live(after), live(before));
    let each = |after: usize, before: usize| (after as f64 - before as f64) / size.waiters() as f64;
    Heap {
        bytes: each(bytes, bytes_before),
        allocations: each(allocations, allocations_before),
    }
}
