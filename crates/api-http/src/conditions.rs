//! Conditional requests (RFC 9110, section 13): what they make of the answer to a get.

use std::time::SystemTime;

use axum::http::HeaderMap;
use axum::http::header::{
    HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE,
};
use gaggle_group::{Field, Metadata};

/// What the conditions of a request come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The value is sent.
    Met,
    /// The client has the value: 304.
    Unchanged,
    /// The value is another than the client wants: 412.
    Failed,
}

/// Judges the preconditions of a get or head in the order of RFC 9110 (section 13.2.2), for a value
/// with that entity tag.
pub(crate) fn judge(asked: &HeaderMap, tag: Option<&HeaderValue>, known: &Metadata) -> Verdict {
    let tag = tag.map(HeaderValue::as_bytes);
    let modified = || known.get(Field::LastModified);
    if asked.contains_key(IF_MATCH) {
        if !names_any(asked, &IF_MATCH, tag, Comparison::Strong) {
            return Verdict::Failed;
        }
    } else if let Some(since) = asked.get(IF_UNMODIFIED_SINCE)
        && modified().is_some_and(|modified| not_after(modified, since.as_bytes()) == Some(false))
    {
        return Verdict::Failed;
    }
    let unchanged = if asked.contains_key(IF_NONE_MATCH) {
        // It is the sharper of the two: the date is not looked at.
        names_any(asked, &IF_NONE_MATCH, tag, Comparison::Weak)
    } else {
        let since = asked.get(IF_MODIFIED_SINCE).map(HeaderValue::as_bytes);
        since
            .zip(modified())
            .is_some_and(|(since, modified)| not_after(modified, since) == Some(true))
    };
    if unchanged {
        Verdict::Unchanged
    } else {
        Verdict::Met
    }
}

/// Whether a part of the value is of use to the client (RFC 9110, section 13.1.5): it names no
/// validator, or the tag of this very value. A date never does: no node knows that the value did
/// not change twice within its second.
pub(crate) fn allow_part(asked: &HeaderMap, tag: Option<&HeaderValue>) -> bool {
    match asked.get(IF_RANGE) {
        None => true,
        Some(named) => tag.is_some_and(|tag| named == tag && !is_weak(tag.as_bytes())),
    }
}

/// How two entity tags are compared (RFC 9110, section 8.8.3.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// Neither may be weak.
    Strong,
    /// `W/` makes no difference.
    Weak,
}

/// Whether one of the lists under that name has the tag.
fn names_any(
    asked: &HeaderMap,
    name: &HeaderName,
    tag: Option<&[u8]>,
    comparison: Comparison,
) -> bool {
    let mut lists = asked.get_all(name).iter();
    lists.any(|list| names(list.as_bytes(), tag, comparison))
}

/// Whether a value that was last modified then was not modified after another time, as far as the
/// two can be compared.
fn not_after(modified: &[u8], other: &[u8]) -> Option<bool> {
    if modified == other {
        return Some(true);
    }
    Some(date(modified)? <= date(other)?)
}

fn is_weak(tag: &[u8]) -> bool {
    tag.starts_with(b"W/")
}

