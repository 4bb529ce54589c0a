//! The text of a column in a key and in a value.

/// The types whose text form differs from that of a key or a value.
const BOOL: u32 = 16;
const BYTEA: u32 = 17;
const INET: u32 = 869;
const BPCHAR: u32 = 1042;
/// The place of a column in a row, and the type of its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) index: usize,
    pub(super) kind: u32,
}

impl At {
    /// A value in the form of `::text`, in which an origin reads it.
    pub(super) fn value(self, text: &[u8]) -> Vec<u8> {
        match (self.kind, text) {
            (BOOL, b"t") => b"true".to_vec(),
            (BOOL, b"f") => b"false".to_vec(),
            (INET, _) if !text.contains(&b'/') => {
                let mask: &[u8] = if text.contains(&b':') {
                    b"/128"
                } else {
                    b"/32"
                };
                [text, mask].concat()
            }
            _ => self.bytes(text),
        }
    }

    /// A part of a key. It is a copy, since the text lies in the buffer of its whole row.
    pub(super) fn bytes(self, text: &[u8]) -> Vec<u8> {
        match self.kind {
            BYTEA => from_hex(text).unwrap_or_else(|| text.to_vec()),
            // Blanks at the end do not count, and `::text` leaves them out.
            BPCHAR => text.trim_ascii_end_blanks().to_vec(),
            _ => text.to_vec(),
        }
    }
}

trait Blanks {
    fn trim_ascii_end_blanks(&self) -> &[u8];
}

impl Blanks for [u8] {
    fn trim_ascii_end_blanks(&self) -> &[u8] {
        let end = self.iter().rposition(|byte| *byte != b' ');
        &self[..end.map_or(0, |last| last + 1)]
    }
}

/// `\x0aff`, as `bytea_output = hex` writes it.
fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.strip_prefix(b"\\x")?;
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
        _ => None,
    };
    digits.chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_written_as_a_query_casts_it() {
        for (kind, text, value) in [
            (BOOL, "t", "true"),
            (BOOL, "f", "false"),
            (INET, "10.0.0.1", "10.0.0.1/32"),
            (INET, "10.0.0.0/8", "10.0.0.0/8"),
            (INET, "::1", "::1/128"),
            (BPCHAR, "ab  ", "ab"),
            (25, "t ", "t "),
        ] {
            let at = At { index: 0, kind };
            assert_eq!(at.value(text.as_bytes()), value.as_bytes());
        }
    }
}
