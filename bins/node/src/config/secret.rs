//! Text that is never printed, and its mask.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

use super::ConfigError;

/// The mask of a secret.
pub(super) const MASKED: &str = "MASKED";

/// A secret. `Debug` does not show it, and neither does the error about a value of another type.
/// It is serialised as it is: code that prints a configuration masks it first.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for code that has to send it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// A mask for printed configurations, which can be read as a secret again.
    pub(super) fn masked() -> Self {
        // As long as a token, and refused when one is read.
        Self(gaggle_token::PLACEHOLDER.to_owned())
    }
}

/// The longest secret that is read from a file.
const LONGEST: u64 = 64 << 10;

/// The content of a file, without the space around it. Blocks for as long as reading it takes. The
/// error shows nothing of the content.
pub(super) fn read_file(field: &str, path: &Path) -> Result<String, ConfigError> {
    let refused = |problem: String| {
        let problem = format!("{}: {problem}", path.display());
        Err(ConfigError::new(field, problem))
    };
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text));
    match read {
        Err(failure) => refused(failure.to_string()),
        Ok(read) if read as u64 > LONGEST => refused(format!("longer than {LONGEST} bytes")),
        Ok(_) if text.trim().is_empty() => refused("empty".to_owned()),
        Ok(_) => Ok(text.trim().to_owned()),
    }
}

/// A secret that is given as text, or in a file.
pub(super) fn one_of(
    field: &str,
    given: Option<&Secret>,
    file: Option<&Path>,
) -> Result<Option<String>, ConfigError> {
    match file {
        Some(path) => read_file(field, path).map(Some),
        None => Ok(given.map(|secret| secret.reveal().to_owned())),
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASKED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Read;

        /// The usual message would quote the value.
        fn refused<E: de::Error>() -> E {
            E::custom(
                "expected a text in quotes (what stands there is not shown, as it may be a secret)",
            )
        }

        impl<'de> Visitor<'de> for Read {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text in quotes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret(text.to_owned()))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Secret, E> {
                Ok(Secret(text))
            }

            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Secret, E> {
                Err(refused())
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secret, E> {
                Err(refused())
            }

            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Secret, E> {
                Err(refused())
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Secret, E> {
                Err(refused())
            }
        }

        from.deserialize_any(Read)
    }
}
