//! A cluster of processes under random faults and an open-loop load, for as many minutes as the
//! argument says:
//!
//! ```text
//! cargo test -p gaggle-node --test soak -- 20
//! GAGGLE_SEED=7 cargo test -p gaggle-node --test soak -- 1
//! ```
//!
//! Without a number it does nothing, so that it is compiled with all other tests and takes no
//! time. It uses the release binary unless that is missing or older than the debug one.
//!
//! Faults come one or two at a time, by a seed that is printed, and each round waits until the
//! cluster serves as before. It fails if a promise is broken: a wrong value, a value older than an
//! acknowledged removal, a node that ended by itself, more memory than its bound, no normal
//! goodput within 10 s after a fault, a get without an answer one second after its deadline. Other
//! errors during a fault are counted and printed. Times of a round in which other programs took
//! much of the machine are set aside, which is printed as well.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "it is a test"
)]

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

mod chaos;
mod faults;
mod ledger;
mod scene;
mod summary;
mod support;
mod traffic;

/// What a run may take beyond its minutes: the last round, and the start and end of processes.
const BEYOND: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let minutes = std::env::args()
        .skip(1)
        .find_map(|arg| arg.parse::<f64>().ok());
    let Some(minutes) = minutes.filter(|minutes| *minutes > 0.0 && *minutes <= 10_000.0) else {
        println!("soak: nothing to do; a number of minutes starts it");
        return ExitCode::SUCCESS;
    };
    let seed = std::env::var("GAGGLE_SEED").map_or_else(
        |_| fastrand::u64(..),
        |seed| seed.parse().expect("GAGGLE_SEED is a number"),
    );
    let lasts = Duration::from_secs_f64(minutes * 60.0);
    println!("soak: {minutes} minutes, GAGGLE_SEED={seed}");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let held = runtime.block_on(async {
        let mut told_to_end = signal(SignalKind::terminate()).unwrap();
        tokio::select! {
            held = timeout(lasts + BEYOND, chaos::run(lasts, seed)) => held.unwrap_or_else(|_| {
                println!("soak: FAILED: it did not end in time");
                false
            }),
            _ = tokio::signal::ctrl_c() => interrupted(),
            _ = told_to_end.recv() => interrupted(),
        }
    });
    // The processes are gone: dropping them kills them.
    runtime.shutdown_timeout(Duration::from_secs(1));
    if held {
        ExitCode::SUCCESS
    } else {
        println!("soak: again with GAGGLE_SEED={seed}");
        ExitCode::FAILURE
    }
}

fn interrupted() -> bool {
    println!("soak: interrupted");
    false
}
