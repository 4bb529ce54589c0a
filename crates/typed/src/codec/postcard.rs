//! Postcard.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Codec, Postcard};

/// Why a value cannot be written as postcard, or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PostcardError {
    /// It is no postcard of this type, or cannot be written as one.
    #[error(transparent)]
    Postcard(#[from] postcard::Error),
    /// A value of the type was decoded, and bytes are left over after it.
    #[error("{0} bytes are left over")]
    LeftOver(usize),
}

impl<V: Serialize + DeserializeOwned> Codec<V> for Postcard {
    type Error = PostcardError;

    fn name(&self) -> &'static str {
        "postcard"
    }

    fn encode(&self, value: &V) -> Result<Bytes, PostcardError> {
        Ok(postcard::to_allocvec(value)?.into())
    }

    fn decode(&self, bytes: &Bytes) -> Result<V, PostcardError> {
        match postcard::take_from_bytes(bytes)? {
            (value, []) => Ok(value),
            (_, left) => Err(PostcardError::LeftOver(left.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_value_reads_back_and_bytes_after_it_are_an_error() {
        let pair = ("Tom".to_owned(), 630_u32);
        let mut bytes = Postcard.encode(&pair).unwrap().to_vec();
        assert_eq!(Postcard.decode(&bytes.clone().into()), Ok(pair.clone()));
        bytes.push(0);
        let error = Codec::<(String, u32)>::decode(&Postcard, &bytes.into()).unwrap_err();
        assert_eq!(error, PostcardError::LeftOver(1));
    }
}
