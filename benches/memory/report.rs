//! What a contender's process says about itself, a line for each phase, and the table made of it.

use std::io;

/// A process after a phase. All in bytes but the entries.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) phase: String,
    /// Resident now: `VmRSS` in `/proc/PID/status`.
    pub(crate) resident: u64,
    /// Resident at the most so far: `VmHWM`.
    pub(crate) peak: u64,
    pub(crate) entries: u64,
    /// The keys and values of the entries.
    pub(crate) payload: u64,
}

impl Report {
    /// Looks at a process now, and then asks what it holds, which may well take memory.
    pub(crate) fn of(pid: u32, phase: &str, held: impl FnOnce() -> (u64, u64)) -> io::Result<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
            Some(kib << 10)
        };
        let (Some(resident), Some(peak)) = (bytes("VmRSS:"), bytes("VmHWM:")) else {
            return Err(io::Error::other("no VmRSS or VmHWM: not Linux?"));
        };
        let (entries, payload) = held();
        Ok(Self {
            phase: phase.to_owned(),
            resident,
            peak,
            entries,
            payload,
        })
    }

    /// As it goes from process to process.
    pub(crate) fn to_line(&self) -> String {
        let Self {
            phase,
            resident,
            peak,
            entries,
            payload,
        } = self;
        format!("{phase} {resident} {peak} {entries} {payload}")
    }

    pub(crate) fn from_line(line: &str) -> Option<Self> {
        let mut fields = line.split_whitespace();
        let phase = fields.next()?.to_owned();
        let mut number = || fields.next()?.parse().ok();
        Some(Self {
            phase,
            resident: number()?,
            peak: number()?,
            entries: number()?,
            payload: number()?,
        })
    }

    /// A row of the table.
    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    pub(crate) fn row(&self, name: &str, budget: u64) -> String {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let of_budget = |bytes: u64| bytes as f64 / budget as f64;
        let each = |bytes: f64| match self.entries {
            0 => "-".to_owned(),
            entries => format!("{:.1}", bytes / entries as f64),
        };
        let (resident, payload) = (self.resident as f64, self.payload as f64);
        format!(
            "| {name} | {} | {} | {:.0} | {:.2} | {:.0} | {:.2} | {:.2} | {} | {} |",
            self.phase,
            self.entries,
            mib(self.payload),
            of_budget(self.payload),
            mib(self.resident),
            of_budget(self.resident),
            of_budget(self.peak),
            each(resident),
            each(resident - payload),
        )
    }
}

pub(crate) const HEADER: &str = "\
| | phase | entries | payload, MiB | payload / budget | resident, MiB | resident / budget | peak / budget | resident per entry, B | of that no payload, B |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |";
