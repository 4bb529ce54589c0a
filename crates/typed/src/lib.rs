//! Groups whose keys and values have types, over [`gaggle_group`].
//!
//! A [`TypedGroup`] takes a key of your own type and returns an `Arc<V>`. It is a view of a plain
//! [`Group`](gaggle_group::Group) of bytes: a [`Codec`] encodes the values, and [`ToKey`] and
//! [`FromKey`] the keys. The main design decision: **types are a view**. The group, its peers and
//! its front door handle bytes, and know nothing about types.
//!
//! ```
//! # #[cfg(feature = "json")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use gaggle_typed::TypedGroup;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct User { name: String, points: u32 }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let users: TypedGroup<u64, User> = TypedGroup::builder("users")
//!     .keep_decoded(16 << 20)
//!     .origin_fn(|id: u64| async move {
//!         // Ask the database here: Ok(Some(user)), Ok(None) for "no such user", or Err.
//!         Ok::<_, std::io::Error>((id == 7).then(|| User { name: "Tom".into(), points: 630 }))
//!     })
//!     .build()?;
//! assert_eq!(users.get(&7).await?.points, 630);
//! assert!(users.get(&8).await.is_err_and(|error| error.is_not_found()));
//! # Ok(()) }
//! # run() }
//! # #[cfg(not(feature = "json"))]
//! # fn main() {}
//! ```
//!
//! # Keys
//!
//! A load runs on the node that owns the key, which has the key's bytes. A key type defines both
//! how it is written and how it is parsed. Text, byte strings, integers (in decimal), `bool` and
//! tuples of these are keys: `(7_u64, "a/b".to_owned())` is written `7/a~1b`. [`ByText`] makes a
//! key of any type with `Display` and `FromStr`, such as `Uuid`; [`text_key!`] does so for a type
//! of your own.
//!
//! Bytes that are no key of the type, which a client may send to a front door, are refused with
//! [`OriginFault::Key`](gaggle_group::OriginFault::Key), and the origin is not asked. Bytes that
//! the type would write another way are refused, too: `007` is not the number 7.
//!
//! A group has keys of one type. Two types may write the same bytes.
//!
//! # Values
//!
//! | codec | feature | a field is added |
//! |---|---|---|
//! | [`Json`] | `json`, on by default | older values are read with `#[serde(default)]` |
//! | `Postcard` | `postcard` | older values are unreadable, or read as something else: rename the group |
//! | `Prost` | `prost` | by protobuf's rules |
//! | [`Raw`] | | |
//! | your own | | |
//!
//! A value that cannot be decoded is removed on every node and loaded again, once for a get and at
//! most once in ten seconds for a key ([`OnMismatch`]). If the new value cannot be decoded either,
//! the get fails with [`TypedError::Decode`]. Its text names the group, the codec and lengths, and
//! nothing of the value.
//!
//! # Decoded values
//!
//! With [`keep_decoded`](TypedBuilder::keep_decoded) a hit whose bytes have been decoded before
//! returns the same `Arc` again. Each hit asks the group first, and a kept value is used only for
//! the bytes that the group returns, which are compared. A value that was removed, replaced or has
//! expired is therefore never served from there.
//!
//! # Trade-offs
//!
//! * Values are shared: a caller gets an `Arc`, and clones what it wants to change.
//! * The bytes of a value that is kept decoded may be in memory twice, as the group packs values
//!   of up to 4 KiB.
//! * A kept value costs the comparison of its bytes, tens of nanoseconds for a KiB. For values
//!   that decode faster than that, such as [`Raw`] ones, keeping them decoded gains nothing.
//! * While two releases run that cannot read each other's values, gets at either fail for keys
//!   that the other one loads. Change types compatibly, or rename the group.
//! * An origin that answers "not modified" is an origin of bytes:
//!   [`origin_of_bytes`](TypedBuilder::origin_of_bytes).

mod answer;
mod builder;
mod codec;
mod error;
mod group;
mod kept;
mod key;
mod origin;
mod reloads;

pub use answer::TypedAnswer;
pub use builder::TypedBuilder;
#[cfg(feature = "json")]
pub use codec::JsonError;
#[cfg(feature = "prost")]
pub use codec::Prost;
pub use codec::{Codec, Json, Raw};
#[cfg(feature = "postcard")]
pub use codec::{Postcard, PostcardError};
pub use error::TypedError;
pub use group::{OnMismatch, TypedGroup, TypedOptions, TypedStats};
pub use key::{BadKey, ByText, FromKey, ToKey, read_text, write_text};
pub use origin::{Found, TypedOrigin};
