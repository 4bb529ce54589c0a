//! Which keys can be requested from a server.

use gaggle_group::{Key, OriginError, OriginFault};

use super::failure::failed;
use crate::KeyType;

/// Checks that a key can be bound; the error is not a failure of the database.
pub(super) fn check(key: &Key, key_type: KeyType, database: &str) -> Result<(), OriginError> {
    let why = match key_type {
        KeyType::Blob => return Ok(()),
        KeyType::Text => match std::str::from_utf8(key) {
            Ok(text) if !text.contains('\0') => return Ok(()),
            Ok(_) => "a key holds a NUL, which no text can",
            Err(_) => "a key is not UTF-8, and keys are bound as text",
        },
    };
    Err(failed(database, why.to_owned()).known_as(OriginFault::Key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_takes_what_a_database_calls_text() {
        let fault = |key: &[u8], key_type| {
            let checked = check(&Key::copy_from_slice(key), key_type, "d");
            checked.err().map(|error| error.fault())
        };
        for (key, expected) in [
            (&b"Tom"[..], None),
            (b"", None),
            ("张三".as_bytes(), None),
            (b"a\0b", Some(OriginFault::Key)),
            (b"\xFF", Some(OriginFault::Key)),
        ] {
            assert_eq!(fault(key, KeyType::Text), expected, "{key:?}");
            assert_eq!(fault(key, KeyType::Blob), None, "{key:?}");
        }
    }
}
