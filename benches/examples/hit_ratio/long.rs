use gaggle_benches::hit_ratio::{Access, Column, GaggleLru, Paged, Policy, Table, Tally, parallel};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::Zipf;

use super::arguments::Arguments;

const SHARDS: [usize; 3] = [1, 8, 64];
const ENTRIES: usize = 50_000;
const POPULAR: u32 = 1_000_000;
const MILLION: u32 = 1_000_000;
/// The cache is full long before.
const WARM_UP: u32 = 2;

pub(crate) fn run(arguments: &Arguments) -> String {
    let columns = arguments.of([Column::Paged, Column::GaggleLru]);
    let cells: Vec<_> = columns
        .iter()
        .flat_map(|&column| SHARDS.map(|shards| (column, shards)))
        .collect();
    let figures = parallel(&cells, |&(column, shards)| {
        let mut policy: Box<dyn Policy> = if column == Column::Paged {
            Box::new(Paged::with_shards(ENTRIES, shards))
        } else {
            Box::new(GaggleLru::with_shards(ENTRIES, shards))
        };
        first_and_last(policy.as_mut(), arguments.millions)
    });
    let mut table = Table::new([
        "column, shards",
        "first million once warm",
        "last million",
        "difference",
    ]);
    for ((column, shards), [first, last]) in cells.iter().zip(figures) {
        let figures = [first, last, last - first].map(Some).to_vec();
        table
            .rows
            .push((format!("{}, {shards}", column.name()), figures));
    }
    format!(
        "## A long run\n\n\
        Hits in percent, {ENTRIES} entries, {} million gets: of a hundred, 85 by Zipf's law with exponent 0.9 over a \
        million keys, 10 that are never asked for again, and 5 in scans of 10,000 keys out of ten million. The cache is \
        warm after {WARM_UP} million.\n\n\
        {table}",
        arguments.millions
    )
}

fn first_and_last(policy: &mut dyn Policy, millions: u32) -> [f64; 2] {
    let mut load = Load::new();
    let mut million = || {
        let mut tally = Tally::default();
        for _ in 0..MILLION {
            let access = Access {
                key: load.next_key(),
                size: 1,
            };
            tally.count(access, policy.access(access));
        }
        tally.objects()
    };
    for _ in 0..WARM_UP {
        million();
    }
    let first = million();
    let last = (WARM_UP + 1..millions).map(|_| million()).last();
    [first, last.unwrap_or(first)]
}

/// Gets of three kinds, with keys apart.
struct Load {
    draws: SmallRng,
    zipf: Zipf<f64>,
    once: u64,
    scan: u64,
}

const SCAN_KEYS: u64 = 10_000_000;
const SCAN_LENGTH: u64 = 10_000;
const SCANS_FROM: u64 = 1 << 32;
const ONCE_FROM: u64 = 1 << 40;

impl Load {
    #[expect(clippy::expect_used, reason = "the parameters are constants")]
    fn new() -> Self {
        Self {
            draws: SmallRng::seed_from_u64(1),
            zipf: Zipf::new(1e6, 0.9).expect("a number of keys and an exponent above zero"),
            once: 0,
            scan: 0,
        }
    }

    fn next_key(&mut self) -> u64 {
        match self.draws.random_range(0..100) {
            0..85 => self.popular(),
            85..95 => {
                self.once += 1;
                ONCE_FROM + self.once
            }
            _ => self.scanned(),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank from one to the number of keys"
    )]
    fn popular(&mut self) -> u64 {
        let rank = self.draws.sample(self.zipf) as u32;
        u64::from(rank.min(POPULAR))
    }

    fn scanned(&mut self) -> u64 {
        if self.scan.is_multiple_of(SCAN_LENGTH) {
            self.scan = self.draws.random_range(0..SCAN_KEYS / SCAN_LENGTH) * SCAN_LENGTH;
        }
        self.scan += 1;
        SCANS_FROM + self.scan
    }
}
