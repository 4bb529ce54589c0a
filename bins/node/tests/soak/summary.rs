//! What is printed in the end.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use crate::chaos::MEMORY;
use crate::faults::Befalls;
use crate::traffic::{Part, Promise, Seen};

/// One round of faults.
pub(crate) struct Round {
    /// When it was over.
    pub(crate) at: Duration,
    pub(crate) together: Vec<Befalls>,
    pub(crate) lasts: Duration,
    pub(crate) errors: u64,
    pub(crate) gets: u64,
    pub(crate) recovery: Option<Duration>,
    /// The share of the machine that other programs took.
    pub(crate) others: f64,
}

impl Display for Round {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let faults: Vec<_> = self
            .together
            .iter()
            .map(|what| format!("{what:?}"))
            .collect();
        write!(
            f,
            "{:>6.1}s  {} for {:.1?}: {} errors of {} gets, normal after {:.1?}; others took {:.0} %",
            self.at.as_secs_f64(),
            faults.join(" + "),
            self.lasts,
            self.errors,
            self.gets,
            self.recovery,
            self.others * 100.0
        )
    }
}

pub(crate) struct Summary {
    pub(crate) lasted: Duration,
    pub(crate) rounds: Vec<Round>,
    /// The largest growth of each node's memory, in bytes.
    pub(crate) peak: Vec<u64>,
    /// Loads by key.
    pub(crate) asked: HashMap<Vec<u8>, u32>,
}

#[derive(Default)]
struct Kind {
    times: u32,
    lasted: Duration,
    errors: u64,
    slowest: Duration,
    unrecovered: u32,
}

impl Summary {
    pub(crate) fn print(&self, seen: &Seen) {
        println!(
            "\nsoak of {:.0?}: {} rounds of faults",
            self.lasted,
            self.rounds.len()
        );
        self.print_faults();
        self.print_gets(seen);
        self.print_writes(seen);
        self.print_loads();
        let peak = self.peak.iter().max().copied().unwrap_or_default();
        println!(
            "memory: grown by {} MiB at most, bound {} MiB",
            peak >> 20,
            MEMORY >> 20
        );
        for (promise, times) in &seen.set_aside {
            println!("set aside {times} times, as others took much of the machine: {promise:?}");
        }
        if seen.broken.is_empty() {
            println!("every promise held");
        }
        for (promise, (times, cases)) in &seen.broken {
            println!("BROKEN {times} times: {promise:?}");
            for case in cases {
                println!("    {case}");
            }
        }
    }

    fn print_faults(&self) {
        let mut kinds: BTreeMap<&str, Kind> = BTreeMap::new();
        for round in &self.rounds {
            for what in &round.together {
                let kind = kinds.entry(what.kind()).or_default();
                kind.times += 1;
                kind.lasted += round.lasts;
                kind.errors += round.errors;
                kind.slowest = kind.slowest.max(round.recovery.unwrap_or_default());
                kind.unrecovered += u32::from(round.recovery.is_none());
            }
        }
        println!(
            "{:<16} {:>5} {:>8} {:>8} {:>16} {:>13}",
            "fault", "times", "lasted", "errors", "slowest recovery", "not recovered"
        );
        for (name, kind) in kinds {
            println!(
                "{name:<16} {:>5} {:>7.1}s {:>8} {:>15.1}s {:>13}",
                kind.times,
                kind.lasted.as_secs_f64(),
                kind.errors,
                kind.slowest.as_secs_f64(),
                kind.unrecovered
            );
        }
        println!("(errors of rounds with two faults are counted for both)");
    }

    fn print_gets(&self, seen: &Seen) {
        println!(
            "{:<16} {:>10} {:>10} {:>10} {:>10}",
            "gets", "hot", "cold", "burst", "fill"
        );
        let mut rows: BTreeMap<&str, [u64; 4]> = BTreeMap::new();
        for ((part, outcome), count) in &seen.outcomes {
            let at = match part {
                Part::Hot => 0,
                Part::Cold => 1,
                Part::Burst => 2,
                Part::Fill => 3,
            };
            rows.entry(outcome).or_default()[at] += count;
        }
        for (outcome, [hot, cold, burst, fill]) in rows {
            println!("{outcome:<16} {hot:>10} {cold:>10} {burst:>10} {fill:>10}");
        }
        let at = |share| Duration::from_micros(seen.took.value_at_quantile(share));
        println!(
            "hot and cold: p50 {:.1?}, p99 {:.1?}, p99.9 {:.1?}, slowest {:.1?}",
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0)
        );
    }

    fn print_writes(&self, seen: &Seen) {
        for (what, count) in &seen.writes {
            println!("{count} {what}");
        }
        println!(
            "{} stale answers after an acknowledged removal; {} of puts in doubt that came late",
            seen.broken(Promise::NothingOlderThanAnAcknowledgedRemoval),
            seen.late_puts
        );
    }

    fn print_loads(&self) {
        for (part, prefix) in [("hot", "hot-"), ("cold", "cold-")] {
            let of_part = self
                .asked
                .iter()
                .filter(|(key, _)| key.starts_with(prefix.as_bytes()));
            let loads: Vec<u64> = of_part.map(|(_, loads)| u64::from(*loads)).collect();
            let (sum, most) = (loads.iter().sum::<u64>(), loads.iter().max().copied());
            println!(
                "{part} keys: {sum} loads of {} keys, {:.2} on average, {} at most",
                loads.len(),
                sum as f64 / loads.len().max(1) as f64,
                most.unwrap_or_default()
            );
        }
    }
}
