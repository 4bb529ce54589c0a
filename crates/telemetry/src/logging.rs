//! Where log lines go, how they look, and how many of a kind there are.
//!
//! [`init`] never lets the log hold up or end the program's work. Lines go into a bounded queue,
//! and a thread of its own writes them. Lines that do not fit, and those that cannot be written,
//! are lost and counted. A line is at most 16 KiB long; what exceeds that is cut, and JSON stays
//! JSON (with the field `cut`).
//!
//! A failure that comes with every request becomes one line an interval
//! ([`LogOptions::interval`]), which tells how many like it were left out since the last one as
//! `left_out`. What was left out at the end of a burst is told within two intervals, by a line
//! whose message begins with `more of the same:`. Events are of one kind if they come from one
//! place in the code and have the same `group`, `peer`, `node`, `port`, `local_addr` and
//! `location`.

use std::io::{self, IsTerminal};
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use gaggle_group::SPAN_TARGET;
use tracing::Subscriber;
use tracing::dispatcher::{Dispatch, WeakDispatch};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::{EnvFilter, filter, fmt};

use self::asked::Asked;
use self::fields::PlainFields;
use self::level::Level;
use self::limit::Limiter;
use self::line::Lines;
use self::queue::{Producer, Queue};

mod asked;
mod bounded;
mod fields;
mod handle;
mod level;
mod limit;
mod line;
mod panics;
mod queue;

pub use handle::Log;

/// What was left out is told at least this often, whatever the interval.
const MOST_BETWEEN_SUMMARIES: Duration = Duration::from_secs(5);
const LEAST_BETWEEN_SUMMARIES: Duration = Duration::from_millis(100);

/// How log lines look and which are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// Text or JSON. Default text.
    pub format: LogFormat,
    /// What is written: a level (`off`, `error`, `warn`, `info`, `debug`, `trace`), or directives
    /// as in `info,gaggle_group=debug`. Default `info`.
    pub level: String,
    /// Whether text is coloured. Default: if standard error is a terminal.
    pub color: bool,
    /// The time in which one line of a kind is written at `error` and `warn`, and ten at `info`;
    /// `debug` and `trace` have no limit. None: all lines are written. Default 1 s.
    pub interval: Option<Duration>,
}

impl Default for LogOptions {
    fn default() -> Self {
        let color = io::stderr().is_terminal();
        Self {
            format: LogFormat::default(),
            level: "info".to_owned(),
            color,
            interval: Some(Duration::from_secs(1)),
        }
    }
}

/// The format of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `2026-01-01T00:00:00.000000Z  INFO picked peer group=scores peer=http://10.0.0.2:8001`
    #[default]
    Text,
    /// One JSON object a line: `timestamp`, `level`, `message`, `target`, and each field under
    /// its name.
    Json,
}

impl FromStr for LogFormat {
    type Err = LogError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(LogError::BadFormat {
                format: other.to_owned(),
            }),
        }
    }
}

impl std::fmt::Display for LogFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// Why logging cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The level is neither a level nor a list of directives.
    #[error(
        "{level:?} is no log level: {reason}; it takes off, error, warn, info, debug or trace, or directives such as info,gaggle_group=debug"
    )]
    BadLevel {
        /// The text.
        level: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The format is unknown.
    #[error("{format:?} is no log format: it takes text or json")]
    BadFormat {
        /// The text.
        format: String,
    },
    /// The program has set up logging before.
    #[error("logging is set up already")]
    AlreadySet,
    /// The log whose level is to change has ended.
    #[error("the log has ended: {reason}")]
    Ended {
        /// What is gone.
        reason: String,
    },
    /// The thread that writes cannot be started.
    #[error("the log's thread cannot be started: {source}")]
    NoThread {
        /// What the system said.
        source: io::Error,
    },
}

/// A log that is not (yet) the program's own.
pub type BoxedSubscriber = Box<dyn Subscriber + Send + Sync>;

/// A log as one of the layers of a subscriber.
pub type BoxedLayer<S> = Box<dyn Layer<S> + Send + Sync>;

