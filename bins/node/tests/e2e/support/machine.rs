//! Whether the machine was this test's own while it measured times.

use std::fs;

/// How often a scenario is run if other programs disturb it.
const ATTEMPTS: u32 = 3;

/// The share of the machine's processor time beyond which other programs disturb a measurement.
pub(crate) const DISTURBED: f64 = 0.15;

/// Processor time since the machine's start, in ticks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    all: u64,
    idle: u64,
    /// Of this process and its children.
    ours: u64,
}

impl Used {
    pub(crate) fn now() -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap();
        let line = stat.lines().next().unwrap();
        // user, nice, system, idle, iowait, irq, softirq, steal; what follows is part of user.
        let ticks: Vec<u64> = line
            .split_whitespace()
            .skip(1)
            .take(8)
            .map(|ticks| ticks.parse().unwrap())
            .collect();
        let me = std::process::id();
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        Self {
            all: ticks.iter().sum(),
            idle: ticks[3] + ticks[4],
            ours: ids.filter_map(|id| ticks_of(id, me)).sum(),
        }
    }

    /// The share of the machine that other programs took.
    pub(crate) fn others_since(&self) -> f64 {
        let now = Self::now();
        let all = now.all - self.all;
        let others = all
            .saturating_sub(now.idle - self.idle)
            .saturating_sub(now.ours.saturating_sub(self.ours));
        others as f64 / all.max(1) as f64
    }
}

/// The ticks of a process that is `me` or its child, with those of its children that have ended.
fn ticks_of(id: u32, me: u32) -> Option<u64> {
    // It may have ended since it was listed.
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in parentheses may hold spaces.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let parent: u32 = fields.get(1)?.parse().ok()?;
    if id != me && parent != me {
        return None;
    }
    // utime, stime, cutime, cstime: fields 14 to 17 of proc(5).
    fields
        .get(11..15)?
        .iter()
        .map(|ticks| ticks.parse::<u64>().ok())
        .sum()
}

/// Runs a scenario whose times are judged, and fails with its complaint if they are not as
/// promised.
///
/// A complaint is set aside if other programs took so much of the machine meanwhile that it proves
/// nothing. The scenario is then run again, and after three such runs it is not judged, which is
/// printed. The scenario itself asserts what holds on any machine, however slow.
pub(crate) async fn calm(scenario: impl AsyncFn() -> Result<(), String>) {
    for _ in 0..ATTEMPTS {
        let before = Used::now();
        let Err(complaint) = scenario().await else {
            return;
        };
        let others = before.others_since();
        assert!(
            others >= DISTURBED,
            "{complaint} (others took {:.0} % of the machine)",
            others * 100.0
        );
        println!(
            "set aside, as others took {:.0} % of the machine: {complaint}",
            others * 100.0
        );
    }
    println!("not judged: others took the machine each of {ATTEMPTS} times");
}

/// A complaint unless `holds`.
#[allow(
    clippy::needless_pass_by_value,
    reason = "a complaint is made for this call"
)]
pub(crate) fn promised(holds: bool, complaint: impl ToString) -> Result<(), String> {
    if holds {
        Ok(())
    } else {
        Err(complaint.to_string())
    }
}
