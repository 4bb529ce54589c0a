//! The URL with a place for the key.

use hyper::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::segments::Around;
use crate::url::{Site, check_text, host, is_https, parse};

/// All characters except the unreserved ones of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

const PLACE: &str = "{key}";

/// A URL with a place for the key, checked.
#[derive(Debug)]
pub(crate) struct Template {
    before: String,
    after: String,
    site: Site,
    /// `None` if no key can make a dot segment, or all are allowed to.
    around: Option<Around>,
}

/// Why a key cannot be requested.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unaskable {
    #[error(
        "the key has or makes a path segment of dots alone, which servers resolve to another path"
    )]
    DotSegment,
    #[error("the key would make a URL of {len} bytes, which is too long")]
    TooLong { len: usize },
}

impl Template {
    /// Splits and checks a URL; the error is for its author.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let Some((before, after)) = url.split_once(PLACE) else {
            return Err(format!("must contain {PLACE}"));
        };
        if after.contains(PLACE) {
            return Err(format!("must contain {PLACE} only once"));
        }
        check_text(before.chars().chain(after.chars()))?;
        let uri = parse(&format!("{before}k{after}"))?;
        let https = is_https(&uri)?;
        if !before
            .split_once("://")
            .is_some_and(|(_, rest)| rest.contains(['/', '?']))
        {
            return Err(format!("must have {PLACE} in its path or query"));
        }
        let host = host(&uri)?;
        Ok(Self {
            before: before.to_owned(),
            after: after.to_owned(),
            site: Site { https, host },
            around: Around::of(before, after),
        })
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// The same, for any key.
    pub(crate) fn with_dot_segments(self) -> Self {
        Self {
            around: None,
            ..self
        }
    }

    /// The URL of `key`.
    pub(crate) fn uri(&self, key: &[u8]) -> Result<Uri, Unaskable> {
        let around = self.around.as_ref();
        if around.is_some_and(|it| it.makes_dot_segment(key)) {
            return Err(Unaskable::DotSegment);
        }
        let url = format!(
            "{}{}{}",
            self.before,
            percent_encode(key, ENCODED),
            self.after
        );
        let len = url.len();
        // Everything else was checked with the template.
        Uri::try_from(url).map_err(|_| Unaskable::TooLong { len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(template: &str, key: &[u8]) -> Result<String, Unaskable> {
        let uri = Template::parse(template).unwrap().uri(key)?;
        Ok(uri.path_and_query().unwrap().to_string())
    }

    #[test]
    fn a_key_is_encoded_byte_by_byte() {
        let url = "http://127.0.0.1:7000/{key}";
        assert_eq!(target(url, b"AZaz09-_.~").unwrap(), "/AZaz09-_.~");
        assert_eq!(
            target(url, "张三".as_bytes()).unwrap(),
            "/%E5%BC%A0%E4%B8%89"
        );
        assert_eq!(
            target(url, b"a/b?c#d e%20+&\0\xFF").unwrap(),
            "/a%2Fb%3Fc%23d%20e%2520%2B%26%00%FF"
        );
        assert_eq!(target(url, b"").unwrap(), "/");
    }

    #[test]
    fn the_key_may_stand_in_the_middle_or_in_the_query() {
        assert_eq!(target("http://h/a/{key}/b", b"k").unwrap(), "/a/k/b");
        assert_eq!(
            target("https://h/get?key={key}&x=1", b"a&b=c").unwrap(),
            "/get?key=a%26b%3Dc&x=1"
        );
        assert_eq!(
            target("http://[::1]:80?key={key}", b"k").unwrap(),
            "/?key=k"
        );
    }

    #[test]
    fn a_key_that_would_be_a_dot_segment_is_refused() {
        for (template, key) in [
            ("http://h/{key}", "."),
            ("http://h/{key}", ".."),
            ("http://h/a/{key}/b", ".."),
            ("http://h/a/{key}?x=1", ".."),
            ("http://h/.{key}", ""),
            ("http://h/.{key}", "."),
            ("http://h/%2E{key}", "."),
            ("http://h/{key}%2e/x", "."),
            ("http://h/{key}", "../a"),
            ("http://h/{key}", "..\\a"),
            ("http://h/{key}", "%2E%2E"),
            ("http://h/{key}", "%252e"),
        ] {
            assert_eq!(
                target(template, key.as_bytes()),
                Err(Unaskable::DotSegment),
                "{template}"
            );
        }
    }

    #[test]
    fn dots_that_are_no_dot_segment_are_asked_for() {
        for (template, key, path) in [
            ("http://h/{key}", "...", "/..."),
            ("http://h/{key}", "..a/b", "/..a%2Fb"),
            ("http://h/{key}", "%2E%2Ea", "/%252E%252Ea"),
            ("http://h/v-{key}", "..", "/v-.."),
            ("http://h/{key}.json", "..", "/...json"),
            ("http://h/.{key}", "..", "/..."),
            ("http://h/?key={key}", "..", "/?key=.."),
            ("http://h/?a=/{key}", "..", "/?a=/.."),
            ("http://h/?a={key}", "../%2e", "/?a=..%2F%252e"),
        ] {
            assert_eq!(
                target(template, key.as_bytes()).unwrap(),
                path,
                "{template}"
            );
        }
    }

    #[test]
    fn a_url_over_the_bound_of_the_client_is_refused() {
        let template = Template::parse("http://h/{key}").unwrap();
        let error = template.uri(&[0xFF; 30_000]).unwrap_err();
        assert_eq!(error, Unaskable::TooLong { len: 90_009 });
    }

    #[test]
    fn a_template_that_cannot_work_says_why() {
        for (template, reason) in [
            ("", "must contain {key}"),
            ("http://h/", "must contain {key}"),
            ("http://h/{KEY}", "must contain {key}"),
            ("http://h/{key}/{key}", "only once"),
            ("http://h/{key}/{other}", "percent-encoded"),
            ("http://h/{{key}}", "percent-encoded"),
            ("http://h/a b/{key}", "percent-encoded"),
            ("http://h/分/{key}", "percent-encoded"),
            ("http://h/{key}#top", "fragment"),
            ("http://h/#{key}", "fragment"),
            ("/{key}", "http://"),
            ("h/{key}", "URL"),
            ("ftp://h/{key}", "http://"),
            ("http://{key}/", "path or query"),
            ("http://h{key}/", "path or query"),
            ("http://h:{key}/", "path or query"),
            ("http:///{key}", "URL"),
            ("http://:80/{key}", "host"),
            ("http://user:secret@h/{key}", "user or password"),
            ("http://h:99999/{key}", "port"),
            ("http://h:0/{key}", "port"),
        ] {
            let said = Template::parse(template).unwrap_err();
            assert!(said.contains(reason), "{template}: {said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn the_scheme_is_told_in_any_case() {
        assert!(Template::parse("HTTPS://h/{key}").unwrap().site().https);
        assert!(!Template::parse("http://h/{key}").unwrap().site().https);
    }
}
