//! The fields of a text line.

use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// `message name=value name="a value with spaces"`: quotes only where a reader needs them, where
/// tracing-subscriber's own format puts them around every string. What could end the line or move
/// the cursor is escaped, for values may come from elsewhere.
pub(super) struct PlainFields;

impl<'w> FormatFields<'w> for PlainFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = Line {
            writer,
            empty: true,
            result: Ok(()),
        };
        fields.record(&mut line);
        line.result
    }
}

struct Line<'w> {
    writer: Writer<'w>,
    empty: bool,
    result: fmt::Result,
}

impl Line<'_> {
    fn put(&mut self, field: &Field, text: &str) {
        if self.result.is_ok() {
            self.result = self.try_put(field.name(), text);
        }
    }

    fn try_put(&mut self, name: &str, text: &str) -> fmt::Result {
        if !std::mem::replace(&mut self.empty, false) {
            self.writer.write_char(' ')?;
        }
        if name == "message" {
            return write_escaped(&mut self.writer, text);
        }
        // Names of raw identifiers, as in `r#type`.
        write!(self.writer, "{}=", name.strip_prefix("r#").unwrap_or(name))?;
        // A text that begins with a quote is a string's own `Debug`.
        let ambiguous = text.is_empty() || text.contains([' ', '"', '=']);
        if ambiguous && !text.starts_with('"') {
            write!(self.writer, "{text:?}")
        } else {
            write_escaped(&mut self.writer, text)
        }
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, &format!("{value:?}"));
    }
}

fn write_escaped(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    for c in text.chars() {
        if c.is_control() {
            write!(writer, "{}", c.escape_default())?;
        } else {
            writer.write_char(c)?;
        }
    }
    Ok(())
}
