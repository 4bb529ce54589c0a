//! From a key to the name of its object.

use object_store::path::Path;
use percent_encoding::percent_decode_str;

const PLACE: &str = "{key}";

/// The longest name that the services accept, in bytes.
pub(crate) const MAX_NAME: usize = 1024;

/// How often a name is decoded to check whether a segment becomes only dots: a proxy decodes once,
/// and each service behind it may do so once.
const MAX_DECODED: usize = 4;

/// The names of objects, with a place for the key, checked.
#[derive(Debug)]
pub(crate) struct Template {
    before: String,
    after: String,
}

/// Why a key names no object. The texts do not contain the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unaskable {
    #[error("the key is not UTF-8, which the names of objects are")]
    NotText,
    #[error("the key has a control character")]
    Control,
    #[error("the object's name would have an empty segment, or begin or end with a slash")]
    EmptySegment,
    #[error("the object's name would have a segment of dots alone, as it is or decoded")]
    DotSegment,
    #[error("the object's name would have {len} bytes, and {MAX_NAME} is the limit")]
    TooLong { len: usize },
}

impl Template {
    /// The names of `path` below `prefix`; the error is for the author of `path`.
    pub(crate) fn parse(prefix: &str, path: &str) -> Result<Self, String> {
        let Some((before, after)) = path.split_once(PLACE) else {
            return Err(format!("must contain {PLACE}"));
        };
        if after.contains(PLACE) {
            return Err(format!("must contain {PLACE} only once"));
        }
        let before = match prefix {
            "" => before.to_owned(),
            prefix => format!("{prefix}/{before}"),
        };
        let template = Self {
            before,
            after: after.to_owned(),
        };
        match template.name(b"k") {
            Ok(_) => Ok(template),
            Err(Unaskable::Control) => Err("has a control character".to_owned()),
            Err(reason) => Err(reason.to_string()),
        }
    }

    /// The name of the key's object. No two keys have the same.
    pub(crate) fn name(&self, key: &[u8]) -> Result<Path, Unaskable> {
        let key = str::from_utf8(key).map_err(|_| Unaskable::NotText)?;
        let len = self.before.len() + key.len() + self.after.len();
        if len > MAX_NAME {
            return Err(Unaskable::TooLong { len });
        }
        let name = format!("{}{key}{}", self.before, self.after);
        if name.chars().any(char::is_control) {
            return Err(Unaskable::Control);
        }
        if name.split('/').any(str::is_empty) {
            return Err(Unaskable::EmptySegment);
        }
        if has_dot_segment(&name) {
            return Err(Unaskable::DotSegment);
        }
        // Everything that it refuses has been refused already, and the name has nothing that it
        // strips.
        Path::parse(name).map_err(|_| Unaskable::DotSegment)
    }
}

