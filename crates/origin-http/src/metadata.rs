//! The metadata of an answer's value, and the conditions that ask whether the value has changed.

use std::time::Duration;

use gaggle_group::{Field, Metadata};
use hyper::header::{
    CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, LAST_MODIFIED,
};

use crate::freshness::age;

/// The fields and their headers, in the order in which they are kept while there is room: without
/// its encoding a value cannot be read, and without validators it is only loaded again.
const FIELDS: [(Field, HeaderName); 4] = [
    (Field::ContentEncoding, CONTENT_ENCODING),
    (Field::ContentType, CONTENT_TYPE),
    (Field::ETag, ETAG),
    (Field::LastModified, LAST_MODIFIED),
];

/// The metadata in the headers of a value.
pub(crate) fn metadata(headers: &HeaderMap) -> Metadata {
    let fields = FIELDS
        .iter()
        .fold(Metadata::default(), |known, (field, name)| {
            known.with(*field, text(headers, name))
        });
    match age(headers) {
        None if fields.is_empty() => fields,
        age => fields.with_age(Duration::from_secs(age.unwrap_or(0).into())),
    }
}

/// The metadata of a value after a 304 with these headers; empty if they have none.
///
/// A 304 renews the validators. It has no body, so it says nothing about the encoding of the bytes
/// that are kept here: the content type and encoding of a value stay with it (RFC 9111, section
/// 3.2).
pub(crate) fn renewed(headers: &HeaderMap, stale: &Metadata) -> Metadata {
    let news = metadata(headers);
    if news.is_empty() {
        return news;
    }
    let fields = FIELDS
        .iter()
        .fold(Metadata::default(), |known, (field, _)| {
            let (old, new) = (stale.get(*field), news.get(*field));
            let text = match field {
                Field::ContentEncoding => old,
                Field::ContentType => old.or(new),
                _ => new.or(old),
            };
            text.map_or(known.clone(), |text| known.with(*field, text))
        });
    fields.with_age(news.age().unwrap_or_default())
}

/// Adds conditions for a 304 if the value of `stale` is still correct; returns whether there are
/// any.
pub(crate) fn ask_for_changes(request: &mut HeaderMap, stale: &Metadata) -> bool {
    // An `If-None-Match` of any other text can have another meaning: `*` is any existing value.
    let tag = stale.get(Field::ETag).filter(|tag| opaque(tag).is_some());
    let conditions = [
        (IF_NONE_MATCH, tag),
        (IF_MODIFIED_SINCE, stale.get(Field::LastModified)),
    ];
    let mut asked = false;
    for (name, text) in conditions {
        if let Some(Ok(value)) = text.map(HeaderValue::from_bytes) {
            request.insert(name, value);
            asked = true;
        }
    }
    asked
}

/// Whether a 304 with these headers is about another value than that of `stale` (RFC 9111, section
/// 4.3.4). A service sends one if it compares only dates, and the value has changed twice within
/// their second.
pub(crate) fn is_about_another(headers: &HeaderMap, stale: &Metadata) -> bool {
    let sent = stale.get(Field::ETag).and_then(opaque);
    let told = headers.get(ETAG).map(HeaderValue::as_bytes);
    match (sent, told.and_then(opaque)) {
        (Some(sent), Some(told)) => sent != told,
        _ => false,
    }
}

/// An entity tag without its mark of weakness, if it is one.
fn opaque(tag: &[u8]) -> Option<&[u8]> {
    let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
    let inner = tag.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    (!inner.contains(&b'"')).then_some(tag)
}

