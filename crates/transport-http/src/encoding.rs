//! How a value is written into the body of an answer.

use std::fmt;
use std::str::FromStr;

use http::HeaderValue;

/// How a value is written into the body of an answer. Every node of a ring uses the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// A protobuf `GetResponse` with the value as field 1: golang/groupcache, GeeCache day 7,
    /// carrotCache.
    #[default]
    Protobuf,
    /// The bare value: GeeCache day 3 to 6, gocache.
    Raw,
}

/// The text names no encoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no encoding: it is \"protobuf\" or \"raw\"")]
pub struct EncodingError {
    /// The text.
    pub name: String,
}

impl Encoding {
    /// `protobuf` or `raw`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Protobuf => "protobuf",
            Self::Raw => "raw",
        }
    }

    /// The content type that the server sends.
    pub(crate) fn content_type(self) -> HeaderValue {
        match self {
            Self::Protobuf => const { HeaderValue::from_static(PROTOBUF_TYPE) },
            Self::Raw => const { HeaderValue::from_static("application/octet-stream") },
        }
    }
}

pub(crate) const PROTOBUF_TYPE: &str = "application/x-protobuf";

impl FromStr for Encoding {
    type Err = EncodingError;

    fn from_str(name: &str) -> Result<Self, EncodingError> {
        match name {
            "protobuf" => Ok(Self::Protobuf),
            "raw" => Ok(Self::Raw),
            _ => Err(EncodingError { name: name.into() }),
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_reads_back_what_it_shows() {
        for encoding in [Encoding::Protobuf, Encoding::Raw] {
            assert_eq!(encoding.to_string().parse(), Ok(encoding));
        }
        assert!("Protobuf".parse::<Encoding>().is_err());
    }
}
