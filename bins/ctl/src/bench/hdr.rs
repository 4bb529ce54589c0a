//! `--hdr`: an HdrHistogram log of the run, an interval for each second.
//!
//! The format is HdrHistogram's own (version 1.3 of the log, V2 of the histograms, deflated), as
//! its log processor and its plotters read it. The values are microseconds.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;

use super::recorder::{Recorder, Recorders};
use crate::outcome::Failure;
use crate::output::shown;

const EVERY: Duration = Duration::from_secs(1);

/// A file that is opened before the load begins, so that an error ends the run at once.
#[derive(Debug)]
pub(super) struct HdrFile {
    file: File,
    name: String,
}

/// A log that is being written.
#[derive(Debug)]
pub(super) struct HdrLog {
    name: String,
    /// Ends the log when it is dropped.
    end: mpsc::Sender<()>,
    writing: JoinHandle<Result<(), String>>,
}

impl HdrFile {
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        let name = format!("--hdr {}", shown(path.as_os_str().as_encoded_bytes()));
        let file = File::create(path);
        let file = file.map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
        Ok(Self { file, name })
    }

    /// Begins to write what the recorders see, on a separate thread: compressing histograms must
    /// not delay the callers.
    pub(super) fn start(self, recorders: &Arc<Recorders>) -> Result<HdrLog, Failure> {
        let Self { file, name } = self;
        let failed = |error| Failure::Failed(format!("{name}: no thread to write it: {error}"));
        let (end, ended) = mpsc::channel();
        let recorders = Arc::clone(recorders);
        let writing = thread::Builder::new()
            .name("hdr".to_owned())
            .spawn(move || write(file, &recorders, &ended))
            .map_err(failed)?;
        Ok(HdrLog { name, end, writing })
    }
}

impl HdrLog {
    /// Writes the last interval and closes the file. A disk may have been full since the start.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let Self { name, end, writing } = self;
        drop(end);
        let written = writing.join();
        let written = written.unwrap_or_else(|_| Err("the thread ended early".to_owned()));
        written.map_err(|error| Failure::Usage(format!("{name}: {error}")))
    }
}

fn write(file: File, recorders: &Recorders, ended: &mpsc::Receiver<()>) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let mut file = BufWriter::new(file);
    let mut serializer = V2DeflateSerializer::new();
    let now = SystemTime::now();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("[Histogram log format version 1.3]")
        .add_comment("[Latencies in microseconds, from the instant that a request was due]")
        .with_start_time(now)
        .with_base_time(now)
        // The column of maxima is in milliseconds, as in other writers' logs.
        .with_max_value_divisor(1e3)
        .begin_log_with(&mut file, &mut serializer)
        .map_err(|error| told(&error))?;
    let mut interval: Histogram<u64> = Recorder::new().map_err(|error| told(&error))?.all;
    let start = Instant::now();
    let mut from = Duration::ZERO;
    for number in 1u32.. {
        let due = (EVERY * number).saturating_sub(start.elapsed());
        let last = !matches!(ended.recv_timeout(due), Err(RecvTimeoutError::Timeout));
        interval.reset();
        recorders.take_interval(&mut interval);
        let until = start.elapsed();
        if !(last && interval.is_empty()) {
            log.write_histogram(&interval, from, until.saturating_sub(from), None)
                .map_err(|error| told(&error))?;
        }
        from = until;
        if last {
            break;
        }
    }
    file.flush().map_err(|error| told(&error))
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::super::recorder::End;
    use super::*;

    #[test]
    fn a_log_has_every_request_once_and_can_be_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.hlog");
        let recorders = Arc::new(Recorders::with_intervals(2).unwrap());
        let log = HdrFile::create(&path).unwrap().start(&recorders).unwrap();
        let due = Instant::now();
        for caller in 0..10 {
            let ended = due + Duration::from_millis(5);
            recorders.record(caller, due, ended, &End::Ok { bytes: 1 });
        }
        log.finish().unwrap();

        let text = std::fs::read(&path).unwrap();
        assert!(text.starts_with(b"#[Histogram log format version 1.3]\n"));
        let mut requests = 0;
        for entry in IntervalLogIterator::new(&text) {
            if let LogEntry::Interval(interval) = entry.unwrap() {
                let bytes = base64::Engine::decode(
                    &base64::engine::general_purpose::STANDARD,
                    interval.encoded_histogram(),
                );
                let histogram: Histogram<u64> = Deserializer::new()
                    .deserialize(&mut bytes.unwrap().as_slice())
                    .unwrap();
                requests += histogram.len();
                assert!(histogram.max().abs_diff(5000) < 10, "{}", histogram.max());
                assert!((interval.max() - 5.0).abs() < 0.01, "{}", interval.max());
            }
        }
        assert_eq!(requests, 10);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_reported_before_the_load() {
        let dir = tempfile::tempdir().unwrap();
        let failure = HdrFile::create(&dir.path().join("nowhere/run.hlog")).unwrap_err();
        assert!(matches!(failure, Failure::Usage(_)), "{failure}");
    }
}
