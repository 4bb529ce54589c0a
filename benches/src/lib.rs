//! What the benches of Gaggle's layers share: the load that they put on a layer, and the ways in
//! which they take the time.
//!
//! The benches themselves are in `layers/`, one file for each layer; the README says how to run
//! and how to read them.
//!
//! ```
//! use gaggle_benches::{Draws, Workload};
//!
//! let load = Workload::new(1_000);
//! let mut draws = Draws::zipf(load.len(), 0.99, 0);
//! let (key, value) = load.entry(draws.next());
//! assert!(key.starts_with(b"key-"));
//! assert_eq!(value.len(), Workload::VALUE_BYTES);
//! ```
//!
//! # Trade-offs
//!
//! * Draws are made beforehand, so that no random number is made while the time runs; they repeat
//!   after 262,144.
//! * The seed is fixed: two runs ask for the same keys in the same order. A layer that happens to
//!   suit that order gains.

mod clock;
mod gate;
pub mod hit_ratio;
mod runtime;
mod workload;

pub use clock::{criterion, on_threads};
pub use gate::Gate;
pub use runtime::{on_worker, one_thread, two_workers};
pub use workload::{Draws, Workload};
