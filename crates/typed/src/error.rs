//! Why a typed get returned no value.

use std::error::Error;
use std::sync::Arc;

/// Why there is no typed value. Cheap to clone.
///
/// Its text contains neither keys nor values. It is for a log of this program, like the text of
/// [`gaggle_group::Error`]; [`public`](Self::public) is the text for clients.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TypedError {
    /// The group has no answer, or the answer is that there is no such key.
    #[error(transparent)]
    Group(#[from] gaggle_group::Error),
    /// The group's bytes are no value of the type: another release, or another program, has
    /// written them.
    #[error(
        "group {group}: a value of {value_len} bytes is not what {codec} reads (its key has {key_len} bytes{})",
        if *.reloaded { "; it was loaded again and could not be read either" } else { "" }
    )]
    Decode {
        /// The group asked.
        group: Arc<str>,
        /// The codec's name.
        codec: &'static str,
        /// The key's length in bytes.
        key_len: usize,
        /// The value's length in bytes.
        value_len: usize,
        /// Whether this get has just removed it and loaded it again.
        reloaded: bool,
        /// The error of the codec.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The codec cannot encode a value for a put.
    #[error("group {group}: {codec} cannot write the value (its key has {key_len} bytes)")]
    Encode {
        /// The group asked.
        group: Arc<str>,
        /// The codec's name.
        codec: &'static str,
        /// The key's length in bytes.
        key_len: usize,
        /// The error of the codec.
        source: Arc<dyn Error + Send + Sync>,
    },
}

impl TypedError {
    /// Whether the origin has no such key: an answer, not a failure.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Group(error) if error.is_not_found())
    }

    /// Whether a retry may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Group(error) if error.is_transient())
    }

    /// The same error, after the value was loaded again.
    pub(crate) fn reloaded(mut self) -> Self {
        if let Self::Decode { reloaded, .. } = &mut self {
            *reloaded = true;
        }
        self
    }

    /// A text for clients and others outside of the node.
    pub fn public(&self) -> String {
        match self {
            Self::Group(error) => error.public().to_string(),
            Self::Decode { group, .. } | Self::Encode { group, .. } => {
                format!("group {group}: a value cannot be used")
            }
        }
    }
}

/// Why an origin's value cannot be encoded.
#[derive(Debug, thiserror::Error)]
#[error("{codec} cannot write the origin's value")]
pub(crate) struct Unwritten<E: Error + 'static> {
    pub(crate) codec: &'static str,
    pub(crate) source: E,
}
