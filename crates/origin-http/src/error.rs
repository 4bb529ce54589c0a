//! Why an option cannot be used, and why a load failed.

use std::error::Error;

use gaggle_group::{OriginError, OriginFault};

/// An option that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("http origin: {field}: {reason}")]
pub struct OptionsError {
    /// The field of [`HttpOptions`](crate::HttpOptions); of its batch, `batch.` and the field.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl OptionsError {
    pub(crate) fn new(field: &'static str, reason: impl Into<String>) -> Self {
        Self {
            field,
            reason: reason.into(),
        }
    }
}

/// The cause of a failure, from any source.
type Cause = Box<dyn Error + Send + Sync>;

/// A failure of a load. Its text is complete and includes the causes, because often only the text
/// is logged. Outside of the node only the [fault](Self::told) is visible.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: {reason}")]
pub(crate) struct Failure {
    /// The URL without its query, and with `{key}` instead of the key.
    origin: String,
    reason: String,
    source: Option<Cause>,
}

impl Failure {
    pub(crate) fn new(origin: &str, reason: impl Into<String>) -> Self {
        Self {
            origin: origin.to_owned(),
            reason: reason.into(),
            source: None,
        }
    }

    /// The error of the load, with the fault that clients get.
    pub(crate) fn told(self, as_: OriginFault) -> OriginError {
        OriginError::failed(self).known_as(as_)
    }

    /// The same with its cause, which its text includes.
    pub(crate) fn caused_by(self, source: impl Into<Cause>) -> Self {
        let source = source.into();
        let mut reason = self.reason;
        let mut cause: Option<&dyn Error> = Some(&*source);
        while let Some(error) = cause {
            if !reason.is_empty() {
                reason.push_str(": ");
            }
            reason.push_str(&error.to_string());
            cause = error.source();
        }
        Self {
            reason,
            source: Some(source),
            ..self
        }
    }
}
