//! Keys are bytes: how they are read from the command line and written into a URL.

use std::ffi::OsStr;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::cli::{KeyArgs, KeyEncoding};
use crate::outcome::Failure;

/// All but RFC 3986's unreserved characters, so that a path, a query and every server in between
/// read the same bytes.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl KeyArgs {
    /// The key's bytes.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, Failure> {
        self.key_encoding.decode(&self.key)
    }

    /// `path?key=K`, with `&group=G` where a group was named.
    pub(crate) fn query(&self, path: &str) -> Result<String, Failure> {
        let mut target = format!("{path}?key={}", escaped(&self.bytes()?));
        if let Some(group) = &self.group {
            // Writing to a String cannot fail.
            let _ = write!(target, "&group={}", escaped(group.as_bytes()));
        }
        Ok(target)
    }
}

impl KeyEncoding {
    /// The bytes of a key in this encoding.
    pub(crate) fn decode(self, key: &OsStr) -> Result<Vec<u8>, Failure> {
        // On Unix an argument's bytes as they were given; elsewhere UTF-8.
        let raw = key.as_encoded_bytes();
        match self {
            Self::Text => Ok(raw.to_vec()),
            Self::Base64 => BASE64
                .decode(raw)
                .map_err(|error| Failure::Usage(format!("the key is not base64: {error}"))),
            Self::Hex => hex(raw)
                .map_err(|reason| Failure::Usage(format!("the key is not hexadecimal: {reason}"))),
        }
    }
}

/// `/v1/{group}`.
pub(crate) fn group_path(group: &str) -> Result<String, Failure> {
    if !has_path(group.as_bytes()) {
        return Err(no_path("group", group.as_bytes()));
    }
    Ok(format!("/v1/{}", escaped(group.as_bytes())))
}

/// `/v1/{group}/{key}`.
pub(crate) fn path(group: &str, key: &[u8]) -> Result<String, Failure> {
    let group = group_path(group)?;
    if !has_path(key) {
        return Err(no_path("key", key));
    }
    Ok(format!("{group}/{}", escaped(key)))
}

/// Whether a name can be written as part of a path.
///
/// One that is all of `.` or `..` cannot: URLs (RFC 3986, section 5.2.4, and WHATWG's for their
/// escapes too) read it as a step up the tree, and the request would name another key or none.
pub(crate) fn has_path(name: &[u8]) -> bool {
    !matches!(name, b"." | b"..")
}

fn no_path(what: &str, name: &[u8]) -> Failure {
    let dots = String::from_utf8_lossy(name);
    Failure::Usage(format!(
        "the {what} {dots} cannot be written as part of a URL's path"
    ))
}

/// Keys as a node accepts a list of them: base64 with padding.
pub(crate) fn base64(key: &[u8]) -> String {
    BASE64.encode(key)
}

pub(crate) fn escaped(bytes: &[u8]) -> String {
    percent_encode(bytes, RESERVED).to_string()
}

fn hex(digits: &[u8]) -> Result<Vec<u8>, String> {
    if !digits.len().is_multiple_of(2) {
        return Err(format!(
            "{} digits, where each byte takes two",
            digits.len()
        ));
    }
    let digit = |at: usize| {
        let value = char::from(digits[at])
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok());
        value.ok_or_else(|| format!("no digit at byte {at}"))
    };
    (0..digits.len())
        .step_by(2)
        .map(|at| Ok(digit(at)? << 4 | digit(at + 1)?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(key_encoding: KeyEncoding, key: &str) -> KeyArgs {
        KeyArgs {
            group: None,
            key_encoding,
            key: key.into(),
        }
    }

    #[test]
    fn each_encoding_reads_the_same_key() {
        for (encoding, text) in [
            (KeyEncoding::Text, "a/张"),
            (KeyEncoding::Base64, "YS/lvKA="),
            (KeyEncoding::Base64, "YS/lvKA"),
            (KeyEncoding::Hex, "612Fe5bca0"),
        ] {
            assert_eq!(
                args(encoding, text).bytes().unwrap(),
                "a/张".as_bytes(),
                "{text}"
            );
        }
        for encoding in [KeyEncoding::Text, KeyEncoding::Base64, KeyEncoding::Hex] {
            assert_eq!(args(encoding, "").bytes().unwrap(), b"");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_repeating_it() {
        for (encoding, text) in [
            (KeyEncoding::Base64, "YS_lvKA"),
            (KeyEncoding::Base64, "Y"),
            (KeyEncoding::Hex, "612"),
            (KeyEncoding::Hex, "6é1"),
            (KeyEncoding::Hex, "+1"),
        ] {
            let failure = args(encoding, text).bytes().unwrap_err();
            assert!(matches!(failure, Failure::Usage(_)), "{text}");
            assert!(!failure.to_string().contains(text), "{failure}");
        }
    }

    #[test]
    fn only_unreserved_characters_stay_bare() {
        assert_eq!(escaped(b"aZ0-._~"), "aZ0-._~");
        assert_eq!(escaped(b" +/%?#&=\0\xFF"), "%20%2B%2F%25%3F%23%26%3D%00%FF");
    }

    #[test]
    fn a_path_of_dots_is_refused_and_dots_inside_a_key_are_not() {
        assert!(matches!(path("scores", b".."), Err(Failure::Usage(_))));
        assert!(matches!(path(".", b"Tom"), Err(Failure::Usage(_))));
        for (key, expected) in [
            ("a/../b", "/v1/scores/a%2F..%2Fb"),
            ("...", "/v1/scores/..."),
            ("", "/v1/scores/"),
        ] {
            assert_eq!(path("scores", key.as_bytes()).unwrap(), expected);
        }
    }
}
