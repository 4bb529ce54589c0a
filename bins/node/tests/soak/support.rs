//! The parts of the end-to-end tests that are used here.
#![allow(dead_code, unused_imports, reason = "shared with the other tests")]

#[path = "../e2e/support/backend.rs"]
pub(crate) mod backend;
#[path = "../e2e/support/client.rs"]
pub(crate) mod client;
#[path = "../e2e/support/cluster.rs"]
pub(crate) mod cluster;
#[path = "../e2e/support/machine.rs"]
pub(crate) mod machine;
#[path = "../e2e/support/origin.rs"]
pub(crate) mod origin;
#[path = "../e2e/support/process.rs"]
pub(crate) mod process;
#[path = "../e2e/support/wait.rs"]
pub(crate) mod wait;

pub(crate) use backend::{Backend, Trouble};
pub(crate) use client::Client;
pub(crate) use cluster::{Cluster, Setup, loopback};
pub(crate) use machine::{DISTURBED, Used};
pub(crate) use origin::Origin;
pub(crate) use process::{Node, Process, command};
pub(crate) use wait::{PATIENCE, until};
