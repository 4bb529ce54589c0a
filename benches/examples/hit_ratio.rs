//! Hit ratios on recorded accesses of `gaggle_paged::PagedCache` and `gaggle_lru::Cache`, of other
//! caches, and of exact models of policies.
//!
//! ```sh
//! GAGGLE_TRACES=path/to/traces cargo run --release -p gaggle-benches --example hit_ratio            # every section
//! cargo run --release -p gaggle-benches --example hit_ratio -- pairs --only paged,gaggle-lru
//! cargo run --release -p gaggle-benches --example hit_ratio -- write                # benches/hit_ratio/table.md
//! cargo run --release -p gaggle-benches --example hit_ratio -- plot FILE.svg        # what table.md says, as a plot
//! ```
//!
//! The sections are `pairs`, `sizes`, `shift`, `small` and `long`; `--only` takes names of
//! columns, and `--millions` the length of `long`. Without the variable it looks in
//! `../shared/traces`, seen from the root of the workspace. The traces are not part of this
//! repository; one that is absent is skipped, and said so.
//!
//! The caches are cold at first, every access counts, and a miss is followed by an insertion.
//! Seeds are fixed, and caches have as many shards as they give themselves on two cores: all but
//! `moka`, which looks at the clock, repeat their figures.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that prints what it has found"
)]

use std::error::Error;
use std::fs;

#[path = "hit_ratio/arguments.rs"]
mod arguments;
#[path = "hit_ratio/long.rs"]
mod long;
#[path = "hit_ratio/pairs.rs"]
mod pairs;
#[path = "hit_ratio/plot.rs"]
mod plot;
#[path = "hit_ratio/shift.rs"]
mod shift;
#[path = "hit_ratio/sizes.rs"]
mod sizes;
#[path = "hit_ratio/small.rs"]
mod small;
#[path = "hit_ratio/summary.rs"]
mod summary;
#[path = "hit_ratio/traces.rs"]
mod traces;

use arguments::{Arguments, Section, Task};
use traces::Traces;

/// The committed figures.
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/hit_ratio/table.md");

const TITLE: &str = "# Hit ratios

Written by `cargo run --release -p gaggle-benches --example hit_ratio -- write`; `tests/hit_ratio.rs` compares with it.
";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    match &arguments.task {
        Task::Plot(path) => fs::write(path, plot::svg(&fs::read_to_string(TABLE)?)?)?,
        Task::Print => {
            let traces = Traces::read()?;
            for &section in &arguments.sections {
                println!("{}", run(section, &arguments, &traces));
            }
        }
        Task::Write => {
            let traces = Traces::read()?;
            if traces.skipped > 0 {
                return Err("the table is of all traces, and some are absent".into());
            }
            let mut text = TITLE.to_owned();
            for &section in &arguments.sections {
                text += "\n";
                text += &run(section, &arguments, &traces);
            }
            fs::write(TABLE, text)?;
        }
    }
    Ok(())
}

/// The section in Markdown.
fn run(section: Section, arguments: &Arguments, traces: &Traces) -> String {
    match section {
        Section::Pairs => pairs::run(arguments, traces),
        Section::Sizes => sizes::run(arguments, traces),
        Section::Shift => shift::run(arguments, traces),
        Section::Small => small::run(arguments, traces),
        Section::Long => long::run(arguments),
    }
}
