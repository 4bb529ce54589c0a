//! URLs without their secrets.

use super::secret::MASKED;

/// Where the key goes in the URL of an origin.
const PLACE: &str = "{key}";

/// The URL without what may be secret in it: of the user info the password, or else the name, and of the query each value
/// but the place of the key. Works on any text, so that nothing is shown only because it is no URL.
pub(crate) fn url(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    let (rest, fragment) = match rest.split_once('#') {
        Some((rest, _)) => (rest, format!("#{MASKED}")),
        None => (rest, String::new()),
    };
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, format!("?{}", masked_query(query))),
        None => (rest, String::new()),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) => format!("{}@{host}", masked_user(user)),
        None => authority.to_owned(),
    };
    format!("{scheme}{authority}{path}{query}{fragment}")
}

fn masked_user(user: &str) -> String {
    match user.split_once(':') {
        Some((name, password)) if !password.is_empty() => format!("{name}:{MASKED}"),
        // A token often stands where the name does, without a password.
        _ => MASKED.to_owned(),
    }
}

fn masked_query(query: &str) -> String {
    let masked = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, value)) => format!("{}={}", name, masked_value(value)),
            None => masked_value(parameter),
        });
    masked.collect::<Vec<_>>().join("&")
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
            ("http://user:pw@h:1/{key}", "http://user:MASKED@h:1/{key}"),
            ("http://tok@h/{key}", "http://MASKED@h/{key}"),
            ("http://tok:@h/{key}", "http://MASKED@h/{key}"),
            ("http://a@b:p@ss@h/{key}", "http://a@b:MASKED@h/{key}"),
            ("http://h/x?q={key}&sig=s3", "http://h/x?q={key}&sig=MASKED"),
            (
                "http://h/?k=a{key}b&&e=",
                "http://h/?k=MASKED{key}MASKED&&e=",
            ),
            ("http://h?{key}&flag", "http://h?{key}&MASKED"),
            ("user:pw@h", "user:MASKED@h"),
            ("http://h/{key}#s", "http://h/{key}#MASKED"),
            ("", ""),
        ] {
            assert_eq!(url(text), masked);
        }
    }
}