/// Whether a list of entity tags names `tag`. `*` names every value.
fn names(mut list: &[u8], tag: Option<&[u8]>, comparison: Comparison) -> bool {
    if list.trim_ascii() == b"*" {
        return true;
    }
    let Some(tag) = tag else {
        return false;
    };
    let strong = comparison == Comparison::Strong;
    if strong && is_weak(tag) {
        return false;
    }
    let tag = opaque(tag);
    loop {
        while let [b' ' | b'\t' | b',', rest @ ..] = list {
            list = rest;
        }
        if list.is_empty() {
            return false;
        }
        let counts = !(strong && is_weak(list));
        let this = opaque(list);
        // A comma can be part of what is quoted.
        let end = match this {
            [b'"', quoted @ ..] => quoted.iter().position(|b| *b == b'"').map(|at| at + 2),
            bare => bare.iter().position(|b| *b == b','),
        };
        let (this, rest) = this.split_at(end.unwrap_or(this.len()));
        if counts && this.trim_ascii_end() == tag {
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
    use super::*;

    fn asked(headers: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_static(value));
        }
        map
    }

    /// Whether 304 is the answer.
    fn unchanged(asked: &HeaderMap, known: &Metadata) -> bool {
        let tag = known.get(Field::ETag);
        let tag = tag.map(|tag| HeaderValue::from_bytes(tag).unwrap());
        judge(asked, tag.as_ref(), known) == Verdict::Unchanged
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

    #[test]
    fn what_the_client_wants_is_told_strongly() {
        let at = "Sun, 06 Nov 1994 08:49:37 GMT";
        let (before, after) = (
            "Sun, 06 Nov 1994 08:49:36 GMT",
            "Sun, 06 Nov 1994 08:49:38 GMT",
        );
        let known = |tag| {
            Metadata::default()
                .with(Field::ETag, tag)
                .with(Field::LastModified, at)
        };
        use Verdict::{Failed, Met, Unchanged};
        for (headers, tag, verdict) in [
            (&[(IF_MATCH, "\"a\"")][..], "\"a\"", Met),
            (&[(IF_MATCH, "\"b\", \"a\"")], "\"a\"", Met),
            (&[(IF_MATCH, "*")], "W/\"a\"", Met),
            (&[(IF_MATCH, "\"b\"")], "\"a\"", Failed),
            (&[(IF_MATCH, "W/\"a\"")], "\"a\"", Failed),
            (&[(IF_MATCH, "W/\"a\", \"a\"")], "\"a\"", Met),
            (&[(IF_MATCH, "\"a\"")], "W/\"a\"", Failed),
            (&[(IF_MATCH, "W/\"a\"")], "W/\"a\"", Failed),
            (&[(IF_UNMODIFIED_SINCE, at)], "\"a\"", Met),
            (&[(IF_UNMODIFIED_SINCE, after)], "\"a\"", Met),
            (&[(IF_UNMODIFIED_SINCE, before)], "\"a\"", Failed),
            (&[(IF_UNMODIFIED_SINCE, "yesterday")], "\"a\"", Met),
            // The tag is the sharper of the two.
            (
                &[(IF_MATCH, "\"a\""), (IF_UNMODIFIED_SINCE, before)],
                "\"a\"",
                Met,
            ),
            // 412 goes before 304.
            (
                &[(IF_MATCH, "\"b\""), (IF_NONE_MATCH, "\"a\"")],
                "\"a\"",
                Failed,
            ),
            (
                &[(IF_MATCH, "\"a\""), (IF_NONE_MATCH, "\"a\"")],
                "\"a\"",
                Unchanged,
            ),
            (
                &[(IF_UNMODIFIED_SINCE, after), (IF_MODIFIED_SINCE, after)],
                "\"a\"",
                Unchanged,
            ),
        ] {
            let asked = asked(headers);
            let as_header = HeaderValue::from_static(tag);
            assert_eq!(
                judge(&asked, Some(&as_header), &known(tag)),
                verdict,
                "{headers:?} {tag}"
            );
        }
        let none = Metadata::default();
        assert_eq!(judge(&asked(&[(IF_MATCH, "\"a\"")]), None, &none), Failed);
        assert_eq!(judge(&asked(&[(IF_MATCH, "*")]), None, &none), Met);
        assert_eq!(
            judge(&asked(&[(IF_UNMODIFIED_SINCE, before)]), None, &none),
            Met
        );
    }

    #[test]
    fn a_part_is_sent_to_who_has_the_rest_of_this_very_value() {
        let tag = |text| HeaderValue::from_static(text);
        let strong = tag("\"a\"");
        for (named, of, allows) in [
            ("\"a\"", Some(&strong), true),
            ("\"b\"", Some(&strong), false),
            ("W/\"a\"", Some(&strong), false),
            ("W/\"a\"", Some(&tag("W/\"a\"")), false),
            ("\"a\"", None, false),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(&strong), false),
            ("*", Some(&strong), false),
        ] {
            assert_eq!(
                allow_part(&asked(&[(IF_RANGE, named)]), of),
                allows,
                "{named} {of:?}"
            );
        }
        assert!(allow_part(&HeaderMap::new(), None));
    }
}
