//! The real binary, end to end: each test starts `gaggle-node` processes of its own, on a loopback
//! address of its own and in a directory of its own, and looks at them from outside.
//!
//! One test binary for all subjects: linking it is most of what a run costs. A single subject is
//! run with `cargo test -p gaggle-node --test e2e faults::`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests are tests"
)]

mod support;

mod bytes;
mod changeover;
mod check;
mod configuration;
mod demo;
mod dialects;
mod faults;
mod gossip;
mod hanging;
mod health;
mod identity;
mod keys;
mod logging;
mod matrix;
mod once;
mod origins;
mod ports;
mod promises;
mod reload;
mod removal;
mod stopping;
mod traces;
mod values;
mod warm;
