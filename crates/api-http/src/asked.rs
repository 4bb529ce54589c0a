//! What the headers of a get ask for besides the value, found in one pass: most gets ask for
//! nothing, and a look-up for each header would cost more than all of them together.

use std::time::Duration;

use axum::http::header::{ACCEPT_ENCODING, HeaderValue};
use axum::http::{HeaderMap, HeaderName};

use crate::accept;
use crate::reply::Refusal;

/// How long a client waits, in seconds.
pub(crate) const REQUEST_TIMEOUT: HeaderName = HeaderName::from_static("request-timeout");
/// The same by the name that others use. It counts where the first is not there.
pub(crate) const X_REQUEST_TIMEOUT: HeaderName = HeaderName::from_static("x-request-timeout");

/// A longer wait is taken as this one: no group waits for longer.
const LONGEST_WAIT: u64 = 1 << 31;

/// The headers of a request, and which of them there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) headers: &'a HeaderMap,
    /// There are preconditions.
    pub(crate) conditions: bool,
    /// There is a `Range`.
    pub(crate) range: bool,
    accept_encoding: bool,
    timeout: bool,
}

impl<'a> Asked<'a> {
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        let mut asked = Self {
            headers,
            conditions: false,
            range: false,
            accept_encoding: false,
            timeout: false,
        };
        for name in headers.keys() {
            match name.as_str() {
                "if-match" | "if-none-match" | "if-modified-since" | "if-unmodified-since" => {
                    asked.conditions = true;
                }
                "range" => asked.range = true,
                "accept-encoding" => asked.accept_encoding = true,
                "request-timeout" | "x-request-timeout" => asked.timeout = true,
                _ => {}
            }
        }
        asked
    }

    /// How long the client waits, if it says so.
    pub(crate) fn timeout(&self) -> Result<Option<Duration>, Refusal> {
        if !self.timeout {
            return Ok(None);
        }
        let of = |name| {
            let mut values = self.headers.get_all(name).iter();
            let first = values.next().map(|value| seconds(value.as_bytes()));
            match (first, values.next()) {
                (None, _) => Ok(None),
                (Some(Some(wait)), None) => Ok(Some(wait)),
                _ => Err(Refusal::bad_request(format!(
                    "{name} takes one number of seconds above 0, such as 2 or 0.25"
                ))),
            }
        };
        // Both must be well-formed, whichever counts.
        let (first, second) = (of(&REQUEST_TIMEOUT)?, of(&X_REQUEST_TIMEOUT)?);
        Ok(first.or(second))
    }

    /// Whether the client takes a value of that encoding.
    pub(crate) fn takes(&self, encoding: Option<&[u8]>) -> bool {
        if !self.accept_encoding {
            return true;
        }
        let lists = self.headers.get_all(ACCEPT_ENCODING);
        let lists = || lists.iter().map(HeaderValue::as_bytes);
        match encoding {
            // Only a weight of zero excludes what is not encoded.
            None if !lists().any(|list| list.contains(&b';')) => true,
            None => accept::takes_coding(lists(), b"identity"),
            // All of a list were applied.
            Some(encoding) => encoding
                .split(|byte| *byte == b',')
                .map(<[u8]>::trim_ascii)
                .filter(|coding| !coding.is_empty())
                .all(|coding| accept::takes_coding(lists(), coding)),
        }
    }
}

/// A number of seconds above zero: digits, and up to nine behind a point. Rounded up to whole
/// nanoseconds there is nothing to lose.
fn seconds(text: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 9 {
        return None;
    }
    // Too many digits for a number are many seconds.
    let whole = whole.parse().unwrap_or(u64::MAX).min(LONGEST_WAIT);
    let nanos = format!("{part:0<9}").parse().ok()?;
    let wait = Duration::new(whole, nanos);
    (!wait.is_zero()).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_a_number_of_seconds_above_zero() {
        for (text, wait) in [
            ("2", Some(Duration::from_secs(2))),
            ("0.25", Some(Duration::from_millis(250))),
            ("0.000000001", Some(Duration::from_nanos(1))),
            (" 1.5 ", Some(Duration::from_millis(1_500))),
            ("007", Some(Duration::from_secs(7))),
            (
                "99999999999999999999999",
                Some(Duration::from_secs(1 << 31)),
            ),
            ("0", None),
            ("0.0", None),
            ("", None),
            (".5", None),
            ("1.", None),
            ("-1", None),
            ("+1", None),
            ("1e3", None),
            ("1s", None),
            ("1,5", None),
            ("1.2.3", None),
            ("0.0000000001", None),
            ("nan", None),
            ("\u{0661}", None),
        ] {
            assert_eq!(seconds(text.as_bytes()), wait, "{text}");
        }
    }

    #[test]
    fn one_timeout_is_named_by_either_header() {
        let asked = |headers: &[(&'static str, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, HeaderValue::from_static(value));
            }
            Asked::of(&map).timeout().map_err(|_| ())
        };
        assert_eq!(asked(&[("accept", "*/*")]), Ok(None));
        let two = Ok(Some(Duration::from_secs(2)));
        assert_eq!(asked(&[("request-timeout", "2")]), two);
        assert_eq!(asked(&[("x-request-timeout", "2")]), two);
        assert_eq!(
            asked(&[("x-request-timeout", "3"), ("request-timeout", "2")]),
            two
        );
        assert_eq!(
            asked(&[("request-timeout", "2"), ("request-timeout", "3")]),
            Err(())
        );
        assert_eq!(asked(&[("request-timeout", "soon")]), Err(()));
        assert_eq!(
            asked(&[("request-timeout", "2"), ("x-request-timeout", "")]),
            Err(())
        );
    }

    #[test]
    fn encodings_are_taken_or_not() {
        for (list, encoding, takes) in [
            ("gzip, br", None, true),
            ("", None, true),
            ("identity;q=0", None, false),
            ("*;q=0", None, false),
            ("*;q=0, identity", None, true),
            ("gzip;q=1.0, identity; q=0.0", None, false),
            ("gzip", Some("gzip"), true),
            ("GZIP", Some("x-gzip"), true),
            ("gzip;q=0", Some("gzip"), false),
            ("gzip;q=0.001", Some("gzip"), true),
            ("br", Some("gzip"), false),
            ("identity", Some("gzip"), false),
            ("", Some("gzip"), false),
            ("*", Some("zstd"), true),
            ("*;q=0, br", Some("br"), true),
            ("gzip;q=oops", Some("gzip"), false),
            ("gzip, br", Some("br, gzip"), true),
            ("gzip", Some("br, gzip"), false),
            ("gzip", Some("identity"), true),
        ] {
            let mut map = HeaderMap::new();
            map.insert(ACCEPT_ENCODING, HeaderValue::from_static(list));
            let asked = Asked::of(&map);
            assert_eq!(
                asked.takes(encoding.map(str::as_bytes)),
                takes,
                "{list} {encoding:?}"
            );
        }
        assert!(Asked::of(&HeaderMap::new()).takes(Some(b"gzip")));
    }
}