/// Makes the process write its log to standard error, panics included. For programs, once; a
/// library or a test takes [`subscriber`] or [`queued`].
///
/// Before the program ends it should call [`Log::flush`]: lines that wait in the queue then are
/// lost otherwise.
///
/// A panic is an `error` with its `location`. Its message is told there only if it stands in the
/// code as it is. A message that is put together at run time may hold a key, and is told at
/// `debug`. With `RUST_BACKTRACE` set there is a `backtrace`.
///
/// # Errors
///
/// If the level cannot be read, the log's thread cannot be started, or logging has been set up
/// before.
pub fn init(options: &LogOptions) -> Result<Log, LogError> {
    let (dispatch, log) = queued(options, io::stderr())?;
    set_global(dispatch, log)
}

/// The same, with another layer beside the log, such as one that exports traces. The layer sees
/// every span and event of the process unless it has a filter of its own
/// ([`Layer::with_filter`]), and the log then costs what that layer makes the process do.
///
/// # Errors
///
/// As [`init`].
pub fn init_with(
    options: &LogOptions,
    beside: impl Layer<Registry> + Send + Sync,
) -> Result<Log, LogError> {
    let (layer, log) = layer(options, io::stderr())?;
    let subscriber = Registry::default().with(beside).with(layer);
    set_global(Dispatch::new(subscriber), log)
}

fn set_global(dispatch: Dispatch, log: Log) -> Result<Log, LogError> {
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| LogError::AlreadySet)?;
    panics::report_to(log.clone());
    Ok(log)
}

/// The same log, written to `writer` by a thread of its own and not (yet) the program's own. It
/// may block, fail or panic. The thread ends when the dispatch and its clones are gone and the
/// queue is empty.
///
/// # Errors
///
/// If the level cannot be read, or the thread cannot be started.
pub fn queued(
    options: &LogOptions,
    writer: impl io::Write + Send + 'static,
) -> Result<(Dispatch, Log), LogError> {
    let (layer, log) = layer(options, writer)?;
    Ok((Dispatch::new(Registry::default().with(layer)), log))
}

/// The same log as a layer, for a subscriber that has others. It has a filter of its own, by the
/// level, so that what other layers are interested in changes no line. The thread ends when the
/// layer is gone and the queue is empty.
///
/// ```
/// use gaggle_telemetry::{LogOptions, logging};
/// use tracing_subscriber::prelude::*;
///
/// let (layer, log) = logging::layer(&LogOptions::default(), std::io::stderr())?;
/// let subscriber = tracing_subscriber::registry().with(layer); // .with(another)
/// tracing::subscriber::with_default(subscriber, || tracing::info!("listening"));
/// assert_eq!(log.lines_lost(), 0);
/// # Ok::<(), gaggle_telemetry::LogError>(())
/// ```
///
/// # Errors
///
/// If the level cannot be read, or the thread cannot be started.
pub fn layer<S>(
    options: &LogOptions,
    writer: impl io::Write + Send + 'static,
) -> Result<(BoxedLayer<S>, Log), LogError>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let queue = Arc::new(Queue::default());
    let limiter = limiter(options);
    let dispatch = Arc::default();
    let producer = Producer(Arc::clone(&queue));
    let (layer, level) = build(options, limiter.clone(), producer, &dispatch)?;
    let log = Log {
        queue,
        limiter,
        level,
        dispatch,
    };
    let told = log.clone();
    let every = log.limiter.as_ref().map(|limiter| {
        let interval = limiter.interval();
        interval.clamp(LEAST_BETWEEN_SUMMARIES, MOST_BETWEEN_SUMMARIES)
    });
    thread::Builder::new()
        .name(panics::LOG_THREAD.to_owned())
        .spawn(move || queue::run(&told.queue, writer, every, || told.summarize(false)))
        .map_err(|source| LogError::NoThread { source })?;
    Ok((layer, log))
}

