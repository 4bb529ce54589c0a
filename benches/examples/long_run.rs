//! Hit ratios of `gaggle_paged::PagedCache` and `gaggle_lru::Cache` over a long run, window by
//! window: a store whose shards drift apart loses hits slowly, which no short run shows.
//!
//! ```sh
//! cargo run --release -p gaggle-benches --example long_run [-- MILLIONS_OF_GETS [ROWS]]
//! ```
//!
//! Zipf 0.8 over 1,000,000 keys of 8 bytes, a capacity of 8 MiB (32 MiB for values of 8 KiB and
//! mixed ones, which would be few otherwise), a miss followed by an insertion, cold at first. By
//! default 20 million gets in ten windows; the columns are the hit ratios of the windows in
//! percent. `ROWS` is the beginning of the names of those to run, as in `300 'PagedCache, 100 B'`.

#![allow(clippy::print_stdout, reason = "this is what it is for")]

use bytes::Bytes;
use gaggle_lru::{Cache, Options, byte_len};
use gaggle_paged::PagedCache;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::Zipf;

const KEYS: u32 = 1_000_000;
const WINDOWS: usize = 10;
const SHARDS: [usize; 4] = [1, 2, 8, 64];

/// What a value's length is, given its key.
#[derive(Clone, Copy)]
struct Sizes {
    name: &'static str,
    capacity: u64,
    of: fn(u64) -> usize,
}

const SIZES: [Sizes; 5] = [
    Sizes {
        name: "10 B",
        capacity: 8 << 20,
        of: |_| 10,
    },
    Sizes {
        name: "100 B",
        capacity: 8 << 20,
        of: |_| 100,
    },
    Sizes {
        name: "1 KiB",
        capacity: 8 << 20,
        of: |_| 1 << 10,
    },
    Sizes {
        name: "8 KiB",
        capacity: 32 << 20,
        of: |_| 8 << 10,
    },
    Sizes {
        name: "mixed",
        capacity: 32 << 20,
        of: mixed,
    },
];

/// From 16 bytes to 32 KiB, each doubling as often as the others.
fn mixed(key: u64) -> usize {
    let scrambled = key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let doubling = scrambled % 11;
    (16 << doubling) + (scrambled / 11 % (16 << doubling)) as usize
}

fn main() {
    let millions: usize = std::env::args()
        .nth(1)
        .and_then(|word| word.parse().ok())
        .unwrap_or(20);
    let only = std::env::args().nth(2).unwrap_or_default();
    let window = millions * 1_000_000 / WINDOWS;
    println!("hits in % of each {window} gets, zipf 0.8 over {KEYS} keys");
    for sizes in SIZES {
        for shards in SHARDS {
            let options = || Options {
                capacity: sizes.capacity,
                shards: Some(shards),
                ..Options::default()
            };
            let name = |store| format!("{store}, {}, {shards} shards", sizes.name);
            if name("PagedCache").starts_with(&only) {
                let cache = PagedCache::new(options());
                let row = run(sizes, window, |key, value| {
                    let hit = cache.get_with(key, |_| ()).is_some();
                    if !hit {
                        cache.insert(key, value());
                    }
                    hit
                });
                print_row(&name("PagedCache"), &row);
            }
            if name("Cache").starts_with(&only) {
                let cache: Cache<Bytes, Bytes> = Cache::new(options(), byte_len);
                let row = run(sizes, window, |key, value| {
                    let hit = cache.get_with(key, |_| ()).is_some();
                    if !hit {
                        cache.insert(Bytes::copy_from_slice(key), value());
                    }
                    hit
                });
                print_row(&name("Cache"), &row);
            }
        }
    }
}

fn print_row(name: &str, row: &[f64]) {
    print!("{name:28}");
    for ratio in row {
        print!(" {ratio:6.2}");
    }
    println!();
}

/// The hit ratios of the windows, in percent.
fn run(
    sizes: Sizes,
    window: usize,
    mut get: impl FnMut(&[u8], &dyn Fn() -> Bytes) -> bool,
) -> Vec<f64> {
    let Ok(zipf) = Zipf::new(f64::from(KEYS), 0.8) else {
        return Vec::new();
    };
    let mut random = SmallRng::seed_from_u64(1);
    (0..WINDOWS)
        .map(|_| {
            let hits = (0..window)
                .filter(|_| {
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "ranks"
                    )]
                    let key = random.sample(zipf) as u64;
                    // Popularity has nothing to do with the order of the numbers.
                    let name = key.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
                    get(&name, &|| Bytes::from(vec![7; (sizes.of)(key)]))
                })
                .count();
            #[expect(clippy::cast_precision_loss, reason = "millions, not 2^53")]
            let ratio = hits as f64 * 100.0 / window.max(1) as f64;
            ratio
        })
        .collect()
}
