//! How keys are written as bytes, and parsed.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

mod number;
mod text;
mod tuple;

pub use text::{ByText, read_text, write_text};

/// A type that can be written as the bytes of a key.
///
/// Two different keys must be written as different bytes. This holds within one type: a group has
/// keys of one type, since the number `7` and the text `"7"` are the same bytes. What a key type
/// [borrows](std::borrow::Borrow) as, such as `str` for `String`, must be written as the key is.
///
/// Implement it, and [`FromKey`], with [`text_key!`](crate::text_key) for a type that has
/// `Display` and `FromStr`, or by hand, in terms of a type that has it:
///
/// ```
/// use gaggle_typed::{BadKey, FromKey, ToKey};
///
/// #[derive(Debug, PartialEq)]
/// struct Page { site: String, number: u32 }
///
/// impl ToKey for Page {
///     fn write_key(&self, out: &mut Vec<u8>) {
///         (&self.site, self.number).write_key(out);
///     }
/// }
///
/// impl FromKey for Page {
///     fn from_key(bytes: &[u8]) -> Result<Self, BadKey> {
///         let (site, number) = FromKey::from_key(bytes)?;
///         Ok(Self { site, number })
///     }
/// }
///
/// let page = Page { site: "a/b".into(), number: 7 };
/// assert_eq!(&*page.to_key(), b"a~1b/7");
/// assert_eq!(Page::from_key(b"a~1b/7"), Ok(page));
/// ```
pub trait ToKey {
    /// Appends the bytes of this key.
    fn write_key(&self, out: &mut Vec<u8>);

    /// The bytes of this key. A type that holds them already may lend them.
    fn to_key(&self) -> Cow<'_, [u8]> {
        let mut out = Vec::with_capacity(32);
        self.write_key(&mut out);
        Cow::Owned(out)
    }
}

/// A key that can be parsed from its bytes. A load runs on the node that owns the key, which gets
/// the bytes.
pub trait FromKey: ToKey + Sized {
    /// The key that is written as these bytes.
    ///
    /// Bytes that [`ToKey`] would not have written need not be refused: a group compares.
    ///
    /// # Errors
    ///
    /// If no key is written as these bytes.
    fn from_key(bytes: &[u8]) -> Result<Self, BadKey>;
}

/// The bytes are no key of the group's type. The text may be logged: it contains nothing of the
/// key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no key of the group's type: {why}")]
pub struct BadKey {
    why: &'static str,
}

impl BadKey {
    /// With the reason, such as `expected a number`.
    pub const fn new(why: &'static str) -> Self {
        Self { why }
    }
}

/// The key of these bytes, if it is written as exactly these bytes. Otherwise one key could be two
/// entries of a cache, as `7` and `007`, and a removal would find only one of them.
pub(crate) fn read_exactly<K: FromKey>(bytes: &[u8]) -> Result<K, BadKey> {
    let key = K::from_key(bytes)?;
    if *key.to_key() == *bytes {
        Ok(key)
    } else {
        Err(BadKey::new("it is written another way"))
    }
}

impl<T: ToKey + ?Sized> ToKey for &T {
    fn write_key(&self, out: &mut Vec<u8>) {
        (**self).write_key(out);
    }

    fn to_key(&self) -> Cow<'_, [u8]> {
        (**self).to_key()
    }
}

/// Types that are their bytes.
macro_rules! bytes_keys {
    ($($type:ty: |$of:ident| $bytes:expr, |$from:ident| $read:expr;)+) => {$(
        impl ToKey for $type {
            fn write_key(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_key());
            }

            fn to_key(&self) -> Cow<'_, [u8]> {
                let $of = self;
                Cow::Borrowed($bytes)
            }
        }

        impl FromKey for $type {
            fn from_key($from: &[u8]) -> Result<Self, BadKey> {
                $read
            }
        }
    )+};
}

bytes_keys! {
    String: |text| text.as_bytes(), |bytes| utf8(bytes).map(Into::into);
    Box<str>: |text| text.as_bytes(), |bytes| utf8(bytes).map(Into::into);
    Arc<str>: |text| text.as_bytes(), |bytes| utf8(bytes).map(Into::into);
    Vec<u8>: |bytes| bytes, |bytes| Ok(bytes.to_vec());
    Bytes: |bytes| bytes, |bytes| Ok(Self::copy_from_slice(bytes));
}

impl ToKey for str {
    fn write_key(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }

    fn to_key(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.as_bytes())
    }
}

impl ToKey for [u8] {
    fn write_key(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn to_key(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self)
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, BadKey> {
    std::str::from_utf8(bytes).map_err(|_| BadKey::new("expected UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_are_what_they_are() {
        assert_eq!(&*"张三".to_key(), "张三".as_bytes());
        assert_eq!(
            read_exactly::<String>("张三".as_bytes()),
            Ok("张三".to_owned())
        );
        assert!(read_exactly::<String>(b"\xff").is_err());
        assert_eq!(read_exactly::<Vec<u8>>(b"\xff"), Ok(vec![0xff]));
        assert_eq!(read_exactly::<String>(b""), Ok(String::new()));
        let (owned, shared): (String, Arc<str>) = ("Tom".into(), "Tom".into());
        assert_eq!(owned.to_key(), "Tom".to_key());
        assert_eq!(shared.to_key(), "Tom".to_key());
    }
}