/// The same log as a value, written to `writer` by the thread that logs: for
/// `tracing::subscriber::with_default`. What was left out is told by the next line of its kind
/// alone.
///
/// # Errors
///
/// If the level cannot be read.
pub fn subscriber<W>(options: &LogOptions, writer: W) -> Result<BoxedSubscriber, LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (layer, _) = build(options, limiter(options), writer, &Arc::default())?;
    Ok(Box::new(Registry::default().with(layer)))
}

fn limiter(options: &LogOptions) -> Option<Arc<Limiter>> {
    options
        .interval
        .map(|interval| Arc::new(Limiter::new(interval)))
}

fn build<S, W>(
    options: &LogOptions,
    limiter: Option<Arc<Limiter>>,
    writer: W,
    dispatch: &Arc<OnceLock<WeakDispatch>>,
) -> Result<(BoxedLayer<S>, Level), LogError>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, level) = Asked::of(parse(&options.level)?);
    let knows = KnowsDispatch(Arc::clone(dispatch));
    let layer = fmt::Layer::default()
        .with_ansi(options.color)
        // It reports to standard error, and panics if that fails.
        .log_internal_errors(false)
        .with_writer(writer);
    let layer = match options.format {
        LogFormat::Text => layer
            .with_target(false)
            .fmt_fields(PlainFields)
            .map_event_format(|inner| Lines {
                inner: inner.with_ansi(options.color),
                format: LogFormat::Text,
                limiter,
            })
            .and_then(knows)
            .with_filter(filter)
            .boxed(),
        LogFormat::Json => layer
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .map_event_format(|inner| Lines {
                inner: inner.with_ansi(false),
                format: LogFormat::Json,
                limiter,
            })
            .and_then(knows)
            .with_filter(filter)
            .boxed(),
    };
    Ok((layer, level))
}

/// Notes which subscriber the log has become a part of: the one that summaries are written to.
struct KnowsDispatch(Arc<OnceLock<WeakDispatch>>);

impl<S: Subscriber> Layer<S> for KnowsDispatch {
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        // An error means that it is known. A layer is a part of one subscriber only.
        let _ = self.0.set(dispatch.downgrade());
    }
}

/// `EnvFilter` takes a lone word that is no level for a target, and then writes nothing but that
/// target's lines: the misspelt `verbos` would silence the node. Here such a word is an error.
fn parse(level: &str) -> Result<EnvFilter, LogError> {
    let bad = |reason: String| LogError::BadLevel {
        level: level.to_owned(),
        reason,
    };
    for word in level.split(',').map(str::trim) {
        // The empty text would count as "error".
        let known = !word.is_empty() && LevelFilter::from_str(word).is_ok();
        if !known && !word.contains(['=', '[', ']', '{', '}']) {
            return Err(bad(format!("{word:?} is unknown")));
        }
    }
    // Spans cost something, and lines are not to change with them.
    let directives = if level.contains(SPAN_TARGET) {
        level.to_owned()
    } else {
        format!("{level},{SPAN_TARGET}=off")
    };
    filter::Builder::default()
        .parse(directives)
        .map_err(|error| bad(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_directives_are_read() {
        for good in [
            "info",
            "OFF",
            "debug",
            "warn,gaggle_group=debug",
            "info,hyper=off",
            "trace",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_bad_level_is_an_error_that_names_it() {
        for bad in [
            "verbos",
            "",
            "info,",
            "info,dbug",
            "gaggle_group=loud",
            "gaggle_group",
        ] {
            let error = parse(bad).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(&format!("{bad:?}")), "{error}");
        }
        let error = parse("info,dbug").map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("\"dbug\" is unknown"), "{error}");
    }

    #[test]
    fn formats_are_read_back_as_they_are_written() {
        for format in [LogFormat::Text, LogFormat::Json] {
            assert_eq!(format.to_string().parse::<LogFormat>().unwrap(), format);
        }
        let error = "xml".parse::<LogFormat>().unwrap_err().to_string();
        assert_eq!(error, "\"xml\" is no log format: it takes text or json");
    }
}
