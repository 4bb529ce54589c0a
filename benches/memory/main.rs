//! What a budget of memory holds, and what it really takes: a group's cache beside
//! golang/groupcache, moka and memcached.
//!
//! Not a Criterion bench: there is nothing to time. Each contender is filled twice over with
//! values of 100 bytes, and then, in the same process, with values of 100 bytes to 100 kB; after
//! each the operating system says how much of the process is resident. Each has a process of its
//! own, so that none inherits another one's heap: this program starts itself again, as the
//! contender.
//!
//! The others count keys and values against their budgets, and memcached its items; what else they
//! take comes on top. So the bytes per entry that are no payload are what to compare. They include
//! all of the process: its code, its runtime.
//!
//! With the feature `mimalloc` the contenders of this program have that allocator, without it the
//! system's.
//!
//! `GAGGLE_SIDE` asks for one contender alone, `GAGGLE_BUDGET_MIB` for another budget than 1024.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that cannot run says so and ends"
)]

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

mod load;
mod memcached;
mod report;
mod sides;

use load::Phase;
use memcached::Memcached;
use report::{HEADER, Report};
use sides::{Gaggle, Moka, Side};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Before the name of the contender that this process is to be, and its budget.
const AS_CONTENDER: &str = "--contender";

const GROUPCACHE: &str = "groupcache";
const MEMCACHED: &str = "memcached";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, name, budget] = arguments.as_slice()
        && flag == AS_CONTENDER
    {
        return contend(name, budget.parse().expect("a budget in bytes"));
    }
    // Without `--bench`, as `cargo test` runs it, or with `--test`: only to show that it runs.
    let asked = |name: &str| arguments.iter().any(|argument| argument == name);
    if !asked("--bench") || asked("--test") {
        return smoke();
    }
    let mib: u64 = std::env::var("GAGGLE_BUDGET_MIB").map_or(1024, |mib| {
        mib.parse().expect("GAGGLE_BUDGET_MIB is a number")
    });
    let only = std::env::var("GAGGLE_SIDE").ok();
    let budget = mib << 20;
    let allocator = if cfg!(feature = "mimalloc") {
        "mimalloc"
    } else {
        "the system's allocator"
    };
    println!("A budget of {mib} MiB; {allocator}\n\n{HEADER}");
    for name in ["gaggle", GROUPCACHE, "moka", MEMCACHED] {
        if only.as_deref().is_some_and(|only| only != name) {
            continue;
        }
        match run(name, budget) {
            Ok(reports) => reports
                .iter()
                .for_each(|report| println!("{}", report.row(name, budget))),
            Err(failure) => println!("| {name} | skipped: {failure} |"),
        }
    }
}

/// A small budget, and only what needs nothing but this program.
fn smoke() {
    const BUDGET: u64 = 4 << 20;
    println!("{HEADER}");
    for name in ["gaggle", "moka"] {
        let reports = run(name, BUDGET).expect("a contender failed");
        assert_eq!(reports.len(), 1 + Phase::ALL.len());
        for report in &reports {
            println!("{}", report.row(name, BUDGET));
            assert!(report.payload <= BUDGET && report.peak >= report.resident);
        }
        assert!(reports[1..].iter().all(|report| report.entries > 0));
    }
}

/// Runs a contender to its end.
fn run(name: &str, budget: u64) -> io::Result<Vec<Report>> {
    let mut command = if name == GROUPCACHE {
        let mut command = Command::new(go_program()?);
        command.args(["-budget", &budget.to_string()]);
        command
    } else {
        if name == MEMCACHED {
            Command::new(MEMCACHED)
                .arg("-V")
                .stdout(Stdio::null())
                .status()?;
        }
        let mut command = Command::new(std::env::current_exe()?);
        command.args([AS_CONTENDER, name, &budget.to_string()]);
        command
    };
    let mut process = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let said = process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut reports = Vec::new();
    for line in BufReader::new(said).lines() {
        let line = line?;
        reports.push(Report::from_line(&line).ok_or_else(|| io::Error::other(line))?);
    }
    let ended = process.wait()?;
    if ended.success() {
        Ok(reports)
    } else {
        Err(io::Error::other(format!("{name}: {ended}")))
    }
}

/// Builds the Go program on the packages that `interop/install` installs.
fn go_program() -> io::Result<PathBuf> {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("memory-groupcache");
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/memory/go"))
        .env("GO111MODULE", "off")
        .env("GOPATH", "/usr/share/gocode")
        .env("CGO_ENABLED", "0")
        .status()?;
    if built.success() {
        Ok(program)
    } else {
        Err(io::Error::other(format!("go build: {built}")))
    }
}

/// What the started process does: it becomes the contender, is filled, and reports after each
/// phase.
fn contend(name: &str, budget: u64) {
    let mut side: Box<dyn Side> = match name {
        "gaggle" => Box::new(Gaggle::new(budget)),
        "moka" => Box::new(Moka::new(budget)),
        MEMCACHED => Box::new(Memcached::start(budget).expect("memcached")),
        _ => panic!("no contender {name}"),
    };
    let pid = side.pid();
    let empty = Report::of(pid, "empty", || (0, 0)).expect("/proc");
    println!("{}", empty.to_line());
    for phase in Phase::ALL {
        side.fill(phase, budget);
        let report = Report::of(pid, phase.name(), || side.held(budget)).expect("/proc");
        println!("{}", report.to_line());
    }
}
