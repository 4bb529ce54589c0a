//! Hit ratios on recorded accesses: the traces, policies to compare with, caches under the same
//! interface, and the table of what they reached.
//!
//! The program is `examples/hit_ratio.rs`; `tests/hit_ratio.rs` holds our own caches to the
//! committed table.
//!
//! ```
//! use gaggle_benches::hit_ratio::{Column, Trace, replay};
//!
//! let trace = Trace::of_keys([1, 2, 1, 3, 1]);
//! let mut lru = Column::Lru.of_entries(&trace, 2);
//! assert_eq!(replay(&trace, lru.as_mut()).objects(), 40.0); // two of five
//! ```

mod column;
mod crates;
mod models;
mod parallel;
mod policy;
mod table;
mod trace;

pub use column::Column;
pub use crates::{GaggleLru, Paged};
pub use models::Lru;
pub use parallel::parallel;
pub use policy::{Policy, Tally, replay};
pub use table::Table;
pub use trace::{Access, PAIRS, Trace, folder};
