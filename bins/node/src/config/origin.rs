//! What a group loads from, by `kind`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Span;

/// The `origin` table of a group. `kind` chooses the variant, and each variant refuses the fields
/// of the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "lowercase",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub(crate) enum Origin {
    Sqlite {
        path: PathBuf,
        query: String,
    },
    Http {
        url: String,
        /// How long a connection is kept open while idle; `0s` keeps none. Best below what the
        /// service does.
        #[serde(default = "Origin::idle_timeout")]
        idle_timeout: Span,
    },
    Files {
        root: PathBuf,
    },
}

impl Origin {
    fn idle_timeout() -> Span {
        Span(gaggle_origin_http::HttpOptions::default().idle_timeout)
    }

    /// Hides what should not be printed: the password in a URL.
    pub(crate) fn mask(&mut self) {
        if let Self::Http { url, .. } = self
            && let Ok(mut parsed) = url::Url::parse(url)
            && parsed.password().is_some()
            && parsed.set_password(Some("MASKED")).is_ok()
        {
            // The parser escapes the braces of `{key}`.
            *url = parsed.to_string().replace("%7Bkey%7D", "{key}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn parse(text: &str) -> Result<Origin, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn an_http_origin_has_an_idle_timeout() {
        let url = "kind = \"http\"\nurl = \"http://h/{key}\"\n";
        let idle = |text: &str| match parse(&format!("{url}{text}")) {
            Ok(Origin::Http { idle_timeout, .. }) => Ok(idle_timeout.0),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        };
        assert_eq!(idle("").unwrap(), Duration::from_secs(4));
        assert_eq!(
            idle("idle-timeout = \"1s\"").unwrap(),
            Duration::from_secs(1)
        );
        assert_eq!(idle("idle-timeout = \"0s\"").unwrap(), Duration::ZERO);
        idle("idle-timeout = 1").unwrap_err();
        let error = idle("idle_timeout = \"1s\"").unwrap_err();
        assert!(error.contains("unknown field `idle_timeout`"), "{error}");
    }

    #[test]
    fn what_is_printed_is_read_back() {
        let text = "kind = \"http\"\nurl = \"http://h/{key}\"\nidle-timeout = \"1s 500ms\"\n";
        let origin = parse(text).unwrap();
        assert_eq!(toml::to_string(&origin).unwrap(), text);
    }
}
