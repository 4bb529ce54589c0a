//! How values are encoded as bytes.

use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;

#[cfg(feature = "json")]
mod json;
#[cfg(feature = "postcard")]
mod postcard;
#[cfg(feature = "prost")]
mod prost;

#[cfg(feature = "json")]
pub use json::JsonError;
#[cfg(feature = "postcard")]
pub use postcard::PostcardError;

/// How values of one type are encoded as bytes, and decoded.
///
/// All nodes of a cluster must use the same codec for a group. A value may have been written by
/// another release of the program, so a change of the type should leave older values readable, or
/// reliably [unreadable](Self::decode). If other bytes than were written can be decoded without an
/// error, nothing here can detect it.
pub trait Codec<V>: Send + Sync + 'static {
    /// Why a value cannot be encoded or decoded. Its text is logged: it must not contain any
    /// content of the value.
    type Error: Error + Send + Sync + 'static;

    /// Its name in errors, such as `json`.
    fn name(&self) -> &'static str;

    /// The bytes of a value.
    ///
    /// # Errors
    ///
    /// If the value cannot be written in this form.
    fn encode(&self, value: &V) -> Result<Bytes, Self::Error>;

    /// The value of these bytes, all of them.
    ///
    /// # Errors
    ///
    /// If the bytes are no value of this type.
    fn decode(&self, bytes: &Bytes) -> Result<V, Self::Error>;

    /// The content type with which a front door serves the bytes. Default: none.
    fn content_type(&self) -> Option<&'static str> {
        None
    }
}

/// JSON, by serde; the feature `json`, on by default. A field that is added to a struct needs
/// `#[serde(default)]`, or values without it become unreadable. `curl` and people can read it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Json;

/// Postcard, by serde; the feature `postcard`. It takes a third of JSON's bytes and time, and does
/// not describe the type: after any change of a struct, older values are unreadable or read as
/// something else. Rename the group with each change.
#[cfg(feature = "postcard")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Postcard;

/// Protocol Buffers, of any `prost::Message`; the feature `prost`. Fields may be added and removed
/// by protobuf's rules. A message usually decodes the bytes of another message type without an
/// error.
#[cfg(feature = "prost")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prost;

/// The bytes unchanged, for groups in which only the keys have a type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Raw;

impl Codec<Bytes> for Raw {
    type Error = Infallible;

    fn name(&self) -> &'static str {
        "raw"
    }

    fn encode(&self, value: &Bytes) -> Result<Bytes, Infallible> {
        Ok(value.clone())
    }

    fn decode(&self, bytes: &Bytes) -> Result<Bytes, Infallible> {
        Ok(bytes.clone())
    }
}
