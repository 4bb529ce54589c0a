//! The caches themselves: those of other crates as they come, and our own. None has a random seed
//! here, nor takes anything from the number of this machine's cores.

mod foyer;
mod gaggle_lru;
mod moka;
mod paged;
mod quick;

use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;

pub(super) use foyer::Foyer;
pub use gaggle_lru::GaggleLru;
pub(super) use moka::Moka;
pub use paged::Paged;
pub(super) use quick::Quick;

/// `SipHash` with keys of zero.
type FixedHasher = BuildHasherDefault<DefaultHasher>;

/// The cores that the caches are made for.
const CORES: usize = 2;

/// As many shards as [`Options`](gaggle_paged::Options) gives for this capacity on a machine of
/// two cores.
fn default_shards(capacity: u64) -> usize {
    let by_size = (capacity >> 20).max(1).ilog2();
    (CORES * 4).min(1 << by_size.min(16))
}
