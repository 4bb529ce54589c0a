//! Floods of failures, and writers that block, fail or panic: the log is short, complete in its
//! counts, and in nobody's way.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use gaggle_telemetry::logging::{queued, subscriber};
use gaggle_telemetry::{Log, LogFormat, LogOptions};
use serde_json::Value;
use tracing::dispatcher::{Dispatch, with_default};

/// The end of a wait that takes no time unless something is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longer than any test: the first line of a kind is the only one.
const ENDLESS: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn options(format: LogFormat) -> LogOptions {
    LogOptions {
        format,
        color: false,
        interval: Some(ENDLESS),
        ..LogOptions::default()
    }
}

fn log_to(format: LogFormat, writer: impl Write + Send + 'static) -> (Dispatch, Log) {
    queued(&options(format), writer).unwrap()
}

fn fail(group: &str) {
    tracing::warn!(%group, error = "HTTP 500", "the origin failed");
}

#[test]
fn a_flood_is_two_lines_whose_counts_add_up() {
    const FAILURES: u64 = 100_000;
    let lines = Lines::default();
    let (dispatch, log) = log_to(LogFormat::Json, lines.clone());
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                with_default(&dispatch, || {
                    for _ in 0..FAILURES / 4 {
                        fail("scores");
                    }
                });
            });
        }
    });
    assert_eq!(log.lines_left_out(), FAILURES - 1);
    assert!(log.flush(PATIENCE));
    let text = lines.text();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [first, last] = &lines[..] else {
        panic!("{text}")
    };
    assert_eq!(first["message"], "the origin failed");
    assert_eq!(
        (&first["error"], &first["left_out"]),
        (&"HTTP 500".into(), &Value::Null)
    );
    assert_eq!(last["message"], "more of the same: the origin failed");
    assert_eq!(
        (&last["level"], &last["group"]),
        (&"WARN".into(), &"scores".into())
    );
    assert_eq!(last["target"], first["target"]);
    assert_eq!(last["left_out"], FAILURES - 1);
    assert_eq!(log.lines_lost(), 0);
    // What has been told is not told again.
    assert!(log.flush(PATIENCE));
}

#[test]
fn the_next_line_of_a_kind_tells_what_was_left_out() {
    let lines = Lines::default();
    let options = LogOptions {
        interval: Some(Duration::ZERO),
        ..options(LogFormat::Text)
    };
    // No interval at all: every line is the first of its own.
    let (dispatch, log) = queued(&options, lines.clone()).unwrap();
    with_default(&dispatch, || (0..3).for_each(|_| fail("scores")));
    assert!(log.flush(PATIENCE));
    assert_eq!(lines.text().lines().count(), 3);
    assert!(!lines.text().contains("left_out"));

    let lines = Lines::default();
    let (dispatch, log) = log_to(LogFormat::Text, lines.clone());
    with_default(&dispatch, || (0..3).for_each(|_| fail("scores")));
    assert!(log.flush(PATIENCE));
    let text = lines.text();
    let last = text.lines().last().unwrap();
    assert!(
        last.ends_with(" WARN more of the same: the origin failed group=scores left_out=2"),
        "{text}"
    );
}

#[test]
fn without_an_interval_all_lines_are_written() {
    let lines = Lines::default();
    let options = LogOptions {
        interval: None,
        ..options(LogFormat::Text)
    };
    let (dispatch, log) = queued(&options, lines.clone()).unwrap();
    with_default(&dispatch, || (0..100).for_each(|_| fail("scores")));
    assert!(log.flush(PATIENCE));
    assert_eq!(
        (lines.text().lines().count(), log.lines_left_out()),
        (100, 0)
    );
}

/// Blocks until the test lets go of it.
struct Blocks(mpsc::Receiver<()>);

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // An error means that the test is over.
        let _ = self.0.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_that_blocks_holds_up_nobody_and_what_does_not_fit_is_counted() {
    let (unblock, blocked) = mpsc::channel();
    let options = LogOptions {
        interval: None,
        ..options(LogFormat::Text)
    };
    let (dispatch, log) = queued(&options, Blocks(blocked)).unwrap();
    // If logging waited for the writer, this would not end.
    with_default(&dispatch, || (0..100_000).for_each(|_| fail("scores")));
    let lost = log.lines_lost();
    assert!((90_000..100_000).contains(&lost), "{lost}");
    assert!(!log.flush(Duration::ZERO));
    drop(unblock);
    assert!(log.flush(PATIENCE));
    assert_eq!(log.lines_lost(), lost);
}

