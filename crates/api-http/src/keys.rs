//! Keys and group names as they stand in a URL. Both are bytes there, so they are decoded by hand:
//! axum's extractors take UTF-8 only.

use std::borrow::Cow;

use axum::http::Uri;
use gaggle_group::{Group, Groups};

use crate::reply::Refusal;

/// What a path under `/v1/` names.
pub(crate) enum Target<'a> {
    /// `/v1/{group}`
    Group(Cow<'a, [u8]>),
    /// `/v1/{group}/{key}`
    Key(Cow<'a, [u8]>, Cow<'a, [u8]>),
}

impl<'a> Target<'a> {
    /// The target of a raw path, or `None` if it is not under `/v1/`.
    ///
    /// The group ends at the first slash that is not encoded; everything behind that slash is the
    /// key.
    pub(crate) fn parse(path: &'a str) -> Option<Result<Self, Refusal>> {
        let rest = path.strip_prefix("/v1/")?;
        let Some((group, key)) = split_once(rest, b'/') else {
            return Some(percent_decode(rest, false).map(Self::Group));
        };
        // Most paths have no escape. One search of the whole takes less time than two of its parts.
        if !rest.as_bytes().contains(&b'%') {
            let (group, key) = (group.as_bytes(), key.as_bytes());
            return Some(Ok(Self::Key(Cow::Borrowed(group), Cow::Borrowed(key))));
        }
        let group = percent_decode(group, false);
        Some(group.and_then(|group| Ok(Self::Key(group, percent_decode(key, false)?))))
    }
}

/// The group that a query names with `group=`, or the only one; and its `key=`.
pub(crate) fn of_query<'a, 'u>(
    groups: &'a Groups,
    uri: &'u Uri,
) -> Result<(&'a Group, Cow<'u, [u8]>), Refusal> {
    let query = uri.query().unwrap_or_default();
    let Some(key) = form_value(query, b"key")? else {
        return Err(Refusal::bad_request(
            "the parameter key is missing: name one with key=".to_owned(),
        ));
    };
    Ok((group_of_query(groups, uri)?, key))
}

/// The group that a query names with `group=`, or the only one.
pub(crate) fn group_of_query<'a>(groups: &'a Groups, uri: &Uri) -> Result<&'a Group, Refusal> {
    match form_value(uri.query().unwrap_or_default(), b"group")? {
        Some(name) => named(groups, &name),
        None => groups.only().ok_or_else(|| {
            Refusal::bad_request(format!(
                "the parameter group is missing: this node has {} groups, name one with group=",
                groups.len()
            ))
        }),
    }
}

/// The parts of a text before and behind the first such byte of ASCII. Groups have short names,
/// in which a plain loop finds it sooner than a search that is made for long texts.
pub(crate) fn split_once(text: &str, at: u8) -> Option<(&str, &str)> {
    let end = text.bytes().position(|byte| byte == at)?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

/// How many groups are compared with a name before it is looked up.
const FEW: usize = 4;

/// The group of that name.
pub(crate) fn named<'a>(groups: &'a Groups, name: &[u8]) -> Result<&'a Group, Refusal> {
    // Most nodes have few groups. Comparing the bytes of their names takes less time than checking
    // that this one is text.
    let same = |group: &&Group| group.name().as_bytes() == name;
    if let Some(group) = groups.iter().take(FEW).find(same) {
        return Ok(group);
    }
    std::str::from_utf8(name)
        .ok()
        .and_then(|name| groups.get(name))
        .ok_or_else(|| Refusal::no_such_group(name))
}

/// The first value of a parameter in a query, as an HTML form encodes it (and Go's
/// `url.ParseQuery` reads it). A parameter without `=` has the empty value.
pub(crate) fn form_value<'a>(
    query: &'a str,
    name: &[u8],
) -> Result<Option<Cow<'a, [u8]>>, Refusal> {
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        // A name that cannot be decoded is no name of ours, so it is as good as any other that is
        // not.
        if percent_decode(key, true).is_ok_and(|key| *key == *name) {
            return percent_decode(value, true).map(Some);
        }
    }
    Ok(None)
}

/// Decodes `%XX`, and `+` as a space where `plus_is_space`. Strict: a `%` without two hex digits
/// is refused, where a lenient decoder would make two spellings of one key, and two keys of one
/// that was cut off.
fn percent_decode(text: &str, plus_is_space: bool) -> Result<Cow<'_, [u8]>, Refusal> {
    let raw = text.as_bytes();
    let escaped = raw.contains(&b'%') || (plus_is_space && raw.contains(&b'+'));
    if !escaped {
        return Ok(Cow::Borrowed(raw));
    }
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw.iter().enumerate();
    while let Some((at, byte)) = rest.next() {
        decoded.push(match byte {
            b'+' if plus_is_space => b' ',
            b'%' => {
                let mut digit = || {
                    rest.next()
                        .and_then(|(_, digit)| char::from(*digit).to_digit(16))
                };
                let (Some(high), Some(low)) = (digit(), digit()) else {
                    return Err(Refusal::bad_request(format!(
                        "malformed escape at byte {at} of a name: % takes two hex digits behind it"
                    )));
                };
                // Two hex digits: at most 255.
                u8::try_from(high * 16 + low).unwrap_or(u8::MAX)
            }
            byte => *byte,
        });
    }
    Ok(Cow::Owned(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Option<Vec<u8>> {
        percent_decode(text, false).ok().map(Cow::into_owned)
    }

    #[test]
    fn escapes_are_decoded_once_and_in_either_case() {
        assert_eq!(path("a%2fb%2Fc").as_deref(), Some(&b"a/b/c"[..]));
        assert_eq!(path("%2541").as_deref(), Some(&b"%41"[..]));
        assert_eq!(path("%FF%00").as_deref(), Some(&b"\xFF\x00"[..]));
        assert_eq!(path("a+b").as_deref(), Some(&b"a+b"[..]));
        assert!(matches!(
            percent_decode("plain", true),
            Ok(Cow::Borrowed(b"plain"))
        ));
    }

    #[test]
    fn cut_off_escapes_are_refused() {
        for bad in ["%", "%4", "a%", "%zz", "%4g", "%+1", "%%41"] {
            assert!(path(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_first_of_repeated_parameters_wins_and_names_are_decoded_too() {
        let value = |query| {
            form_value(query, b"key")
                .ok()
                .flatten()
                .map(Cow::into_owned)
        };
        assert_eq!(value("key=1&key=2").as_deref(), Some(&b"1"[..]));
        assert_eq!(value("&&k%65y=a%2Bb+c").as_deref(), Some(&b"a+b c"[..]));
        assert_eq!(value("key=a=b").as_deref(), Some(&b"a=b"[..]));
        assert_eq!(value("key").as_deref(), Some(&b""[..]));
        assert_eq!(value("monkey=1&%zz=2"), None);
    }
}
