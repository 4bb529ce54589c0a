//! gaggle-node in one ring with golang/groupcache itself: the library that Debian packages, behind
//! the small program in `interop/go-node`. This project wrote no part of that library.
//!
//! Ignored by default, because it needs Go: `just interop` runs it, after `interop/install`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests are tests"
)]

/// The parts of the end-to-end tests; these tests do not use all of them.
#[path = "../e2e"]
#[allow(dead_code, unused_imports)]
mod e2e {
    pub(crate) mod support;
}
use e2e::support;

mod go;
mod keys;
mod load;
mod mixed;

mod agreement;
mod defects;
mod failures;
mod joining;
mod replacing;
