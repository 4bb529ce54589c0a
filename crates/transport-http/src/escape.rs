//! Percent-encoding of group names and keys, and text made safe for one line.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_encode};

/// The unreserved characters of RFC 3986 are unchanged; every other byte is `%XX` in upper case.
/// This differs from Go's `url.QueryEscape` only in the space (`%20`, not `+`), and a Go server
/// reads it correctly, while it reads `+` as another key.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// `bytes` as one part of a URL's path.
pub(crate) fn escape(bytes: &[u8]) -> PercentEncode<'_> {
    percent_encode(bytes, ESCAPED)
}

/// A `%` that is not followed by two hexadecimal digits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The decoded bytes of `escaped`. `+` is a plus.
pub(crate) fn unescape(escaped: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    loop {
        match rest {
            [] => return Ok(bytes),
            [b'%', high, low, tail @ ..] => {
                bytes.push(hex(*high)? << 4 | hex(*low)?);
                rest = tail;
            }
            [b'%', ..] => return Err(Malformed),
            [byte, tail @ ..] => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
}

fn hex(digit: u8) -> Result<u8, Malformed> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(Malformed),
    }
}

/// `text` as a single line of at most `most` bytes, without control characters.
pub(crate) fn one_line(text: &[u8], most: usize) -> String {
    let mut line: String = String::from_utf8_lossy(text)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    line.truncate(line.floor_char_boundary(most));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vectors_are_escaped_so() {
        let vectors: [(&[u8], &str); 8] = [
            (b"Tom", "Tom"),
            (b"a b", "a%20b"),
            (b"a+b", "a%2Bb"),
            (b"a/b//c", "a%2Fb%2F%2Fc"),
            (b"-_.~", "-_.~"),
            ("张三".as_bytes(), "%E5%BC%A0%E4%B8%89"),
            (b"\0\xff%", "%00%FF%25"),
            (b"", ""),
        ];
        for (bytes, escaped) in vectors {
            assert_eq!(escape(bytes).to_string(), escaped);
            assert_eq!(unescape(escaped.as_bytes()).unwrap(), bytes);
        }
    }

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unescape(escape(&all).to_string().as_bytes()).unwrap(), all);
    }

    #[test]
    fn a_plus_is_a_plus_and_half_an_escape_is_none() {
        assert_eq!(unescape(b"a+b/%e5%2b").unwrap(), b"a+b/\xe5+");
        for bad in ["%", "%4", "a%", "%G0", "%0g", "%%41", "%+1"] {
            assert_eq!(unescape(bad.as_bytes()), Err(Malformed), "{bad}");
        }
    }

    #[test]
    fn a_line_is_one_line_and_bounded() {
        assert_eq!(one_line(b" no\r\nsuch\x1b[31m", 200), " no  such [31m");
        assert_eq!(one_line("张三".as_bytes(), 4), "张");
        assert_eq!(one_line(b"\xff", 200), "\u{fffd}");
    }
}