/// Whether a segment is `.` or `..`, with `/` or `\` between segments, in any decoding.
fn has_dot_segment(name: &str) -> bool {
    let mut name = name.to_owned();
    for _ in 0..=MAX_DECODED {
        if name
            .split(['/', '\\'])
            .any(|segment| matches!(segment, "." | ".."))
        {
            return true;
        }
        let decoded = percent_decode_str(&name).decode_utf8_lossy().into_owned();
        if decoded == name {
            return false;
        }
        name = decoded;
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(prefix: &str, path: &str, key: &str) -> Result<String, Unaskable> {
        let template = Template::parse(prefix, path).unwrap();
        template.name(key.as_bytes()).map(Into::into)
    }

    #[test]
    fn a_key_is_a_name_as_it_is() {
        for (prefix, path, key, expected) in [
            ("", "{key}", "a", "a"),
            ("", "{key}", "a/b c/张三?x=%41~", "a/b c/张三?x=%41~"),
            ("p/q", "users/{key}.json", "Tom", "p/q/users/Tom.json"),
            ("p", "{key}.json", "..", "p/...json"),
            ("p", "v{key}", "", "p/v"),
            ("", "{key}/x", "...", ".../x"),
        ] {
            assert_eq!(name(prefix, path, key).unwrap(), expected);
        }
    }

    #[test]
    fn keys_that_lead_elsewhere_are_refused() {
        use Unaskable::{Control, DotSegment, EmptySegment};
        for (path, key, reason) in [
            ("{key}", "", EmptySegment),
            ("{key}", "/", EmptySegment),
            ("{key}", "/a", EmptySegment),
            ("{key}", "a/", EmptySegment),
            ("{key}", "a//b", EmptySegment),
            ("u/{key}/x", "", EmptySegment),
            ("{key}.json", "/etc/passwd", EmptySegment),
            ("{key}", ".", DotSegment),
            ("{key}", "..", DotSegment),
            ("{key}", "a/../b", DotSegment),
            ("{key}", "a\\..\\b", DotSegment),
            ("{key}.json", "../x", DotSegment),
            ("v{key}", "/../x", DotSegment),
            (".{key}", ".", DotSegment),
            (".{key}", "/x", DotSegment),
            ("{key}", "%2e%2e", DotSegment),
            ("{key}", "%252E%252e/x", DotSegment),
            ("{key}", "..%2fx", DotSegment),
            ("{key}", "a%255c..", DotSegment),
            ("{key}", "a\0", Control),
            ("{key}", "a\nb", Control),
            ("{key}", "a\u{7f}", Control),
            ("{key}", "a\u{85}", Control),
        ] {
            assert_eq!(name("p", path, key), Err(reason), "{path} {key:?}");
        }
        let template = Template::parse("p", "{key}").unwrap();
        assert_eq!(template.name(b"\xff"), Err(Unaskable::NotText));
    }

    #[test]
    fn the_name_is_bounded_with_all_that_surrounds_the_key() {
        let longest = "k".repeat(MAX_NAME - "p/.json".len());
        assert_eq!(name("p", "{key}.json", &longest).unwrap().len(), MAX_NAME);
        let error = name("p", "{key}.json", &format!("{longest}k")).unwrap_err();
        assert_eq!(error, Unaskable::TooLong { len: MAX_NAME + 1 });
    }

    #[test]
    fn a_template_that_cannot_work_says_why() {
        for (prefix, path, reason) in [
            ("", "", "must contain {key}"),
            ("", "users/", "must contain {key}"),
            ("", "{key}/{key}", "only once"),
            ("", "/{key}", "empty segment"),
            ("", "{key}/", "empty segment"),
            ("", "a//{key}", "empty segment"),
            ("a//b", "{key}", "empty segment"),
            ("", "../{key}", "dots alone"),
            ("a/..", "{key}", "dots alone"),
            ("", "a\n{key}", "control character"),
        ] {
            let said = Template::parse(prefix, path).unwrap_err();
            assert!(said.contains(reason), "{path}: {said}");
        }
    }

    /// Texts of what matters to paths, with other characters between.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => prop::sample::select(vec![
                "/", ".", "..", "\\", "%2e", "%2F", "%5c", "%25", "%", ";", "a", "p", "users",
                ".json", "\0", "\n", " ", "?", "#", "*", "~", ":", "张",
            ])
            .prop_map(str::to_owned),
            1 => any::<String>(),
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        /// The name is the key's alone and lies below the prefix, however it is resolved.
        #[test]
        fn no_key_leads_outside_of_the_prefix(
            key in hostile(),
            path in prop::sample::select(vec!["{key}", "users/{key}.json", ".{key}", "v/{key}/x"]),
        ) {
            let Ok(name) = name("p/q", path, &key) else {
                return Ok(());
            };
            prop_assert_eq!(&name, &format!("p/q/{}", path.replace("{key}", &key)));
            let (mut text, mut depth) = (name, 0);
            for _ in 0..3 {
                for segment in text.split(['/', '\\']) {
                    prop_assert!(segment != "." && segment != "..");
                    depth += 1;
                }
                text = percent_decode_str(&text).decode_utf8_lossy().into_owned();
            }
            prop_assert!(depth >= 3);
        }

        #[test]
        fn any_bytes_are_a_name_or_refused(key in any::<Vec<u8>>()) {
            let template = Template::parse("p", "{key}").unwrap();
            if let Ok(name) = template.name(&key) {
                prop_assert_eq!(name.as_ref().as_bytes(), [b"p/", &key[..]].concat());
            }
        }
    }
}
