//! The origin's metadata of a value, which a front door sends with it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

/// A few short fields about a value: its content type, content encoding, entity tag, date of last
/// modification and age.
///
/// Kept as one byte string of at most [`MAX_LEN`](Self::MAX_LEN), which stores and transports pass
/// on unchanged, so an answer from memory parses only the fields that are read. Empty, the
/// default, it is a null pointer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    known: Option<Arc<Facts>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Facts {
    /// For each field: its number, its length in two bytes, its text.
    fields: Bytes,
    /// How old the value was when this was read, if that is known.
    age: Option<Duration>,
}

static NO_FIELDS: Bytes = Bytes::new();

/// The fields of [`Metadata`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// `Content-Type`.
    ContentType,
    /// `Content-Encoding`.
    ContentEncoding,
    /// `ETag`, quotes included.
    ETag,
    /// `Last-Modified`, as the origin wrote it.
    LastModified,
}

/// The bytes are no [`Metadata`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no metadata")]
pub struct BadMetadata;

impl Field {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::ContentType,
        Self::ContentEncoding,
        Self::ETag,
        Self::LastModified,
    ];

    fn number(self) -> u8 {
        match self {
            Self::ContentType => 1,
            Self::ContentEncoding => 2,
            Self::ETag => 3,
            Self::LastModified => 4,
        }
    }
}

impl Metadata {
    /// The most bytes that the fields may take together. A field that does not fit is left out.
    pub const MAX_LEN: usize = 1 << 10;

    /// Adds a field, if it is text that is valid in an HTTP header and fits; replaces nothing.
    #[must_use]
    pub fn with(self, field: Field, text: impl AsRef<[u8]>) -> Self {
        let text = text.as_ref();
        let is_header = |b: &u8| matches!(b, b' '..=b'~' | b'\t' | 0x80..);
        let Ok(len) = u16::try_from(text.len()) else {
            return self;
        };
        let old = self.as_bytes();
        let fits = old.len() + 3 + text.len() <= Self::MAX_LEN;
        if !fits || text.is_empty() || !text.iter().all(is_header) {
            return self;
        }
        let mut fields = BytesMut::with_capacity(old.len() + 3 + text.len());
        fields.put_slice(old);
        fields.put_u8(field.number());
        fields.put_u16(len);
        fields.put_slice(text);
        Self::of(fields.freeze(), self.age())
    }

    /// Sets its age: since the origin made it (RFC 9111's age), not since it arrived here.
    #[must_use]
    pub fn with_age(self, age: Duration) -> Self {
        Self::of(self.as_bytes().clone(), Some(age))
    }

    fn of(fields: Bytes, age: Option<Duration>) -> Self {
        let known = !fields.is_empty() || age.is_some();
        Self {
            known: known.then(|| Arc::new(Facts { fields, age })),
        }
    }

    /// A field's bytes, if it is there.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<&[u8]> {
        let mut rest = &self.as_bytes()[..];
        while let Some((number, len, after)) = split(rest) {
            let (text, next) = after.split_at_checked(len)?;
            if number == field.number() {
                return Some(text);
            }
            rest = next;
        }
        None
    }

    /// How old the value is, if that is known.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.known.as_ref()?.age
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_none()
    }

    /// Whether a revalidation is possible: an entity tag or a date is known.
    #[must_use]
    pub fn has_validators(&self) -> bool {
        self.get(Field::ETag).is_some() || self.get(Field::LastModified).is_some()
    }

    /// All fields as bytes, for stores and transports; the age is not included.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        self.known
            .as_ref()
            .map_or(&NO_FIELDS, |facts| &facts.fields)
    }

    /// The bytes that it holds on the heap, about as an allocator gives them.
    pub(crate) fn footprint(&self) -> usize {
        let Some(facts) = &self.known else { return 0 };
        let shared = size_of::<Facts>() + 2 * size_of::<usize>();
        shared.next_multiple_of(16) + facts.fields.len().next_multiple_of(16)
    }

    /// The inverse of [`as_bytes`](Self::as_bytes). Fields of unknown numbers are kept.
    ///
    /// # Errors
    ///
    /// If the bytes are more than [`MAX_LEN`](Self::MAX_LEN), or no fields.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, BadMetadata> {
        if bytes.len() > Self::MAX_LEN {
            return Err(BadMetadata);
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (_, len, after) = split(rest).ok_or(BadMetadata)?;
            rest = after.get(len..).ok_or(BadMetadata)?;
        }
        Ok(Self::of(bytes, None))
    }
}

fn split(rest: &[u8]) -> Option<(u8, usize, &[u8])> {
    let (&[number, high, low], after) = rest.split_first_chunk::<3>()?;
    Some((number, usize::from(u16::from_be_bytes([high, low])), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_read_back() {
        let metadata = Metadata::default()
            .with(Field::ContentType, "text/html; charset=utf-8")
            .with(Field::ETag, "\"v1\"");
        assert_eq!(metadata.get(Field::ETag), Some(&b"\"v1\""[..]));
        assert_eq!(metadata.get(Field::LastModified), None);
        assert!(metadata.has_validators());
        let again = Metadata::from_bytes(metadata.as_bytes().clone()).unwrap();
        assert_eq!(again, metadata);
        assert!(Metadata::default().is_empty());
    }

    #[test]
    fn what_could_break_a_header_or_is_too_long_is_left_out() {
        let none = Metadata::default()
            .with(Field::ETag, "a\r\nb")
            .with(Field::ContentType, "x".repeat(Metadata::MAX_LEN))
            .with(Field::ContentEncoding, "");
        assert!(none.is_empty());
    }

    #[test]
    fn half_a_field_is_none() {
        for bad in [
            &[1][..],
            &[1, 0],
            &[1, 0, 5, b'a'],
            &[0; Metadata::MAX_LEN + 1],
        ] {
            let bytes = Bytes::copy_from_slice(bad);
            assert_eq!(
                Metadata::from_bytes(bytes),
                Err(BadMetadata),
                "{}",
                bad.len()
            );
        }
    }
}
