//! Keys that lead to another path: `.` and `..` as segments, in any decoding.
//!
//! The key arrives percent-encoded, and servers read `..%2Fadmin` differently: nginx and many
//! frameworks decode first and remove dot segments afterwards, so that it is `/admin`. Behind a
//! proxy the decoding may happen twice, some servers read a backslash as a slash, and some cut
//! path parameters (`..;x`) first.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// How often a path is decoded. Once is what servers do, and each proxy before one may do so
/// again.
const DECODINGS: usize = 4;

/// The parts of a template's path around the key's place that belong to the key's segment.
#[derive(Debug)]
pub(crate) struct Around {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Around {
    /// `None` if the key is in the query, which has no segments.
    pub(crate) fn of(before: &str, after: &str) -> Option<Self> {
        if before.contains('?') {
            return None;
        }
        let head = before.rsplit('/').next().unwrap_or_default();
        let tail = after.split(['/', '?']).next().unwrap_or_default();
        let decoded = |text: &str| percent_decode(text.as_bytes()).collect();
        Some(Self {
            head: decoded(head),
            tail: decoded(tail),
        })
    }

    /// Whether a server may read this key as a dot segment.
    pub(crate) fn makes_dot_segment(&self, key: &[u8]) -> bool {
        let parts = [&self.head[..], key, &self.tail];
        // Most keys contain no dot.
        if !parts.iter().any(|part| part.contains(&b'.'))
            && !parts.iter().any(|part| part.contains(&b'%'))
        {
            return false;
        }
        let mut text = parts.concat();
        for _ in 0..DECODINGS {
            if has_dot_segment(&text) {
                return true;
            }
            match Cow::from(percent_decode(&text)) {
                Cow::Owned(decoded) => text = decoded,
                Cow::Borrowed(_) => return false,
            }
        }
        has_dot_segment(&text)
    }
}

fn has_dot_segment(path: &[u8]) -> bool {
    path.split(|byte| matches!(byte, b'/' | b'\\'))
        .filter_map(|segment| segment.split(|&byte| byte == b';').next())
        .any(|name| matches!(name, b"." | b".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn makes(template: &str, key: &str) -> bool {
        let (before, after) = template.split_once("{key}").unwrap();
        Around::of(before, after).is_some_and(|it| it.makes_dot_segment(key.as_bytes()))
    }

    #[test]
    fn a_dot_segment_is_found_in_any_decoding() {
        for key in [
            ".",
            "..",
            "../admin",
            "..\\admin",
            "a/..",
            "a/../b",
            "a/./b",
            "./a",
            "a\\..\\b",
            "%2e",
            "%2e%2e",
            "%2E.",
            ".%2e",
            "%2e%2e/admin",
            "..%2Fadmin",
            "..%5cadmin",
            "a%2f..",
            "%252e%252e",
            "..%252fadmin",
            "%25252e",
            "%2525252e%2525252e",
            "..;/admin",
            "a/..;x=1/b",
            "..%3bx/admin",
        ] {
            assert!(makes("http://h/{key}", key), "{key}");
            assert!(makes("http://h/a/{key}/b?x=1", key), "{key}");
            assert!(!makes("http://h/?key={key}", key), "{key}");
            assert!(!makes("http://h?{key}", key), "{key}");
        }
    }

    #[test]
    fn other_keys_with_dots_and_percents_are_not_in_the_way() {
        for key in [
            "", "a", "a.b", "...", "..a", "a..", ".hidden", "a/b", "a/.b/..c", "100%", "%", "%2",
            "%zz", "%2f", "a%20b", "v1.2.3", "a;b", "a;..", "x/...",
        ] {
            assert!(!makes("http://h/{key}", key), "{key}");
        }
    }

    #[test]
    fn what_stands_around_the_key_counts() {
        for (template, key) in [
            ("http://h/.{key}", ""),
            ("http://h/.{key}", "."),
            ("http://h/%2E{key}", "."),
            ("http://h/{key}%2e/x", "."),
            ("http://h/.{key}", "/x"),
            ("http://h/v-{key}", "/../x"),
            ("http://h/{key}.json", "../x"),
            ("http://h/{key}.", "a/"),
            ("http://h/.{key}", "%2e"),
        ] {
            assert!(makes(template, key), "{template} {key}");
        }
        for (template, key) in [
            ("http://h/v-{key}", ".."),
            ("http://h/{key}.json", ".."),
            ("http://h/.{key}", ".."),
            ("http://h/../{key}", "a"),
        ] {
            assert!(!makes(template, key), "{template} {key}");
        }
    }
}
