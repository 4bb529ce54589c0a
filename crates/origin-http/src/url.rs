//! Checks for every URL.

use hyper::Uri;
use hyper::http::uri::Scheme;

/// A URL without a place for a key, checked.
#[cfg(feature = "batch")]
#[derive(Debug)]
pub(crate) struct Fixed {
    pub(crate) uri: Uri,
    pub(crate) site: Site,
}

/// Where a URL leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) https: bool,
    /// As it is written; an IPv6 address has its brackets.
    pub(crate) host: String,
}

#[cfg(feature = "batch")]
impl Fixed {
    /// Checks a URL; the error is for its author.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        if url.contains("{key") {
            return Err("has a place for a key, which belongs in the body".to_owned());
        }
        check_text(url.chars())?;
        let uri = parse(url)?;
        let site = Site::of(&uri)?;
        Ok(Self { uri, site })
    }
}

/// Checks the characters of a URL.
pub(crate) fn check_text(text: impl Iterator<Item = char> + Clone) -> Result<(), String> {
    let is_odd = |c: &char| !c.is_ascii_graphic() || "{}<>\"\\^`|".contains(*c);
    if let Some(odd) = text.clone().find(is_odd) {
        return Err(format!("has {odd:?}, which must be percent-encoded"));
    }
    if text.into_iter().any(|c| c == '#') {
        return Err("has a fragment, which is never sent".to_owned());
    }
    Ok(())
}

pub(crate) fn parse(url: &str) -> Result<Uri, String> {
    url.parse()
        .map_err(|error| format!("is not a URL: {error}"))
}

#[cfg(feature = "batch")]
impl Site {
    fn of(uri: &Uri) -> Result<Self, String> {
        Ok(Self {
            https: is_https(uri)?,
            host: host(uri)?,
        })
    }
}

pub(crate) fn is_https(uri: &Uri) -> Result<bool, String> {
    match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => Ok(false),
        Some(scheme) if *scheme == Scheme::HTTPS => Ok(true),
        _ => Err("must begin with http:// or https://".to_owned()),
    }
}

pub(crate) fn host(uri: &Uri) -> Result<String, String> {
    let Some(authority) = uri
        .authority()
        .filter(|authority| !authority.host().is_empty())
    else {
        return Err("has no host".to_owned());
    };
    if authority.as_str().contains('@') {
        return Err("has a user or password, which belong in a header".to_owned());
    }
    let portless = authority.as_str() == authority.host();
    if !portless && authority.port_u16().is_none_or(|port| port == 0) {
        return Err("has a port that is not a number from 1 to 65535".to_owned());
    }
    Ok(authority.host().to_owned())
}

/// A URL or template for errors and logs: scheme, host and port. A path or a query may hold a
/// secret, and so may the text before an `@`, wherever that is.
pub(crate) fn public_part(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://").filter(|_| !url.contains('@')) else {
        return "…".to_owned();
    };
    let host = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    format!("{scheme}://{host}/…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_part_is_where_the_origin_is() {
        for (url, shown) in [
            ("http://h/{key}", "http://h/…"),
            ("https://h:1/hooks/secret/{key}", "https://h:1/…"),
            ("http://h/a?token=secret&k={key}", "http://h/…"),
            ("https://[::1]?{key}", "https://[::1]/…"),
            ("http://user:se/cret@h/{key}", "…"),
            ("secret", "…"),
        ] {
            assert_eq!(public_part(url), shown);
        }
    }

    #[cfg(feature = "batch")]
    #[test]
    fn a_fixed_url_that_cannot_work_says_why() {
        for (url, reason) in [
            ("", "URL"),
            ("http://h/{key}", "in the body"),
            ("http://h/{keys}", "in the body"),
            ("http://h/a b", "percent-encoded"),
            ("http://h/#top", "fragment"),
            ("/batch", "http://"),
            ("ftp://h/", "http://"),
            ("http://:80/", "host"),
            ("http://user:secret@h/", "user or password"),
            ("http://h:0/", "port"),
        ] {
            let said = Fixed::parse(url).unwrap_err();
            assert!(said.contains(reason), "{url}: {said}");
            assert!(!said.contains("secret"), "{said}");
        }
        let fixed = Fixed::parse("https://[::1]:8443/batch?x=1").unwrap();
        assert!(fixed.site.https && fixed.site.host == "[::1]");
    }
}
