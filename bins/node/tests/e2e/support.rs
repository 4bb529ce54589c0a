//! What the tests are made of: processes, clusters of them, origins that count or have few slots,
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

/// Tells of a row of the fault matrix (docs/src/promises.md) what is promised and what was seen.
pub(crate) fn row(number: u32, promise: &str, seen: impl Display) {
    println!("row {number}: promise {promise}; seen {seen}");
}

/// Held by the tests that keep both cores busy. Two at a time would starve each other's nodes of
/// the 250 ms that a peer has to show a sign of life, and a peer that is thought dead is no longer
/// the one place where a key is loaded.
pub(crate) async fn busy() -> MutexGuard<'static, ()> {
    static BUSY: Mutex<()> = Mutex::const_new(());
    BUSY.lock().await
}