/// A header's text, empty if it is missing. An encoding may be a list over several lines; of the
/// others the first line counts.
fn text(headers: &HeaderMap, name: &HeaderName) -> Vec<u8> {
    let lines = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    if *name == CONTENT_ENCODING {
        lines.collect::<Vec<_>>().join(&b", "[..])
    } else {
        lines.take(1).flatten().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::AGE;

    use super::*;

    fn headers(of: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in of {
            map.append(name.clone(), HeaderValue::from_static(value));
        }
        map
    }

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    #[test]
    fn the_four_fields_and_the_age_are_kept() {
        let all = metadata(&headers(&[
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CONTENT_ENCODING, "gzip"),
            (CONTENT_ENCODING, "br"),
            (ETAG, "W/\"1\""),
            (LAST_MODIFIED, DATE),
            (AGE, "5"),
        ]));
        let get = |field| std::str::from_utf8(all.get(field).unwrap()).unwrap();
        assert_eq!(get(Field::ContentType), "text/html; charset=utf-8");
        assert_eq!(get(Field::ContentEncoding), "gzip, br");
        assert_eq!(get(Field::ETag), "W/\"1\"");
        assert_eq!(get(Field::LastModified), DATE);
        assert_eq!(all.age(), Some(Duration::from_secs(5)));
    }

    #[test]
    fn a_value_is_new_where_no_age_is_told_and_nothing_is_nothing() {
        let typed = metadata(&headers(&[(CONTENT_TYPE, "text/plain")]));
        assert_eq!(typed.age(), Some(Duration::ZERO));
        assert!(metadata(&headers(&[])).is_empty());
        let old = metadata(&headers(&[(AGE, "5")]));
        assert_eq!(old.age(), Some(Duration::from_secs(5)));
    }

    #[test]
    fn a_304_renews_the_validators_and_leaves_what_the_bytes_are() {
        let stale = metadata(&headers(&[
            (CONTENT_TYPE, "text/html"),
            (ETAG, "\"1\""),
            (LAST_MODIFIED, DATE),
            (AGE, "90"),
        ]));
        let news = headers(&[
            (CONTENT_TYPE, "text/plain"),
            (CONTENT_ENCODING, "gzip"),
            (ETAG, "W/\"1\""),
        ]);
        let renewed = renewed(&news, &stale);
        assert_eq!(renewed.get(Field::ContentType), Some(&b"text/html"[..]));
        assert_eq!(renewed.get(Field::ContentEncoding), None);
        assert_eq!(renewed.get(Field::ETag), Some(&b"W/\"1\""[..]));
        assert_eq!(renewed.get(Field::LastModified), Some(DATE.as_bytes()));
        assert_eq!(renewed.age(), Some(Duration::ZERO));
    }

    #[test]
    fn a_304_that_says_nothing_is_empty() {
        let stale = metadata(&headers(&[(ETAG, "\"1\"")]));
        assert!(renewed(&headers(&[]), &stale).is_empty());
    }

    #[test]
    fn both_validators_are_sent_and_only_entity_tags_as_such() {
        let asked = |stale: &[(HeaderName, &'static str)]| {
            let mut request = HeaderMap::new();
            let asked = ask_for_changes(&mut request, &metadata(&headers(stale)));
            assert_eq!(asked, !request.is_empty());
            let text = |name| Some(request.get(name)?.to_str().unwrap().to_owned());
            (text(IF_NONE_MATCH), text(IF_MODIFIED_SINCE))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            asked(&[(ETAG, "W/\"1\""), (LAST_MODIFIED, DATE)]),
            (some("W/\"1\""), some(DATE))
        );
        assert_eq!(asked(&[(ETAG, "\"\"")]), (some("\"\""), None));
        assert_eq!(asked(&[(LAST_MODIFIED, DATE)]), (None, some(DATE)));
        for tag in ["*", "1", "\"", "\"1\", \"2\"", "w/\"1\""] {
            assert_eq!(asked(&[(ETAG, tag)]), (None, None), "{tag}");
        }
    }

    #[test]
    fn a_304_is_about_another_value_if_both_have_tags_that_differ() {
        let stale = metadata(&headers(&[(ETAG, "\"1\"")]));
        let about = |tag| is_about_another(&headers(&[(ETAG, tag)]), &stale);
        assert!(about("\"2\"") && about("W/\"2\""));
        assert!(!about("\"1\"") && !about("W/\"1\"") && !about("odd"));
        assert!(!is_about_another(&headers(&[]), &stale));
        assert!(!is_about_another(
            &headers(&[(ETAG, "\"2\"")]),
            &Metadata::default()
        ));
    }
}
