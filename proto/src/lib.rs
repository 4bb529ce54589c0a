//! The messages that nodes of a Gaggle cluster exchange, generated from protobuf, and what every
//! transport does with them alike.
//!
//! [`peer`] holds Gaggle's own messages (`gaggle.proto`, `batch.proto`, `control.proto`),
//! [`groupcache`] those of golang/groupcache (`groupcache.proto`). Fields of type `bytes` are
//! [`Bytes`](bytes::Bytes). The code is generated when this crate is built, without a system
//! `protoc`.
//!
//! ```
//! use gaggle_proto::groupcache::GetResponse;
//! use prost::Message;
//!
//! // What golang/groupcache answers for a value of three bytes.
//! let answer = GetResponse::decode(&b"\x0a\x03630"[..])?;
//! assert_eq!(answer.value.as_deref(), Some(&b"630"[..]));
//! # Ok::<(), prost::DecodeError>(())
//! ```
//!
//! A crate that generates a service of its own takes the compiled files from
//! [`FILE_DESCRIPTOR_SET`], as a build-dependency, so that it needs no `.proto` file.
//!
//! With the feature `group`, the modules `hello`, `inspect`, `notices`, `terms` and `verdict`
//! convert between the messages and the types of gaggle-group. They check messages from untrusted
//! senders: lengths, counts, names that will be logged. With `client` and `tls`, the module
//! `credentials` has the options that the clients of all transports share, so that a program makes
//! them once.
//!
//! # Trade-offs
//!
//! * The code is generated with each build, which takes a few seconds and prost-build's
//!   dependencies. Checked-in code would build faster and could differ from the `.proto` files.
//! * A message takes many times the memory of its bytes where it has very many small elements.
//!   prost has no bound on them: [`count`] them before you decode a message from an untrusted
//!   sender.
//! * prost copies values when it encodes a message. The HTTP transport writes large values by
//!   hand, around the messages of this crate.

mod count;
#[cfg(feature = "client")]
pub mod credentials;
#[cfg(feature = "group")]
pub mod hello;
#[cfg(feature = "group")]
pub mod inspect;
mod millis;
#[cfg(feature = "group")]
pub mod notices;
#[cfg(feature = "group")]
pub mod terms;
#[cfg(feature = "group")]
pub mod verdict;

pub use count::{MAX_LISTED, count};
pub use millis::millis;

/// The most entries in a request that hands over.
pub const MAX_HANDED: usize = 1 << 10;

/// The most that an answer with removals takes, in bytes.
pub const MAX_NEWS: usize = 4 << 20;

/// A `google.protobuf.FileDescriptorSet` with all `.proto` files of this crate, encoded, without
/// their comments.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The messages of the package `gaggle.peer.v1`: what Gaggle's nodes say to each other.
#[allow(missing_docs, unused_qualifications, clippy::all, reason = "generated")]
pub mod peer {
    include!(concat!(env!("OUT_DIR"), "/gaggle.peer.v1.rs"));
}

/// The messages of the package `groupcachepb`: what golang/groupcache's nodes say to each other.
#[allow(missing_docs, unused_qualifications, clippy::all, reason = "generated")]
pub mod groupcache {
    include!(concat!(env!("OUT_DIR"), "/groupcachepb.rs"));
}
