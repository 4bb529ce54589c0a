//! What a group loads from, by `kind`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The `origin` table of a group. `kind` chooses the variant, and each variant refuses the fields of the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Origin {
    Sqlite { path: PathBuf, query: String },
    Http { url: String },
    Files { root: PathBuf },
}

impl Origin {
    /// Hides what should not be printed: the password in a URL.
    pub(crate) fn mask(&mut self) {
        if let Self::Http { url } = self
            && let Ok(mut parsed) = url::Url::parse(url)
            && parsed.password().is_some()
            && parsed.set_password(Some("MASKED")).is_ok()
        {
            // The parser escapes the braces of `{key}`.
            *url = parsed.to_string().replace("%7Bkey%7D", "{key}");
        }
    }
}
