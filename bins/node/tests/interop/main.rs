//! gaggle-node in one ring with golang/groupcache itself: the library that Debian packages, behind
//! the small program in `interop/go-node`. Nobody here wrote what these nodes talk to.
//!
//! Ignored by default, for it needs Go: `just interop` runs it, after `interop/install`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests are tests"
)]

/// What the end-to-end tests are made of; these need not use all of it.
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
