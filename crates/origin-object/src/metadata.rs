//! The metadata of an object, and the conditions that ask whether it has changed.

use std::time::{Duration, SystemTime};

use gaggle_group::{Field, Metadata};
use httpdate::{fmt_http_date, parse_http_date};
use object_store::{Attribute, Attributes, GetOptions, ObjectMeta};

/// The store's metadata of an object, in the order in which fields are kept while there is room:
/// without its encoding a value cannot be read, and without validators it is only loaded again.
pub(crate) fn metadata(meta: &ObjectMeta, attributes: &Attributes) -> Metadata {
    let attribute = |name| attributes.get(&name).map(AsRef::as_ref).unwrap_or_default();
    let modified = SystemTime::from(meta.last_modified);
    // A store that does not know the time returns the epoch.
    let known = modified > SystemTime::UNIX_EPOCH && meta.last_modified.timestamp() < FAR;
    let modified = known.then(|| fmt_http_date(modified));
    let tag = meta.e_tag.as_deref().filter(|tag| is_tag(tag));
    Metadata::default()
        .with(
            Field::ContentEncoding,
            attribute(Attribute::ContentEncoding),
        )
        .with(Field::ContentType, attribute(Attribute::ContentType))
        .with(Field::ETag, tag.unwrap_or_default())
        .with(Field::LastModified, modified.unwrap_or_default())
        .with_age(Duration::ZERO)
}

/// The year 10000, in seconds: HTTP dates end before it.
const FAR: i64 = 253_402_300_800;

/// Adds conditions so that the store answers "not modified" if the object is the one of `stale`;
/// returns whether there are any. The date counts only without a tag, since it has whole seconds.
pub(crate) fn ask_for_changes(options: &mut GetOptions, stale: &Metadata) -> bool {
    let text = |field| stale.get(field).and_then(|text| str::from_utf8(text).ok());
    if let Some(tag) = text(Field::ETag).filter(|tag| is_tag(tag)) {
        options.if_none_match = Some(tag.to_owned());
        return true;
    }
    let date = text(Field::LastModified).and_then(|date| parse_http_date(date).ok());
    options.if_modified_since = date.map(Into::into);
    options.if_modified_since.is_some()
}

/// Whether a text is an entity tag: any other text can have another meaning in a condition, as `*`
/// does.
fn is_tag(tag: &str) -> bool {
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let inner = tag
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    // A comma would split it into two for stores that compare lists.
    inner.is_some_and(|inner| {
        inner
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b',')
    })
}

/// The tag, if all requests with it are about the same bytes: not a weak one.
pub(crate) fn strong_tag(meta: &ObjectMeta) -> Option<&str> {
    let tag = meta.e_tag.as_deref()?;
    (is_tag(tag) && !tag.starts_with("W/")).then_some(tag)
}

#[cfg(test)]
mod tests {
    use object_store::path::Path;

    use super::*;

    fn meta(tag: Option<&str>, modified: Duration) -> ObjectMeta {
        ObjectMeta {
            location: Path::from("a"),
            last_modified: (SystemTime::UNIX_EPOCH + modified).into(),
            size: 1,
            e_tag: tag.map(str::to_owned),
            version: None,
        }
    }

    #[test]
    fn what_is_known_is_passed_on_and_nothing_else() {
        let written = Duration::new(784_111_777, 5);
        let mut attributes = Attributes::new();
        attributes.insert(Attribute::ContentType, "text/html".into());
        attributes.insert(Attribute::ContentEncoding, "gzip".into());
        attributes.insert(Attribute::CacheControl, "max-age=1".into());
        let told = metadata(&meta(Some("\"x\""), written), &attributes);
        for (field, text) in [
            (Field::ContentType, "text/html"),
            (Field::ContentEncoding, "gzip"),
            (Field::ETag, "\"x\""),
            (Field::LastModified, "Sun, 06 Nov 1994 08:49:37 GMT"),
        ] {
            assert_eq!(told.get(field), Some(text.as_bytes()));
        }
        let nothing = metadata(&meta(None, Duration::ZERO), &Attributes::new());
        assert!(Field::ALL.iter().all(|field| nothing.get(*field).is_none()));
        // httpdate has no such year.
        let far = Duration::from_secs(300_000_000_000);
        assert!(!metadata(&meta(None, far), &Attributes::new()).has_validators());
    }

    #[test]
    fn conditions_are_made_of_what_is_a_validator() {
        let ask = |stale: Metadata| {
            let mut options = GetOptions::default();
            let asked = ask_for_changes(&mut options, &stale);
            let date = options.if_modified_since.map(SystemTime::from);
            assert_eq!(asked, options.if_none_match.is_some() || date.is_some());
            (options.if_none_match, date)
        };
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let dated = Metadata::default().with(Field::LastModified, date);
        assert_eq!(ask(dated.clone()), (None, Some(at)));
        for tag in ["\"x\"", "W/\"x\"", "\"\""] {
            let tagged = dated.clone().with(Field::ETag, tag);
            assert_eq!(ask(tagged), (Some(tag.to_owned()), None));
        }
        for odd in [
            "*",
            "x",
            "\"a\", \"b\"",
            "\"a,b\"",
            "W/x",
            "\"a",
            "\"a\"\"b\"",
        ] {
            let tagged = dated.clone().with(Field::ETag, odd);
            assert_eq!(ask(tagged), (None, Some(at)), "{odd}");
        }
        let odd = Metadata::default().with(Field::LastModified, "yesterday");
        assert_eq!(ask(odd), (None, None));
    }

    #[test]
    fn a_weak_tag_does_not_hold_parts_together() {
        let strong = |tag| strong_tag(&meta(tag, Duration::ZERO)).map(str::to_owned);
        assert_eq!(strong(Some("\"x\"")).as_deref(), Some("\"x\""));
        for tag in [None, Some("W/\"x\""), Some("x")] {
            assert_eq!(strong(tag), None);
        }
    }
}
