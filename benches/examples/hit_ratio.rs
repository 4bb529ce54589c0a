//! Hit ratios of `gaggle_lru::ByteCache` and `gaggle_lru::Cache` on recorded accesses, beside strict LRU, `quick_cache` and
//! `moka`.
//!
//! ```sh
//! GAGGLE_TRACES=path/to/traces cargo run --release -p gaggle-benches --example hit_ratio
//! ```
//!
//! Without the variable it looks in `../shared/traces`, seen from the root of the workspace. The traces are not part of this
//! repository; one that is absent is skipped, and said so. Each is a gzip file of text with one access a line: in `*.keys.gz`
//! and `*.sized.gz` the first word is the key; in `*.ranges.gz` a line `start count` means `count` accesses to `start`,
//! `start + 1`, and so on.
//!
//! Every entry weighs the same, the caches are cold at first, every access counts, and a miss is followed by an insertion.
//! Those of `gaggle_lru` have as many shards as they give themselves for that capacity on this machine. Values are of 100
//! bytes in `ByteCache`, whose capacity is the least that holds that many entries on average, of keys in a row.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is what it is for"
)]

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use gaggle_lru::{ByteCache, Cache, Options};

/// The file, and the sizes of the caches in entries.
const TRACES: [(&str, [usize; 3]); 16] = [
    ("cache2k_web07.keys.gz", [300, 1_200, 3_000]),
    ("cache2k_web12.keys.gz", [300, 1_200, 3_000]),
    ("scarab_recs.keys.gz", [10_000, 25_000, 100_000]),
    ("corda_vaultservice.keys.gz", [512, 1_024, 10_000]),
    ("arc_OLTP.ranges.gz", [1_000, 5_000, 15_000]),
    ("arc_P3.ranges.gz", [8_192, 32_768, 131_072]),
    ("lirs_multi1.keys.gz", [500, 1_000, 2_000]),
    ("lirs_gli.keys.gz", [500, 1_000, 2_000]),
    ("lirs_sprite.keys.gz", [200, 600, 1_000]),
    ("lirs_multi2.keys.gz", [500, 1_000, 2_000]),
    ("lirs_multi3.keys.gz", [500, 1_000, 2_000]),
    ("lirs_2_pools.keys.gz", [500, 1_000, 2_000]),
    ("lirs_cs.keys.gz", [500, 1_000, 2_000]),
    ("lirs_ps.keys.gz", [500, 1_000, 2_000]),
    ("cloudphysics_sample.sized.gz", [1_000, 5_000, 20_000]),
    ("twitter_cluster52_1m.sized.gz", [1_000, 10_000, 40_000]),
];

fn main() -> io::Result<()> {
    let folder = std::env::var_os("GAGGLE_TRACES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces"),
        PathBuf::from,
    );
    println!(
        "{:30} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}   ByteCache less LRU",
        "trace @ entries, hits in %", "LRU", "ByteCache", "Cache", "quick", "moka", "requests"
    );
    let mut skipped = 0;
    for (name, sizes) in TRACES {
        let path = folder.join(name);
        if !path.is_file() {
            skipped += 1;
            eprintln!("SKIPPED: no trace at {}", path.display());
            continue;
        }
        let trace = read(&path)?;
        let short = name.split('.').next().unwrap_or(name);
        for entries in sizes {
            let row = [
                strict(&trace, entries),
                pages(&trace, entries),
                gaggle(&trace, entries),
                quick(&trace, entries),
                moka(&trace, entries),
            ]
            .map(|hits| percent(hits, trace.len()));
            println!(
                "{:30} {:9.2} {:9.2} {:9.2} {:9.2} {:9.2} {:9}   {:+.2}",
                format!("{short} @ {entries}"),
                row[0],
                row[1],
                row[2],
                row[3],
                row[4],
                trace.len(),
                row[1] - row[0]
            );
        }
    }
    if skipped > 0 {
        eprintln!(
            "SKIPPED {skipped} of {} traces: set GAGGLE_TRACES to the folder that has them",
            TRACES.len()
        );
    }
    Ok(())
}

