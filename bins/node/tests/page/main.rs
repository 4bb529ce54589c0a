//! The page of the admin port, in a browser, in front of a cluster of processes.
//!
//! Ignored by default, because it needs Chromium and its WebDriver server, which
//! `deploy/browser/install` installs:
//!
//! ```text
//! cargo test -p gaggle-node --test page -- --ignored --test-threads=1
//! ```
//!
//! Screenshots are left in `target/page`.
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

mod browser;
mod scene;

mod access;
mod form;
mod hostile;
mod killed;
mod token;
mod work;
