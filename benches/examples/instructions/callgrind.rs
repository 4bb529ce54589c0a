//! Running a case under callgrind, and reading what it has counted.

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};

/// Operations of the shorter run; the longer one has twice as many.
const OPERATIONS: u32 = 3_200;

/// Of one operation.
pub(crate) struct Cost {
    pub(crate) instructions: f64,
    /// Calls of `malloc` and its like, those that only enlarge or free what is there aside.
    pub(crate) allocations: f64,
    pub(crate) clock_reads: f64,
}

/// What one operation of a case costs.
pub(crate) fn cost(case: &str) -> Result<Cost, Box<dyn Error>> {
    let files = tempfile::tempdir()?;
    let few = count(case, OPERATIONS, &files.path().join("few"))?;
    let many = count(case, 2 * OPERATIONS, &files.path().join("many"))?;
    let each = |count: fn(&Counts) -> u64| {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let difference = count(&many) as f64 - count(&few) as f64;
        difference / f64::from(OPERATIONS)
    };
    Ok(Cost {
        instructions: each(|counts| counts.instructions),
        allocations: each(|counts| {
            counts.calls(&["malloc", "calloc", "posix_memalign", "aligned_alloc"])
        }),
        clock_reads: each(|counts| counts.calls(&["clock_gettime"])),
    })
}

struct Counts {
    instructions: u64,
    calls: HashMap<String, u64>,
}

impl Counts {
    fn calls(&self, names: &[&str]) -> u64 {
        // A symbol's version may stand behind its name.
        let wanted = |name: &str| names.contains(&name.split('@').next().unwrap_or(name));
        let calls = self.calls.iter().filter(|(name, _)| wanted(name));
        calls.map(|(_, calls)| calls).sum()
    }
}

fn count(case: &str, operations: u32, out: &Path) -> Result<Counts, Box<dyn Error>> {
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe()?)
        .args([case, &operations.to_string()])
        .stdout(Stdio::null())
        .status()
        .map_err(|failure| format!("valgrind cannot be run: {failure}"))?;
    if !status.success() {
        return Err(format!("{case}: {status}").into());
    }
    read(&std::fs::read_to_string(out)?)
}

/// Reads callgrind's format: `cfn=(7) name` names the function that the next line, `calls=3 …`,
/// calls. The name stands there once, and the number alone from then on.
fn read(profile: &str) -> Result<Counts, Box<dyn Error>> {
    let mut names = HashMap::new();
    let mut by_number: HashMap<&str, u64> = HashMap::new();
    let mut instructions = None;
    let mut called = "";
    for line in profile.lines() {
        if let Some(function) = line
            .strip_prefix("fn=")
            .or_else(|| line.strip_prefix("cfn="))
        {
            let (number, name) = function.split_once(' ').unwrap_or((function, ""));
            if !name.is_empty() {
                names.insert(number, name);
            }
            if line.starts_with('c') {
                called = number;
            }
        } else if let Some(calls) = line.strip_prefix("calls=") {
            let calls: u64 = calls.split(' ').next().unwrap_or_default().parse()?;
            *by_number.entry(called).or_default() += calls;
        } else if let Some(total) = line
            .strip_prefix("totals: ")
            .or_else(|| line.strip_prefix("summary: "))
        {
            instructions = Some(total.trim().parse()?);
        }
    }
    let mut calls: HashMap<String, u64> = HashMap::new();
    for (number, count) in by_number {
        let name = names.get(number).copied().unwrap_or_default();
        // Recursion is told apart by a suffix, which does not matter here.
        let name = name.split('\'').next().unwrap_or(name);
        *calls.entry(name.to_owned()).or_default() += count;
    }
    Ok(Counts {
        instructions: instructions.ok_or("a profile without a total")?,
        calls,
    })
}
