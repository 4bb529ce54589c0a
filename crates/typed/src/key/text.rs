//! Keys that are written as their text.

use std::fmt::Display;
use std::io::Write as _;
use std::str::FromStr;

use super::{BadKey, FromKey, ToKey, utf8};

/// A key that is written as its text, for types of other crates, such as `Uuid`, that have
/// `Display` and `FromStr`. For a type of your own there is [`text_key!`](crate::text_key).
///
/// ```
/// use std::net::Ipv4Addr;
/// use gaggle_typed::{ByText, FromKey, ToKey};
///
/// let host = ByText(Ipv4Addr::LOCALHOST);
/// assert_eq!(&*host.to_key(), b"127.0.0.1");
/// assert_eq!(ByText::from_key(b"127.0.0.1"), Ok(host));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByText<T>(
    /// The value that is written.
    pub T,
);

impl<T: Display> ToKey for ByText<T> {
    fn write_key(&self, out: &mut Vec<u8>) {
        write_text(&self.0, out);
    }
}

impl<T: Display + FromStr> FromKey for ByText<T> {
    fn from_key(bytes: &[u8]) -> Result<Self, BadKey> {
        read_text(bytes).map(Self)
    }
}

/// Appends a key's text.
pub fn write_text(key: &(impl Display + ?Sized), out: &mut Vec<u8>) {
    // A `Vec` accepts every write, so an error could only come from the `Display` itself. The key
    // is then parsed as another one, and refused by the group.
    let _ = write!(out, "{key}");
}

/// The key of that text.
///
/// # Errors
///
/// If it is no UTF-8, or no text of such a key.
pub fn read_text<K: FromStr>(bytes: &[u8]) -> Result<K, BadKey> {
    let text = utf8(bytes)?;
    text.parse()
        .map_err(|_| BadKey::new("its text cannot be read"))
}

/// Makes types with `Display` and `FromStr` keys that are written as their text.
///
/// ```
/// use std::fmt;
/// use std::str::FromStr;
///
/// #[derive(Debug, Clone, PartialEq, Eq, Hash)]
/// struct UserId(u64);
///
/// impl fmt::Display for UserId {
///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         write!(f, "user-{}", self.0)
///     }
/// }
///
/// impl FromStr for UserId {
///     type Err = &'static str;
///     fn from_str(text: &str) -> Result<Self, Self::Err> {
///         let number = text.strip_prefix("user-").and_then(|number| number.parse().ok());
///         number.map(Self).ok_or("no user")
///     }
/// }
///
/// gaggle_typed::text_key!(UserId);
///
/// use gaggle_typed::{FromKey, ToKey};
/// assert_eq!(&*UserId(7).to_key(), b"user-7");
/// assert_eq!(UserId::from_key(b"user-7"), Ok(UserId(7)));
/// assert!(UserId::from_key(b"7").is_err());
/// ```
#[macro_export]
macro_rules! text_key {
    ($($type:ty),+ $(,)?) => {$(
        impl $crate::ToKey for $type {
            fn write_key(&self, out: &mut ::std::vec::Vec<u8>) {
                $crate::write_text(self, out);
            }
        }

        impl $crate::FromKey for $type {
            fn from_key(bytes: &[u8]) -> ::core::result::Result<Self, $crate::BadKey> {
                $crate::read_text(bytes)
            }
        }
    )+};
}
