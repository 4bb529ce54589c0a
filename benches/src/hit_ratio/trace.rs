use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

/// The files of the comparison at equal sizes, and the capacities in entries: 48 pairs.
pub const PAIRS: [(&str, [usize; 3]); 16] = [
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

/// The folder of the traces: `GAGGLE_TRACES`, or else `../shared/traces` seen from the root of the
/// workspace.
#[must_use]
pub fn folder() -> PathBuf {
    std::env::var_os("GAGGLE_TRACES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces"),
        PathBuf::from,
    )
}

/// One access: the key's number, and the size of its value in bytes (1 where the trace has none).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The keys of a trace are numbered from 0 in the order of their first access.
    pub key: u64,
    /// At least 1.
    pub size: u32,
}

/// A sequence of accesses.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    accesses: Vec<Access>,
    /// Of each key, the size at its first access.
    sizes: Vec<u32>,
}

impl Trace {
    /// Reads a gzip file of text with one access a line: `*.keys.gz` has `key`; `*.sized.gz` has
    /// `key size`; in `*.ranges.gz` a line `start count` means `count` accesses to `start`,
    /// `start + 1`, and so on.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or has a word that is no number where one is due.
    pub fn read(path: &Path) -> io::Result<Self> {
        let name = path.to_string_lossy();
        let lines = BufReader::new(MultiGzDecoder::new(File::open(path)?)).lines();
        if name.ends_with(".ranges.gz") {
            read_ranges(lines)
        } else {
            read_keys(lines, name.ends_with(".sized.gz"))
        }
    }

    /// A trace of these keys, all of size 1.
    #[must_use]
    pub fn of_keys(keys: impl IntoIterator<Item = u64>) -> Self {
        Self::of(keys.into_iter().map(|key| (key, 1)))
    }

    /// A trace of these keys and sizes; the keys are numbered.
    #[must_use]
    pub fn of(accesses: impl IntoIterator<Item = (u64, u32)>) -> Self {
        let mut trace = Numbered::default();
        for (key, size) in accesses {
            trace.push(key, size);
        }
        trace.trace
    }

    /// The accesses in order.
    #[must_use]
    pub fn accesses(&self) -> &[Access] {
        &self.accesses
    }

    /// How many different keys there are.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.sizes.len()
    }

    /// The size of each key's value at its first access, by the key's number.
    #[must_use]
    pub fn sizes(&self) -> &[u32] {
        &self.sizes
    }

    /// The bytes of all different keys' values, each with the size of its first access.
    #[must_use]
    pub fn footprint(&self) -> u64 {
        self.sizes.iter().map(|&size| u64::from(size)).sum()
    }

    /// The first half of the accesses, and the second; each numbers its own keys.
    #[must_use]
    pub fn halves(&self) -> [Self; 2] {
        let (first, second) = self.accesses.split_at(self.accesses.len() / 2);
        [first, second].map(|half| Self::of(half.iter().map(|access| (access.key, access.size))))
    }

    /// This trace followed by another one whose keys are all different from its own.
    #[must_use]
    pub fn then_other(&self, other: &Self) -> Self {
        let offset = self.sizes.len() as u64;
        let shifted = other.accesses.iter().map(|access| Access {
            key: access.key + offset,
            size: access.size,
        });
        Self {
            accesses: self.accesses.iter().copied().chain(shifted).collect(),
            sizes: [&*self.sizes, &*other.sizes].concat(),
        }
    }
}

/// Numbers keys in the order of their first access.
struct Numbered<K> {
    numbers: HashMap<K, u64>,
    trace: Trace,
}

impl<K> Default for Numbered<K> {
    fn default() -> Self {
        Self {
            numbers: HashMap::new(),
            trace: Trace::default(),
        }
    }
}

impl<K: Eq + std::hash::Hash> Numbered<K> {
    fn push(&mut self, key: K, size: u32) {
        let size = size.max(1);
        let next = self.numbers.len() as u64;
        let key = *self.numbers.entry(key).or_insert(next);
        if key == next {
            self.trace.sizes.push(size);
        }
        self.trace.accesses.push(Access { key, size });
    }
}

type Line = io::Result<String>;

fn read_keys(lines: impl Iterator<Item = Line>, sized: bool) -> io::Result<Trace> {
    let mut trace = Numbered::default();
    for line in lines {
        let line = line?;
        let mut words = line.split_whitespace();
        let Some(key) = words.next() else { continue };
        let size = if sized { number(words.next())? } else { 1 };
        trace.push(key.to_owned(), size);
    }
    Ok(trace.trace)
}

fn read_ranges(lines: impl Iterator<Item = Line>) -> io::Result<Trace> {
    let mut trace = Numbered::default();
    for line in lines {
        let line = line?;
        let mut words = line.split_whitespace();
        let Some(start) = words.next() else { continue };
        let start: u64 = number(Some(start))?;
        let count: u64 = number(words.next())?;
        for key in start..start + count {
            trace.push(key, 1);
        }
    }
    Ok(trace.trace)
}

fn number<N: std::str::FromStr>(word: Option<&str>) -> io::Result<N> {
    word.and_then(|word| word.parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a line without its number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> impl Iterator<Item = Line> {
        text.lines().map(|line| Ok(line.to_owned()))
    }

    fn keys(trace: &Trace) -> Vec<u64> {
        trace.accesses().iter().map(|access| access.key).collect()
    }

    #[test]
    fn keys_are_numbered_in_the_order_of_their_first_access() {
        let trace = read_keys(lines("x\ny\n\nx\nz"), false).unwrap();
        assert_eq!(keys(&trace), [0, 1, 0, 2]);
        assert_eq!((trace.keys(), trace.footprint()), (3, 3));
    }

    #[test]
    fn a_range_is_a_row_of_keys() {
        let trace = read_ranges(lines("7 3\n8 1")).unwrap();
        assert_eq!(keys(&trace), [0, 1, 2, 1]);
    }

    #[test]
    fn the_footprint_counts_each_key_once_with_its_first_size() {
        let trace = read_keys(lines("a 10\nb 0\na 20"), true).unwrap();
        assert_eq!(trace.footprint(), 11);
        assert_eq!(trace.accesses()[2], Access { key: 0, size: 20 });
    }

    #[test]
    fn a_missing_number_is_an_error() {
        assert!(read_keys(lines("a"), true).is_err());
        assert!(read_ranges(lines("a 3")).is_err());
    }

    #[test]
    fn halves_and_traces_in_a_row_keep_keys_apart() {
        let [first, second] = Trace::of_keys([5, 5, 6, 5]).halves();
        assert_eq!(keys(&first.then_other(&second)), [0, 0, 1, 2]);
    }
}
