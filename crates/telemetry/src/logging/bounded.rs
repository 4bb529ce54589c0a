//! Text that grows up to a limit.

use std::fmt;

/// Keeps what is written up to a number of bytes and drops the rest, at a character's boundary.
#[derive(Debug)]
pub(super) struct Bounded {
    text: String,
    most: usize,
    whole: bool,
}

impl Bounded {
    pub(super) fn new(most: usize) -> Self {
        Self {
            text: String::new(),
            most,
            whole: true,
        }
    }

    /// Writes it, as far as it fits and its own `Display` or `Debug` does not fail.
    pub(super) fn put(&mut self, text: fmt::Arguments<'_>) {
        if fmt::write(self, text).is_err() {
            self.whole = false;
        }
    }

    /// Whether nothing is missing.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.whole {
            let room = self.most.saturating_sub(self.text.len());
            let fits = text.floor_char_boundary(room);
            self.text.push_str(&text[..fits]);
            self.whole = fits == text.len();
        }
        // No error: a formatter would stop there, and `Debug` helpers of others are not made for
        // that.
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exceeds_the_limit_is_cut_between_characters() {
        let mut text = Bounded::new(5);
        text.put(format_args!("a{}", "é"));
        assert!(text.is_whole());
        text.put(format_args!("bé"));
        assert!(!text.is_whole());
        // Nothing follows what was cut, though it would fit.
        text.put(format_args!("x"));
        assert_eq!(text.into_text(), "aéb");
    }

    #[test]
    fn a_display_that_fails_leaves_what_came_before() {
        struct Fails;
        impl fmt::Display for Fails {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("half")?;
                Err(fmt::Error)
            }
        }
        let mut text = Bounded::new(100);
        text.put(format_args!("{Fails}"));
        assert!(!text.is_whole());
        assert_eq!(text.into_text(), "half");
    }
}
