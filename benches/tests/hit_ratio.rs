//! Our caches' hit ratios on recorded accesses are those of the committed table, or better.
//!
//! The traces are not part of this repository: without the folder that `GAGGLE_TRACES` names, or
//! `../shared/traces` seen from the root of the workspace, this says that it skipped them.
//! `hit_ratio/table.md` says how it is written again.

#![allow(clippy::unwrap_used)]

use std::io::Write;

use gaggle_benches::hit_ratio::{Column, PAIRS, Table, Trace, folder, parallel, replay};

const TABLE: &str = include_str!("../hit_ratio/table.md");

/// The points by which a figure of ours may be below the table's.
const MARGIN: f64 = 0.5;
/// The table has two digits.
const ROUNDING: f64 = 0.006;

/// Short enough for a build without optimizations.
const TRACES: [&str; 12] = [
    "cache2k_web07",
    "cache2k_web12",
    "corda_vaultservice",
    "lirs_multi1",
    "lirs_gli",
    "lirs_sprite",
    "lirs_multi2",
    "lirs_multi3",
    "lirs_2_pools",
    "lirs_cs",
    "lirs_ps",
    "cloudphysics_sample",
];

#[test]
fn the_table_has_every_pair_and_column() {
    let table = table();
    for (file, capacities) in PAIRS {
        for entries in capacities {
            let row = format!("{} @ {entries}", name(file));
            for column in Column::OF_ENTRIES {
                assert!(
                    table.figure(&row, column.name()).is_some(),
                    "{row}: {}",
                    column.name()
                );
            }
        }
    }
}

#[test]
fn our_caches_keep_their_hit_ratios() {
    let table = table();
    let worse = measure(
        &[Column::Paged, Column::GaggleLru],
        |row, column, measured| {
            let committed = table.figure(row, column.name()).unwrap_or(f64::INFINITY);
            (measured < committed - MARGIN).then(|| {
                format!(
                    "{row}, {}: {measured:.2}, table {committed:.2}",
                    column.name()
                )
            })
        },
    );
    assert!(
        worse.is_empty(),
        "below the table by more than {MARGIN}:\n{}",
        worse.join("\n")
    );
}

#[test]
fn the_table_is_that_of_the_models() {
    let table = table();
    let models = [
        Column::Optimum,
        Column::Lru,
        Column::TinyLfu1,
        Column::TinyLfu10,
        Column::S3Fifo,
        Column::S3FifoFill,
    ];
    let others = measure(&models, |row, column, measured| {
        let committed = table.figure(row, column.name()).unwrap_or(f64::INFINITY);
        ((measured - committed).abs() > ROUNDING).then(|| {
            format!(
                "{row}, {}: {measured:.2}, table {committed:.2}",
                column.name()
            )
        })
    });
    assert!(
        others.is_empty(),
        "the models and the table differ:\n{}",
        others.join("\n")
    );
}

/// What `complain` says of each pair and column.
fn measure(
    columns: &[Column],
    complain: impl Fn(&str, Column, f64) -> Option<String> + Sync,
) -> Vec<String> {
    let of_trace = parallel(&present(), |(name, trace, capacities)| {
        let mut complaints = Vec::new();
        for &entries in capacities {
            let row = format!("{name} @ {entries}");
            for &column in columns {
                let tally = replay(trace, column.of_entries(trace, entries).as_mut());
                complaints.extend(complain(&row, column, tally.objects()));
            }
        }
        complaints
    });
    of_trace.concat()
}

/// The short traces that there are.
fn present() -> Vec<(&'static str, Trace, [usize; 3])> {
    let mut present = Vec::new();
    for (file, capacities) in PAIRS {
        let (name, path) = (name(file), folder().join(file));
        if !TRACES.contains(&name) {
            continue;
        }
        if path.is_file() {
            present.push((name, Trace::read(&path).unwrap(), capacities));
        } else {
            say(&format!(
                "SKIPPED: no trace at {}; set GAGGLE_TRACES",
                path.display()
            ));
        }
    }
    present
}

/// On standard error itself: what is printed by a test that passes is not shown.
fn say(line: &str) {
    std::io::stderr()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}

fn table() -> Table {
    Table::below(TABLE, "## Equal sizes").unwrap()
}

fn name(file: &str) -> &str {
    file.split('.').next().unwrap_or(file)
}
