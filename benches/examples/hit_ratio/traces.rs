use std::io;

use gaggle_benches::hit_ratio::{PAIRS, Trace, folder, parallel};

/// The traces that there are.
pub(crate) struct Traces {
    /// The name, the trace, and the capacities in entries to measure it with.
    pub(crate) all: Vec<(&'static str, Trace, [usize; 3])>,
    /// How many are absent.
    pub(crate) skipped: usize,
}

impl Traces {
    /// Says on standard error which are absent.
    pub(crate) fn read() -> io::Result<Self> {
        let folder = folder();
        let mut present = Vec::new();
        for (file, entries) in PAIRS {
            let path = folder.join(file);
            if path.is_file() {
                present.push((file, path, entries));
            } else {
                eprintln!("SKIPPED: no trace at {}", path.display());
            }
        }
        let skipped = PAIRS.len() - present.len();
        if skipped > 0 {
            let all = PAIRS.len();
            eprintln!(
                "SKIPPED {skipped} of {all} traces: set GAGGLE_TRACES to the folder that has them"
            );
        }
        let read = parallel(&present, |(file, path, entries)| {
            let name = file.split('.').next().unwrap_or(file);
            Trace::read(path).map(|trace| (name, trace, *entries))
        });
        let all = read.into_iter().collect::<io::Result<_>>()?;
        Ok(Self { all, skipped })
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Trace> {
        let mut all = self.all.iter();
        all.find(|(other, ..)| *other == name)
            .map(|(_, trace, _)| trace)
    }
}
