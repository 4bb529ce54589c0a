//! Bounds that many fields have in common. Each refuses by the field's name.

use std::time::Duration;

use super::ConfigError;
use super::units::{Size, Span};

/// What nobody waits for.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How seldom something may be looked at that has to be followed.
const SELDOM: Duration = Duration::from_secs(60 * 60);

fn nothing(field: &str) -> ConfigError {
    ConfigError::new(field, "expected more than 0")
}

/// A number of something that there must be some of.
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
                "{} is more than anybody waits for; expected at most 1day",
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

/// How often something is looked at.
pub(super) fn interval(field: &str, span: Span) -> Result<(), ConfigError> {
    more_than_zero(field, span)?;
    if span.0 > SELDOM {
        return Err(ConfigError::new(field, "expected at most 1h"));
    }
    Ok(())
}
