//! Sizes such as `64MiB` and spans of time such as `5s`.

use std::time::Duration;

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The largest size that is accepted: no machine has more, so more is a mistake.
const MOST: u64 = 1 << 50;

/// The longest span that is accepted, ten years: more is a mistake, and there are other ways to
/// configure something without an end.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl Size {
    /// As a length in memory.
    pub(crate) fn length(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl From<usize> for Size {
    fn from(length: usize) -> Self {
        Self(u64::try_from(length).unwrap_or(u64::MAX))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let refused = |expected: &str| D::Error::invalid_value(Unexpected::Str(&text), &expected);
        let size: bytesize::ByteSize = text
            .parse()
            .map_err(|_| refused("a size such as \"64MiB\""))?;
        // A value that does not fit becomes the largest that does.
        if size.as_u64() > MOST {
            return Err(refused("at most \"1PiB\", as no machine has more"));
        }
        Ok(Self(size.as_u64()))
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // Only exact forms: what is printed must read back as the same number.
        let (unit, shift) = match self.0.trailing_zeros() {
            _ if self.0 == 0 => ("B", 0),
            30.. => ("GiB", 30),
            20.. => ("MiB", 20),
            10.. => ("KiB", 10),
            _ => ("B", 0),
        };
        to.serialize_str(&format!("{}{unit}", self.0 >> shift))
    }
}

/// A span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(pub(crate) Duration);

impl From<Duration> for Span {
    fn from(span: Duration) -> Self {
        Self(span)
    }
}

impl Span {
    pub(crate) const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let refused = |expected: &str| D::Error::invalid_value(Unexpected::Str(&text), &expected);
        let span = humantime::parse_duration(&text)
            .map_err(|_| refused("a time such as \"5s\" or \"250ms\""))?;
        if span > LONGEST {
            return Err(refused("a time of at most ten years, such as \"5s\""));
        }
        Ok(Self(span))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&humantime::format_duration(self.0).to_string())
    }
}
