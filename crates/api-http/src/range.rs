//! A part of a value (RFC 9110, section 14).

use std::ops::Range;

use axum::http::HeaderMap;
use axum::http::header::RANGE;

/// What a `Range` comes to for a value of some length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it: the field is none that is understood here, or names several ranges.
    Whole,
    /// These bytes.
    Bytes(Range<usize>),
    /// No byte of the value.
    Unsatisfiable,
}

/// What a request asks for of a value with so many bytes. Several ranges would take an answer in
/// several parts, and a field that is repeated is malformed: both are passed over, as RFC 9110
/// (section 14.2) allows.
pub(crate) fn of(headers: &HeaderMap, len: usize) -> Part {
    let mut fields = headers.get_all(RANGE).iter();
    match (fields.next(), fields.next()) {
        (Some(field), None) => parse(field.as_bytes(), len),
        _ => Part::Whole,
    }
}

fn parse(field: &[u8], len: usize) -> Part {
    let Some((unit, set)) = split(field, b'=') else {
        return Part::Whole;
    };
    if !unit.trim_ascii().eq_ignore_ascii_case(b"bytes") {
        return Part::Whole;
    }
    let mut specs = set.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let mut specs = specs.by_ref().filter(|spec| !spec.is_empty());
    let (Some(spec), None) = (specs.next(), specs.next()) else {
        return Part::Whole;
    };
    let Some((first, last)) = split(spec, b'-') else {
        return Part::Whole;
    };
    match (first, last) {
        (b"", last) => match number(last) {
            None => Part::Whole,
            Some(0) => Part::Unsatisfiable,
            // There is no way to name no bytes.
            Some(_) if len == 0 => Part::Whole,
            Some(suffix) => Part::Bytes(len.saturating_sub(suffix)..len),
        },
        (first, last) => {
            let Some(first) = number(first) else {
                return Part::Whole;
            };
            let last = match last {
                b"" => usize::MAX,
                last => match number(last) {
                    Some(last) if last >= first => last,
                    _ => return Part::Whole,
                },
            };
            if first >= len {
                Part::Unsatisfiable
            } else {
                Part::Bytes(first..last.saturating_add(1).min(len))
            }
        }
    }
}

fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let middle = text.iter().position(|byte| *byte == at)?;
    Some((&text[..middle], &text[middle + 1..]))
}

/// A number of digits only. One that is too large is beyond the end of every value.
fn number(text: &[u8]) -> Option<usize> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |number: usize, digit| {
        number
            .saturating_mul(10)
            .saturating_add(usize::from(digit - b'0'))
    }))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn one_range_names_bytes_and_anything_else_the_whole() {
        use Part::{Bytes, Unsatisfiable, Whole};
        for (field, len, part) in [
            ("bytes=0-0", 10, Bytes(0..1)),
            ("bytes=2-4", 10, Bytes(2..5)),
            ("bytes=2-", 10, Bytes(2..10)),
            ("bytes=-3", 10, Bytes(7..10)),
            ("bytes=-30", 10, Bytes(0..10)),
            ("bytes=0-9", 10, Bytes(0..10)),
            ("bytes=5-99999999999999999999999999", 10, Bytes(5..10)),
            ("Bytes=0-0", 10, Bytes(0..1)),
            ("bytes= 1-2 ,", 10, Bytes(1..3)),
            ("bytes=10-", 10, Unsatisfiable),
            ("bytes=99999999999999999999999999-", 10, Unsatisfiable),
            ("bytes=-0", 10, Unsatisfiable),
            ("bytes=0-", 0, Unsatisfiable),
            ("bytes=-1", 0, Whole),
            ("bytes=4-2", 10, Whole),
            ("bytes=0-1,3-4", 10, Whole),
            ("bytes=", 10, Whole),
            ("bytes=-", 10, Whole),
            ("bytes=a-b", 10, Whole),
            ("bytes=+1-2", 10, Whole),
            ("bytes=1 - 2", 10, Whole),
            ("bytes 0-1", 10, Whole),
            ("lines=0-1", 10, Whole),
            ("", 10, Whole),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, HeaderValue::from_static(field));
            assert_eq!(of(&headers, len), part, "{field} of {len}");
        }
        let mut twice = HeaderMap::new();
        twice.append(RANGE, HeaderValue::from_static("bytes=0-0"));
        twice.append(RANGE, HeaderValue::from_static("bytes=1-1"));
        assert_eq!(of(&twice, 10), Whole);
        assert_eq!(of(&HeaderMap::new(), 10), Whole);
    }
}
