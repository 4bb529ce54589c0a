//! URLs without their secrets.

use super::secret::MASKED;

/// Where the key goes in the URL of an origin.
const PLACE: &str = "{key}";

/// The URL without what may be secret in it: shown are its scheme, host and port, the names of
/// parameters, and the place of the key. A secret can be anywhere else, such as in the path of a
/// webhook. It works on any text, so that nothing is shown only because it is not a URL.
pub(crate) fn url(text: &str) -> String {
    let (scheme, rest) = split_scheme(text);
    let (user, rest) = match rest.rsplit_once('@') {
        None => ("", rest),
        Some((user, host)) if !user.contains(['/', '\\', '?', '#']) => ("MASKED@", host),
        // A password may contain these characters, or a query the `@`: the two cannot be
        // distinguished.
        Some(_) if text.contains(PLACE) => return format!("{scheme}{MASKED}/{PLACE}"),
        Some(_) => return format!("{scheme}{MASKED}"),
    };
    let (rest, fragment) = split_at(rest, &['#']);
    let (rest, query) = split_at(rest, &['?']);
    let (host, path) = split_at(rest, &['/', '\\']);
    let path: Vec<_> = path.split('/').map(masked_value).collect();
    let query: Vec<_> = query.split('&').map(masked_parameter).collect();
    let (path, query) = (path.join("/"), query.join("&"));
    let fragment = if fragment.is_empty() { "" } else { "#MASKED" };
    format!("{scheme}{user}{host}{path}{query}{fragment}")
}

/// Schemes whose URLs contain no name or password.
const SCHEMES: [&str; 10] = [
    "https:",
    "http:",
    "postgres:",
    "postgresql:",
    "mysql:",
    "mariadb:",
    "s3:",
    "gs:",
    "az:",
    "file:",
];

/// The scheme of a URL, with the slashes after it, however many there are: a parser accepts a
/// wrong number.
fn split_scheme(text: &str) -> (&str, &str) {
    for scheme in SCHEMES {
        let Some((start, rest)) = text.split_at_checked(scheme.len()) else {
            continue;
        };
        if start.eq_ignore_ascii_case(scheme) {
            let host = rest.trim_start_matches(['/', '\\']);
            return text.split_at(text.len() - host.len());
        }
    }
    match text.find("://") {
        // In a text that is not a URL of the web, the part before that may be a name and a
        // password.
        Some(at) if !text.contains('@') => text.split_at(at + "://".len()),
        _ => ("", text),
    }
}

/// The part before the first of the characters, and the rest, which begins with it.
fn split_at<'t>(text: &'t str, at: &[char]) -> (&'t str, &'t str) {
    text.split_at(text.find(at).unwrap_or(text.len()))
}

/// `NAME=VALUE`, or the text in its place; the first has the question mark.
fn masked_parameter(parameter: &str) -> String {
    let (mark, parameter) = match parameter.strip_prefix('?') {
        Some(parameter) => ("?", parameter),
        None => ("", parameter),
    };
    match parameter.split_once('=') {
        Some((name, value)) => format!("{mark}{name}={}", masked_value(value)),
        None => format!("{mark}{}", masked_value(parameter)),
    }
}

fn masked_value(value: &str) -> String {
    let part = |part: &str| if part.is_empty() { "" } else { MASKED };
    match value.split_once(PLACE) {
        Some((before, after)) => format!("{}{PLACE}{}", part(before), part(after)),
        None => part(value).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_secret_is_masked_and_the_rest_is_kept() {
        for (text, masked) in [
            ("http://h/{key}", "http://h/{key}"),
            ("http://user:pw@h:1/{key}", "http://MASKED@h:1/{key}"),
            ("http://tok@h/{key}", "http://MASKED@h/{key}"),
            ("http://a@b:p@ss@h/{key}", "http://MASKED@h/{key}"),
            (
                "http://h/x?q={key}&sig=s3",
                "http://h/MASKED?q={key}&sig=MASKED",
            ),
            (
                "http://h/?k=a{key}b&&e=",
                "http://h/?k=MASKED{key}MASKED&&e=",
            ),
            ("http://h?{key}&flag", "http://h?{key}&MASKED"),
            ("user:pw@h", "MASKED@h"),
            ("http://h/{key}#s", "http://h/{key}#MASKED"),
            (
                "https://h:1/services/T0/s3cret/{key}.json",
                "https://h:1/MASKED/MASKED/MASKED/{key}MASKED",
            ),
            ("http://h/", "http://h/"),
            ("h:1", "h:1"),
            ("ftp://h/p", "ftp://h/MASKED"),
            (
                "postgres://me:s3cret@db:5432/app?sslmode=verify-full",
                "postgres://MASKED@db:5432/MASKED?sslmode=MASKED",
            ),
            ("mysql://me@db/app", "mysql://MASKED@db/MASKED"),
            ("s3://bucket/prefix", "s3://bucket/MASKED"),
            ("file:///data", "file:///data"),
            ("", ""),
        ] {
            assert_eq!(url(text), masked);
        }
    }

    #[test]
    fn a_password_is_masked_whatever_it_holds() {
        for (text, masked) in [
            ("http://user:p/w@h/{key}", "http://MASKED/{key}"),
            ("http://user:p?w@h/{key}", "http://MASKED/{key}"),
            ("http://user:p#w@h/{key}", "http://MASKED/{key}"),
            ("http://user:p\\w@h/{key}", "http://MASKED/{key}"),
            ("http://user:12/w@h", "http://MASKED"),
            // The text after it may be part of a query.
            ("http://h/?a=x@y&sig=s3&k={key}", "http://MASKED/{key}"),
            ("http:/user:pw@h/{key}", "http:/MASKED@h/{key}"),
            ("HTTP:\\\\user:pw@h/{key}", "HTTP:\\\\MASKED@h/{key}"),
            ("http:user:pw@h/{key}", "http:MASKED@h/{key}"),
            ("user:pw://x@h", "MASKED"),
            ("pw://x@h", "MASKED"),
            ("http:///user:pw@h", "http:///MASKED@h"),
        ] {
            assert_eq!(url(text), masked);
        }
    }
}
