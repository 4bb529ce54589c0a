//! What one request costs in instructions, calls of the allocator and clock reads: repeatable
//! figures, where times on a busy machine are not.
//!
//! ```sh
//! just instructions                    # all cases: some minutes
//! just instructions front              # those with that text in their name
//! ```
//!
//! Runs itself under `valgrind --tool=callgrind` (Debian's package `valgrind`), each case with two
//! numbers of operations, and prints the difference for one operation, so that what a case sets up
//! does not count. Instructions are those of the process: the kernel's are not among them.
//! Everything runs on one thread, both ends of a connection included.
//!
//! `instructions CASE OPERATIONS` runs a case by itself, for a profiler.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::unreachable,
    reason = "a program that prints what it has found, and ends where it cannot run"
)]

use std::error::Error;
use std::pin::Pin;

use gaggle_benches::one_thread;

#[path = "instructions/callgrind.rs"]
mod callgrind;
#[path = "instructions/doors.rs"]
mod doors;
#[path = "instructions/group.rs"]
mod group;
#[path = "instructions/hops.rs"]
mod hops;
#[path = "instructions/store.rs"]
mod store;

use doors::{Front, Tag};

/// So many operations, and what has to be set up for them.
type Run = fn(u64) -> Pin<Box<dyn Future<Output = ()>>>;

struct Case {
    name: &'static str,
    run: Run,
}

const fn case(name: &'static str, run: Run) -> Case {
    Case { name, run }
}

const CASES: &[Case] = &[
    case("store: get, hit", |n| Box::pin(store::hit(n))),
    case("store: insert, evicting", |n| Box::pin(store::insert(n))),
    case("store: insert over a value", |n| {
        Box::pin(store::overwrite(n))
    }),
    case("flight: a task, spawned and awaited", |n| {
        Box::pin(group::task(n))
    }),
    case("flight: a load that is ready", |n| {
        Box::pin(group::flight(n, false))
    }),
    case("flight: a load that waits once", |n| {
        Box::pin(group::flight(n, true))
    }),
    case("flight: a ready load, polled by its caller", |n| {
        Box::pin(group::polled(n, false))
    }),
    case(
        "flight: a load that waits once, polled by its caller",
        |n| Box::pin(group::polled(n, true)),
    ),
    case("group: cached, hit", |n| Box::pin(group::cached(n))),
    case("group: get, hit", |n| Box::pin(group::hit(n))),
    case("group: get, miss, origin ready", |n| {
        Box::pin(group::miss(n, false))
    }),
    case("group: get, miss, origin waits once", |n| {
        Box::pin(group::miss(n, true))
    }),
    case("front: hit, no tag", |n| {
        Box::pin(doors::hit(n, Front::PLAIN))
    }),
    case("front: hit, no tag, counted", |n| {
        Box::pin(doors::hit(n, Front::COUNTED))
    }),
    case("front: hit", |n| Box::pin(doors::hit(n, Front::DEFAULT))),
    case("front: hit, counted", |n| {
        Box::pin(doors::hit(n, Front::FULL))
    }),
    case("front: hit, its origin's tag, counted", |n| {
        let front = Front {
            tag: Tag::Origin,
            ..Front::FULL
        };
        Box::pin(doors::hit(n, front))
    }),
    case("front: hit, with a ttl, counted", |n| {
        let front = Front {
            ttl: true,
            ..Front::FULL
        };
        Box::pin(doors::hit(n, front))
    }),
    case("front: bare axum handler", |n| Box::pin(doors::bare(n))),
    case("front: hit, no tag, over a connection", |n| {
        Box::pin(doors::hit_connected(n, Front::PLAIN))
    }),
    case("front: hit, over a connection", |n| {
        Box::pin(doors::hit_connected(n, Front::DEFAULT))
    }),
    case("front: hit, counted, over a connection", |n| {
        Box::pin(doors::hit_connected(n, Front::FULL))
    }),
    case("front: bare axum handler, over a connection", |n| {
        Box::pin(doors::bare_connected(n))
    }),
    case("hop: the owner's side, hit", |n| Box::pin(hops::owner(n))),
    case("hop: axum and reqwest alone", |n| Box::pin(hops::bare(n))),
    case("hop: a lone fetch", |n| Box::pin(hops::fetch(n))),
    case("hop: a lone get", |n| Box::pin(hops::gets(n, 1))),
    case("hop: 64 gets at once, each", |n| {
        Box::pin(hops::gets(n, 64))
    }),
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [name, operations] = &*arguments {
        let case = CASES
            .iter()
            .find(|case| case.name == name)
            .ok_or("no such case")?;
        let operations = operations.parse()?;
        one_thread()?.block_on((case.run)(operations));
        return Ok(());
    }
    let wanted = arguments.first().map_or("", String::as_str);
    println!("| operation | instructions | allocations | clock reads |");
    println!("| --- | ---: | ---: | ---: |");
    for case in CASES.iter().filter(|case| case.name.contains(wanted)) {
        let cost = callgrind::cost(case.name)?;
        println!(
            "| {} | {:.0} | {:.2} | {:.2} |",
            case.name, cost.instructions, cost.allocations, cost.clock_reads
        );
    }
    Ok(())
}
