//! What is wrong with a configuration, as one line.

use std::fmt::{Display, Write as _};

/// A configuration that cannot be used: one line, with the field and what was expected of it.
#[derive(Debug, thiserror::Error)]
#[error("{field}: {problem}")]
pub(crate) struct ConfigError {
    pub(crate) field: String,
    pub(crate) problem: String,
    /// Whether the same configuration may be usable later, as what it names cannot be reached now.
    pub(crate) is_transient: bool,
}

impl ConfigError {
    pub(crate) fn new(field: impl Into<String>, problem: impl Display) -> Self {
        Self {
            field: one_line(&field.into()),
            problem: one_line(&problem.to_string()),
            is_transient: false,
        }
    }

    /// The same, for something that cannot be reached now.
    pub(crate) fn transient(self) -> Self {
        Self {
            is_transient: true,
            ..self
        }
    }

    /// The same, with where the field's value came from.
    pub(super) fn set_by(self, source: impl Display) -> Self {
        Self {
            is_transient: self.is_transient,
            ..Self::new(self.field, format!("{} (from {source})", self.problem))
        }
    }
}

/// A library's message may run over several lines, and a name may hold anything; a script that
/// greps a log needs one line, and a terminal must not get control characters from a name.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            if c.is_control() || is_invisible(c) {
                // Writing to a string cannot fail.
                let _ = write!(line, "{}", c.escape_unicode());
            } else {
                line.push(c);
            }
        }
    }
    line
}

/// Characters that change the order of other characters or have no width.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_whatever_it_quotes() {
        let failure = ConfigError::new(
            "groups.a\nb\u{1b}[2Jc\u{85}d\u{2028}e",
            "\"x\r\ny\" \u{7}\n   is\u{202e} odd",
        );
        assert_eq!(
            failure.to_string(),
            "groups.a b\\u{1b}[2Jc d e: \"x y\" \\u{7} is\\u{202e} odd"
        );
    }

    #[test]
    fn the_source_comes_last() {
        let failure = ConfigError::new("node.name", "is odd").set_by("GAGGLE_NODE__NAME");
        assert_eq!(
            failure.to_string(),
            "node.name: is odd (from GAGGLE_NODE__NAME)"
        );
    }
}
