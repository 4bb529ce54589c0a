//! The parts of the tests: processes, clusters of them, origins that count or have few slots,
//! clients, and a load.

use std::fmt::Display;

use tokio::sync::{Mutex, MutexGuard};

pub(crate) mod backend;
pub(crate) mod caller;
pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod config;
pub(crate) mod load;
pub(crate) mod machine;
pub(crate) mod origin;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod steady;
pub(crate) mod tls;
pub(crate) mod wait;

pub(crate) use backend::{Backend, Trouble};
pub(crate) use caller::Caller;
pub(crate) use client::Client;
pub(crate) use cluster::{Cluster, Setup, loopback};
pub(crate) use load::{Load, Outcome};
pub(crate) use machine::{calm, promised};
pub(crate) use origin::Origin;
pub(crate) use process::{Node, Process, command};
pub(crate) use steady::Steady;
pub(crate) use tls::Ca;
pub(crate) use wait::{PATIENCE, until};

/// Prints a row of the fault matrix (docs/src/promises.md): the promise and the observation.
pub(crate) fn row(number: u32, promise: &str, seen: impl Display) {
    println!("row {number}: promise {promise}; seen {seen}");
}

/// Held by the tests that keep both cores busy. Two at a time would delay each other's nodes for
/// more than the 250 ms in which a peer must show a sign of life, and the keys of a peer that is
/// considered dead are loaded elsewhere.
pub(crate) async fn busy() -> MutexGuard<'static, ()> {
    static BUSY: Mutex<()> = Mutex::const_new(());
    BUSY.lock().await
}
