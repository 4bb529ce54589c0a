//! Conditional requests (RFC 9110, section 13): whether the client has the value already.

use std::time::SystemTime;

use axum::http::HeaderMap;
use axum::http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};
use gaggle_group::{Field, Metadata};

/// Whether the request's conditions say that the client has the value of which this is known: 304 is the answer then.
pub(crate) fn unchanged(asked: &HeaderMap, known: &Metadata) -> bool {
    if asked.contains_key(IF_NONE_MATCH) {
        // It is the sharper of the two: the date is not looked at.
        let tag = known.get(Field::ETag);
        let mut lists = asked.get_all(IF_NONE_MATCH).iter();
        return lists.any(|list| names(list.as_bytes(), tag));
    }
    let Some(modified) = known.get(Field::LastModified) else {
        return false;
    };
    asked.get(IF_MODIFIED_SINCE).is_some_and(|since| {
        let since = since.as_bytes();
        since == modified || date(since).zip(date(modified)).is_some_and(|(a, b)| a >= b)
    })
}

/// Whether a list of entity tags names `tag`. By weak comparison, as for `If-None-Match`: `W/` makes no difference. `*`
/// names every value.
fn names(mut list: &[u8], tag: Option<&[u8]>) -> bool {
    if list.trim_ascii() == b"*" {
        return true;
    }
    let Some(tag) = tag.map(opaque) else {
        return false;
    };
    loop {
        while let [b' ' | b'\t' | b',', rest @ ..] = list {
            list = rest;
        }
        if list.is_empty() {
            return false;
        }
        let this = opaque(list);
        // A comma can be part of what is quoted.
        let end = match this {
            [b'"', quoted @ ..] => quoted.iter().position(|b| *b == b'"').map(|at| at + 2),
            bare => bare.iter().position(|b| *b == b','),
        };
        let (this, rest) = this.split_at(end.unwrap_or(this.len()));
        if this.trim_ascii_end() == tag {
            return true;
        }
        list = rest;
    }
}

/// A tag without the mark of a weak one.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

fn date(text: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn asked(headers: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn tags_are_compared_weakly_and_one_of_a_list_will_do() {
        let known = |tag| Metadata::default().with(Field::ETag, tag);
        for (list, tag, same) in [
            ("\"a\"", "\"a\"", true),
            ("W/\"a\"", "\"a\"", true),
            ("\"a\"", "W/\"a\"", true),
            ("\"b\", W/\"a\" ,\"c\"", "\"a\"", true),
            ("\"b,\"a\"", "\"a\"", false),
            ("\"b,c\",\"a\"", "\"a\"", true),
            ("\"b\", \"c\"", "\"a\"", false),
            ("\"a", "\"a\"", false),
            ("a", "a", true),
            ("b, a", "a", true),
            ("", "\"a\"", false),
            (" , ", "\"a\"", false),
            (" * ", "\"a\"", true),
            ("\"*\"", "\"a\"", false),
        ] {
            let asked = asked(&[(IF_NONE_MATCH, list)]);
            assert_eq!(unchanged(&asked, &known(tag)), same, "{list} {tag}");
        }
        let lines = asked(&[(IF_NONE_MATCH, "\"b\""), (IF_NONE_MATCH, "\"a\"")]);
        assert!(unchanged(&lines, &known("\"a\"")));
        let any = asked(&[(IF_NONE_MATCH, "*")]);
        assert!(unchanged(&any, &Metadata::default()));
        let one = asked(&[(IF_NONE_MATCH, "\"a\"")]);
        assert!(!unchanged(&one, &Metadata::default()));
    }

    #[test]
    fn a_date_counts_where_it_can_be_read_and_no_tag_is_named() {
        let at = "Sun, 06 Nov 1994 08:49:37 GMT";
        let known = Metadata::default().with(Field::LastModified, at);
        for (since, same) in [
            (at, true),
            ("Sun, 06 Nov 1994 08:49:38 GMT", true),
            ("Mon, 07 Nov 1994 00:00:00 GMT", true),
            ("Thu, 01 Dec 1994 00:00:00 GMT", true),
            ("Sun, 01 Jan 1995 00:00:00 GMT", true),
            ("Sun, 06 Nov 1994 08:49:36 GMT", false),
            ("Mon, 31 Oct 1994 23:59:59 GMT", false),
            ("Fri, 31 Dec 1993 23:59:59 GMT", false),
            ("Sunday, 06-Nov-94 08:49:38 GMT", true),
            ("Sun Nov  6 08:49:36 1994", false),
            ("Sun, 06 Nov 1999 08:49:37 CET", false),
            ("tomorrow", false),
        ] {
            let asked = asked(&[(IF_MODIFIED_SINCE, since)]);
            assert_eq!(unchanged(&asked, &known), same, "{since}");
        }
        let both = asked(&[(IF_MODIFIED_SINCE, at), (IF_NONE_MATCH, "\"b\"")]);
        assert!(!unchanged(&both, &known));
        let strange = Metadata::default().with(Field::LastModified, "yesterday");
        assert!(unchanged(
            &asked(&[(IF_MODIFIED_SINCE, "yesterday")]),
            &strange
        ));
        assert!(!unchanged(&asked(&[(IF_MODIFIED_SINCE, at)]), &strange));
    }
}