/// Fails, or panics, as long as it is told to.
struct Broken {
    panics: bool,
    broken: Arc<AtomicBool>,
    lines: Lines,
}

impl Write for Broken {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.broken.load(Relaxed) {
            true if self.panics => panic!("the writer panics, which this test wants"),
            true => Err(io::ErrorKind::BrokenPipe.into()),
            false => self.lines.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn lines_that_a_writer_does_not_take_are_counted_and_it_is_tried_again() {
    for panics in [false, true] {
        let (broken, lines) = (Arc::new(AtomicBool::new(true)), Lines::default());
        let writer = Broken {
            panics,
            broken: Arc::clone(&broken),
            lines: lines.clone(),
        };
        let (dispatch, log) = log_to(LogFormat::Text, writer);
        with_default(&dispatch, || ["a", "b", "c"].into_iter().for_each(fail));
        assert!(log.flush(PATIENCE));
        assert_eq!((log.lines_lost(), lines.text()), (3, String::new()));
        broken.store(false, Relaxed);
        with_default(&dispatch, || fail("d"));
        assert!(log.flush(PATIENCE));
        assert!(
            lines
                .text()
                .ends_with(" the origin failed group=d error=\"HTTP 500\"\n")
        );
        assert_eq!(log.lines_lost(), 3);
    }
}

#[test]
fn a_long_line_is_cut_and_json_stays_json() {
    let long = "é".repeat(100_000);
    for format in [LogFormat::Text, LogFormat::Json] {
        let lines = Lines::default();
        let (dispatch, log) = log_to(format, lines.clone());
        with_default(&dispatch, || {
            tracing::warn!(
                group = "scores",
                error = long,
                after = 7,
                "the origin failed"
            );
        });
        assert!(log.flush(PATIENCE));
        let text = lines.text();
        assert!((16_000..=16 << 10).contains(&text.len()), "{}", text.len());
        assert_eq!(text.matches('\n').count(), 1);
        if format == LogFormat::Json {
            let line: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(line["group"], "scores");
            assert_eq!(line["cut"], true);
        } else {
            assert!(text.ends_with("é…\n"));
        }
    }
}

#[test]
fn a_value_that_cannot_be_written_costs_no_line() {
    struct Fails;
    impl std::fmt::Display for Fails {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            Err(std::fmt::Error)
        }
    }
    for format in [LogFormat::Text, LogFormat::Json] {
        let lines = Lines::default();
        let (dispatch, log) = log_to(format, lines.clone());
        with_default(
            &dispatch,
            || tracing::warn!(group = "scores", error = %Fails, "the origin failed"),
        );
        assert!(log.flush(PATIENCE));
        let text = lines.text();
        assert!(text.contains("the origin failed"), "{text}");
        if format == LogFormat::Json {
            let line: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(
                (&line["group"], &line["cut"]),
                (&"scores".into(), &true.into())
            );
        }
    }
}

#[test]
fn a_subscriber_that_writes_by_itself_is_limited_too() {
    let lines = Lines::default();
    let shared = lines.clone();
    let subscriber = subscriber(&options(LogFormat::Text), move || shared.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, || (0..1000).for_each(|_| fail("scores")));
    assert_eq!(lines.text().lines().count(), 1);
}

#[test]
fn the_thread_ends_with_the_log() {
    struct Watched(#[allow(dead_code, reason = "dropped with the writer")] mpsc::Sender<()>);
    impl Write for Watched {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (sender, dropped) = mpsc::channel();
    let (dispatch, log) = log_to(LogFormat::Text, Watched(sender));
    with_default(&dispatch, || fail("scores"));
    drop(dispatch);
    assert_eq!(
        dropped.recv_timeout(PATIENCE),
        Err(mpsc::RecvTimeoutError::Disconnected)
    );
    // It can be asked all the same.
    assert!(log.flush(PATIENCE));
    assert_eq!(log.lines_lost(), 0);
}
