//! The options of batches.

use std::fmt;
use std::time::Duration;

use super::{check_fallbacks, public_parts};
use crate::OptionsError;
use crate::url::public_part;

/// The most keys of a batch, whatever the options say.
const MAX_KEYS: usize = 1024;

/// How several keys are loaded in one request: a POST with the keys in JSON, answered in JSON. It
/// only reads, like a GET, so it is retried for the same failures.
#[derive(Clone)]
pub struct BatchOptions {
    /// An `http` or `https` URL, without a place for keys. It must be set.
    pub url: String,
    /// Other URLs for the same values, like
    /// [`HttpOptions::fallbacks`](crate::HttpOptions::fallbacks). None.
    pub fallbacks: Vec<String>,
    /// The most keys in one request. 100, and from 1 to 1024.
    pub max_keys: usize,
    /// The body, in JSON, with `{keys}` exactly once, outside of strings: the keys replace it as
    /// an array of strings. `{"keys":{keys}}`.
    pub body: String,
    /// How an answer is built. [`BatchAnswer::Array`].
    pub answer: BatchAnswer,
    /// How strings in an answer are read. [`BatchValues::Text`].
    pub values: BatchValues,
    /// The longest that a batch may take, with all its retries. None: as long as
    /// [`HttpOptions::total_timeout`](crate::HttpOptions::total_timeout).
    pub timeout: Option<Duration>,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            url: String::new(),
            fallbacks: Vec::new(),
            max_keys: 100,
            body: r#"{"keys":{keys}}"#.to_owned(),
            answer: BatchAnswer::default(),
            values: BatchValues::default(),
            timeout: None,
        }
    }
}

impl fmt::Debug for BatchOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the body, which may contain a secret as well as the keys.
        f.debug_struct("BatchOptions")
            .field("url", &public_part(&self.url))
            .field("fallbacks", &public_parts(&self.fallbacks))
            .field("max_keys", &self.max_keys)
            .field("answer", &self.answer)
            .field("values", &self.values)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// How the answer to a batch is built.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BatchAnswer {
    /// An array with a value for each key, in the order of the keys; `null` means that there is no
    /// such key.
    #[default]
    Array,
    /// An object with the values by their keys; a key that is missing, or whose value is `null`,
    /// does not exist. Other keys are ignored.
    Object,
}

/// How a string in the answer to a batch is read. Any other JSON value is its text, exactly as the
/// service wrote it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BatchValues {
    /// The value is its text, in UTF-8.
    #[default]
    Text,
    /// The value is the bytes that it has in base64 (RFC 4648, section 4), padded or not.
    Base64,
}

impl BatchOptions {
    pub(super) fn check(&self) -> Result<(), OptionsError> {
        if !(1..=MAX_KEYS).contains(&self.max_keys) {
            let reason = format!("must be from 1 to {MAX_KEYS}");
            return Err(OptionsError::new("batch.max_keys", reason));
        }
        check_fallbacks("batch.fallbacks", &self.fallbacks)
    }
}
