//! Lists of what a client takes, each with its weight (RFC 9110, section 12).

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, HeaderValue};

/// A weight in thousandths.
type Weight = u16;

/// The items of lists with their weights. An item whose weight cannot be read is not taken.
fn items<'a>(lists: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = (&'a [u8], Weight)> {
    lists
        .flat_map(|list| list.split(|byte| *byte == b','))
        .filter_map(|item| {
            let mut parts = item.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().filter(|name| !name.is_empty())?;
            let weight = parts.find_map(|part| match part {
                [b'q' | b'Q', rest @ ..] => rest.trim_ascii_start().strip_prefix(b"="),
                _ => None,
            });
            let weight = weight.map_or(1_000, |text| thousandths(text.trim_ascii()));
            Some((name, weight))
        })
}

/// A weight from 0 to 1 with up to three digits; 0 for what is none.
fn thousandths(text: &[u8]) -> Weight {
    let (whole, part) = match text {
        [whole] | [whole, b'.'] => (*whole, &b""[..]),
        [whole, b'.', part @ ..] if part.len() <= 3 => (*whole, part),
        _ => return 0,
    };
    let mut weight = match whole {
        b'0' => 0,
        b'1' => 1,
        _ => return 0,
    };
    for at in 0..3 {
        let digit = part.get(at).copied().unwrap_or(b'0');
        if !digit.is_ascii_digit() {
            return 0;
        }
        weight = weight * 10 + Weight::from(digit - b'0');
    }
    if weight > 1_000 { 0 } else { weight }
}

/// Whether `Accept-Encoding` allows a content coding.
pub(crate) fn takes_coding<'a>(lists: impl Iterator<Item = &'a [u8]>, coding: &[u8]) -> bool {
    let coding = plain(coding);
    let is_identity = coding.eq_ignore_ascii_case(b"identity");
    let (mut named, mut any) = (None, None);
    for (name, weight) in items(lists) {
        if plain(name).eq_ignore_ascii_case(coding) {
            named.get_or_insert(weight);
        } else if name == b"*" {
            any.get_or_insert(weight);
        }
    }
    // What is not encoded is taken unless it is excluded; anything else must be named.
    named.or(any).map_or(is_identity, |weight| weight > 0)
}

/// A coding by its own name, where it has an older one (RFC 9110, section 8.4.1).
fn plain(coding: &[u8]) -> &[u8] {
    if coding.eq_ignore_ascii_case(b"x-gzip") || coding.eq_ignore_ascii_case(b"x-compress") {
        &coding[2..]
    } else {
        coding
    }
}

/// Whether a client would rather be told of a problem in JSON (RFC 9457) than in text: by its
/// weight for each, and where they are equal by which is named more exactly. Who names neither
/// gets text.
pub(crate) fn prefers_problem(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(ACCEPT);
    let lists = || lists.iter().map(HeaderValue::as_bytes);
    let best = |kind: &[u8], whole: &[u8]| {
        let mut best = (0, 0);
        for (name, weight) in items(lists()) {
            let exactness = if name.eq_ignore_ascii_case(whole) {
                3
            } else if name.eq_ignore_ascii_case(kind) {
                2
            } else if name == b"*/*" {
                1
            } else {
                continue;
            };
            if exactness > best.0 {
                best = (exactness, weight);
            }
        }
        (best.1, best.0)
    };
    let problem = best(b"application/*", b"application/problem+json");
    problem.0 > 0 && problem > best(b"text/*", b"text/plain")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_has_up_to_three_digits() {
        for (text, weight) in [
            ("1", 1_000),
            ("1.", 1_000),
            ("1.000", 1_000),
            ("0", 0),
            ("0.5", 500),
            ("0.05", 50),
            ("0.001", 1),
            ("1.001", 0),
            ("2", 0),
            ("0.0001", 0),
            ("-1", 0),
            ("", 0),
            ("0,5", 0),
            (".5", 0),
            ("0.x", 0),
        ] {
            assert_eq!(thousandths(text.as_bytes()), weight, "{text}");
        }
    }

    #[test]
    fn a_problem_is_told_in_json_to_who_prefers_it() {
        for (accept, prefers) in [
            (&[][..], false),
            (&["*/*"], false),
            (&["text/html,application/xhtml+xml,*/*;q=0.8"], false),
            (&["application/json"], false),
            (&["application/problem+json"], true),
            (&["Application/Problem+JSON; charset=utf-8"], true),
            (&["application/problem+json, */*"], true),
            (&["*/*", "application/problem+json"], true),
            (&["application/problem+json;q=0.5, text/plain"], false),
            (&["application/problem+json, text/plain"], false),
            (&["application/problem+json, text/plain;q=0.9"], true),
            (&["application/*"], true),
            (&["application/*;q=0.2, */*;q=0.1"], true),
            (&["application/problem+json;q=0"], false),
            (&["application/problem+json;q=0, application/*"], false),
            (&["application/problem+json;q=high"], false),
            (&[", ;,;q=1"], false),
        ] {
            let mut headers = HeaderMap::new();
            for list in accept {
                headers.append(ACCEPT, HeaderValue::from_static(list));
            }
            assert_eq!(prefers_problem(&headers), prefers, "{accept:?}");
        }
    }
}
