//! How a key, which is bytes, becomes a query's parameter.

/// The type with which the key is bound to the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyType {
    /// As text if it is UTF-8. For SQLite a key with a NUL is text as well, and one that is not
    /// UTF-8 is a blob, which equals no text; servers refuse both before a query.
    #[default]
    Text,
    /// Always as a blob, for a key column of that type: in SQLite a text equals no blob, whatever
    /// the bytes.
    Blob,
}

/// A key that is ready to be bound.
#[cfg(feature = "sqlite")]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parameter<'a> {
    Text(&'a str),
    Blob(&'a [u8]),
}

#[cfg(feature = "sqlite")]
impl KeyType {
    pub(crate) fn parameter(self, key: &[u8]) -> Parameter<'_> {
        match (self, std::str::from_utf8(key)) {
            (Self::Text, Ok(text)) => Parameter::Text(text),
            (Self::Text, Err(_)) | (Self::Blob, _) => Parameter::Blob(key),
        }
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;

    #[test]
    fn text_is_bound_as_text_where_it_can_be() {
        assert_eq!(
            KeyType::Text.parameter("张三".as_bytes()),
            Parameter::Text("张三")
        );
        assert_eq!(KeyType::Text.parameter(b"a\0b"), Parameter::Text("a\0b"));
        assert_eq!(KeyType::Text.parameter(b""), Parameter::Text(""));
        assert_eq!(KeyType::Text.parameter(b"\xFF"), Parameter::Blob(b"\xFF"));
        assert_eq!(KeyType::Blob.parameter(b"Tom"), Parameter::Blob(b"Tom"));
    }
}
