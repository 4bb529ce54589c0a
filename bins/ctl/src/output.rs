//! Output: answers on stdout, everything else on stderr.

use std::fmt::Write as _;
use std::io::{self, Write as _};

/// The most characters of a node's text that are printed (before escapes).
const MAX_LINE: usize = 1000;

/// Writes an answer to stdout.
pub(crate) fn answer(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Writes a line to stderr after the program's name. A failure is ignored: no output is left to
/// report it on.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr(), "gagglectl: {line}");
}

/// Writes a line to stderr as it is.
pub(crate) fn aside(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Text that came over the network, as part of one line: bounded, and without characters that
/// control a terminal.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end();
    let mut line = String::with_capacity(text.len().min(MAX_LINE));
    for (at, c) in text.chars().enumerate() {
        if at == MAX_LINE {
            line.push('…');
            break;
        }
        if steers(c) {
            // Writing to a String cannot fail.
            let _ = write!(line, "{}", c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// Control characters, line separators, and characters that change the direction of text.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_elsewhere_is_one_bounded_line_that_steers_no_terminal() {
        assert_eq!(shown(b"Tom not found\r\n"), "Tom not found");
        assert_eq!(shown(b"a\x1b[2Jb\nc\xFF"), "a\\u{1b}[2Jb\\nc\u{FFFD}");
        assert_eq!(shown("张三\u{202E}x".as_bytes()), "张三\\u{202e}x");
        assert_eq!(shown(&[b'x'; 5000]).chars().count(), MAX_LINE + 1);
    }
}
