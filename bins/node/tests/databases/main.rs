//! Real nodes in front of real databases: what `[groups.X.follow]` and the SQL origins promise,
//! end to end.
//!
//! Ignored by default, because it needs PostgreSQL and MariaDB, which `deploy/databases/install`
//! installs. All tests take some minutes:
//!
//! ```text
//! cargo test -p gaggle-node --test databases -- --ignored --nocapture --test-threads=1
//! ```
//!
//! The tests print what they measure. They assert no times, since the machine may be busy.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "helpers of tests are tests"
)]

/// The parts of the end-to-end tests; these tests do not use all of them.
#[path = "../e2e"]
#[allow(dead_code, unused_imports)]
mod e2e {
    pub(crate) mod support;
}
use e2e::support;

mod ages;
mod reader;
mod secrets;
mod traffic;
mod world;

mod batches;
mod faults;
mod kinds;
mod large;
mod latency;
mod seen;
mod slots;
mod staleness;