/// The keys as numbers in the order of their first access.
fn read(path: &Path) -> io::Result<Vec<u64>> {
    let ranges = path.to_string_lossy().ends_with(".ranges.gz");
    let mut numbers = HashMap::new();
    let mut trace = Vec::new();
    for line in BufReader::new(MultiGzDecoder::new(File::open(path)?)).lines() {
        let line = line?;
        let mut words = line.split_whitespace();
        let Some(first) = words.next() else { continue };
        if ranges {
            let start: u64 = number(first)?;
            let count: u64 = number(words.next().unwrap_or("1"))?;
            trace.extend(start..start + count);
        } else {
            let next = numbers.len() as u64;
            trace.push(*numbers.entry(first.to_owned()).or_insert(next));
        }
    }
    Ok(trace)
}

fn number(word: &str) -> io::Result<u64> {
    word.parse()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// How many accesses are hits; a miss is followed by an insertion.
fn hits(
    trace: &[u64],
    mut get: impl FnMut(u64) -> Option<()>,
    mut insert: impl FnMut(u64),
) -> usize {
    let mut hits = 0;
    for &key in trace {
        if get(key).is_some() {
            hits += 1;
        } else {
            insert(key);
        }
    }
    hits
}

fn strict(trace: &[u64], entries: usize) -> usize {
    let room = NonZeroUsize::new(entries).unwrap_or(NonZeroUsize::MIN);
    let cache = std::cell::RefCell::new(lru::LruCache::new(room));
    hits(
        trace,
        |key| cache.borrow_mut().get(&key).copied(),
        |key| {
            cache.borrow_mut().put(key, ());
        },
    )
}

const VALUE: Bytes = Bytes::from_static(&[0; 100]);

fn byte_cache(capacity: u64) -> ByteCache {
    ByteCache::new(Options {
        capacity,
        ..Options::default()
    })
}

fn pages(trace: &[u64], entries: usize) -> usize {
    // On average, as it evicts by the page: once it is full, over as many further keys as are to fit.
    let fits = |capacity| {
        let cache = byte_cache(capacity);
        let mut held = 0;
        for n in 0..3 * entries {
            cache.insert(&n.to_be_bytes(), VALUE);
            held += if n < 2 * entries { 0 } else { cache.len() };
        }
        held >= entries * entries
    };
    let (mut low, mut high) = (0, 1_000 * entries as u64);
    while high - low > entries as u64 {
        let middle = low.midpoint(high);
        if fits(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    let cache = byte_cache(high);
    hits(
        trace,
        |key| cache.get_with(&key.to_be_bytes(), |_| ()),
        |key| {
            cache.insert(&key.to_be_bytes(), VALUE);
        },
    )
}

fn gaggle(trace: &[u64], entries: usize) -> usize {
    let options = Options {
        capacity: Cache::<u64, ()>::ENTRY_OVERHEAD * entries as u64,
        ..Options::default()
    };
    let cache = Cache::new(options, |_, ()| 0);
    hits(
        trace,
        |key| cache.get(&key),
        |key| {
            cache.insert(key, ());
        },
    )
}

fn quick(trace: &[u64], entries: usize) -> usize {
    let cache = quick_cache::sync::Cache::new(entries);
    hits(trace, |key| cache.get(&key), |key| cache.insert(key, ()))
}

fn moka(trace: &[u64], entries: usize) -> usize {
    let cache = moka::sync::Cache::new(entries as u64);
    hits(trace, |key| cache.get(&key), |key| cache.insert(key, ()))
}

#[expect(clippy::cast_precision_loss, reason = "a trace has millions, not 2^53")]
fn percent(part: usize, all: usize) -> f64 {
    part as f64 * 100.0 / all.max(1) as f64
}
