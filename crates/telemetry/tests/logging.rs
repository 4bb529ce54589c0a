//! How log lines look.
#![allow(clippy::unwrap_used)]

use std::io;
use std::sync::{Arc, Mutex};

use gaggle_telemetry::logging::subscriber;
use gaggle_telemetry::{LogError, LogFormat, LogOptions};
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// What `log` writes.
fn written(format: LogFormat, level: &str, log: impl FnOnce()) -> String {
    let lines = Lines::default();
    let options = LogOptions {
        format,
        level: level.to_owned(),
        color: false,
        ..LogOptions::default()
    };
    let subscriber = subscriber(&options, lines.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, log);
    let bytes = lines.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn spans_of_gets_change_no_line_unless_they_are_asked_for() {
    let log = || {
        let span =
            tracing::debug_span!(target: gaggle_group::SPAN_TARGET, "load", group = "scores");
        span.in_scope(|| tracing::info!("asking the origin"));
    };
    for level in ["debug", "info,gaggle_group=trace"] {
        let text = written(LogFormat::Text, level, log);
        assert!(text.ends_with(" INFO asking the origin\n"), "{text}");
        let json = written(LogFormat::Json, level, log);
        assert!(!json.contains("scores"), "{json}");
    }
    let text = written(LogFormat::Text, "info,gaggle_group::trace=debug", log);
    assert!(
        text.contains("load{group=scores}: asking the origin"),
        "{text}"
    );
}

#[test]
fn a_text_line_has_time_level_message_and_bare_fields() {
    let text = written(LogFormat::Text, "debug", || {
        let peer = "http://10.0.0.2:8001";
        tracing::debug!(group = %"scores", key = %"Tom", peer, "picked peer");
    });
    let (time, rest) = text.split_once(' ').unwrap();
    assert!(
        time.len() > 20 && time.ends_with('Z') && time.contains('T'),
        "{time}"
    );
    assert_eq!(
        rest,
        "DEBUG picked peer group=scores key=Tom peer=http://10.0.0.2:8001\n"
    );
}

#[test]
fn text_is_quoted_where_needed_and_never_breaks_its_line() {
    let text = written(LogFormat::Text, "info", || {
        let (spaced, empty, n) = ("two words", "", 7);
        tracing::info!(spaced, empty, n, forged = %"x\n2026 ERROR", esc = "\u{1b}[2J", q = ?"a b", "it is so");
    });
    assert!(
        text.ends_with(
            "INFO it is so spaced=\"two words\" empty=\"\" n=7 forged=\"x\\n2026 ERROR\" \
             esc=\\u{1b}[2J q=\"a b\"\n"
        ),
        "{text}"
    );
    assert_eq!(text.matches('\n').count(), 1);
}

#[test]
fn json_has_the_fields_at_the_top() {
    let text = written(LogFormat::Json, "info", || {
        tracing::warn!(group = %"scores", n = 3, "the origin failed");
    });
    for part in [
        "\"level\":\"WARN\"",
        "\"message\":\"the origin failed\"",
        "\"group\":\"scores\"",
        "\"n\":3",
        "\"timestamp\":\"",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(text.starts_with('{') && text.ends_with("}\n"));
}

#[test]
fn levels_and_targets_select_lines() {
    let text = written(LogFormat::Text, "warn,logging::inner=debug", || {
        tracing::info!("left out");
        tracing::debug!(target: "logging::inner", "kept");
        tracing::error!("kept too");
    });
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(!text.contains("left out"));
}

#[test]
fn a_second_set_up_is_refused() {
    let options = LogOptions {
        level: "off".to_owned(),
        ..LogOptions::default()
    };
    gaggle_telemetry::logging::init(&options).unwrap();
    let again = gaggle_telemetry::logging::init(&options);
    assert!(matches!(again, Err(LogError::AlreadySet)));
}

#[test]
fn the_level_changes_while_the_log_runs() {
    let lines = Lines::default();
    let options = LogOptions {
        color: false,
        interval: None,
        ..LogOptions::default()
    };
    let (dispatch, log) = gaggle_telemetry::logging::queued(&options, lines.clone()).unwrap();
    let tell = |n: u32| {
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::debug!("detail {n}");
            tracing::info!("news {n}");
        });
    };
    tell(1);
    log.set_level("debug").unwrap();
    tell(2);
    log.set_level("warn").unwrap();
    tell(3);
    let error = log.set_level("verbos").unwrap_err();
    assert!(matches!(error, LogError::BadLevel { .. }), "{error}");
    log.set_level("info").unwrap();
    tell(4);
    assert!(log.flush(std::time::Duration::from_secs(60)));
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let messages: Vec<_> = text
        .lines()
        .map(|line| {
            line.split_whitespace()
                .skip(2)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    assert_eq!(messages, ["news 1", "detail 2", "news 2", "news 4"]);
    drop(dispatch);
    let error = log.set_level("info").unwrap_err();
    assert!(matches!(error, LogError::Ended { .. }), "{error}");
}
