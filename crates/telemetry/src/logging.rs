//! Where log lines go, and how they look.

use std::io::IsTerminal;
use std::str::FromStr;

use tracing::Subscriber;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::{MakeWriter, SubscriberBuilder};
use tracing_subscriber::{EnvFilter, filter};

use self::fields::PlainFields;

mod fields;

/// How log lines look and which are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// Text or JSON. Default text.
    pub format: LogFormat,
    /// What is written: a level (`off`, `error`, `warn`, `info`, `debug`, `trace`), or directives as in
    /// `info,gaggle_group=debug`. Default `info`.
    pub level: String,
    /// Whether text is coloured. Default: if standard error is a terminal.
    pub color: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        let color = std::io::stderr().is_terminal();
        Self {
            format: LogFormat::default(),
            level: "info".to_owned(),
            color,
        }
    }
}

/// The format of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `2026-01-01T00:00:00.000000Z  INFO picked peer group=scores peer=http://10.0.0.2:8001`
    #[default]
    Text,
    /// One JSON object a line: `timestamp`, `level`, `message`, `target`, and each field under its name.
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
}

/// A log that is not (yet) the program's own.
pub type BoxedSubscriber = Box<dyn Subscriber + Send + Sync>;

/// Makes the process write its log to standard error. For programs, once; a library or a test takes [`subscriber`].
///
/// # Errors
///
/// If the level cannot be read, or logging has been set up before.
pub fn init(options: &LogOptions) -> Result<(), LogError> {
    let subscriber = subscriber(options, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::AlreadySet)
}

/// The same log as a value, written to `writer`: for `tracing::subscriber::with_default`.
///
/// # Errors
///
/// If the level cannot be read.
pub fn subscriber<W>(options: &LogOptions, writer: W) -> Result<BoxedSubscriber, LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = SubscriberBuilder::default()
        .with_env_filter(parse(&options.level)?)
        .with_ansi(options.color)
        .with_writer(writer);
    Ok(match options.format {
        LogFormat::Text => Box::new(builder.with_target(false).fmt_fields(PlainFields).finish()),
        LogFormat::Json => Box::new(
            builder
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .finish(),
        ),
    })
}

/// `EnvFilter` takes a lone word that is no level for a target, and then writes nothing but that target's lines: the
/// misspelt `verbos` would silence the node. Here such a word is an error.
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
    filter::Builder::default()
        .parse(level)
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
