//! JSON.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::{Codec, Json};

/// Why a value is no JSON of its type, or cannot be written as JSON. `serde_json`'s own text may
/// quote the value, so it is left out: this has only the kind and the position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at line {line}, column {column}")]
pub struct JsonError {
    /// What is wrong.
    problem: &'static str,
    /// Counted from 1; 0 while the value was being written.
    line: usize,
    /// Counted from 1; 0 while the value was being written, or at the end of a line.
    column: usize,
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        Self {
            problem: match error.classify() {
                Category::Io => "it cannot be written",
                Category::Syntax => "it is no JSON",
                Category::Data => "it is JSON of another shape",
                Category::Eof => "the JSON ends too early",
            },
            line: error.line(),
            column: error.column(),
        }
    }
}

impl<V: Serialize + DeserializeOwned> Codec<V> for Json {
    type Error = JsonError;

    fn name(&self) -> &'static str {
        "json"
    }

    fn encode(&self, value: &V) -> Result<Bytes, JsonError> {
        Ok(serde_json::to_vec(value)?.into())
    }

    fn decode(&self, bytes: &Bytes) -> Result<V, JsonError> {
        Ok(serde_json::from_slice(bytes)?)
    }

    fn content_type(&self) -> Option<&'static str> {
        Some("application/json")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_error_has_the_place_and_nothing_of_the_value() {
        let secret = Bytes::from_static(b"[\"hunter2\"]");
        let error = Codec::<Vec<u32>>::decode(&Json, &secret).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("hunter2"), "{text}");
        assert_eq!(
            error.to_string(),
            "it is JSON of another shape at line 1, column 10"
        );
        let cut = Codec::<Vec<u32>>::decode(&Json, &Bytes::from_static(b"[1,")).unwrap_err();
        assert!(cut.to_string().starts_with("the JSON ends too early"));
        let more = Codec::<u32>::decode(&Json, &Bytes::from_static(b"1 2")).unwrap_err();
        assert!(more.to_string().starts_with("it is no JSON"), "{more}");
    }
}
