//! What a scrape reads of the process: by the names that Prometheus' client libraries use, from
//! Linux's `/proc`.

use std::time::{SystemTime, UNIX_EPOCH};

use super::families::Families;

/// Writes what is known of this process. Where there is no `/proc` there are no samples.
///
/// `since` stands in for the start where `/proc` does not show when the machine booted, as under
/// systemd's `ProcSubset=pid`.
pub(super) fn families(families: &mut Families, since: SystemTime) {
    let process = Process::read();
    let started = process.started.or_else(|| {
        let since = since.duration_since(UNIX_EPOCH).ok()?;
        process.threads.map(|_| since.as_secs_f64())
    });
    let one = |value: Option<u64>| value.map(|value| ([], value));
    families.counter(
        "process_cpu_seconds",
        "Processor time used, by the program and by the kernel for it, in seconds.",
        [],
        process.cpu_seconds.map(|value| ([], value)),
    );
    families.gauge(
        "process_resident_memory_bytes",
        "Physical memory in use, in bytes.",
        [],
        one(process.resident_bytes),
    );
    families.gauge(
        "process_virtual_memory_bytes",
        "Address space in use, in bytes.",
        [],
        one(process.virtual_bytes),
    );
    families.gauge(
        "process_open_fds",
        "File descriptors that are open.",
        [],
        one(process.open_fds),
    );
    families.gauge(
        "process_max_fds",
        "File descriptors that may be open.",
        [],
        one(process.max_fds),
    );
    families.gauge(
        "process_threads",
        "Threads of the operating system.",
        [],
        one(process.threads),
    );
    families.gauge(
        "process_start_time_seconds",
        "When the process started, in seconds since 1970.",
        [],
        started.map(|value| ([], value)),
    );
}

#[derive(Debug, Default)]
struct Process {
    cpu_seconds: Option<f64>,
    resident_bytes: Option<u64>,
    virtual_bytes: Option<u64>,
    open_fds: Option<u64>,
    max_fds: Option<u64>,
    threads: Option<u64>,
    started: Option<f64>,
}

/// In which `/proc` counts time. The kernel's own unit may differ, but it converts to this one for
/// programs, on all architectures that Rust has a standard library for (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

impl Process {
    #[cfg(target_os = "linux")]
    fn read() -> Self {
        use std::fs::{read_dir, read_to_string};
        let file = |path| read_to_string(path).unwrap_or_default();
        let mut process = Self::parse(
            &file("/proc/self/stat"),
            &file("/proc/self/status"),
            &file("/proc/self/limits"),
            &file("/proc/stat"),
        );
        // Less the one that reads the folder.
        let fds = read_dir("/proc/self/fd").map(|fds| fds.count() as u64);
        process.open_fds = fds.ok().map(|fds| fds.saturating_sub(1));
        process
    }

    #[cfg(not(target_os = "linux"))]
    fn read() -> Self {
        Self::default()
    }

    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    fn parse(stat: &str, status: &str, limits: &str, machine: &str) -> Self {
        // The second field is the program's name in brackets, which may hold anything.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        // proc_pid_stat(5) counts from 1, and the first of these is its field 3.
        let field = |n: usize| -> Option<f64> { fields.get(n - 3)?.parse().ok() };
        let kib = |name: &str| -> Option<u64> {
            let value: u64 = value_of(status, name)?.split(' ').next()?.parse().ok()?;
            value.checked_mul(1024)
        };
        let booted = machine
            .lines()
            .find_map(|line| line.strip_prefix("btime "))
            .and_then(|seconds| seconds.trim().parse::<f64>().ok());
        Self {
            cpu_seconds: field(14)
                .zip(field(15))
                .map(|(user, system)| (user + system) / TICKS_PER_SECOND),
            resident_bytes: kib("VmRSS:"),
            virtual_bytes: kib("VmSize:"),
            open_fds: None,
            max_fds: limits
                .lines()
                .find_map(|line| line.strip_prefix("Max open files"))
                .and_then(|rest| rest.split_whitespace().next()?.parse().ok()),
            threads: value_of(status, "Threads:").and_then(|value| value.parse().ok()),
            started: booted
                .zip(field(22))
                .map(|(booted, ticks)| booted + ticks / TICKS_PER_SECOND),
        }
    }
}

fn value_of<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "4711 (a (b) c) S 1 2 3 0 -1 4194560 100 0 0 0 250 150 0 0 20 0 9 0 \
        12345 1000000 250 18446744073709551615";
    const STATUS: &str = "Name:\ta (b) c\nVmSize:\t    2048 kB\nVmRSS:\t     512 kB\nThreads:\t9\n";
    const LIMITS: &str = "Limit   Soft Limit  Hard Limit  Units\n\
        Max open files            1024                 524288               files\n";

    #[test]
    fn the_files_are_read_field_by_field() {
        let process = Process::parse(STAT, STATUS, LIMITS, "cpu 1 2 3\nbtime 1700000000\n");
        assert_eq!(process.cpu_seconds, Some(4.0));
        assert_eq!(process.virtual_bytes, Some(2 << 20));
        assert_eq!(process.resident_bytes, Some(512 << 10));
        assert_eq!(process.threads, Some(9));
        assert_eq!(process.max_fds, Some(1024));
        assert_eq!(process.started, Some(1_700_000_123.45));
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        let process = Process::parse("", "VmRSS: many kB", "Max open files unlimited", "");
        assert_eq!(process.cpu_seconds, None);
        assert_eq!(process.resident_bytes, None);
        assert_eq!(process.max_fds, None);
        assert_eq!(process.started, None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_threads_and_descriptors() {
        let process = Process::read();
        assert!(process.resident_bytes > Some(100 << 10), "{process:?}");
        assert!(
            process.threads >= Some(1) && process.open_fds >= Some(1),
            "{process:?}"
        );
        assert!(process.started > Some(1_000_000_000.0) && process.cpu_seconds.is_some());
    }
}
