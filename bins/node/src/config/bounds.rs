//! Bounds that many fields share. Each error names the field.

use std::time::Duration;

use super::ConfigError;
use super::units::{Size, Span};

/// The longest wait that makes sense.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The shortest period of what is done again and again. A shorter one would keep a core busy.
const OFTEN: Duration = Duration::from_millis(1);

/// The longest interval at which something that must be followed may be checked.
const SELDOM: Duration = Duration::from_secs(60 * 60);

fn nothing(field: &str) -> ConfigError {
    ConfigError::new(field, "expected more than 0")
}

/// A number that must be above zero.
pub(super) fn some(field: &str, count: impl TryInto<u64>) -> Result<(), ConfigError> {
    match count.try_into() {
        Ok(0) => Err(nothing(field)),
        _ => Ok(()),
    }
}

/// A size that something must fit into.
pub(super) fn room(field: &str, size: Size) -> Result<(), ConfigError> {
    some(field, size.0)
}

/// A span that must not be zero.
pub(super) fn more_than_zero(field: &str, span: Span) -> Result<(), ConfigError> {
    if span.0.is_zero() {
        return Err(nothing(field));
    }
    Ok(())
}

/// A span that may be zero, but is waited for.
pub(super) fn at_most_a_day(field: &str, span: Span) -> Result<(), ConfigError> {
    if span.0 > DAY {
        return Err(ConfigError::new(
            field,
            format!(
                "{} is too long to wait; expected at most 1day",
                humantime::format_duration(span.0)
            ),
        ));
    }
    Ok(())
}

/// How long something is waited for.
pub(super) fn timeout(field: &str, span: Span) -> Result<(), ConfigError> {
    more_than_zero(field, span)?;
    at_most_a_day(field, span)
}

/// The time between one and the next of what is done again and again.
pub(super) fn period(field: &str, span: Span) -> Result<(), ConfigError> {
    at_least(field, span, OFTEN)?;
    at_most_a_day(field, span)
}

/// A period that has a shortest one of its own.
pub(super) fn at_least(field: &str, span: Span, least: Duration) -> Result<(), ConfigError> {
    if span.0 >= least {
        return Ok(());
    }
    Err(ConfigError::new(
        field,
        format!(
            "{} is too short for what is done again and again; expected at least {}",
            humantime::format_duration(span.0),
            humantime::format_duration(least)
        ),
    ))
}

/// An interval between checks.
pub(super) fn interval(field: &str, span: Span) -> Result<(), ConfigError> {
    period(field, span)?;
    at_most_an_hour(field, span)
}

/// A time that does not exceed the longest interval.
pub(super) fn at_most_an_hour(field: &str, span: Span) -> Result<(), ConfigError> {
    if span.0 > SELDOM {
        return Err(ConfigError::new(field, "expected at most 1h"));
    }
    Ok(())
}
